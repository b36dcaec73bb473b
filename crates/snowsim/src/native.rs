//! Native Apps: packages, installed applications, and what belongs to them alone.
//!
//! ```text
//!  PUT ─▶ stage of a package ─▶ CREATE APPLICATION ─┬▶ manifest ─▶ rules of its form
//!                                                   ├▶ setup script, statement by statement
//!                                                   └▶ service specifications, callbacks, procedures' bodies
//! ```
//! Promises: an application is installed whole or not at all; what its files name and do not have (a procedure, a
//! role, an integration, a table, a key of a specification) refuses the installation, and is named.
//! Leaves to others: tables, schemas and grants of an application, which are the account's (`catalog`); running
//! statements (`session::native`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) mod body;
pub(crate) mod manifest;
pub(crate) mod parse;
pub(crate) mod schema;
pub(crate) mod service;
pub(crate) mod transfer;
pub(crate) mod yaml;

/// Files by their path.
pub(crate) type Files = BTreeMap<String, String>;

/// What an account has of Native Apps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Native {
    /// Application packages by name; each is a database too.
    pub(crate) packages: BTreeMap<String, Package>,
    /// Installed applications by name; each is a database too.
    pub(crate) applications: BTreeMap<String, Application>,
    /// Image repositories, `DATABASE.SCHEMA.NAME`.
    #[serde(default)]
    pub(crate) repositories: BTreeMap<String, Repository>,
}

/// An image repository. The images themselves are a registry's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repository {
    /// When it was made, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
}

/// An application package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    /// When it was made, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
    /// Comment.
    pub(crate) comment: String,
    /// `INTERNAL` or `EXTERNAL`.
    pub(crate) distribution: String,
    /// Versions by name: the files as they were when it was added.
    pub(crate) versions: BTreeMap<String, Files>,
}

/// An installed application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Application {
    /// When it was made, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
    /// Comment.
    pub(crate) comment: String,
    /// The package it came from.
    pub(crate) package: String,
    /// The version it was installed from, or `UNVERSIONED` from a stage.
    pub(crate) version: String,
    /// Its files when it was installed or upgraded.
    pub(crate) files: Files,
    /// Its manifest, checked.
    pub(crate) manifest: Value,
    /// Application roles.
    pub(crate) roles: BTreeSet<String>,
    /// Versioned schemas.
    pub(crate) versioned: BTreeSet<String>,
    /// Procedures.
    pub(crate) procedures: Vec<Procedure>,
    /// Secrets, `SCHEMA.NAME`. Their values are kept nowhere.
    pub(crate) secrets: BTreeSet<String>,
    /// Network rules, `SCHEMA.NAME`, with their hosts and ports.
    pub(crate) rules: BTreeMap<String, Vec<String>>,
    /// External access integrations with their rules.
    pub(crate) integrations: BTreeMap<String, Vec<String>>,
    /// Compute pools.
    pub(crate) pools: BTreeSet<String>,
    /// Services, `SCHEMA.NAME`, with their checked specifications.
    pub(crate) services: BTreeMap<String, Value>,
    /// Configuration definitions.
    pub(crate) configurations: BTreeMap<String, Configuration>,
    /// Application specifications.
    pub(crate) specifications: BTreeMap<String, Specification>,
}

/// A procedure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Procedure {
    /// Its schema.
    pub(crate) schema: String,
    /// Its name.
    pub(crate) name: String,
    /// Names and types of its arguments.
    pub(crate) arguments: Vec<(String, String)>,
    /// What is between `$$`.
    pub(crate) body: String,
    /// Application roles that may call it.
    pub(crate) roles: BTreeSet<String>,
}

impl Procedure {
    /// The types of its arguments.
    pub(crate) fn types(&self) -> Vec<&str> {
        self.arguments.iter().map(|(_, ty)| ty.as_str()).collect()
    }

    /// `SCHEMA.NAME(TYPE, …)`.
    pub(crate) fn signature(&self) -> String {
        format!("{}.{}({})", self.schema, self.name, self.types().join(", "))
    }
}

/// A configuration that an application asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Configuration {
    /// `STRING` and so on.
    pub(crate) ty: String,
    /// What a person reads.
    pub(crate) label: String,
    /// What a person reads.
    pub(crate) description: String,
    /// Who may see and set it.
    pub(crate) roles: Vec<String>,
    /// Whether its value is shown to nobody.
    pub(crate) sensitive: bool,
    /// Its value, once it is set.
    pub(crate) value: Option<String>,
}

/// What an application asks to be allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Specification {
    /// `EXTERNAL_ACCESS`.
    pub(crate) ty: String,
    /// What a person reads.
    pub(crate) label: String,
    /// What a person reads.
    pub(crate) description: String,
    /// Hosts and ports.
    pub(crate) host_ports: Vec<String>,
    /// Raised by every change of what it asks for.
    pub(crate) sequence: u64,
    /// `PENDING`, `APPROVED` or `DECLINED`.
    pub(crate) status: String,
}

impl Application {
    /// The procedures of a name.
    pub(crate) fn procedures_named<'a, 'n>(
        &'a self,
        schema: &'n str,
        name: &'n str,
    ) -> impl Iterator<Item = &'a Procedure> + use<'a, 'n> {
        self.procedures.iter().filter(move |procedure| procedure.schema == schema && procedure.name == name)
    }
}

/// The role that an application acts as. Its name has a space, so that nobody's role has it by accident.
pub(crate) fn role_of(application: &str) -> String {
    format!("APPLICATION {application}")
}

/// The account's name of an application role.
pub(crate) fn application_role(application: &str, role: &str) -> String {
    format!("{application}.{role}")
}
