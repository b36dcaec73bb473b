//! The ways an account can change, as the journal records them.
//!
//! Promises: `apply` depends on nothing but the catalog and the change; what cannot be undone
//! (names taken, objects gone) is checked before a change is written, never while it is applied.
//! Leaves to others: writing (`journal`), deciding (`engine`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::access::{Grant, Grantee};
use super::stage::Stage;
use super::{Catalog, Container, Name, Object, ObjectId, User, View, Warehouse};
use crate::error::SqlError;
use crate::stream::Stream;
use crate::table::nature::Nature;
use crate::table::part::{Part, PartMeta, Store};
use crate::table::version::{Delta, Version};
use crate::table::{Definition, Table};

/// One change of the catalog.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Change {
    /// Creates or replaces a database's description.
    PutDatabase { name: String, container: Container },
    /// Drops a database with everything in it.
    DropDatabase { name: String },
    /// Creates or replaces a schema's description.
    PutSchema { database: String, name: String, container: Container },
    /// Drops a schema with everything in it.
    DropSchema { database: String, name: String },
    /// Creates a table without rows, or with those of another table's version (CLONE).
    CreateTable { definition: Box<Definition>, clone_of: Option<(ObjectId, u64)>, statement: String },
    /// Replaces a table's definition (ALTER, rename included).
    AlterTable { definition: Box<Definition> },
    /// Adds a version to a table.
    Write { table: ObjectId, delta: Box<Delta> },
    /// Forgets the versions of a table before a number.
    Trim { table: ObjectId, from: u64 },
    /// Drops a table.
    DropTable { table: ObjectId },
    /// Creates or replaces a view.
    PutView { view: Box<View> },
    /// Drops a view.
    DropView { view: ObjectId },
    /// Creates a stream or replaces its state (offset, comment …).
    PutStream { stream: Box<Stream> },
    /// Drops a stream.
    DropStream { stream: ObjectId },
    /// Creates or replaces a stage.
    PutStage { stage: Box<Stage> },
    /// Drops a stage and its directory table.
    DropStage { stage: ObjectId },
    /// Creates or replaces a warehouse.
    PutWarehouse { warehouse: Warehouse },
    /// Drops a warehouse.
    DropWarehouse { name: String },
    /// Creates a role.
    PutRole { name: String, created: i64, comment: String },
    /// Drops a role and its grants.
    DropRole { name: String },
    /// Creates or replaces a user.
    PutUser { user: User },
    /// Drops a user.
    DropUser { name: String },
    /// Grants a privilege.
    Grant { grant: Grant },
    /// Takes a privilege away.
    Revoke { grant: Grant },
    /// Grants a role.
    GrantRole { role: String, to: Grantee },
    /// Takes a role away.
    RevokeRole { role: String, from: Grantee },
    /// Replaces what the account has of Native Apps.
    PutNative { native: Box<crate::native::Native> },
    /// A whole table with its kept history (snapshot of the journal).
    Table { image: Box<TableImage> },
    /// Object id counter (snapshot of the journal).
    Counter { next_object: ObjectId },
}

/// A table and its history in a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TableImage {
    definition: Definition,
    /// Number, sequence and time of the oldest kept version, and how it differs from nothing.
    base: (u64, u64, i64, Delta),
    /// Parts inserted by the base version (append-only streams ask for them).
    base_inserted: Vec<PartMeta>,
    later: Vec<(u64, i64, Delta, Vec<PartMeta>)>,
}

/// Changes that become visible together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Commit {
    /// Number of the commit.
    pub(crate) sequence: u64,
    /// Commit time, nanoseconds since the epoch.
    pub(crate) at: i64,
    /// The changes, in order.
    pub(crate) changes: Vec<Change>,
}

/// Finds the parts that changes speak of: those just written, those already known, else new ones.
pub(crate) struct Parts<'a> {
    /// Where the files are.
    pub(crate) store: &'a Arc<Store>,
    /// Parts written by the statement that commits.
    pub(crate) fresh: HashMap<u64, Arc<Part>>,
}

impl Parts<'_> {
    fn open(&mut self, meta: &PartMeta) -> Arc<Part> {
        match self.fresh.get(&meta.id) {
            Some(part) => Arc::clone(part),
            None => {
                let part = Part::new(meta.clone(), self.store);
                self.fresh.insert(meta.id, Arc::clone(&part));
                part
            }
        }
    }
}

impl TableImage {
    /// The image of a table.
    #[must_use]
    pub(crate) fn of(table: &Table) -> Self {
        let nothing = Version::empty(0, 0, "");
        let base = &table.versions[0];
        let metas = |version: &Version| version.inserted.iter().map(|part| part.meta.clone()).collect::<Vec<_>>();
        let pairs = table.versions.iter().zip(table.versions.iter().skip(1));
        Self {
            definition: table.definition.clone(),
            base: (base.number, base.sequence, base.at, Delta::between(&nothing, base)),
            base_inserted: metas(base),
            later: pairs.map(|(a, b)| (b.sequence, b.at, Delta::between(a, b), metas(b))).collect(),
        }
    }

    fn restore(self, parts: &mut Parts<'_>) -> Result<Table, SqlError> {
        let (number, sequence, at, delta) = self.base;
        let nothing = Version::empty(0, 0, "");
        let mut version = nothing.apply(&delta, sequence, at, &mut |meta| Ok(parts.open(meta)))?;
        version.number = number;
        version.inserted = self.base_inserted.iter().map(|meta| parts.open(meta)).collect();
        let mut versions = VecDeque::from([Arc::new(version)]);
        for (sequence, at, delta, inserted) in self.later {
            let last = &versions[versions.len() - 1];
            let mut next = last.apply(&delta, sequence, at, &mut |meta| Ok(parts.open(meta)))?;
            next.inserted = inserted.iter().map(|meta| parts.open(meta)).collect();
            versions.push_back(Arc::new(next));
        }
        Ok(Table { definition: self.definition, versions })
    }
}

impl Catalog {
    /// Makes a commit's changes.
    pub(crate) fn apply(&mut self, commit: Commit, parts: &mut Parts<'_>) -> Result<(), SqlError> {
        self.sequence = commit.sequence;
        self.last_commit = commit.at;
        for change in commit.changes {
            self.apply_one(change, commit.sequence, commit.at, parts)?;
        }
        Ok(())
    }

    fn apply_one(&mut self, change: Change, sequence: u64, at: i64, parts: &mut Parts<'_>) -> Result<(), SqlError> {
        match change {
            Change::PutDatabase { name, container } => {
                self.databases.insert(name, container);
            }
            Change::DropDatabase { name } => {
                self.databases.remove(&name);
                let schemas: Vec<_> = self.schemas.keys().filter(|key| key.0 == name).cloned().collect();
                for (database, schema) in schemas {
                    self.drop_schema(&database, &schema);
                }
            }
            Change::PutSchema { database, name, container } => {
                self.schemas.insert((database, name), container);
            }
            Change::DropSchema { database, name } => self.drop_schema(&database, &name),
            Change::CreateTable { definition, clone_of, statement } => {
                self.next_object = self.next_object.max(definition.id + 1);
                let mut first = Version::empty(sequence, at, &statement);
                if let Some((origin, number)) = clone_of
                    && let Some(source) = self.table(origin).and_then(|table| table.version(number))
                {
                    first.parts = source.parts.clone();
                    first.next_row = source.next_row;
                    first.next_identity = source.next_identity;
                }
                if definition.nature != Nature::Directory {
                    self.names.insert(name_of(&definition), Object::Table(definition.id));
                    self.grant_future("TABLE", &name_of(&definition), definition.id);
                }
                let table = Table { versions: VecDeque::from([Arc::new(first)]), definition: *definition };
                self.tables.insert(table.definition.id, table);
            }
            Change::AlterTable { definition } => {
                let id = definition.id;
                if let Some(table) = self.tables.get_mut(&id) {
                    let old = name_of(&table.definition);
                    let new = name_of(&definition);
                    table.definition = *definition;
                    if old != new {
                        // In a swap the old name may have been taken over already.
                        if self.names.get(&old) == Some(&Object::Table(id)) {
                            self.names.remove(&old);
                        }
                        self.names.insert(new, Object::Table(id));
                    }
                }
            }
            Change::Write { table, delta } => {
                let table = self
                    .tables
                    .get_mut(&table)
                    .ok_or_else(|| SqlError::internal(format!("write to missing table {table}")))?;
                let next = table.current().apply(&delta, sequence, at, &mut |meta| Ok(parts.open(meta)))?;
                table.versions.push_back(Arc::new(next));
            }
            Change::Trim { table, from } => {
                if let Some(table) = self.tables.get_mut(&table) {
                    while table.versions.len() > 1 && table.versions[0].number < from {
                        table.versions.pop_front();
                    }
                }
            }
            Change::DropTable { table } => self.drop_object(Object::Table(table)),
            Change::PutView { view } => {
                self.next_object = self.next_object.max(view.id + 1);
                self.names.insert(view.name.clone(), Object::View(view.id));
                self.views.insert(view.id, *view);
            }
            Change::DropView { view } => self.drop_object(Object::View(view)),
            Change::PutStream { stream } => {
                self.next_object = self.next_object.max(stream.id + 1);
                self.names.insert(stream.name.clone(), Object::Stream(stream.id));
                if !self.streams.contains_key(&stream.id) {
                    self.grant_future("STREAM", &stream.name, stream.id);
                }
                self.streams.insert(stream.id, *stream);
            }
            Change::DropStream { stream } => self.drop_object(Object::Stream(stream)),
            Change::PutStage { stage } => {
                self.next_object = self.next_object.max(stage.id + 1);
                self.names.insert(stage.name.clone(), Object::Stage(stage.id));
                self.stages.insert(stage.id, *stage);
            }
            Change::DropStage { stage } => self.drop_object(Object::Stage(stage)),
            Change::PutWarehouse { warehouse } => {
                self.warehouses.insert(warehouse.name.clone(), warehouse);
            }
            Change::DropWarehouse { name } => {
                self.warehouses.remove(&name);
            }
            Change::PutRole { name, created, comment } => {
                self.roles.insert(name, (created, comment));
            }
            Change::DropRole { name } => {
                self.roles.remove(&name);
                self.grants.retain(|grant| grant.role != name);
                self.memberships.retain(|(role, to)| *role != name && *to != Grantee::Role(name.clone()));
            }
            Change::PutUser { user } => {
                self.users.insert(user.name.clone(), user);
            }
            Change::DropUser { name } => {
                self.users.remove(&name);
            }
            Change::Grant { grant } => {
                self.grants.insert(grant);
            }
            Change::Revoke { grant } => {
                self.grants.retain(|held| !held.covered_by(&grant));
            }
            Change::GrantRole { role, to } => {
                self.memberships.insert((role, to));
            }
            Change::RevokeRole { role, from } => {
                self.memberships.remove(&(role, from));
            }
            Change::Table { image } => {
                let table = image.restore(parts)?;
                if table.definition.nature != Nature::Directory {
                    self.names.insert(name_of(&table.definition), Object::Table(table.definition.id));
                }
                self.tables.insert(table.definition.id, table);
            }
            Change::PutNative { native } => self.native = *native,
            Change::Counter { next_object } => self.next_object = self.next_object.max(next_object),
        }
        Ok(())
    }

    /// Gives a new object what GRANT … ON FUTURE promised.
    fn grant_future(&mut self, kind: &str, name: &Name, object: ObjectId) {
        let future = format!("FUTURE {kind}S");
        let places = [name.database.clone(), format!("{}.{}", name.database, name.schema)];
        let promised: Vec<Grant> = self
            .grants
            .iter()
            .filter(|grant| grant.kind == future && places.contains(&grant.name))
            .map(|grant| Grant { kind: kind.to_owned(), name: name.to_string(), object: Some(object), ..grant.clone() })
            .collect();
        self.grants.extend(promised);
    }

    fn drop_schema(&mut self, database: &str, schema: &str) {
        let inside = format!("{database}.{schema}.");
        self.native.repositories.retain(|name, _| !name.starts_with(&inside));
        self.schemas.remove(&(database.to_owned(), schema.to_owned()));
        let objects: Vec<Object> = self.in_schema(database, schema).map(|(_, object)| *object).collect();
        for object in objects {
            self.drop_object(object);
        }
    }

    fn drop_object(&mut self, object: Object) {
        if let Some(name) = self.name_of(object)
            && self.names.get(&name) == Some(&object)
        {
            self.names.remove(&name);
        }
        match object {
            Object::Table(id) => {
                self.tables.remove(&id);
            }
            Object::View(id) => {
                self.views.remove(&id);
            }
            Object::Stream(id) => {
                self.streams.remove(&id);
            }
            Object::Stage(id) => {
                if let Some(table) = self.stages.remove(&id).and_then(|stage| stage.table) {
                    self.tables.remove(&table);
                }
            }
        }
        self.grants.retain(|grant| grant.object != Some(object.id()));
    }

    /// The whole catalog as changes to an empty one.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Vec<Change> {
        let mut changes = vec![Change::Counter { next_object: self.next_object }];
        changes.extend(
            self.databases
                .iter()
                .map(|(name, container)| Change::PutDatabase { name: name.clone(), container: container.clone() }),
        );
        changes.extend(self.schemas.iter().map(|((database, name), container)| Change::PutSchema {
            database: database.clone(),
            name: name.clone(),
            container: container.clone(),
        }));
        changes.extend(self.warehouses.values().cloned().map(|warehouse| Change::PutWarehouse { warehouse }));
        changes.extend(self.roles.iter().map(|(name, (created, comment))| Change::PutRole {
            name: name.clone(),
            created: *created,
            comment: comment.clone(),
        }));
        changes.extend(self.users.values().cloned().map(|user| Change::PutUser { user }));
        changes.extend(self.tables.values().map(|table| Change::Table { image: Box::new(TableImage::of(table)) }));
        changes.extend(self.views.values().cloned().map(|view| Change::PutView { view: Box::new(view) }));
        changes.extend(self.streams.values().cloned().map(|stream| Change::PutStream { stream: Box::new(stream) }));
        changes.extend(self.stages.values().cloned().map(|stage| Change::PutStage { stage: Box::new(stage) }));
        changes.extend(self.grants.iter().cloned().map(|grant| Change::Grant { grant }));
        changes.extend(self.memberships.iter().cloned().map(|(role, to)| Change::GrantRole { role, to }));
        changes.push(Change::PutNative { native: Box::new(self.native.clone()) });
        changes
    }
}

/// The name in a definition.
#[must_use]
pub(crate) fn name_of(definition: &Definition) -> Name {
    Name { database: definition.database.clone(), schema: definition.schema.clone(), name: definition.name.clone() }
}
