//! Names and SQL of everything the publisher makes in the state schema.
//!
//! ```text
//! SNOWMELT_<nonce>_<table>_STREAM_<generation>   the stream
//! SNOWMELT_<nonce>_<table>_<generation>_<n>      staging table n: one read of the stream, numbered rows, never changed
//! SNOWMELT_<nonce>_<table>_CLAIM_<k>             empty table that exists while publisher k owns the capture
//! ```
//!
//! A staging table is made by one autocommitted statement that reads the stream, so the stream's offset and the rows'
//! safety move together, and its name makes the statement idempotent. The statement also names the claim table: once a
//! newer publisher has dropped it, a statement of an older one that is still on its way fails instead of moving the
//! stream behind the newer one's back. This module owns no session.

use serde::{Deserialize, Serialize};

use super::object::{Plan, StreamMode};
use super::selection::{self, Selection};
use super::value::{Column, DataType};
use crate::config::{Filter, ObjectName, SchemaName, quote};

/// Position of a row in its staging table, counted from 1.
pub const ROW: &str = "SNOWMELT$ROW";
/// 0: a key goes away; 1: an update that keeps its key; 2: a key comes.
pub const PHASE: &str = "SNOWMELT$PHASE";
/// Longest part of the table's own name inside the names made here; Snowflake allows 255 characters in all.
const TABLE_PART: usize = 100;

/// The names of one capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    schema: SchemaName,
    prefix: String,
}

/// An object of the capture, told from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Staging table `batch` of a generation.
    Staging {
        /// The stream's generation.
        generation: u64,
        /// The batch's number.
        batch: u64,
    },
    /// The claim table of publisher number `0`.
    Claim(u64),
}

/// What a stream or staging table remembers about itself, in its comment: how its rows were ordered, and whether they
/// are initial rows, must not depend on the configuration of whoever reads it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Layout of this note.
    pub snowmelt: u32,
    /// Key columns the phases were computed with; `None` when the row id is the key.
    pub key: Option<Vec<String>>,
    /// Whether the rows (of a stream: the first it yields) are the table's initial rows rather than changes.
    pub initial: bool,
    /// Whether changes from before those initial rows may be missing: the stream does not begin where another ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
    /// Of a stream: fingerprint of the filter it was made for. What it reports since goes by which rows were there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

impl Note {
    /// The layout written now.
    const LAYOUT: u32 = 1;

    /// A note for an object made now.
    #[must_use]
    pub fn new(key: Option<Vec<String>>, initial: bool) -> Self {
        Self { snowmelt: Self::LAYOUT, key, initial, gap: false, filter: None }
    }

    /// The same, after a gap.
    #[must_use]
    pub fn after_gap(self, gap: bool) -> Self {
        Self { gap, ..self }
    }

    /// The same for a stream of filtered rows.
    #[must_use]
    pub fn filtered(self, filter: Option<&Filter>) -> Self {
        Self { filter: filter.map(|filter| selection::fingerprint(filter.as_sql())), ..self }
    }

    /// The comment.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a comment; `None` when it is not a note of this layout.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|note| note.snowmelt == Self::LAYOUT)
    }
}

impl Names {
    /// Names for `table` under the capture's nonce.
    #[must_use]
    pub fn new(schema: &SchemaName, nonce: &str, table: &ObjectName) -> Self {
        let part: String = table
            .name
            .chars()
            .take(TABLE_PART)
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        Self { schema: schema.clone(), prefix: format!("SNOWMELT_{nonce}_{part}") }
    }

    fn object(&self, suffix: &str) -> ObjectName {
        self.schema.object(format!("{}_{suffix}", self.prefix))
    }

    /// The object called `name`, as [`Names::show_all`] lists it.
    #[must_use]
    pub fn object_named(&self, name: String) -> ObjectName {
        self.schema.object(name)
    }

    /// `SHOW STREAMS` for the streams of all generations. Needs no warehouse.
    #[must_use]
    pub fn show_streams(&self) -> String {
        show("STREAMS", &format!("{}\\_STREAM\\_%", like_literal(&self.prefix)), &self.schema)
    }

    /// The generation of a stream of [`Names::show_streams`]; `None` for a stranger that matches the pattern.
    #[must_use]
    pub fn generation(&self, name: &str) -> Option<u64> {
        name.strip_prefix(&self.prefix)?.strip_prefix("_STREAM_")?.parse().ok()
    }

    /// The stream of `generation`.
    #[must_use]
    pub fn stream(&self, generation: u64) -> ObjectName {
        self.object(&format!("STREAM_{generation}"))
    }

    /// Staging table `batch` of `generation`.
    #[must_use]
    pub fn staging(&self, generation: u64, batch: u64) -> ObjectName {
        self.object(&format!("{generation}_{batch}"))
    }

    /// The claim table of publisher number `claim`.
    #[must_use]
    pub fn claim(&self, claim: u64) -> ObjectName {
        self.object(&format!("CLAIM_{claim}"))
    }

    /// `SHOW TABLES` for all staging and claim tables of the capture. Needs no warehouse.
    #[must_use]
    pub fn show_all(&self) -> String {
        show("TABLES", &format!("{}\\_%", like_literal(&self.prefix)), &self.schema)
    }

    /// Tells what a table name of [`Names::show_all`] stands for; `None` for a stranger that matches the pattern.
    #[must_use]
    pub fn parse(&self, name: &str) -> Option<Made> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('_')?;
        if let Some(number) = rest.strip_prefix("CLAIM_") {
            return number.parse().ok().map(Made::Claim);
        }
        let (generation, batch) = rest.split_once('_')?;
        Some(Made::Staging { generation: generation.parse().ok()?, batch: batch.parse().ok()? })
    }
}

/// Whether a table of this name is what a publisher, or its check, makes; in whatever schema it is.
#[must_use]
pub fn is_made(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("SNOWMELT_") else { return false };
    let rest = rest.strip_prefix("CHECK_").unwrap_or(rest);
    let Some((nonce, _)) = rest.split_once('_') else { return false };
    nonce.len() == 8 && nonce.chars().all(|c| matches!(c, '0'..='9' | 'A'..='F'))
}

/// `SHOW <kind> LIKE '<name>' IN SCHEMA …` for exactly one object.
#[must_use]
pub fn show_one(kind: &str, object: &ObjectName) -> String {
    show(kind, &like_literal(&object.name), &object.parent())
}

/// `SHOW WAREHOUSES LIKE …` for the warehouse of this name, any case. Needs no warehouse.
#[must_use]
pub fn show_warehouses(name: &str) -> String {
    format!("SHOW WAREHOUSES LIKE '{}'", like_literal(name))
}

fn show(kind: &str, like: &str, schema: &SchemaName) -> String {
    format!("SHOW {kind} LIKE '{like}' IN SCHEMA {}", schema.quoted())
}

/// Text inside a `LIKE '…'` literal that matches itself only: wildcards escaped, then backslashes and quotes for the
/// literal around them.
fn like_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '_' | '%' => out.extend(['\\', '\\', c]),
            '\\' => out.push_str("\\\\\\\\"),
            '\'' => out.push_str("''"),
            c => out.push(c),
        }
    }
    out
}

/// A text literal.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The statement that makes the capture's stream: from now on, or from where the stream `from` stands. Options that are off are left out: not every kind of object takes
/// them.
#[must_use]
pub fn create_stream(
    stream: &ObjectName,
    plan: &Plan,
    source: &ObjectName,
    from: Option<&ObjectName>,
    note: &Note,
) -> String {
    let mode = match plan.mode {
        StreamMode::Standard => "",
        StreamMode::AppendOnly => " APPEND_ONLY = TRUE",
        StreamMode::InsertOnly => " INSERT_ONLY = TRUE",
    };
    format!(
        "CREATE STREAM IF NOT EXISTS {} ON {} {}{}{mode}{} COMMENT = {}",
        stream.quoted(),
        plan.on,
        source.quoted(),
        from.map(|from| format!(" AT (STREAM => {})", literal(&from.quoted()))).unwrap_or_default(),
        if plan.initial { " SHOW_INITIAL_ROWS = TRUE" } else { "" },
        literal(&note.to_text()),
    )
}

/// The expression for a change row's phase.
///
/// Rows are numbered by phase, so that in one batch every key leaves before any key arrives, and a key-keeping update
/// has its two halves side by side (see `docs/guarantees.md`). The phase of an update compares the key columns of its
/// two halves, which share a row id: both values there or both NULL, and the least equal to the greatest. Where the
/// filter let only one half through, the row came or went. Keys are compared before they are masked.
pub(super) fn phase_of(key: &[&Column], selection: &Selection) -> String {
    let over = "OVER (PARTITION BY METADATA$ROW_ID)";
    let same_key: String = key
        .iter()
        .map(|column| {
            let name = quote(&column.name);
            // MIN and MAX are not defined for BOOLEAN.
            let value = if column.ty == DataType::Boolean { format!("IFF({name}, 1, 0)") } else { name.clone() };
            format!(" AND COUNT({name}) {over} <> 1 AND EQUAL_NULL(MIN({value}) {over}, MAX({value}) {over})")
        })
        .collect();
    let whole_pair = selection.whole_pair();
    format!("CASE WHEN METADATA$ISUPDATE{whole_pair}{same_key} THEN 1 ELSE IFF(METADATA$ACTION = 'DELETE', 0, 2) END")
}

/// The statement that moves the stream and keeps its rows, numbered by phase, as one act.
#[must_use]
pub fn create_staging(
    staging: &ObjectName,
    stream: &ObjectName,
    claim: &ObjectName,
    key: &[&Column],
    selection: &Selection,
    note: &Note,
) -> String {
    format!(
        "CREATE TRANSIENT TABLE IF NOT EXISTS {staging}{columns} DATA_RETENTION_TIME_IN_DAYS = 0 COMMENT = {comment} AS \
         SELECT {star}, ROW_NUMBER() OVER (ORDER BY {phase}, METADATA$ROW_ID, METADATA$ACTION) AS {row} \
         FROM (SELECT *, {case} AS {phase} \
         FROM {stream} WHERE {condition}NOT EXISTS (SELECT 1 FROM {claim}))",
        staging = staging.quoted(),
        columns = selection.column_list([&quote(PHASE), &quote(ROW)]),
        star = selection.star(),
        case = phase_of(key, selection),
        condition = selection.condition(),
        comment = literal(&note.to_text()),
        phase = quote(PHASE),
        row = quote(ROW),
        stream = stream.quoted(),
        claim = claim.quoted(),
    )
}

/// The statement that reads a staging table from the row after `row`.
#[must_use]
pub fn read_staging(staging: &ObjectName, row: u64) -> String {
    format!("SELECT * FROM {} WHERE {ROW} > {row} ORDER BY {ROW}", staging.quoted(), ROW = quote(ROW))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let schema = SchemaName { database: "DB".into(), schema: "STATE".into() };
        let table = ObjectName { database: "DB".into(), schema: "S".into(), name: "odd name%".into() };
        Names::new(&schema, "0A1B2C3D", &table)
    }

    #[test]
    fn names_are_told_apart_and_strangers_are_not_taken() {
        let names = names();
        assert_eq!(names.staging(2, 17).name, "SNOWMELT_0A1B2C3D_ODD_NAME__2_17");
        assert_eq!(names.parse(&names.staging(2, 17).name), Some(Made::Staging { generation: 2, batch: 17 }));
        assert_eq!(names.parse(&names.claim(9).name), Some(Made::Claim(9)));
        for stranger in ["SNOWMELT_0A1B2C3D_ODD_NAME__2_x", "SNOWMELT_0A1B2C3D_ODD_NAME__STREAM_1", "CUSTOMERS"] {
            assert_eq!(names.parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn what_publishers_make_is_known_by_its_name() {
        let names = names();
        for own in [names.staging(2, 17), names.claim(9), names.stream(1)] {
            assert!(is_made(&own.name), "{own}");
        }
        assert!(is_made("SNOWMELT_CHECK_0A1B2C3D_STAGING"));
        for other in
            ["SNOWMELT_ORDERS", "SNOWMELT_0A1B2C3_X", "SNOWMELT_0a1b2c3d_X", "X_SNOWMELT_0A1B2C3D_X", "SNOWMELT_"]
        {
            assert!(!is_made(other), "{other}");
        }
    }

    #[test]
    fn a_pattern_matches_its_own_name_only() {
        assert_eq!(
            names().show_all(),
            r#"SHOW TABLES LIKE 'SNOWMELT\\_0A1B2C3D\\_ODD\\_NAME\\_\_%' IN SCHEMA "DB"."STATE""#
        );
    }

    #[test]
    fn the_staging_statement_names_stream_and_claim_and_compares_both_halves_of_the_key() {
        let names = names();
        let column = |name: &str, ty| Column { name: name.to_owned(), ty, nullable: true };
        let id = column("ID", DataType::Fixed { precision: 38, scale: 0 });
        let flag = column("fl\"ag", DataType::Boolean);
        let note = Note::new(Some(vec!["ID".into()]), false);
        assert_eq!(Note::parse(&note.to_text()), Some(note.clone()));
        let sql = create_staging(
            &names.staging(1, 1),
            &names.stream(1),
            &names.claim(3),
            &[&id, &flag],
            &Selection::default(),
            &note,
        );
        assert!(sql.contains(r#"COUNT("ID") OVER (PARTITION BY METADATA$ROW_ID) <> 1"#), "{sql}");
        assert!(sql.contains(r#"MIN(IFF("fl""ag", 1, 0)) OVER"#), "{sql}");
        assert!(sql.contains("CLAIM_3") && sql.contains("_STREAM_1"), "{sql}");
    }
}
