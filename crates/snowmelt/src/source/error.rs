//! What can go wrong on the Snowflake side, sorted by what happens next.
//!
//! [`SourceError::next`] is the one place that decides whether a failure passes by itself (start again from the
//! checkpoint) or waits for a person. Messages name the thing, the reason and the remedy, and never a secret.

mod remedy;

use crate::config::{Choice as _, Way};
use crate::error::Next;
use crate::source::value::ValueError;

/// A failure of the Snowflake side of a capture.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The request never got a usable HTTP answer, however often it was repeated.
    #[error("snowflake at {url} did not answer {what}: {reason}")]
    Unreachable {
        /// Base URL of the account, without a query string.
        url: String,
        /// The request, in words.
        what: String,
        /// The last transport error or HTTP status.
        reason: String,
    },
    /// Snowflake refused a statement.
    #[error(
        "snowflake refused {what}: {message} (error {code}, SQL state {sql_state}, query {query_id}){}",
        remedy::OfStatement(code)
    )]
    Refused {
        /// The statement, in words.
        what: String,
        /// Six-digit error code, for example `002003`.
        code: String,
        /// Five-character SQL state.
        sql_state: String,
        /// The server's own message.
        message: String,
        /// Query id, to find the statement in the query history; empty when there is none.
        query_id: String,
    },
    /// Login was refused.
    #[error(
        "snowflake refused the login of {who} at {url}: {message} (error {code}); {}",
        remedy::of_login(code, message)
    )]
    Login {
        /// Base URL of the account.
        url: String,
        /// The user, where there is one, and how it logs in.
        who: String,
        /// Error code, for example `390100`.
        code: String,
        /// The server's own message.
        message: String,
        /// Whether the next login may come with another token.
        may_change: bool,
    },
    /// The session is over (390111, 390114, 390195, 390303, 390318): only a new login helps.
    #[error("the snowflake session ended (error {code}): {message}")]
    SessionOver {
        /// Error code.
        code: String,
        /// The server's own message.
        message: String,
    },
    /// The server's answer is not what the protocol allows.
    #[error("snowflake's answer to {what} cannot be read: {reason}")]
    Protocol {
        /// The request, in words.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Fewer or more rows arrived than the server announced.
    #[error("{what}: snowflake announced {announced} rows and sent {received}; nothing of the rest was used")]
    RowsMissing {
        /// The result or the chunk.
        what: String,
        /// Rows announced.
        announced: u64,
        /// Rows received.
        received: u64,
    },
    /// A cell does not have the form its declared type promises.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A token or password could not be read.
    #[error("the {what} for snowflake cannot be read: {reason}")]
    Secret {
        /// Which secret.
        what: String,
        /// Why.
        reason: String,
        /// Whether it may be there at the next try.
        passing: bool,
    },
    /// The private key cannot be used.
    #[error("the private key {origin} {reason}")]
    PrivateKey {
        /// Where it is.
        origin: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The captured table is not there, or the role may not see it.
    #[error(
        "table {table} does not exist or role {role} may not see it; create it, or grant USAGE on its database and schema and SELECT on it (READ on a stage)"
    )]
    TableMissing {
        /// The table.
        table: String,
        /// The session's role.
        role: String,
    },
    /// The capture's stream is gone although the checkpoint says that it was in use.
    #[error(
        "stream {stream} on {table} is gone; the changes since batch {batch} cannot be read any more. \
         Order a new snapshot: snowmelt snapshot {table}"
    )]
    StreamMissing {
        /// The stream.
        stream: String,
        /// The captured table.
        table: String,
        /// The last batch that is whole in Kafka.
        batch: u64,
    },
    /// The stream's offset left the table's retention.
    #[error(
        "stream {stream} on {table} is stale ({reason}); the changes since batch {batch} are lost to it. \
         Order a new snapshot: snowmelt snapshot {table}; and raise MAX_DATA_EXTENSION_TIME_IN_DAYS of the table"
    )]
    StreamStale {
        /// The stream.
        stream: String,
        /// The captured table.
        table: String,
        /// Snowflake's own words.
        reason: String,
        /// The last batch that is whole in Kafka.
        batch: u64,
    },
    /// The stream follows another table than the one that has the name now: it was renamed, or swapped with another.
    #[error(
        "stream {stream} follows {now}, which was {table} when the stream was made; the changes of what is called {table} \
         now are not in it. Order a new snapshot: snowmelt snapshot {table}; or give the table its name back"
    )]
    StreamMoved {
        /// The stream.
        stream: String,
        /// The captured table.
        table: String,
        /// What the stream's table is called now.
        now: String,
    },
    /// The changes since the last window left the table's Time Travel, or were not tracked.
    #[error(
        "the changes of {table} since {since} cannot be read any more ({reason}); nothing after batch {batch} was \
         published. Order a new snapshot: snowmelt snapshot {table}; and raise DATA_RETENTION_TIME_IN_DAYS of the table"
    )]
    WindowLost {
        /// The captured table.
        table: String,
        /// The end of the last window.
        since: String,
        /// Snowflake's own words.
        reason: String,
        /// The last batch that is whole in Kafka.
        batch: u64,
    },
    /// The name stands for another table than the one whose windows were read.
    #[error(
        "what is called {table} now was created at {now}, the table that was read at {was}: it was replaced or swapped, \
         and the changes in between cannot be read. Order a new snapshot: snowmelt snapshot {table}; or give the table its \
         name back"
    )]
    TableReplaced {
        /// The captured table.
        table: String,
        /// When the table that was read was created.
        was: String,
        /// When the one was that has the name now.
        now: String,
    },
    /// A window that was asked for again is not what it was.
    #[error(
        "{window} of {table} came with {now} where it had {was}: a commit became visible more than changes.lag after its \
         time, or the table's history was changed. What lies before may be missing in kafka. Raise changes.lag, and order a \
         new snapshot: snowmelt snapshot {table}"
    )]
    WindowChanged {
        /// The captured table.
        table: String,
        /// The window, in words.
        window: String,
        /// What it had.
        was: String,
        /// What it has now.
        now: String,
    },
    /// Change tracking is off, so that a table has no windows.
    #[error(
        "change tracking of {table} is off, which reading it by windows needs; its owner ({owner}) switches it on: \
         ALTER {kind} {table} SET CHANGE_TRACKING = TRUE"
    )]
    TrackingOff {
        /// The captured table.
        table: String,
        /// `TABLE` or `VIEW`.
        kind: &'static str,
        /// The owning role.
        owner: String,
    },
    /// The checkpoint was written by the other way of reading.
    #[error(
        "{table} was read with read = \"{}\" and the configuration says \"{}\"; where one left off the other cannot go on. \
         Order a new snapshot: snowmelt snapshot {table}; or set read as it was",
        was.as_str(), now.as_str()
    )]
    WayChanged {
        /// The captured table.
        table: String,
        /// The way of the checkpoint.
        was: Way,
        /// The way of the configuration.
        now: Way,
    },
    /// A table is to be read through a stream, and there is no schema to make it in.
    #[error("{table} is read through a stream, and snowflake.state_schema is not set; set it")]
    NoStateSchema {
        /// The captured table.
        table: String,
    },
    /// The object is there, and cannot be captured as it is or as it is configured.
    #[error("{object} is a {kind} and cannot be captured like this: {reason}; {remedy}")]
    NotCapturable {
        /// The object.
        object: String,
        /// What it is.
        kind: String,
        /// Why not.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// A stream is not the one that the configuration asks for.
    #[error("stream {stream} does not fit: {reason}; {remedy}")]
    StreamUnfit {
        /// The stream.
        stream: String,
        /// What differs.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// A key column of the configuration is not a column of the table.
    #[error("key column {column} of {table} does not exist; the table has {known}. Correct `key` in the configuration")]
    KeyMissing {
        /// The missing column.
        column: String,
        /// The captured table.
        table: String,
        /// The columns there are.
        known: String,
    },
    /// A key column has a type that cannot be a key.
    #[error("key column {column} of {table} has a type without an exact order; choose other columns in `key`")]
    KeyType {
        /// The column.
        column: String,
        /// The captured table.
        table: String,
    },
    /// The columns of the configuration do not fit the table's.
    #[error("columns of {table}: {reason}; {remedy}")]
    Columns {
        /// The captured table.
        table: String,
        /// What does not fit.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// The table's columns changed between looking at them and staging.
    #[error("the columns of {table} changed while its changes were about to be staged; nothing was moved")]
    ColumnsChanged {
        /// The captured table.
        table: String,
    },
    /// The stream, or the window, was made for another filter.
    #[error(
        "{stream} was made for another `filter` of {table} than the configuration has; rows that only one of them \
         lets through would stay in kafka or be missing there. Set the former filter again, or take a new snapshot: give \
         the pipeline a new name"
    )]
    FilterChanged {
        /// The stream, or the window.
        stream: String,
        /// The captured table.
        table: String,
    },
    /// A staging table that is not whole in Kafka is gone.
    #[error(
        "staging table {name} is gone although only {row} of its {rows} rows are in kafka; somebody dropped it, \
         and transient tables are not kept. Order a new snapshot with `snowmelt snapshot`"
    )]
    StagingMissing {
        /// The staging table.
        name: String,
        /// Rows in Kafka.
        row: u64,
        /// Rows it had; 0 when that was not known yet.
        rows: u64,
    },
    /// Staging tables in the state schema contradict the checkpoint.
    #[error(
        "staging table {name} should not exist: the checkpoint stands at batch {batch}. \
         Another pipeline may use the same state schema and name; nothing was published from it"
    )]
    UnexpectedStaging {
        /// The staging table.
        name: String,
        /// The checkpoint's batch.
        batch: u64,
    },
    /// A newer publisher owns this capture's objects in Snowflake.
    #[error("a newer publisher has claimed {capture} in snowflake; this one stops")]
    Superseded {
        /// The capture.
        capture: String,
    },
}

/// Codes that say the session, not the statement, is at fault (facts: Snowflake driver sources).
const SESSION_OVER: [&str; 7] = ["390103", "390104", "390111", "390114", "390195", "390303", "390318"];
/// Logins refused for the token: invalid, expired (OAuth), invalid (programmatic access token).
const TOKEN_REFUSED: [&str; 3] = ["390303", "390318", "394400"];
/// Statement failures that pass by themselves: cancelled, lock waiters, throttled, internal, running elsewhere.
const PASSING: [&str; 7] = ["000604", "000625", "000603", "390505", "000612", "000630", SUSPENDED];
/// The warehouse is suspended and does not resume by itself; somebody, or a schedule, may resume it.
const SUSPENDED: &str = "000608";

impl SourceError {
    /// Whether a statement was refused because it had no warehouse to run on.
    #[must_use]
    pub fn is_without_warehouse(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if matches!(code.as_str(), "000606" | SUSPENDED))
    }

    /// The error without its remedy, for whoever has a better one.
    #[must_use]
    pub fn finding(&self) -> String {
        let text = self.to_string();
        let remedy = match self {
            Self::Refused { code, .. } => remedy::OfStatement(code).to_string(),
            Self::Login { code, message, .. } => format!("; {}", remedy::of_login(code, message)),
            _ => return text,
        };
        text.strip_suffix(&remedy).unwrap_or(&text).to_owned()
    }

    /// What to do about a login that was refused.
    #[must_use]
    pub fn login_remedy(&self) -> Option<String> {
        match self {
            Self::Login { code, message, .. } => Some(remedy::of_login(code, message)),
            _ => None,
        }
    }

    /// Whether `code` means that only a new login helps.
    #[must_use]
    pub fn is_session_over(code: &str) -> bool {
        SESSION_OVER.contains(&code)
    }

    /// What the pipeline does about it.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            Self::Unreachable { .. }
            | Self::SessionOver { .. }
            | Self::Protocol { .. }
            | Self::RowsMissing { .. }
            | Self::ColumnsChanged { .. } => Next::Restart,
            Self::Refused { code, .. } if PASSING.contains(&code.as_str()) => Next::Restart,
            // Throttled, or the session token of a login that raced with its end.
            Self::Login { code, .. } if matches!(code.as_str(), "390505" | "390111" | "390114") => Next::Restart,
            // Whoever writes the token file, or the command, may have another token for the next login.
            Self::Login { code, may_change: true, .. } if TOKEN_REFUSED.contains(&code.as_str()) => Next::Restart,
            Self::Secret { passing: true, .. } => Next::Restart,
            Self::Superseded { .. } => Next::Yield,
            Self::Refused { .. }
            | Self::Login { .. }
            | Self::Value(_)
            | Self::Secret { .. }
            | Self::PrivateKey { .. }
            | Self::TableMissing { .. }
            | Self::StreamMissing { .. }
            | Self::StreamStale { .. }
            | Self::StreamMoved { .. }
            | Self::WindowLost { .. }
            | Self::TableReplaced { .. }
            | Self::WindowChanged { .. }
            | Self::TrackingOff { .. }
            | Self::WayChanged { .. }
            | Self::NoStateSchema { .. }
            | Self::NotCapturable { .. }
            | Self::StreamUnfit { .. }
            | Self::KeyMissing { .. }
            | Self::KeyType { .. }
            | Self::Columns { .. }
            | Self::FilterChanged { .. }
            | Self::StagingMissing { .. }
            | Self::UnexpectedStaging { .. } => Next::Halt,
        }
    }

    /// Whether the capture's stream, or its place in the table's history, is lost, so that only a new snapshot goes on.
    #[must_use]
    pub fn is_stream_lost(&self) -> bool {
        matches!(
            self,
            Self::StreamMissing { .. }
                | Self::StreamStale { .. }
                | Self::StreamMoved { .. }
                | Self::WindowLost { .. }
                | Self::TableReplaced { .. }
                | Self::WindowChanged { .. }
        )
    }

    /// Whether Snowflake said that an object is missing or hidden: 002003, or 002043 of USE and the IN of a SHOW.
    #[must_use]
    pub fn is_object_missing(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "002003" || code == "002043")
    }
}
