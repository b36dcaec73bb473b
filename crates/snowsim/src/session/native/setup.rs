//! Running a setup script.
//!
//! Promises: its statements run one by one, in the app's database and with the app's rights; names have their schema;
//! what an app may not do (USE, temporary objects, callers' rights) is refused. An error names file and statement.
//! Leaves to others: what can only be judged when all of it has run (`verdict`).

use super::{Rows, Session, Statement, answer, refused, verdict};
use crate::catalog::access::Grantee;
use crate::catalog::change::Change;
use crate::error::SqlError;
use crate::native::parse::{Grant, Statement as Order};
use crate::native::{Application, Configuration, Specification, application_role, manifest, role_of};
use crate::sql::{Command, GrantHolder, GrantTarget, Kind, split};
use crate::table::TableKind;

/// An installation under way.
#[derive(Debug)]
pub(in crate::session) struct Setup {
    name: String,
    app: Application,
    /// The folder of the file that runs, within the app.
    folder: String,
}

impl Session {
    /// Runs the setup script of an application whose database is there.
    pub(super) async fn install(
        &self,
        name: &str,
        app: Application,
        statement: &Statement<'_>,
    ) -> Result<(), SqlError> {
        let script = app.manifest.pointer("/artifacts/setup_script").and_then(serde_json::Value::as_str);
        let script = script.unwrap_or("setup.sql").to_owned();
        let mut inner = self.acting(name);
        inner.setup = Some(Box::new(Setup { name: name.to_owned(), app, folder: String::new() }));
        Box::pin(inner.script(&script, statement)).await?;
        let Some(setup) = inner.setup.take() else { return Ok(()) };
        let wrong = verdict::judge(&self.engine.catalog(), name, &setup.app);
        if !wrong.is_empty() {
            return Err(refused(wrong.join("\n")));
        }
        let handed = Session::hand_over(&setup.app, name);
        self.change_native(handed, |native| {
            native.applications.insert(name.to_owned(), setup.app);
            Ok(())
        })
    }

    async fn script(&mut self, file: &str, statement: &Statement<'_>) -> Result<(), SqlError> {
        let Some(setup) = &mut self.setup else { return Ok(()) };
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let before = std::mem::replace(&mut setup.folder, folder);
        let text = setup.app.files.get(file).cloned();
        let text = text.ok_or_else(|| refused(format!("the file /{file} is not among the app's files")))?;
        for sql in split::split(&text)? {
            let done = Box::pin(self.execute(&sql, &[], false)).await;
            if let Err(error) = done {
                // An inner script has said its place already.
                let inner = error.code == "093082";
                let bare: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
                let head: String = bare.join(" ").chars().take(120).collect();
                return Err(if inner { error } else { refused(format!("{file}: {head}: {}", error.message)) });
            }
            // Always by schema: an app's session has none of its own.
            self.current.schema = None;
            self.current.database = self.setup.as_ref().map(|setup| setup.name.clone());
        }
        let _ = statement;
        if let Some(setup) = &mut self.setup {
            setup.folder = before;
        }
        Ok(())
    }

    /// Refuses what Snowflake does not let setup scripts do.
    pub(in crate::session) fn allowed_in_setup(&self, command: &Command) -> Result<(), SqlError> {
        if self.setup.is_none() {
            return Ok(());
        }
        verdict::forbidden(command).map_or(Ok(()), |what| Err(SqlError::compilation(what)))
    }

    fn setup(&mut self, what: &str) -> Result<&mut Setup, SqlError> {
        match &mut self.setup {
            Some(setup) => Ok(setup),
            None => Err(SqlError::unsupported(format!("{what} outside of an app's setup script"))),
        }
    }

    pub(super) async fn set_up(&mut self, order: Order, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let done = || answer::status("Statement executed successfully.");
        match order {
            Order::Grant(grant) if grant.application => {
                self.application(&grant.to)?;
                let to = role_of(&grant.to);
                let on = GrantTarget::Object { kind: grant.kind, name: grant.name };
                return self.grant(true, &grant.privileges, on, Some(GrantHolder::Role(to)));
            }
            Order::ExecuteFrom { file } => {
                let setup = self.setup("EXECUTE IMMEDIATE FROM")?;
                let path = match file.strip_prefix("./") {
                    Some(inside) if setup.folder.is_empty() => inside.to_owned(),
                    Some(inside) => format!("{}/{inside}", setup.folder),
                    None => file.trim_start_matches('/').to_owned(),
                };
                Box::pin(self.script(&path, statement)).await?;
            }
            Order::CreateRole { name, or_replace } => {
                if or_replace {
                    return Err(SqlError::compilation(
                        "OR REPLACE of an application role takes it from all who have it",
                    ));
                }
                let created = self.engine.now();
                let setup = self.setup("CREATE APPLICATION ROLE")?;
                let (app, role) = (setup.name.clone(), application_role(&setup.name, &name));
                setup.app.roles.insert(name);
                self.engine.commit(Vec::new(), |_| {
                    let made = Change::PutRole { name: role.clone(), created, comment: String::new() };
                    // Whoever has one of its roles may look into the database.
                    let usage = crate::catalog::access::Grant {
                        role,
                        privilege: "USAGE".to_owned(),
                        kind: "DATABASE".to_owned(),
                        name: app.clone(),
                        object: None,
                        created,
                        granted_by: role_of(&app),
                    };
                    Ok((vec![made, Change::Grant { grant: usage }], ()))
                })?;
            }
            Order::GrantRole { role, to, application: true } => {
                let setup = self.setup("GRANT APPLICATION ROLE")?;
                for role in [&role, &to] {
                    known_role(setup, role)?;
                }
                let role = application_role(&setup.name, &role);
                let to = Grantee::Role(application_role(&setup.name, &to));
                self.engine.commit(Vec::new(), |_| Ok((vec![Change::GrantRole { role, to }], ())))?;
            }
            Order::GrantRole { role, .. } => {
                return Err(SqlError::unsupported(format!("GRANT APPLICATION ROLE {role} TO ROLE")));
            }
            Order::Grant(grant) => self.grant_inside(grant)?,
            Order::VersionedSchema { name } => {
                self.create_container(Kind::Schema, &name, false, true, false, String::new())?;
                let schema = name.last().cloned().unwrap_or_default();
                let setup = self.setup("CREATE OR ALTER VERSIONED SCHEMA")?;
                // A version begins with an empty one.
                setup.app.procedures.retain(|procedure| procedure.schema != schema);
                setup.app.versioned.insert(schema);
            }
            Order::CreateProcedure { procedure, or_replace } => {
                let place = (self.current.database.clone().unwrap_or_default(), procedure.schema.clone());
                if !self.engine.catalog().schemas.contains_key(&place) {
                    return Err(SqlError::missing("Schema", format!("{}.{}", place.0, place.1)));
                }
                let app = &mut self.setup("CREATE PROCEDURE")?.app;
                let same = |known: &crate::native::Procedure| known.signature() == procedure.signature();
                if !or_replace && app.procedures.iter().any(same) {
                    return Err(SqlError::exists(procedure.signature()));
                }
                app.procedures.retain(|known| !same(known));
                app.procedures.push(*procedure);
            }
            Order::CreateSecret { name } => {
                let name = self.inside(&name)?;
                self.setup("CREATE SECRET")?.app.secrets.insert(name);
            }
            Order::CreateRule { name, hosts, .. } => {
                let name = self.inside(&name)?;
                verdict::hosts(&hosts).map_err(SqlError::compilation)?;
                self.setup("CREATE NETWORK RULE")?.app.rules.insert(name, hosts);
            }
            Order::CreateIntegration { name, rules } => {
                let app = &mut self.setup("CREATE EXTERNAL ACCESS INTEGRATION")?.app;
                needs(app, "CREATE EXTERNAL ACCESS INTEGRATION")?;
                if let Some(rule) = rules.iter().find(|rule| !app.rules.contains_key(*rule)) {
                    return Err(SqlError::missing("Network rule", rule));
                }
                app.integrations.insert(name, rules);
            }
            Order::CreatePool { name } => {
                let app = &mut self.setup("CREATE COMPUTE POOL")?.app;
                needs(app, "CREATE COMPUTE POOL")?;
                app.pools.insert(name);
            }
            Order::CreateService(service) => {
                let name = self.inside(&service.name)?;
                let app = &mut self.setup("CREATE SERVICE")?.app;
                let made = verdict::Made::by_script(app);
                let spec = verdict::service(app, &made, &service, true);
                let spec = spec.map_err(|wrong| SqlError::compilation(wrong.join("\n")))?;
                app.services.insert(name, spec);
            }
            Order::Configuration { name, options } => self.define_configuration(name, &options)?,
            Order::Specification { name, options } => self.define_specification(name, &options)?,
            other => return Err(SqlError::unsupported(format!("{other:?} in a setup script"))),
        }
        done()
    }

    /// `SCHEMA.NAME` of an object of the app, whose schema exists and is not versioned.
    fn inside(&mut self, path: &[String]) -> Result<String, SqlError> {
        let [schema, name] = path else {
            return Err(SqlError::compilation(format!("{} is not SCHEMA.NAME", path.join("."))));
        };
        let place = (self.current.database.clone().unwrap_or_default(), schema.clone());
        if !self.engine.catalog().schemas.contains_key(&place) {
            return Err(SqlError::missing("Schema", format!("{}.{schema}", place.0)));
        }
        if self.setup.as_ref().is_some_and(|setup| setup.app.versioned.contains(schema)) {
            return Err(SqlError::compilation(format!("{schema} is a versioned schema, which cannot have {name}")));
        }
        Ok(format!("{schema}.{name}"))
    }

    fn grant_inside(&mut self, grant: Grant) -> Result<(), SqlError> {
        let setup = self.setup("GRANT … TO APPLICATION ROLE")?;
        known_role(setup, &grant.to)?;
        if grant.kind != "PROCEDURE" {
            let to = application_role(&setup.name, &grant.to);
            let on = GrantTarget::Object { kind: grant.kind, name: grant.name };
            return self.grant(true, &grant.privileges, on, Some(GrantHolder::Role(to))).map(drop);
        }
        let types = grant.types.unwrap_or_default();
        let [schema, name] = grant.name.as_slice() else {
            return Err(SqlError::compilation(format!("{} is not SCHEMA.NAME", grant.name.join("."))));
        };
        let known = setup.app.procedures.iter_mut().find(|known| {
            known.schema == *schema
                && known.name == *name
                && known.types() == types.iter().map(String::as_str).collect::<Vec<_>>()
        });
        let known =
            known.ok_or_else(|| SqlError::missing("Procedure", format!("{schema}.{name}({})", types.join(", "))))?;
        known.roles.insert(grant.to);
        Ok(())
    }

    fn define_configuration(&mut self, name: String, options: &[(String, Vec<String>)]) -> Result<(), SqlError> {
        let setup = self.setup("ALTER APPLICATION SET CONFIGURATION DEFINITION")?;
        let mut defined = Configuration::default();
        let mut sensitive = None;
        for (option, values) in options {
            let value = values.join(",");
            match option.as_str() {
                "TYPE" => defined.ty = value,
                "LABEL" => defined.label = value,
                "DESCRIPTION" => defined.description = value,
                "APPLICATION_ROLES" => defined.roles.clone_from(values),
                "SENSITIVE" => sensitive = Some(value.eq_ignore_ascii_case("true")),
                _ => return Err(SqlError::unexpected(option)),
            }
        }
        for role in &defined.roles {
            known_role(setup, role)?;
        }
        if defined.ty != "STRING" {
            return Err(SqlError::unsupported(format!("a configuration of type {}", defined.ty)));
        }
        defined.sensitive = sensitive
            .ok_or_else(|| SqlError::compilation(format!("the configuration {name}, a STRING, needs SENSITIVE")))?;
        let before = setup.app.configurations.remove(&name);
        // A value that was set outlives the version that asked for it; so does its secrecy.
        if let Some(before) = before.filter(|before| before.value.is_some()) {
            defined.sensitive = before.sensitive;
            defined.value = before.value;
        }
        setup.app.configurations.insert(name, defined);
        Ok(())
    }

    fn define_specification(&mut self, name: String, options: &[(String, Vec<String>)]) -> Result<(), SqlError> {
        let app = &mut self.setup("ALTER APPLICATION SET SPECIFICATION")?.app;
        let mut defined = Specification { sequence: 1, status: "PENDING".to_owned(), ..Specification::default() };
        for (option, values) in options {
            match option.as_str() {
                "TYPE" => defined.ty = values.join(","),
                "LABEL" => defined.label = values.join(","),
                "DESCRIPTION" => defined.description = values.join(","),
                "HOST_PORTS" => defined.host_ports.clone_from(values),
                _ => return Err(SqlError::unexpected(option)),
            }
        }
        needs(app, "CREATE EXTERNAL ACCESS INTEGRATION")?;
        verdict::hosts(&defined.host_ports).map_err(SqlError::compilation)?;
        if let Some(before) = app.specifications.get(&name) {
            let same = before.host_ports == defined.host_ports;
            defined.sequence = before.sequence + u64::from(!same);
            if same {
                defined.status.clone_from(&before.status);
            }
        }
        app.specifications.insert(name, defined);
        Ok(())
    }
}

fn known_role(setup: &Setup, role: &str) -> Result<(), SqlError> {
    match setup.app.roles.contains(role) {
        true => Ok(()),
        false => Err(SqlError::missing("Application role", role)),
    }
}

/// Refuses what the manifest does not ask for.
fn needs(app: &Application, privilege: &str) -> Result<(), SqlError> {
    match manifest::asks(&app.manifest, privilege) {
        true => Ok(()),
        false => Err(SqlError::denied("ACCOUNT", format!("SNOWSIM ({privilege} is not in the manifest)"))),
    }
}

/// Whether a table of this kind may be made by an app.
pub(super) fn durable(kind: TableKind) -> bool {
    kind != TableKind::Temporary
}
