//! Native Apps' statements: packages, applications, the files they come from.
//!
//! Promises: what a statement changes is one commit, but for an installation, which takes back what it made when it
//! fails. Files that a client has put are taken into the stage when somebody looks at it.
//! Leaves to others: the setup script (`setup`), its rules (`native`), listings (`shown`).

use std::path::{Path as Folder, PathBuf};

use serde_json::{Value, json};

use super::{Rows, Session, Statement, answer};
use crate::catalog::Container;
use crate::catalog::access::{Grant, Grantee};
use crate::catalog::change::Change;
use crate::catalog::stage::{File, Stage};
use crate::error::SqlError;
use crate::native::parse::{Source, Statement as Order};
use crate::native::transfer::Transfer;
use crate::native::{
    Application, Files, Native, Package, Repository, Specification, application_role, manifest, role_of,
};
use crate::sql::Path;
use crate::types::SnowType;

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

    fn create_package(
        &self,
        name: &str,
        if_not_exists: bool,
        options: Vec<(String, String)>,
    ) -> Result<Rows, SqlError> {
        let mut package = Package { created: self.engine.now(), owner: self.role().to_owned(), ..Package::default() };
        "INTERNAL".clone_into(&mut package.distribution);
        for (option, value) in options {
            match option.as_str() {
                "COMMENT" => package.comment = value,
                "DISTRIBUTION" if value.eq_ignore_ascii_case("internal") => {}
                "DISTRIBUTION" => return Err(SqlError::unsupported(format!("DISTRIBUTION = {value}"))),
                "ENABLE_RELEASE_CHANNELS" if value.eq_ignore_ascii_case("false") => {}
                "ENABLE_RELEASE_CHANNELS" => return Err(SqlError::unsupported("release channels")),
                _ => return Err(SqlError::unexpected(option)),
            }
        }
        {
            let catalog = self.engine.catalog();
            catalog.check_account(self.role(), "CREATE APPLICATION PACKAGE")?;
            if catalog.databases.contains_key(name) {
                return match if_not_exists && catalog.native.packages.contains_key(name) {
                    true => answer::status(&format!("{name} already exists, statement succeeded.")),
                    false => Err(SqlError::exists(name)),
                };
            }
        }
        let database = Change::PutDatabase { name: name.to_owned(), container: self.container(self.role()) };
        self.change_native(vec![database], |native| {
            native.packages.insert(name.to_owned(), package);
            Ok(())
        })?;
        answer::status(&format!("Application Package '{name}' created successfully."))
    }

    fn drop_package(&self, name: &str, if_exists: bool) -> Result<Rows, SqlError> {
        let native = self.native_state();
        if !native.packages.contains_key(name) {
            return match if_exists {
                true => answer::status(&format!("Drop statement executed successfully ({name} already dropped).")),
                false => Err(SqlError::missing("Application package", name)),
            };
        }
        self.engine.catalog().check_container(self.role(), "DATABASE", name, "OWNERSHIP")?;
        if let Some((user, _)) = native.applications.iter().find(|(_, app)| app.package == name) {
            return Err(SqlError::compilation(format!(
                "the application {user} is installed from {name}; drop it first"
            )));
        }
        self.change_native(vec![Change::DropDatabase { name: name.to_owned() }], |native| {
            native.packages.remove(name);
            Ok(())
        })?;
        answer::status(&format!("{name} successfully dropped."))
    }

    fn add_version(&self, package: &str, version: &str, source: &Source) -> Result<Rows, SqlError> {
        let files = self.files(package, source)?;
        manifest::read(&files).map_err(|wrong| refused(wrong.join("\n")))?;
        self.engine.catalog().check_container(self.role(), "DATABASE", package, "OWNERSHIP")?;
        self.change_native(Vec::new(), |native| {
            let known = native.packages.get_mut(package);
            let known = known.ok_or_else(|| SqlError::missing("Application package", package))?;
            match known.versions.insert(version.to_owned(), files) {
                Some(_) => Err(SqlError::exists(version)),
                None => Ok(()),
            }
        })?;
        answer::status(&format!("Version '{version}' of application package '{package}' created successfully."))
    }

    /// An application's files, as they are now.
    fn files(&self, package: &str, source: &Source) -> Result<Files, SqlError> {
        match source {
            Source::Version(version) => {
                let native = self.native_state();
                let known = native.packages.get(package).and_then(|package| package.versions.get(version));
                known.cloned().ok_or_else(|| SqlError::missing("Version", version))
            }
            Source::Stage(stage, folder) => {
                let stage = self.filled(stage)?;
                let inside = |path: &str| match folder.is_empty() {
                    true => Some(path.to_owned()),
                    false => path.strip_prefix(&format!("{folder}/")).map(str::to_owned),
                };
                let files = stage.files.iter().filter_map(|(path, file)| Some((inside(path)?, file.content.clone())));
                Ok(files.collect())
            }
        }
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

    fn create_repository(&self, path: &Path, if_not_exists: bool) -> Result<Rows, SqlError> {
        let name = self.full_name(path)?;
        {
            let catalog = self.engine.catalog();
            self.check_place(&catalog, &name)?;
            catalog.check_schema(self.role(), &name.database, &name.schema, "CREATE IMAGE REPOSITORY")?;
        }
        let made = Repository { created: self.engine.now(), owner: self.role().to_owned() };
        let full = name.to_string();
        if self.native_state().repositories.contains_key(&full) {
            return match if_not_exists {
                true => answer::status(&format!("{} already exists, statement succeeded.", name.name)),
                false => Err(SqlError::exists(full)),
            };
        }
        self.change_native(Vec::new(), |native| {
            native.repositories.insert(full, made);
            Ok(())
        })?;
        answer::status(&format!("Image Repository {} successfully created.", name.name))
    }

    fn grant_repository(&self, privileges: &[String], path: &Path, role: String) -> Result<Rows, SqlError> {
        let name = self.full_name(path)?.to_string();
        if !self.native_state().repositories.contains_key(&name) {
            return Err(SqlError::missing("Image repository", name));
        }
        if !self.engine.catalog().roles.contains_key(&role) {
            return Err(SqlError::missing("Role", role));
        }
        let grants = privileges.iter().map(|privilege| Change::Grant {
            grant: Grant {
                role: role.clone(),
                privilege: privilege.clone(),
                kind: "IMAGE REPOSITORY".to_owned(),
                name: name.clone(),
                object: None,
                created: self.engine.now(),
                granted_by: self.role().to_owned(),
            },
        });
        let grants = grants.collect();
        self.engine.commit(Vec::new(), |_| Ok((grants, ())))?;
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

    /// The folder that a client of this machine puts a stage's files into.
    fn inbox(&self, stage: &Stage) -> PathBuf {
        self.engine.inbox.join(stage.id.to_string())
    }

    /// PUT, LS and REMOVE.
    pub(super) fn transfer(&mut self, transfer: Transfer) -> Result<(Rows, Option<Value>), SqlError> {
        match transfer {
            Transfer::Put { file, stage, folder, overwrite, parallel } => {
                let stage = self.filled(&stage)?;
                let place = self.inbox(&stage).join(&folder);
                std::fs::create_dir_all(&place)?;
                let answer = json!({
                    "command": "UPLOAD",
                    "src_locations": [file],
                    "stageInfo": { "locationType": "LOCAL_FS", "location": place, "path": "", "creds": {} },
                    "autoCompress": false,
                    "sourceCompression": "none",
                    "overwrite": overwrite,
                    "parallel": parallel,
                    "threshold": 209_715_200,
                    "encryptionMaterial": null,
                });
                Ok((answer::status("")?, Some(answer)))
            }
            Transfer::List { stage, folder } => {
                let stage = self.filled(&stage)?;
                let shown = stage.files.iter().filter(|(path, _)| path.starts_with(&folder)).map(|(path, file)| {
                    vec![
                        answer::text(format!("{}/{path}", stage.name.name.to_lowercase())),
                        answer::count(u64::try_from(file.content.len()).unwrap_or(0)),
                        // None is computed, as in directory tables.
                        answer::text(""),
                        answer::text(file.modified.to_string()),
                    ]
                });
                let text = SnowType::TEXT;
                let columns = [("name", text), ("size", answer::COUNT), ("md5", text), ("last_modified", text)];
                Ok((answer::rows(&columns, shown.collect())?, None))
            }
            Transfer::Remove { stage: path, folder } => {
                self.filled(&path)?;
                let rows = self.remove_files(&crate::sql::objects::Location { stage: path, path: folder })?;
                Ok((rows, None))
            }
        }
    }

    /// A stage with all that has been put into it.
    fn filled(&self, path: &Path) -> Result<Stage, SqlError> {
        let mut stage = self.stage(path, "READ")?;
        let inbox = self.inbox(&stage);
        if !inbox.is_dir() {
            return Ok(stage);
        }
        let mut put = Vec::new();
        gather(&inbox, &inbox, &mut put)?;
        let modified = self.engine.now();
        for (path, content) in put {
            let content = String::from_utf8(content)
                .map_err(|_| SqlError::unsupported(format!("the file {path}, which is no text, in a stage")))?;
            stage.files.insert(path, File { content, modified });
        }
        self.put_stage(stage.clone())?;
        std::fs::remove_dir_all(&inbox)?;
        Ok(stage)
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

/// All files below a folder, by their path in it.
fn gather(root: &Folder, folder: &Folder, found: &mut Vec<(String, Vec<u8>)>) -> Result<(), SqlError> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(root, &path, found)?;
        } else {
            let inside = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push((inside, std::fs::read(&path)?));
        }
    }
    Ok(())
}
