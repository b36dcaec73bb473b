//! The shape of a captured table: its columns and key as one batch had them, and how two shapes differ.
//!
//! Snowflake announces no DDL in a stream: each read has the columns of its moment. So shapes are compared, batch by
//! batch, and the last one published is kept beside the checkpoint. A renamed column is one dropped and one added:
//! Snowflake gives columns no identity that a reader could follow.

use serde::{Deserialize, Serialize};

use crate::change::Metadata;
use crate::source::value::Column;

/// A column, by name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeColumn {
    /// Name as Snowflake stores it.
    pub name: String,
    /// Type as Snowflake's SQL writes it, without lengths: `NUMBER(38,0)`, `VARCHAR`.
    #[serde(rename = "type")]
    pub ty: String,
}

/// Columns and key of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The columns in their order, without the stream's metadata.
    pub columns: Vec<ShapeColumn>,
    /// Columns of the key; `None` when the row id is the key.
    pub key: Option<Vec<String>>,
}

/// One difference between two shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Difference {
    /// A column came.
    Added {
        /// The column.
        column: ShapeColumn,
    },
    /// A column went.
    Dropped {
        /// The column.
        column: ShapeColumn,
    },
    /// A column has another type.
    Type {
        /// The column's name.
        column: String,
        /// Its type before.
        before: String,
        /// Its type now.
        after: String,
    },
    /// The columns that stayed stand in another order.
    Order,
    /// The key has other columns.
    Key {
        /// The key before.
        before: Option<Vec<String>>,
        /// The key now.
        after: Option<Vec<String>>,
    },
}

impl Shape {
    /// The shape of staged rows with these columns.
    #[must_use]
    pub fn of(columns: &[Column], key: Option<&[String]>) -> Self {
        let metadata = Metadata::find(columns).ok();
        let is_data = |index: usize| metadata.as_ref().is_none_or(|metadata| !metadata.contains(index));
        let columns = columns.iter().enumerate().filter(|(index, _)| is_data(*index));
        Self {
            columns: columns
                .map(|(_, column)| ShapeColumn { name: column.name.clone(), ty: column.ty.to_string() })
                .collect(),
            key: key.map(<[String]>::to_vec),
        }
    }

    /// What has changed since `before`, columns that went first.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<Difference> {
        let find = |shape: &Self, name: &str| shape.columns.iter().find(|column| column.name == name).cloned();
        let mut found = Vec::new();
        for column in &before.columns {
            match find(self, &column.name) {
                None => found.push(Difference::Dropped { column: column.clone() }),
                Some(now) if now.ty != column.ty => found.push(Difference::Type {
                    column: column.name.clone(),
                    before: column.ty.clone(),
                    after: now.ty,
                }),
                Some(_) => {}
            }
        }
        for column in &self.columns {
            if find(before, &column.name).is_none() {
                found.push(Difference::Added { column: column.clone() });
            }
        }
        let order = |of: &Self, other: &Self| -> Vec<String> {
            let stayed = of.columns.iter().filter(|column| find(other, &column.name).is_some());
            stayed.map(|column| column.name.clone()).collect()
        };
        if order(self, before) != order(before, self) {
            found.push(Difference::Order);
        }
        if self.key != before.key {
            found.push(Difference::Key { before: before.key.clone(), after: self.key.clone() });
        }
        found
    }

    /// A fingerprint of the columns, for the checkpoint: FNV-1a over names and types. Only ever compared for equality.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for column in &self.columns {
            for byte in format!("{}\u{0}{}\u{0}", column.name, column.ty).bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        format!("{hash:016x}")
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key =
            |key: &Option<Vec<String>>| key.as_ref().map_or_else(|| "the row id".to_owned(), |key| key.join(", "));
        match self {
            Self::Added { column } => write!(f, "column {} {} was added", column.name, column.ty),
            Self::Dropped { column } => write!(f, "column {} {} was dropped", column.name, column.ty),
            Self::Type { column, before, after } => write!(f, "column {column} {before} became {after}"),
            Self::Order => f.write_str("the columns were reordered"),
            Self::Key { before, after } => write!(f, "the key was {} and is {}", key(before), key(after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(columns: &str, key: Option<&str>) -> Shape {
        let column = |text: &str| {
            let (name, ty) = text.split_once(' ').unwrap();
            ShapeColumn { name: name.to_owned(), ty: ty.to_owned() }
        };
        Shape {
            columns: columns.split(", ").map(column).collect(),
            key: key.map(|key| key.split(' ').map(str::to_owned).collect()),
        }
    }

    fn said(before: &Shape, after: &Shape) -> Vec<String> {
        after.since(before).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_difference_is_named() {
        let before = shape("A NUMBER(38,0), B VARCHAR, C DATE", Some("A"));
        assert_eq!(said(&before, &before), Vec::<String>::new());
        let after = shape("C DATE, A NUMBER(10,2), D FLOAT", Some("A C"));
        assert_eq!(
            said(&before, &after),
            [
                "column A NUMBER(38,0) became NUMBER(10,2)",
                "column B VARCHAR was dropped",
                "column D FLOAT was added",
                "the columns were reordered",
                "the key was A and is A, C",
            ]
        );
        assert_eq!(
            said(&before, &shape("A NUMBER(38,0), B VARCHAR, C DATE", None)),
            ["the key was A and is the row id"]
        );
        assert_ne!(before.fingerprint(), after.fingerprint());
    }

    #[test]
    fn a_column_between_others_is_no_new_order() {
        let before = shape("A DATE, B DATE", None);
        assert_eq!(said(&before, &shape("A DATE, X DATE, B DATE", None)), ["column X DATE was added"]);
        assert_eq!(said(&before, &shape("B DATE", None)), ["column A DATE was dropped"]);
    }
}
