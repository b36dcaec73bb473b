//! Statements about objects beside tables, views and streams: dynamic, external, event and Iceberg tables; stages.
//!
//! Promises: as `create`; options that only tune a real account are taken and have no effect.
//! Leaves to others: the effects (`session::dynamic`, `session::external`, `session::stage`).

use datafusion::sql::sqlparser::ast::{Expr, Query};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::create::flag;
use super::cursor::Cursor;
use super::{ColumnSpec, Command, CreateTable, Path, Source, snow_type};
use crate::error::SqlError;
use crate::table::TableKind;
use crate::table::nature::Nature;
use crate::types::SnowType;

/// CREATE DYNAMIC TABLE.
#[derive(Debug, Clone)]
pub(crate) struct CreateDynamic {
    pub(crate) name: Path,
    pub(crate) or_replace: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) columns: Vec<String>,
    pub(crate) target_lag: String,
    pub(crate) warehouse: String,
    /// AUTO, FULL or INCREMENTAL.
    pub(crate) refresh_mode: String,
    /// INITIALIZE = ON_CREATE.
    pub(crate) at_once: bool,
    pub(crate) comment: Option<String>,
    pub(crate) retention_days: Option<u32>,
    pub(crate) extension_days: Option<u32>,
    pub(crate) query: Box<Query>,
}

/// CREATE EXTERNAL TABLE.
#[derive(Debug, Clone)]
pub(crate) struct CreateExternal {
    pub(crate) name: Path,
    pub(crate) or_replace: bool,
    pub(crate) if_not_exists: bool,
    /// Columns after VALUE: name, type, and the expression over VALUE as text.
    pub(crate) columns: Vec<(String, SnowType, Expr)>,
    pub(crate) location: Location,
    pub(crate) partitioned: bool,
    pub(crate) comment: Option<String>,
}

/// `@stage/path`.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) stage: Path,
    pub(crate) path: String,
}

/// What is done with a stage.
#[derive(Debug, Clone)]
pub(crate) enum StageAction {
    Directory(bool),
    Refresh,
    Comment(String),
}

/// Columns of every event table (docs.snowflake.com/en/developer-guide/logging-tracing/event-table-columns).
const EVENT_COLUMNS: [(&str, &str); 13] = [
    ("TIMESTAMP", "TIMESTAMP_NTZ(9)"),
    ("START_TIMESTAMP", "TIMESTAMP_NTZ(9)"),
    ("OBSERVED_TIMESTAMP", "TIMESTAMP_NTZ(9)"),
    ("TRACE", "OBJECT"),
    ("RESOURCE", "OBJECT"),
    ("RESOURCE_ATTRIBUTES", "OBJECT"),
    ("SCOPE", "OBJECT"),
    ("SCOPE_ATTRIBUTES", "OBJECT"),
    ("RECORD_TYPE", "VARCHAR"),
    ("RECORD", "OBJECT"),
    ("RECORD_ATTRIBUTES", "OBJECT"),
    ("VALUE", "VARIANT"),
    ("EXEMPLARS", "ARRAY"),
];

fn days(value: &str) -> Result<Option<u32>, SqlError> {
    value.parse().map(Some).map_err(|_| SqlError::unexpected(value))
}

pub(super) fn dynamic(cursor: &mut Cursor, or_replace: bool) -> Result<Command, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.path()?;
    let columns = match cursor.parser.peek_token_ref().token {
        Token::LParen => cursor.names()?,
        _ => Vec::new(),
    };
    let (mut target_lag, mut warehouse, mut refresh_mode) = (None, None, "AUTO".to_owned());
    let (mut at_once, mut comment, mut retention_days, mut extension_days) = (true, None, None, None);
    while !cursor.take(&["AS"]) {
        let option = cursor.name()?;
        let value = cursor.option_value()?;
        match option.as_str() {
            "TARGET_LAG" => target_lag = Some(value),
            "WAREHOUSE" => warehouse = Some(value),
            "REFRESH_MODE" => {
                refresh_mode = value.to_uppercase();
                if !["AUTO", "FULL", "INCREMENTAL"].contains(&refresh_mode.as_str()) {
                    return Err(SqlError::unsupported(format!("REFRESH_MODE = {refresh_mode}")));
                }
            }
            "INITIALIZE" => match value.to_uppercase().as_str() {
                "ON_CREATE" => at_once = true,
                "ON_SCHEDULE" => at_once = false,
                _ => return Err(SqlError::unexpected(value)),
            },
            "COMMENT" => comment = Some(value),
            "DATA_RETENTION_TIME_IN_DAYS" => retention_days = days(&value)?,
            "MAX_DATA_EXTENSION_TIME_IN_DAYS" => extension_days = days(&value)?,
            _ => return Err(SqlError::unexpected(option)),
        }
    }
    let missing = |option: &str| SqlError::compilation(format!("Missing option(s): [{option}]"));
    Ok(Command::CreateDynamic(Box::new(CreateDynamic {
        name,
        or_replace,
        if_not_exists,
        columns,
        target_lag: target_lag.ok_or_else(|| missing("TARGET_LAG"))?,
        warehouse: warehouse.ok_or_else(|| missing("WAREHOUSE"))?,
        refresh_mode,
        at_once,
        comment,
        retention_days,
        extension_days,
        query: cursor.query()?,
    })))
}

pub(super) fn external(cursor: &mut Cursor, or_replace: bool) -> Result<Command, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.path()?;
    let mut columns = Vec::new();
    if cursor.symbol(&Token::LParen) {
        loop {
            let column = cursor.name()?;
            let ty = snow_type(&cursor.parser.parse_data_type().map_err(SqlError::syntax)?)?;
            cursor.expect(&["AS"])?;
            cursor.expect_symbol(&Token::LParen)?;
            let expr = cursor.expr()?;
            cursor.expect_symbol(&Token::RParen)?;
            columns.push((column, ty, expr));
            if !cursor.symbol(&Token::Comma) {
                cursor.expect_symbol(&Token::RParen)?;
                break;
            }
        }
    }
    let (mut place, mut partitioned, mut comment) = (None, false, None);
    while !cursor.at_end() {
        if cursor.take(&["PARTITION", "BY"]) {
            cursor.names()?;
            partitioned = true;
        } else if cursor.take(&["LOCATION"]) || cursor.take(&["WITH", "LOCATION"]) {
            cursor.symbol(&Token::Eq);
            place = Some(location(cursor)?);
        } else {
            let option = cursor.name()?;
            let value = cursor.option_value()?;
            match option.as_str() {
                "COMMENT" => comment = Some(value),
                // Files are refreshed by hand, and JSON lines whatever the name.
                "AUTO_REFRESH" | "REFRESH_ON_CREATE" | "FILE_FORMAT" => {}
                _ => return Err(SqlError::unexpected(option)),
            }
        }
    }
    let place = place.ok_or_else(|| SqlError::compilation("Missing option(s): [LOCATION]"))?;
    Ok(Command::CreateExternal(Box::new(CreateExternal {
        name,
        or_replace,
        if_not_exists,
        columns,
        location: place,
        partitioned,
        comment,
    })))
}

pub(super) fn event(cursor: &mut Cursor, or_replace: bool) -> Result<Command, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let mut table = CreateTable::new(cursor.path()?, or_replace, if_not_exists, TableKind::Permanent);
    table.nature = Nature::Event;
    // Event tables are tracked from the start.
    table.change_tracking = true;
    table.source = Source::Columns;
    table.columns = EVENT_COLUMNS
        .iter()
        .map(|(name, ty)| ColumnSpec {
            name: (*name).to_owned(),
            ty: SnowType::parse(ty),
            nullable: true,
            default: None,
            identity: None,
            comment: None,
        })
        .collect();
    for (option, value) in cursor.options()? {
        match option.as_str() {
            "COMMENT" => table.comment = Some(value),
            "DATA_RETENTION_TIME_IN_DAYS" => table.retention_days = days(&value)?,
            "MAX_DATA_EXTENSION_TIME_IN_DAYS" => table.extension_days = days(&value)?,
            "CHANGE_TRACKING" => table.change_tracking = flag(&value)?,
            _ => return Err(SqlError::unexpected(option)),
        }
    }
    Ok(Command::CreateTable(Box::new(table)))
}

pub(super) fn stage(cursor: &mut Cursor, or_replace: bool) -> Result<Command, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.path()?;
    let (mut directory, mut comment) = (false, String::new());
    while !cursor.at_end() {
        if cursor.take(&["DIRECTORY"]) {
            directory = enabled(cursor)?;
            continue;
        }
        let option = cursor.name()?;
        let value = cursor.option_value()?;
        match option.as_str() {
            "COMMENT" => comment = value,
            "FILE_FORMAT" | "ENCRYPTION" => {}
            "URL" | "STORAGE_INTEGRATION" | "CREDENTIALS" => {
                return Err(SqlError::unsupported(format!("{option} of a stage")));
            }
            _ => return Err(SqlError::unexpected(option)),
        }
    }
    Ok(Command::CreateStage { name, or_replace, if_not_exists, directory, comment })
}

/// `= ( ENABLE = TRUE … )`.
fn enabled(cursor: &mut Cursor) -> Result<bool, SqlError> {
    cursor.symbol(&Token::Eq);
    cursor.expect_symbol(&Token::LParen)?;
    let mut on = false;
    while !cursor.symbol(&Token::RParen) {
        let option = cursor.name()?;
        let value = cursor.option_value()?;
        match option.as_str() {
            "ENABLE" => on = flag(&value)?,
            "AUTO_REFRESH" | "REFRESH_ON_CREATE" => {}
            _ => return Err(SqlError::unexpected(option)),
        }
    }
    Ok(on)
}

pub(super) fn alter_stage(cursor: &mut Cursor) -> Result<Command, SqlError> {
    let if_exists = cursor.if_exists();
    let name = cursor.path()?;
    let action = if cursor.take(&["REFRESH"]) {
        if cursor.take(&["SUBPATH"]) {
            cursor.option_value()?;
        }
        StageAction::Refresh
    } else {
        cursor.expect(&["SET"])?;
        if cursor.take(&["DIRECTORY"]) {
            StageAction::Directory(enabled(cursor)?)
        } else {
            cursor.expect(&["COMMENT"])?;
            StageAction::Comment(cursor.option_value()?)
        }
    };
    Ok(Command::AlterStage { name, if_exists, action })
}

/// `COPY INTO '@stage/file' FROM (query) [OVERWRITE = TRUE]`: one file of JSON lines.
pub(super) fn copy(cursor: &mut Cursor) -> Result<Command, SqlError> {
    cursor.expect(&["INTO"])?;
    if matches!(cursor.parser.peek_token_ref().token, Token::Word(_)) {
        return Err(SqlError::unsupported("COPY INTO a table"));
    }
    let to = location(cursor)?;
    cursor.expect(&["FROM"])?;
    cursor.expect_symbol(&Token::LParen)?;
    let query = cursor.query()?;
    cursor.expect_symbol(&Token::RParen)?;
    let mut overwrite = false;
    for (option, value) in cursor.options()? {
        match option.as_str() {
            "OVERWRITE" => overwrite = flag(&value)?,
            "FILE_FORMAT" | "SINGLE" => {}
            _ => return Err(SqlError::unexpected(option)),
        }
    }
    Ok(Command::CopyFile { to, query, overwrite })
}

/// `@stage`, or `'@stage/path'` in quotes: unquoted words are upper case here, and paths are not.
pub(super) fn location(cursor: &mut Cursor) -> Result<Location, SqlError> {
    if cursor.symbol(&Token::AtSign) {
        let stage = cursor.path()?;
        if cursor.parser.peek_token_ref().token == Token::Div {
            return Err(SqlError::unsupported("an unquoted path in a stage; write '@stage/path'"));
        }
        return Ok(Location { stage, path: String::new() });
    }
    let text = cursor.text()?;
    let Some(rest) = text.strip_prefix('@') else {
        return Err(SqlError::unexpected(text));
    };
    let (stage, path) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(Location { stage: Cursor::new(stage)?.path()?, path: path.to_owned() })
}
