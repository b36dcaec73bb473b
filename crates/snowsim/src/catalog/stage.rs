//! Stages: named places of files, which the simulator keeps in the catalog itself.
//!
//! Promises: a file is text, written whole. Leaves to others: the directory table (`table`, reached through its id).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Name, ObjectId};

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stage {
    /// Identity.
    pub(crate) id: ObjectId,
    /// Name.
    pub(crate) name: Name,
    /// Creation, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
    /// Comment.
    pub(crate) comment: String,
    /// Whether its directory table is on.
    pub(crate) directory: bool,
    /// Its directory table; made when it is first switched on.
    pub(crate) table: Option<ObjectId>,
    /// Files by path.
    pub(crate) files: BTreeMap<String, File>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    /// What is in it.
    pub(crate) content: String,
    /// When it was written, nanoseconds since the epoch.
    pub(crate) modified: i64,
}
