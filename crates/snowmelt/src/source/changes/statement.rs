//! The SQL of the windows way. Owns no session, makes nothing in Snowflake.
//!
//! ```text
//! SELECT <chosen columns>, <metadata>, row number, running sum of hashes
//! FROM   <table> CHANGES(…) AT(TIMESTAMP => from) END(TIMESTAMP => to)      or  <table> AT(TIMESTAMP => to)
//! ```
//!
//! Rows are numbered in the order that staging tables have, which depends on nothing but the rows. Bounds are whole
//! milliseconds, the smallest resolution there is (docs.snowflake.com/en/sql-reference/constructs/changes), so that no
//! bound is ever rounded; as numbers, so that no session parameter has a say in them.

use crate::checkpoint::Window;
use crate::config::{Table, quote};
use crate::source::selection::{Selection, fingerprint};
use crate::source::staging::{PHASE, ROW, literal, phase_of};
use crate::source::value::{Column, DataType};

/// Sum of the hashes of all rows up to this one.
pub const SUM: &str = "SNOWMELT$SUM";

/// What the statements of one window are made from.
pub(super) struct Asked<'a> {
    pub(super) table: &'a Table,
    /// The table's columns now.
    pub(super) columns: &'a [Column],
    /// Those that the window is ordered with; none where the row id is the key.
    pub(super) key: &'a [&'a Column],
    pub(super) selection: &'a Selection,
}

/// The bounds of a window: what [`Window`] and [`crate::checkpoint::Look`] have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) from: Option<i64>,
    pub(super) to: i64,
    pub(super) append_only: bool,
}

impl Bounds {
    pub(super) fn of(window: &Window) -> Self {
        Self { from: window.from, to: window.to, append_only: window.append_only }
    }
}

/// Asks for the change token and the time. Neither needs a warehouse.
pub(super) fn probe(table: &Table) -> String {
    let name = literal(&table.name.quoted());
    format!("SELECT SYSTEM$LAST_CHANGE_COMMIT_TIME({name}) AS TOKEN, CURRENT_TIMESTAMP() AS NOW")
}

/// Fingerprint of the columns that the running sum goes over.
pub(super) fn fingerprint_of(columns: &[Column]) -> String {
    let text: Vec<String> = hashable(columns).map(|column| format!("{} {}", column.name, column.ty)).collect();
    fingerprint(&text.join("\n"))
}

/// The window's rows from row `from_row` on, in their order.
pub(super) fn read(asked: &Asked<'_>, bounds: Bounds, from_row: u64) -> String {
    let Asked { table, columns, key, selection } = asked;
    let (row, sum, phase) = (quote(ROW), quote(SUM), quote(PHASE));
    let hash = hash(columns, bounds);
    let list = selection.list(columns);
    let (metadata, source, order) = match bounds.from {
        Some(_) => {
            let case = phase_of(key, selection);
            (
                format!("METADATA$ACTION, METADATA$ISUPDATE, METADATA$ROW_ID, {phase}"),
                format!("(SELECT *, {case} AS {phase} FROM {}{})", place(table, bounds), selection.restriction()),
                format!("{phase}, METADATA$ROW_ID, METADATA$ACTION"),
            )
        }
        // A table does not show its row ids, so the key orders it. Rows that share a key and a hash are the same.
        None => {
            let keys: Vec<String> = key.iter().map(|column| quote(&column.name)).collect();
            (
                format!(
                    "'INSERT' AS \"METADATA$ACTION\", FALSE AS \"METADATA$ISUPDATE\", '' AS \"METADATA$ROW_ID\", 2 AS {phase}"
                ),
                format!("(SELECT * FROM {}{})", place(table, bounds), selection.restriction()),
                format!("{}, {hash}", keys.join(", ")),
            )
        }
    };
    format!(
        "SELECT {list}, {metadata}, {row}, {sum} FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY {order}) AS {row}, \
         SUM({hash}) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS {sum} FROM {source}) \
         WHERE {row} >= {from_row} ORDER BY {row}"
    )
}

/// How many rows a window has.
pub(super) fn count(asked: &Asked<'_>, bounds: Bounds) -> String {
    format!("SELECT COUNT(*) FROM {}{}", place(asked.table, bounds), asked.selection.restriction())
}

/// How many rows a window has, and the sum of their hashes.
pub(super) fn second_look(asked: &Asked<'_>, bounds: Bounds) -> String {
    let hash = hash(asked.columns, bounds);
    format!(
        "SELECT COUNT(*), COALESCE(SUM({hash}), 0) FROM {}{}",
        place(asked.table, bounds),
        asked.selection.restriction()
    )
}

/// What follows FROM.
fn place(table: &Table, bounds: Bounds) -> String {
    let (name, to) = (table.name.quoted(), at(bounds.to));
    match bounds.from {
        Some(from) => {
            let information = if bounds.append_only { "APPEND_ONLY" } else { "DEFAULT" };
            format!("{name} CHANGES(INFORMATION => {information}) AT({}) END({to})", at(from))
        }
        None => format!("{name} AT({to})"),
    }
}

fn at(moment: i64) -> String {
    format!("TIMESTAMP => TO_TIMESTAMP_LTZ({moment}, 3)")
}

/// A row's hash: over every column that HASH takes, unmasked, so that a masked value's change is one too.
fn hash(columns: &[Column], bounds: Bounds) -> String {
    let mut parts: Vec<String> = hashable(columns).map(|column| quote(&column.name)).collect();
    if bounds.from.is_some() {
        parts.extend(["METADATA$ACTION", "METADATA$ROW_ID"].map(str::to_owned));
    }
    if parts.is_empty() { "0".to_owned() } else { format!("HASH({})", parts.join(", ")) }
}

fn hashable(columns: &[Column]) -> impl Iterator<Item = &Column> {
    columns
        .iter()
        .filter(|column| !matches!(column.ty, DataType::Geography | DataType::Geometry | DataType::Vector { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn table(settings: &str) -> Table {
        let text = format!(
            "name = \"p\"\n[snowflake]\naccount = \"a\"\nuser = \"u\"\npassword = {{ env = \"P\" }}\n\
             [kafka]\nbootstrap_servers = [\"h:1\"]\n[[tables]]\nname = \"D.S.T\"\nread = \"changes\"\n{settings}\n"
        );
        let config = Config::parse(&text, "t.toml", &|_| Some("sixteen characters".to_owned())).unwrap();
        config.tables[0].clone()
    }

    fn columns() -> Vec<Column> {
        [("ID", DataType::Fixed { precision: 38, scale: 0 }), ("PII", DataType::Text), ("PLACE", DataType::Geography)]
            .map(|(name, ty)| Column { name: name.to_owned(), ty, nullable: true })
            .into()
    }

    #[test]
    fn a_window_is_asked_for_by_its_bounds_alone_and_names_its_columns() {
        let (table, columns) = (table("filter = \"ID > 1\"\ncolumns = { redact = [\"PII*\"] }"), columns());
        let selection = Selection::resolve(&table, &columns, &["ID".to_owned()]).unwrap();
        let asked = Asked { table: &table, columns: &columns, key: &[&columns[0]], selection: &selection };
        let window = read(&asked, Bounds { from: Some(7), to: 9, append_only: false }, 5);
        for part in [
            "CHANGES(INFORMATION => DEFAULT) AT(TIMESTAMP => TO_TIMESTAMP_LTZ(7, 3)) END(TIMESTAMP => TO_TIMESTAMP_LTZ(9, 3))",
            "SELECT \"ID\", IFF(\"PII\" IS NULL, NULL, '***') AS \"PII\", \"PLACE\", METADATA$ACTION",
            "SUM(HASH(\"ID\", \"PII\", METADATA$ACTION, METADATA$ROW_ID)) OVER (ORDER BY \"SNOWMELT$PHASE\", METADATA$ROW_ID, METADATA$ACTION ROWS",
            " WHERE (ID > 1))",
            "WHERE \"SNOWMELT$ROW\" >= 5 ORDER BY",
            "COUNT(\"ID\") OVER (PARTITION BY METADATA$ROW_ID)",
        ] {
            assert!(window.contains(part), "{part}\n{window}");
        }
        let snapshot = read(&asked, Bounds { from: None, to: 9, append_only: true }, 1);
        assert!(snapshot.contains("FROM \"D\".\"S\".\"T\" AT(TIMESTAMP => TO_TIMESTAMP_LTZ(9, 3)) WHERE (ID > 1)"));
        assert!(snapshot.contains("OVER (ORDER BY \"ID\", HASH(\"ID\", \"PII\"))"), "{snapshot}");
        assert!(!snapshot.contains("CHANGES("), "{snapshot}");
    }
}
