//! What is announced beside the events: a table's shape, and where its snapshots begin and end.
//!
//! A notification is a JSON record on `topics.notifications`, keyed by capture, written in the same Kafka transaction
//! as the first or last events it is about. So it is there once, and a reader of both topics never sees one without
//! the other.

use serde::Serialize;

use crate::shape::{Difference, Shape};

/// One notification, without what all have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Notice {
    /// The events from this batch on have this shape.
    Schema {
        /// Columns and key.
        #[serde(flatten)]
        shape: Shape,
        /// What changed; `None` where nothing was published before.
        changes: Option<Vec<Difference>>,
    },
    /// The next events of this table are its rows as they stood, each with `op = r`.
    SnapshotBegin {
        /// Rows of it.
        rows: u64,
        /// Whether changes from before it may be missing. Then a key that is in the topic and not in this snapshot may
        /// be gone without an event that says so.
        gap: bool,
    },
    /// The snapshot's rows are all there; what comes now are changes.
    SnapshotEnd {
        /// Rows of it.
        rows: u64,
    },
}

/// A notification with its place.
#[derive(Debug, Serialize)]
struct Notification<'a> {
    #[serde(flatten)]
    notice: &'a Notice,
    #[serde(flatten)]
    place: &'a Place,
    /// Milliseconds since 1970, by the publisher's clock.
    ts_ms: i64,
}

/// Where in a capture a notice belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The pipeline.
    pub name: String,
    /// The table, as `DATABASE.SCHEMA.NAME`.
    pub table: String,
    /// Topic of its events.
    pub topic: String,
    /// Generation: with pipeline and table it names a snapshot, and stands in each of its events.
    pub generation: u64,
    /// Batch that it is about.
    pub batch: u64,
}

impl Notice {
    /// The record's value.
    #[must_use]
    pub fn to_bytes(&self, place: &Place, ts_ms: i64) -> Vec<u8> {
        // Serialising plain structs into memory cannot fail.
        serde_json::to_vec(&Notification { notice: self, place, ts_ms }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::ShapeColumn;

    #[test]
    fn a_record_has_type_place_and_particulars() {
        let place = Place {
            name: "shop".into(),
            table: "SHOP.PUBLIC.ORDERS".into(),
            topic: "orders".into(),
            generation: 2,
            batch: 1,
        };
        let text = |notice: Notice| String::from_utf8(notice.to_bytes(&place, 5)).unwrap();
        assert_eq!(
            text(Notice::SnapshotBegin { rows: 3, gap: true }),
            r#"{"type":"snapshot_begin","rows":3,"gap":true,"name":"shop","table":"SHOP.PUBLIC.ORDERS","topic":"orders","generation":2,"batch":1,"ts_ms":5}"#
        );
        let column = ShapeColumn { name: "ID".into(), ty: "NUMBER(38,0)".into() };
        let shape = Shape { columns: vec![column.clone()], key: None };
        let changes = Some(vec![Difference::Added { column }]);
        assert_eq!(
            text(Notice::Schema { shape, changes }),
            r#"{"type":"schema","columns":[{"name":"ID","type":"NUMBER(38,0)"}],"key":null,"changes":[{"change":"added","column":{"name":"ID","type":"NUMBER(38,0)"}}],"name":"shop","table":"SHOP.PUBLIC.ORDERS","topic":"orders","generation":2,"batch":1,"ts_ms":5}"#
        );
    }
}
