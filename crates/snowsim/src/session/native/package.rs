//! Packages, their versions, and the repositories of their images.
//!
//! Promises: a package is a database too, and goes with it; one that an application came from stays.
//! Leaves to others: a package's schemas and stages, which are the account's.

use super::{Rows, Session, answer, refused};
use crate::catalog::access::Grant;
use crate::catalog::change::Change;
use crate::error::SqlError;
use crate::native::parse::Source;
use crate::native::{Package, Repository, manifest};
use crate::sql::Path;

impl Session {
    pub(super) fn create_package(
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

    pub(super) fn drop_package(&self, name: &str, if_exists: bool) -> Result<Rows, SqlError> {
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

    pub(super) fn add_version(&self, package: &str, version: &str, source: &Source) -> Result<Rows, SqlError> {
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

    pub(super) fn create_repository(&self, path: &Path, if_not_exists: bool) -> Result<Rows, SqlError> {
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

    pub(super) fn grant_repository(&self, privileges: &[String], path: &Path, role: String) -> Result<Rows, SqlError> {
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
}
