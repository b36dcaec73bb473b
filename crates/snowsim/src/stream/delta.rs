//! The difference of two versions of a table, row id by row id.
//!
//! ```text
//!  parts only in the new version, of inserted rows ──────────────────────────▶ INSERT
//!  rows gone from the old version  (side 0) ─┐
//!  rows written anew by UPDATE or moved (side 1) ─┴▶ sort by row id ──▶ pairing ▶ INSERT/DELETE/update pair
//! ```
//! Promises: parts that both versions have alike are not opened, so the cost is that of the change;
//! the sort spills to disk. A row that has the same values in both versions is no change, whatever
//! happened in between.
//! Leaves to others: which versions (`engine`), pairing two images (`pairing`).

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::ObjectId;
use crate::table::part::{Part, PartKind};
use crate::table::scan::Selection;
use crate::table::version::{PartView, Version};
use crate::table::{Column, Table};

/// What a stream (or CHANGES) shows between two points.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// The table's current columns.
    pub(crate) columns: Vec<Column>,
    /// Whose row ids these are.
    pub(crate) lineage: ObjectId,
    /// Rows that are simply new.
    pub(crate) inserted: Vec<(Arc<Part>, Selection)>,
    /// Images that are gone.
    pub(crate) removed: Vec<(Arc<Part>, Selection)>,
    /// Images written anew under old row ids.
    pub(crate) rewritten: Vec<(Arc<Part>, Selection)>,
}

impl Difference {
    fn empty(table: &Table) -> Self {
        Self {
            columns: table.definition.columns.clone(),
            lineage: table.definition.lineage,
            inserted: Vec::new(),
            removed: Vec::new(),
            rewritten: Vec::new(),
        }
    }

    /// Every row of a version, as inserts: what SHOW_INITIAL_ROWS shows first.
    #[must_use]
    pub(crate) fn initial(table: &Table, version: &Version) -> Self {
        Self { inserted: version.parts.iter().map(live).collect(), ..Self::empty(table) }
    }

    /// Every row inserted after `from`, up to and including `to`, as it was inserted.
    #[must_use]
    pub(crate) fn appended(table: &Table, from: u64, to: u64) -> Self {
        let inserted = table
            .versions
            .iter()
            .filter(|version| version.number > from && version.number <= to)
            .flat_map(|version| &version.inserted)
            .map(|part| (Arc::clone(part), Selection::Live(Arc::default())))
            .collect();
        Self { inserted, ..Self::empty(table) }
    }

    /// The net difference of two versions.
    #[must_use]
    pub(crate) fn net(table: &Table, from: &Version, to: &Version) -> Self {
        let mut difference = Self::empty(table);
        let after: HashMap<u64, &PartView> = to.parts.iter().map(|view| (view.part.meta.id, view)).collect();
        let mut common = HashMap::new();
        for view in &from.parts {
            match after.get(&view.part.meta.id) {
                None => difference.removed.push(live(view)),
                Some(now) => {
                    common.insert(view.part.meta.id, ());
                    if now.deletes.count() != view.deletes.count() {
                        let selection = Selection::DeletedSince {
                            now: Arc::clone(&now.deletes),
                            before: Arc::clone(&view.deletes),
                        };
                        difference.removed.push((Arc::clone(&view.part), selection));
                    }
                }
            }
        }
        for view in to.parts.iter().filter(|view| !common.contains_key(&view.part.meta.id)) {
            match view.part.meta.kind {
                PartKind::Insert => difference.inserted.push(live(view)),
                PartKind::Update | PartKind::Compact => difference.rewritten.push(live(view)),
            }
        }
        difference
    }
}

fn live(view: &PartView) -> (Arc<Part>, Selection) {
    (Arc::clone(&view.part), Selection::Live(Arc::clone(&view.deletes)))
}
