//! Native Apps' statements: packages, applications, the files they come from.
//!
//! Promises: what a statement changes is one commit, but for an installation, which takes back what it made when it
//! fails.
//! Leaves to others: packages, files, the setup script (`setup`), its judgement (`verdict`), listings (`shown`).

use serde_json::{Value, json};

use super::{Rows, Session, Statement, answer};
use crate::catalog::Container;
use crate::catalog::access::Grantee;
use crate::catalog::change::Change;
use crate::error::SqlError;
use crate::native::parse::{Source, Statement as Order};
use crate::native::{Application, Files, Native, Specification, application_role, manifest, role_of};
use crate::sql::Path;
use crate::types::SnowType;

mod files;
mod package;
mod setup;
mod shown;
mod verdict;

pub(super) use setup::Setup;

/// What an installation that cannot be is answered with (`CREATE APPLICATION` names the setup script's error).
fn refused(what: impl std::fmt::Display) -> SqlError {
    SqlError::new("093082", "22023", format!("Failed to execute setup script:\n{what}"))
}

impl Session {
    pub(super) async fn native(&mut self, order: Order, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        match order {
            Order::CreatePackage { name, if_not_exists, options } => self.create_package(&name, if_not_exists, options),
            Order::DropPackage { name, if_exists } => self.drop_package(&name, if_exists),
            Order::DescribePackage { name } => self.describe_package(&name),
            Order::AddVersion { package, version, source } => self.add_version(&package, &version, &source),
            Order::CreateApplication { name, package, source, comment } => {
                self.create_application(&name, &package, &source, comment, statement).await
            }
            Order::Upgrade { name, source } => self.upgrade(&name, &source, statement).await,
            Order::SetDebugMode { name } => {
                self.application(&name)?;
                // The number and the words that the command-line tool looks for.
                Err(SqlError::new(
                    "093362",
                    "0A000",
                    "Cannot set debug mode on an application whose manifest version is 2 or higher.",
                ))
            }
            Order::DropApplication { name, if_exists } => self.drop_application(&name, if_exists),
            Order::DescribeApplication { name } => self.describe_application(&name),
            Order::SetConfiguration { application, name, value } => self.set_configuration(&application, &name, value),
            Order::Review { application, specification, sequence, approve } => {
                self.review(&application, &specification, sequence, approve)
            }
            Order::Show { what, like, of } => self.show_native(what, like.as_deref(), of.as_deref()),
            Order::Call { name, arguments } => self.call(&name, &arguments),
            Order::CreateRepository { name, if_not_exists } => self.create_repository(&name, if_not_exists),
            Order::GrantRepository { privileges, name, role } => self.grant_repository(&privileges, &name, role),
            inside => self.set_up(inside, statement).await,
        }
    }

    fn native_state(&self) -> Native {
        self.engine.catalog().native.clone()
    }

    /// Changes what the account has of Native Apps, with other changes in the same commit.
    fn change_native(
        &self,
        other: Vec<Change>,
        change: impl FnOnce(&mut Native) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.engine.commit(Vec::new(), |catalog| {
            let mut native = catalog.native.clone();
            change(&mut native)?;
            let mut changes = other;
            changes.push(Change::PutNative { native: Box::new(native) });
            Ok((changes, ()))
        })
    }

    fn application(&self, name: &str) -> Result<Application, SqlError> {
        let known = self.native_state().applications.get(name).cloned();
        known.ok_or_else(|| SqlError::missing("Application", name))
    }

    fn container(&self, owner: &str) -> Container {
        let (created, owner) = (self.engine.now(), owner.to_owned());
        Container { created, owner, comment: String::new(), transient: false }
    }

    async fn create_application(
        &mut self,
        name: &str,
        package: &str,
        source: &Source,
        comment: String,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let owner = self.role().to_owned();
        {
            let catalog = self.engine.catalog();
            catalog.check_account(&owner, "CREATE APPLICATION")?;
            if catalog.databases.contains_key(name) {
                return Err(SqlError::exists(name));
            }
            if !catalog.native.packages.contains_key(package) {
                return Err(SqlError::missing("Application package", package));
            }
        }
        let files = self.files(package, source)?;
        let mut app = Application {
            created: self.engine.now(),
            owner: owner.clone(),
            comment,
            package: package.to_owned(),
            ..Application::default()
        };
        app.take(files, source)?;
        let role = role_of(name);
        self.engine.commit(Vec::new(), |_| {
            let role = Change::PutRole { name: role.clone(), created: app.created, comment: String::new() };
            let database = Change::PutDatabase { name: name.to_owned(), container: self.container(&role_of(name)) };
            Ok((vec![role, database], ()))
        })?;
        let done = Box::pin(self.install(name, app, statement)).await;
        if let Err(error) = done {
            self.change_native(self.traces(name), |native| {
                native.applications.remove(name);
                Ok(())
            })?;
            return Err(error);
        }
        answer::status(&format!("Application '{name}' created successfully."))
    }

    async fn upgrade(&mut self, name: &str, source: &Source, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let mut app = self.application(name)?;
        self.engine.catalog().check_container(self.role(), "DATABASE", name, "OWNERSHIP").or_else(|error| {
            // The owner of an application is not the owner of what is in it.
            (app.owner == self.role()).then_some(()).ok_or(error)
        })?;
        let files = self.files(&app.package, source)?;
        app.take(files, source)?;
        Box::pin(self.install(name, app, statement)).await?;
        answer::status(&format!("Application '{name}' upgraded successfully."))
    }

    /// What dropping an application takes along.
    fn traces(&self, name: &str) -> Vec<Change> {
        let mut changes =
            vec![Change::DropDatabase { name: name.to_owned() }, Change::DropRole { name: role_of(name) }];
        let catalog = self.engine.catalog();
        let roles = catalog.roles.keys().filter(|role| role.starts_with(&application_role(name, "")));
        changes.extend(roles.map(|role| Change::DropRole { name: role.clone() }));
        changes
    }

    fn drop_application(&self, name: &str, if_exists: bool) -> Result<Rows, SqlError> {
        let native = self.native_state();
        let Some(app) = native.applications.get(name) else {
            return match if_exists {
                true => answer::status(&format!("Drop statement executed successfully ({name} already dropped).")),
                false => Err(SqlError::missing("Application", name)),
            };
        };
        if app.owner != self.role() {
            self.engine.catalog().check_container(self.role(), "DATABASE", name, "OWNERSHIP")?;
        }
        self.change_native(self.traces(name), |native| {
            native.applications.remove(name);
            Ok(())
        })?;
        answer::status(&format!("{name} successfully dropped."))
    }

    fn set_configuration(&self, application: &str, name: &str, value: Option<String>) -> Result<Rows, SqlError> {
        self.change_native(Vec::new(), |native| {
            let app = native.applications.get_mut(application);
            let app = app.ok_or_else(|| SqlError::missing("Application", application))?;
            let known = app.configurations.get_mut(name);
            known.ok_or_else(|| SqlError::missing("Configuration", name))?.value = value;
            Ok(())
        })?;
        answer::status("Statement executed successfully.")
    }

    fn review(&self, application: &str, name: &str, sequence: u64, approve: bool) -> Result<Rows, SqlError> {
        self.change_native(Vec::new(), |native| {
            let app = native.applications.get_mut(application);
            let app = app.ok_or_else(|| SqlError::missing("Application", application))?;
            let known: Option<&mut Specification> = app.specifications.get_mut(name);
            let known = known.ok_or_else(|| SqlError::missing("Specification", name))?;
            if known.sequence != sequence {
                return Err(SqlError::compilation(format!(
                    "the specification {name} has the sequence number {}, not {sequence}",
                    known.sequence
                )));
            }
            known.status = if approve { "APPROVED" } else { "DECLINED" }.to_owned();
            Ok(())
        })?;
        answer::status("Statement executed successfully.")
    }

    fn call(&self, name: &Path, arguments: &[String]) -> Result<Rows, SqlError> {
        let joined = name.join(".");
        let one = |value: Value| {
            answer::rows(&[(joined.as_str(), SnowType::TEXT)], vec![vec![answer::text(value.to_string())]])
        };
        match (joined.as_str(), arguments) {
            // Parameters of the account that the command-line tool asks for before anything else: there are none.
            ("SYSTEM$BOOTSTRAP_DATA_REQUEST", [_]) => one(json!({ "clientParamsInfo": [] })),
            ("SYSTEM$VALIDATE_NATIVE_APP_SETUP", [place]) => {
                let (stage, folder) = crate::native::transfer::location(place)?;
                let wrong = match manifest::read(&self.files("", &Source::Stage(stage, folder))?) {
                    Ok(_) => Vec::new(),
                    Err(wrong) => wrong,
                };
                let errors: Vec<Value> =
                    wrong.iter().map(|message| json!({ "message": message, "cause": "" })).collect();
                let status = if errors.is_empty() { "SUCCESS" } else { "FAIL" };
                one(json!({ "status": status, "errors": errors, "warnings": [] }))
            }
            _ => {
                let [application, schema, procedure] = name.as_slice() else {
                    return Err(SqlError::unknown_function(joined));
                };
                let app = self.application(application)?;
                let known =
                    app.procedures_named(schema, procedure).find(|known| known.arguments.len() == arguments.len());
                let known = known.ok_or_else(|| SqlError::unknown_function(&joined))?;
                let held = self.engine.catalog().effective_roles(self.role());
                if !known.roles.iter().any(|role| held.contains(&application_role(application, role))) {
                    return Err(SqlError::unknown_function(joined));
                }
                Err(SqlError::unsupported(format!("running the body of {}", known.signature())))
            }
        }
    }

    /// A session that acts as an application, in its database.
    fn acting(&self, application: &str) -> Session {
        let mut inner = self.shadow();
        inner.current.role = Some(role_of(application));
        inner.current.database = Some(application.to_owned());
        inner.current.schema = None;
        inner
    }

    /// Gives the owner of an application what its roles hold.
    fn hand_over(app: &Application, name: &str) -> Vec<Change> {
        let grants = app
            .roles
            .iter()
            .map(|role| Change::GrantRole { role: application_role(name, role), to: Grantee::Role(app.owner.clone()) });
        grants.collect()
    }
}

impl Application {
    /// Takes new files, and forgets what the setup script will make anew from them.
    fn take(&mut self, files: Files, source: &Source) -> Result<(), SqlError> {
        self.manifest = manifest::read(&files).map_err(|wrong| refused(wrong.join("\n")))?;
        self.version = match source {
            Source::Stage(..) => "UNVERSIONED".to_owned(),
            Source::Version(version) => version.clone(),
        };
        self.files = files;
        Ok(())
    }
}
