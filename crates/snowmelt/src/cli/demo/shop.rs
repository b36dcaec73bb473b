//! The shop: the two tables the demo changes, the SQL that makes them, and the SQL that reads them back.
//!
//! What is read back for the comparison is text that Snowflake's own casts made. The publisher's reading of values has
//! no part in it, so that a digit lost there would show.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::Image;
use super::moment::{Moment, SECOND};
use crate::source::SourceError;
use crate::source::session::Session;

/// Database of the demo.
pub(super) const DATABASE: &str = "DEMO";
/// Schema of the tables.
pub(super) const SCHEMA: &str = "DEMO.SHOP";
/// Schema of the publisher's streams and staging tables.
pub(super) const STATE_SCHEMA: &str = "DEMO.SNOWMELT";
/// Warehouse of writer and publisher.
pub(super) const WAREHOUSE: &str = "DEMO";

/// How a column's text in an event and in the table are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The same text on both sides.
    Text,
    /// TIMESTAMP_NTZ: seconds and nanoseconds the wall clock shows.
    Wall,
    /// TIMESTAMP_TZ: seconds the wall clock shows, then seconds and nanoseconds of the instant.
    Zoned,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    /// Name.
    pub(super) name: &'static str,
    declaration: &'static str,
    form: Form,
}

/// A table; its first column is its key.
#[derive(Debug)]
pub(super) struct Table {
    /// Name.
    pub(super) name: &'static str,
    /// Columns in order.
    pub(super) columns: &'static [Column],
    /// The column that says when the row was written.
    pub(super) stamp: usize,
    /// Whether updates that keep the key write the stamp too, and not only inserts.
    pub(super) stamps_updates: bool,
}

const fn column(name: &'static str, declaration: &'static str, form: Form) -> Column {
    Column { name, declaration, form }
}

/// Customers, keyed by number.
pub(super) static CUSTOMERS: Table = Table {
    name: "CUSTOMERS",
    columns: &[
        column("ID", "NUMBER(38,0) PRIMARY KEY", Form::Text),
        column("NAME", "TEXT", Form::Text),
        column("EMAIL", "TEXT", Form::Text),
        column("CREDIT", "NUMBER(12,2)", Form::Text),
        column("ACTIVE", "BOOLEAN", Form::Text),
        column("UPDATED_AT", "TIMESTAMP_NTZ(9)", Form::Wall),
    ],
    stamp: 5,
    stamps_updates: true,
};

/// Orders, keyed by a UUID.
pub(super) static ORDERS: Table = Table {
    name: "ORDERS",
    columns: &[
        column("ID", "TEXT PRIMARY KEY", Form::Text),
        column("CUSTOMER_ID", "NUMBER(38,0)", Form::Text),
        column("AMOUNT", "NUMBER(12,2)", Form::Text),
        column("STATUS", "TEXT", Form::Text),
        column("PLACED_AT", "TIMESTAMP_TZ(9)", Form::Zoned),
    ],
    stamp: 4,
    stamps_updates: false,
};

/// Both.
pub(super) static TABLES: [&Table; 2] = [&CUSTOMERS, &ORDERS];

/// The statements that make the shop, in order, or empty the one that is there.
pub(super) fn foundation() -> Vec<String> {
    let mut statements = vec![
        format!("CREATE WAREHOUSE IF NOT EXISTS {WAREHOUSE}"),
        format!("USE WAREHOUSE {WAREHOUSE}"),
        format!("CREATE DATABASE IF NOT EXISTS {DATABASE}"),
        format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}"),
        format!("CREATE SCHEMA IF NOT EXISTS {STATE_SCHEMA}"),
    ];
    for table in TABLES {
        let columns: Vec<String> =
            table.columns.iter().map(|column| format!("{} {}", column.name, column.declaration)).collect();
        statements.push(format!("CREATE TABLE IF NOT EXISTS {} ({})", table.path(), columns.join(", ")));
        statements.push(format!("DELETE FROM {}", table.path()));
        statements.push(format!("ALTER TABLE {} SET CHANGE_TRACKING = TRUE", table.path()));
    }
    statements
}

impl Table {
    /// Its full name.
    pub(super) fn path(&self) -> String {
        format!("{SCHEMA}.{}", self.name)
    }

    /// The table's rows by key, in the form that [`Table::comparable`] gives to events.
    pub(super) async fn rows(
        &self,
        session: &Arc<Session>,
    ) -> Result<HashMap<String, Vec<Option<String>>>, SourceError> {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let name = column.name;
                let seconds = |of: &str| format!("DATE_PART(EPOCH_SECOND, {of})::VARCHAR");
                let nanos = format!("'.' || DATE_PART(NANOSECOND, {name})::VARCHAR");
                match column.form {
                    Form::Text => format!("{name}::VARCHAR"),
                    Form::Wall => format!("{} || {nanos}", seconds(name)),
                    Form::Zoned => {
                        let wall = seconds(&format!("{name}::TIMESTAMP_NTZ(9)"));
                        format!("{wall} || ' ' || {} || {nanos}", seconds(name))
                    }
                }
            })
            .collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), self.path());
        let found = session.table(&format!("the rows of {}", self.name), &sql).await?;
        Ok(found
            .rows()
            .map(|row| {
                let cells: Vec<Option<String>> = (0..self.columns.len()).map(|column| row.at(column)).collect();
                (cells.first().cloned().flatten().unwrap_or_default(), cells)
            })
            .collect())
    }

    /// An event's row in the form that [`Table::rows`] reads the table in.
    pub(super) fn comparable(&self, image: &Image) -> Vec<Option<String>> {
        let cell = |(column, cell): (&Column, &Option<Box<str>>)| {
            let text = cell.as_deref()?;
            let moment = Moment::parse(text);
            let (seconds, nanos) = (|of: i128| of.div_euclid(SECOND), |of: i128| of.rem_euclid(SECOND));
            Some(match (column.form, moment) {
                (Form::Wall, Some(moment)) if moment.east.is_none() => {
                    format!("{}.{}", seconds(moment.wall), nanos(moment.wall))
                }
                (Form::Zoned, Some(moment)) if moment.east.is_some() => {
                    let instant = moment.instant();
                    format!("{} {}.{}", seconds(moment.wall), seconds(instant), nanos(instant))
                }
                // What cannot be read is compared as it is, and then differs.
                _ => text.to_owned(),
            })
        };
        self.columns.iter().zip(image.iter()).map(cell).collect()
    }
}
