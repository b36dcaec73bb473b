//! CREATE: tables, views, streams, containers, warehouses, roles, users.
//!
//! Promises: options may come in any order; an option the simulator would have to ignore silently
//! is refused by name, except those that only tune a real warehouse.
//! Leaves to others: whether names exist (`session`).

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::parse::kind;
use super::{ColumnSpec, Command, CreateStream, CreateTable, Kind, Source, SourceKind, objects, snow_type};
use crate::error::SqlError;
use crate::table::TableKind;
use crate::table::nature::Nature;

pub(super) fn create(cursor: &mut Cursor) -> Result<Command, SqlError> {
    let or_replace = cursor.take(&["OR", "REPLACE"]);
    let _ = cursor.take_any(&["LOCAL", "GLOBAL"]);
    let table_kind = match cursor.take_any(&["TRANSIENT", "TEMPORARY", "TEMP", "VOLATILE"]) {
        Some("TRANSIENT") => TableKind::Transient,
        Some(_) => TableKind::Temporary,
        None => TableKind::Permanent,
    };
    if cursor.take(&["DYNAMIC", "TABLE"]) {
        return objects::dynamic(cursor, or_replace);
    }
    if cursor.take(&["EXTERNAL", "TABLE"]) {
        return objects::external(cursor, or_replace);
    }
    if cursor.take(&["EVENT", "TABLE"]) {
        return objects::event(cursor, or_replace);
    }
    if cursor.take(&["ICEBERG", "TABLE"]) {
        let if_not_exists = cursor.if_not_exists();
        return table(cursor, or_replace, if_not_exists, table_kind, Nature::Iceberg { managed: true });
    }
    if cursor.take(&["STAGE"]) {
        return objects::stage(cursor, or_replace);
    }
    let secure = cursor.take(&["SECURE"]);
    let materialized = cursor.peek(&["MATERIALIZED", "VIEW"]);
    let Some(kind) = kind(cursor)? else {
        return Err(cursor.unexpected());
    };
    let mut if_not_exists = cursor.if_not_exists();
    if matches!(kind, Kind::Table) {
        return table(cursor, or_replace, if_not_exists, table_kind, Nature::Plain);
    }
    let name = cursor.path()?;
    if_not_exists |= cursor.if_not_exists();
    let last = || name.last().cloned().unwrap_or_default();
    match kind {
        Kind::View => {
            let columns = match cursor.parser.peek_token_ref().token {
                Token::LParen => cursor.names()?,
                _ => Vec::new(),
            };
            let (mut comment, mut tracked) = (String::new(), false);
            while !cursor.take(&["AS"]) {
                match cursor.take_any(&["COMMENT", "CHANGE_TRACKING"]) {
                    Some("COMMENT") => comment = cursor.option_value()?,
                    Some(_) => tracked = flag(&cursor.option_value()?)?,
                    None => return Err(cursor.unexpected()),
                }
            }
            let query = cursor.query()?;
            Ok(Command::CreateView {
                name,
                secure,
                materialized,
                tracked,
                or_replace,
                if_not_exists,
                columns,
                query,
                comment,
            })
        }
        Kind::Stream => stream(cursor, name, or_replace, if_not_exists),
        Kind::Database | Kind::Schema => {
            let mut comment = String::new();
            for (option, value) in cursor.options()? {
                match option.as_str() {
                    "COMMENT" => comment = value,
                    "DATA_RETENTION_TIME_IN_DAYS" | "MAX_DATA_EXTENSION_TIME_IN_DAYS" => {}
                    _ => return Err(SqlError::unexpected(option)),
                }
            }
            let transient = table_kind == TableKind::Transient;
            Ok(Command::CreateContainer { kind, name, or_replace, if_not_exists, transient, comment })
        }
        Kind::Warehouse => {
            cursor.take(&["WITH"]);
            Ok(Command::CreateWarehouse { name: last(), or_replace, if_not_exists, options: cursor.options()? })
        }
        Kind::Role => {
            let mut comment = String::new();
            for (option, value) in cursor.options()? {
                match option.as_str() {
                    "COMMENT" => comment = value,
                    _ => return Err(SqlError::unexpected(option)),
                }
            }
            Ok(Command::CreateRole { name: last(), or_replace, if_not_exists, comment })
        }
        Kind::User => Ok(Command::CreateUser { name: last(), or_replace, if_not_exists, options: cursor.options()? }),
        Kind::Table | Kind::Stage => Err(cursor.unexpected()),
    }
}

pub(super) fn flag(value: &str) -> Result<bool, SqlError> {
    match value.to_ascii_uppercase().as_str() {
        "TRUE" => Ok(true),
        "FALSE" => Ok(false),
        _ => Err(SqlError::unexpected(value)),
    }
}

fn stream(cursor: &mut Cursor, name: super::Path, or_replace: bool, if_not_exists: bool) -> Result<Command, SqlError> {
    let mut stream = CreateStream {
        name,
        or_replace,
        if_not_exists,
        kind: SourceKind::Table,
        source: Vec::new(),
        append_only: false,
        insert_only: false,
        show_initial_rows: false,
        point: None,
        comment: None,
    };
    if cursor.take(&["COPY", "GRANTS"]) {
        return Err(SqlError::unsupported("COPY GRANTS"));
    }
    if cursor.take(&["CLONE"]) {
        stream.kind = SourceKind::Stream;
        stream.source = cursor.path()?;
    }
    while !cursor.at_end() {
        if cursor.take(&["ON"]) {
            let kinds: [(SourceKind, &[&str]); 6] = [
                (SourceKind::Table, &["TABLE"]),
                (SourceKind::View, &["VIEW"]),
                (SourceKind::Dynamic, &["DYNAMIC", "TABLE"]),
                (SourceKind::External, &["EXTERNAL", "TABLE"]),
                (SourceKind::Event, &["EVENT", "TABLE"]),
                (SourceKind::Stage, &["STAGE"]),
            ];
            let Some((kind, _)) = kinds.iter().find(|(_, words)| cursor.take(words)) else {
                return Err(cursor.unexpected());
            };
            stream.kind = *kind;
            stream.source = cursor.path()?;
        } else if let Some(point) = cursor.point()? {
            stream.point = Some(point);
        } else {
            let option = cursor.name()?;
            match option.as_str() {
                "APPEND_ONLY" => stream.append_only = flag(&cursor.option_value()?)?,
                "INSERT_ONLY" => stream.insert_only = flag(&cursor.option_value()?)?,
                "SHOW_INITIAL_ROWS" => stream.show_initial_rows = flag(&cursor.option_value()?)?,
                "COMMENT" => stream.comment = Some(cursor.option_value()?),
                _ => return Err(SqlError::unexpected(option)),
            }
        }
    }
    if stream.source.is_empty() {
        return Err(cursor.unexpected());
    }
    Ok(Command::CreateStream(Box::new(stream)))
}

fn table(
    cursor: &mut Cursor,
    or_replace: bool,
    mut if_not_exists: bool,
    kind: TableKind,
    nature: Nature,
) -> Result<Command, SqlError> {
    let name = cursor.path()?;
    if_not_exists |= cursor.if_not_exists();
    let mut table = CreateTable::new(name, or_replace, if_not_exists, kind);
    let iceberg = nature != Nature::Plain;
    table.nature = nature;
    let mut shaped = false;
    while !cursor.at_end() {
        if cursor.parser.peek_token_ref().token == Token::LParen {
            shaped = true;
            columns(cursor, &mut table)?;
        } else if cursor.take(&["LIKE"]) {
            shaped = true;
            table.source = Source::Like(cursor.path()?);
        } else if cursor.take(&["CLONE"]) {
            shaped = true;
            let origin = cursor.path()?;
            table.source = Source::Clone(origin, cursor.point()?.map(Box::new));
        } else if cursor.take(&["CLUSTER", "BY"]) {
            cursor.option_value()?;
        } else if cursor.take(&["AS"]) {
            shaped = true;
            table.source = Source::Query(cursor.query()?);
            break;
        } else {
            let option = cursor.name()?;
            let value = cursor.option_value()?;
            let days = || value.parse().map_err(|_| SqlError::unexpected(&value));
            match option.as_str() {
                "COMMENT" => table.comment = Some(value),
                "DATA_RETENTION_TIME_IN_DAYS" => table.retention_days = Some(days()?),
                "MAX_DATA_EXTENSION_TIME_IN_DAYS" => table.extension_days = Some(days()?),
                "CHANGE_TRACKING" => table.change_tracking = flag(&value)?,
                "CATALOG" if iceberg => {
                    table.nature = Nature::Iceberg { managed: value.eq_ignore_ascii_case("SNOWFLAKE") };
                }
                "EXTERNAL_VOLUME" | "BASE_LOCATION" | "CATALOG_TABLE_NAME" | "CATALOG_NAMESPACE" if iceberg => {}
                _ => return Err(SqlError::unexpected(option)),
            }
        }
    }
    match shaped {
        true => Ok(Command::CreateTable(Box::new(table))),
        false => Err(cursor.unexpected()),
    }
}

fn columns(cursor: &mut Cursor, table: &mut CreateTable) -> Result<(), SqlError> {
    cursor.expect_symbol(&Token::LParen)?;
    loop {
        let constraint = match cursor.take(&["CONSTRAINT"]) {
            true => Some(cursor.name()?),
            false => None,
        };
        if cursor.take(&["PRIMARY", "KEY"]) {
            table.primary_key = Some((constraint, cursor.names()?));
            constraint_properties(cursor);
        } else if cursor.peek(&["UNIQUE"]) {
            cursor.expect(&["UNIQUE"])?;
            table.unique.push((constraint, cursor.names()?));
            constraint_properties(cursor);
        } else if cursor.peek(&["FOREIGN", "KEY"]) {
            return Err(SqlError::unsupported("FOREIGN KEY"));
        } else {
            let (spec, key) = column(cursor, !matches!(table.source, Source::Query(_)))?;
            match key {
                Some(KeyMark::Primary) => table.primary_key = Some((None, vec![spec.name.clone()])),
                Some(KeyMark::Unique) => table.unique.push((None, vec![spec.name.clone()])),
                None => {}
            }
            table.columns.push(spec);
        }
        if !cursor.symbol(&Token::Comma) {
            return cursor.expect_symbol(&Token::RParen);
        }
    }
}

fn constraint_properties(cursor: &mut Cursor) {
    // Snowflake takes these words and enforces none of them.
    while cursor.take(&["NOT", "ENFORCED"])
        || cursor
            .take_any(&["ENFORCED", "RELY", "NORELY", "ENABLE", "DISABLE", "VALIDATE", "NOVALIDATE", "DEFERRABLE"])
            .is_some()
    {}
}

pub(super) enum KeyMark {
    Primary,
    Unique,
}

/// A column; its type may be missing in front of `AS query`.
pub(super) fn column(cursor: &mut Cursor, typed: bool) -> Result<(ColumnSpec, Option<KeyMark>), SqlError> {
    let name = cursor.name()?;
    let untyped = matches!(cursor.parser.peek_token_ref().token, Token::Comma | Token::RParen);
    let ty = match untyped && typed {
        true => None,
        false => Some(snow_type(&cursor.parser.parse_data_type().map_err(SqlError::syntax)?)?),
    };
    let mut spec = ColumnSpec { name, ty, nullable: true, default: None, identity: None, comment: None };
    let mut key = None;
    loop {
        if cursor.take(&["CONSTRAINT"]) {
            cursor.name()?;
        } else if cursor.take(&["NOT", "NULL"]) {
            spec.nullable = false;
        } else if cursor.take(&["NULL"]) {
            spec.nullable = true;
        } else if cursor.take(&["DEFAULT"]) {
            spec.default = Some(cursor.expr()?);
        } else if cursor.take_any(&["AUTOINCREMENT", "IDENTITY"]).is_some() {
            spec.identity = Some(identity(cursor)?);
        } else if cursor.take(&["PRIMARY", "KEY"]) {
            key = Some(KeyMark::Primary);
            spec.nullable = false;
            constraint_properties(cursor);
        } else if cursor.take(&["UNIQUE"]) {
            key = Some(KeyMark::Unique);
            constraint_properties(cursor);
        } else if cursor.take(&["COMMENT"]) {
            spec.comment = Some(cursor.option_value()?);
        } else if cursor.take(&["COLLATE"]) {
            return Err(SqlError::unsupported("COLLATE"));
        } else {
            return Ok((spec, key));
        }
    }
}

fn identity(cursor: &mut Cursor) -> Result<(i64, i64), SqlError> {
    let (mut start, mut step) = (1, 1);
    if cursor.symbol(&Token::LParen) {
        start = cursor.integer()?;
        cursor.expect_symbol(&Token::Comma)?;
        step = cursor.integer()?;
        cursor.expect_symbol(&Token::RParen)?;
    } else {
        if cursor.take(&["START"]) {
            cursor.take(&["WITH"]);
            start = cursor.integer()?;
        }
        if cursor.take(&["INCREMENT"]) {
            cursor.take(&["BY"]);
            step = cursor.integer()?;
        }
    }
    let _ = cursor.take_any(&["ORDER", "NOORDER"]);
    Ok((start, step))
}
