//! The captured tables: one with a declared key, one with a composite key from the configuration, one without a key.

/// One captured table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Columns, without the CREATE around them.
    pub(crate) ddl: &'static str,
    /// `key` of the configuration.
    pub(crate) configured_key: &'static [&'static str],
    /// The record key's columns; none is the row id.
    pub(crate) key: &'static [&'static str],
    /// The columns the workload addresses rows by; unique, with or without a key.
    pub(crate) address: &'static [&'static str],
    /// The rows and columns that Kafka should show: what follows `SELECT`, with `{}` for the table's name.
    pub(crate) selected: &'static str,
}

/// All of them, as they are.
pub(crate) const ALL_ROWS: &str = "* FROM {}";

/// The database and schema of the captured tables.
pub(crate) const SCHEMA: &str = "SHOP.PUBLIC";
/// Where the publisher keeps its streams and staging tables.
pub(crate) const STATE: &str = "SNOWMELT.STATE";

/// Every captured table.
pub(crate) const ALL: [Table; 3] = [
    Table {
        name: "CUSTOMERS",
        ddl: "ID NUMBER(38,0) PRIMARY KEY, NAME VARCHAR, CREDIT NUMBER(38,4), ACTIVE BOOLEAN, SEEN TIMESTAMP_NTZ(9)",
        configured_key: &[],
        key: &["ID"],
        address: &["ID"],
        selected: ALL_ROWS,
    },
    Table {
        name: "LINES",
        ddl: "ORDER_ID NUMBER(10,0), LINE NUMBER(5,0), SKU VARCHAR, QTY NUMBER(9,3), PLACED TIMESTAMP_TZ(9), NOTE VARIANT",
        configured_key: &["ORDER_ID", "LINE"],
        key: &["ORDER_ID", "LINE"],
        address: &["ORDER_ID", "LINE"],
        selected: ALL_ROWS,
    },
    Table {
        name: "VISITS",
        ddl: "PAGE VARCHAR, ON_DAY DATE, SCORE FLOAT, RAW BINARY, N NUMBER(18,0)",
        configured_key: &[],
        key: &[],
        address: &["N"],
        selected: ALL_ROWS,
    },
];

impl Table {
    /// The qualified name, which is also the topic.
    pub(crate) fn topic(&self) -> String {
        format!("{SCHEMA}.{}", self.name)
    }

    /// The topic of its rows that cannot be published. One each, since another capture's open transaction in a shared
    /// one would hide what this one has committed.
    pub(crate) fn dead_letters(&self) -> String {
        format!("dead.{}", self.name)
    }

    /// Names of its columns, as it is made.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.ddl.split(", ").filter_map(|column| column.split(' ').next())
    }

    /// The query for what Kafka should show.
    pub(crate) fn rows(&self) -> String {
        format!("SELECT {}", self.selected.replace("{}", &self.topic()))
    }
}
