//! Transactions: what a statement did, what an open transaction has gathered, and commits.
//!
//! Promises: a statement's work joins its transaction at once and whole, after its last await; the
//! commit writes all of it, table versions and stream offsets together.
//! Leaves to others: the journal (`engine`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{Session, Statement};
use crate::catalog::change::Change;
use crate::catalog::{Catalog, ObjectId};
use crate::engine::lock::Guard;
use crate::error::SqlError;
use crate::table::part::Part;
use crate::table::version::{Delta, Operation, Version};

/// How far a statement read a stream: a version for each of its tables, in their order.
pub(super) type Offsets = Vec<u64>;

/// A table's state inside a transaction.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// The committed version it started from.
    pub(super) base: Arc<Version>,
    /// With the transaction's own writes.
    pub(super) current: Arc<Version>,
    /// Parts written so far.
    pub(super) fresh: Vec<Arc<Part>>,
}

/// An open transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: u64,
    /// Number of the last commit when it began: the upper end of what its streams show.
    pub(super) sequence: u64,
    pub(super) started: i64,
    /// Query ids of its statements that wrote.
    statements: Vec<String>,
    pub(super) writes: HashMap<ObjectId, Pending>,
    /// Streams consumed, and the offsets they move to.
    pub(super) consumed: BTreeMap<ObjectId, Offsets>,
    guards: Vec<Guard>,
}

/// What one statement has done and not yet handed on.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) transaction: u64,
    /// See [`Transaction::sequence`]; `None` when autocommitted: streams show up to now.
    pub(super) sequence: Option<u64>,
    pub(super) writes: HashMap<ObjectId, Pending>,
    pub(super) consumed: BTreeMap<ObjectId, Offsets>,
    /// Changes of the catalog that go with it (CTAS creates its table).
    pub(super) changes: Vec<Change>,
    guards: Vec<Guard>,
}

impl Session {
    fn transaction_id(&self) -> u64 {
        // Session number and clock together are never the same twice.
        self.number.wrapping_shl(48) ^ self.engine.now().cast_unsigned()
    }

    /// BEGIN; inside a transaction it does nothing, as in Snowflake.
    pub(super) fn begin(&mut self) {
        if self.transaction.is_none() {
            self.transaction = Some(Transaction {
                id: self.transaction_id(),
                sequence: self.engine.catalog().sequence,
                started: self.engine.now(),
                statements: Vec::new(),
                writes: HashMap::new(),
                consumed: BTreeMap::new(),
                guards: Vec::new(),
            });
        }
    }

    /// Starts a statement's work, inside the open transaction if there is one.
    pub(super) fn work(&mut self) -> Work {
        if self.transaction.is_none() && !self.autocommit() {
            self.begin();
        }
        match &self.transaction {
            Some(open) => Work { transaction: open.id, sequence: Some(open.sequence), ..Work::default() },
            None => Work { transaction: self.transaction_id(), ..Work::default() },
        }
    }

    /// Takes locks for a statement, in the order of their objects, so that two statements that
    /// need the same ones cannot wait for each other.
    pub(super) async fn lock(&self, work: &mut Work, mut objects: Vec<(ObjectId, String)>) -> Result<(), SqlError> {
        objects.sort();
        objects.dedup();
        let timeout = Duration::from_secs(self.seconds("LOCK_TIMEOUT", 43_200));
        for (object, name) in objects {
            let guard = self.engine.locks.acquire(object, &name, work.transaction, timeout).await?;
            work.guards.extend(guard);
        }
        Ok(())
    }

    /// A table as the statement sees it before its own writes.
    pub(super) fn pending(&self, catalog: &Catalog, table: ObjectId) -> Result<Pending, SqlError> {
        if let Some(pending) = self.transaction.as_ref().and_then(|open| open.writes.get(&table)) {
            return Ok(pending.clone());
        }
        let base = catalog
            .table(table)
            .map(|table| Arc::clone(table.current()))
            .ok_or_else(|| SqlError::missing("Object", table))?;
        Ok(Pending { current: Arc::clone(&base), base, fresh: Vec::new() })
    }

    /// Hands a statement's work on: into the open transaction, or straight into a commit.
    pub(super) fn finish(&mut self, work: Work, statement: &Statement<'_>) -> Result<(), SqlError> {
        if let Some(open) = &mut self.transaction
            && work.changes.is_empty()
        {
            open.statements.push(statement.query_id.clone());
            open.writes.extend(work.writes);
            for (stream, offsets) in work.consumed {
                open.consumed.entry(stream).or_insert(offsets);
            }
            open.guards.extend(work.guards);
            return Ok(());
        }
        self.commit_work(work.writes, work.consumed, work.changes, &statement.query_id)?;
        drop(work.guards);
        Ok(())
    }

    /// COMMIT; without a transaction it does nothing.
    pub(super) fn commit_transaction(&mut self) -> Result<(), SqlError> {
        let Some(open) = self.transaction.take() else {
            return Ok(());
        };
        self.commit_work(open.writes, open.consumed, Vec::new(), &open.statements.join(","))?;
        drop(open.guards);
        Ok(())
    }

    fn commit_work(
        &self,
        writes: HashMap<ObjectId, Pending>,
        consumed: BTreeMap<ObjectId, Offsets>,
        mut changes: Vec<Change>,
        statement: &str,
    ) -> Result<(), SqlError> {
        let fresh = writes.values().flat_map(|pending| pending.fresh.iter().cloned()).collect();
        let tables: Vec<ObjectId> = writes.keys().copied().collect();
        let now = self.engine.now();
        self.engine.commit(fresh, |catalog| {
            check_names(catalog, &changes)?;
            for (table, pending) in &writes {
                let created = changes
                    .iter()
                    .any(|change| matches!(change, Change::CreateTable { definition, .. } if definition.id == *table));
                let unchanged =
                    catalog.table(*table).is_some_and(|table| table.current().number == pending.base.number);
                if !created && !unchanged {
                    return Err(SqlError::new(
                        "090232",
                        "57014",
                        "A table written by this transaction was dropped or altered meanwhile; run it again.",
                    ));
                }
                let mut delta = Delta::between(&pending.base, &pending.current);
                delta.operation = Operation::Write;
                delta.statement = statement.to_owned();
                if !delta.is_empty() {
                    changes.push(Change::Write { table: *table, delta: Box::new(delta) });
                }
            }
            for (stream, offsets) in &consumed {
                if let Some(stream) = catalog.streams.get(stream) {
                    let mut moved = stream.clone();
                    // What SHOW_INITIAL_ROWS showed is the state at the offset: the offset stays.
                    if !stream.initial {
                        for (base, offset) in moved.bases.iter_mut().zip(offsets) {
                            base.offset = base.offset.max(*offset);
                        }
                    }
                    moved.initial = false;
                    moved.touched = now;
                    changes.push(Change::PutStream { stream: Box::new(moved) });
                }
            }
            Ok((changes, ()))
        })?;
        for table in tables {
            self.compact(table)?;
        }
        Ok(())
    }
}

/// Refuses to create a table whose name was taken since the statement began.
fn check_names(catalog: &Catalog, changes: &[Change]) -> Result<(), SqlError> {
    for change in changes {
        if let Change::CreateTable { definition, .. } = change {
            let name = crate::catalog::change::name_of(definition);
            let replaced = |object: &crate::catalog::Object| {
                changes.iter().any(|other| matches!(other, Change::DropTable { table } if *table == object.id()))
            };
            if catalog.names.get(&name).is_some_and(|object| !replaced(object)) {
                return Err(SqlError::exists(&name));
            }
            if !catalog.schemas.contains_key(&(name.database.clone(), name.schema.clone())) {
                return Err(SqlError::missing("Schema", format!("{}.{}", name.database, name.schema)));
            }
        }
    }
    Ok(())
}
