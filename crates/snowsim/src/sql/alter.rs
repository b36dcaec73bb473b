//! ALTER: tables, streams, warehouses, users, the session.
//!
//! Promises: as `create`. Leaves to others: the effects (`session::ddl`).

use datafusion::sql::sqlparser::tokenizer::Token;

use super::create::column;
use super::cursor::Cursor;
use super::{AlterTable, ColumnChange, Command, snow_type};
use crate::error::SqlError;
use crate::warehouse::Turn;

pub(super) fn alter(cursor: &mut Cursor) -> Result<Command, SqlError> {
    for (words, dynamic) in [(["DYNAMIC", "TABLE"], true), (["EXTERNAL", "TABLE"], false)] {
        if cursor.take(&words) {
            let if_exists = cursor.if_exists();
            let name = cursor.path()?;
            if cursor.take(&["REFRESH"]) {
                return Ok(match dynamic {
                    true => Command::RefreshDynamic { name, if_exists },
                    false => Command::RefreshExternal { name, if_exists },
                });
            }
            return Ok(Command::AlterTable { table: name, if_exists, action: action(cursor)? });
        }
    }
    // Of these two the words after TABLE are a table's.
    let _ = cursor.peek(&["EVENT", "TABLE"]) && cursor.take(&["EVENT"]);
    let _ = cursor.peek(&["ICEBERG", "TABLE"]) && cursor.take(&["ICEBERG"]);
    match cursor.take_any(&["TABLE", "STREAM", "WAREHOUSE", "USER", "SESSION", "STAGE", "VIEW"]) {
        Some("STAGE") => super::objects::alter_stage(cursor),
        Some("VIEW") => {
            let if_exists = cursor.if_exists();
            let name = cursor.path()?;
            cursor.expect(&["SET"])?;
            let options = match cursor.take(&["SECURE"]) {
                true => vec![("SECURE".to_owned(), "TRUE".to_owned())],
                false => cursor.options()?,
            };
            Ok(Command::AlterView { name, if_exists, options })
        }
        Some("TABLE") => {
            let if_exists = cursor.if_exists();
            let table = cursor.path()?;
            Ok(Command::AlterTable { table, if_exists, action: action(cursor)? })
        }
        Some("STREAM") => {
            let if_exists = cursor.if_exists();
            let stream = cursor.path()?;
            if cursor.take(&["UNSET", "COMMENT"]) {
                return Ok(Command::AlterStream { stream, if_exists, comment: Some(String::new()) });
            }
            cursor.expect(&["SET"])?;
            let mut comment = None;
            for (option, value) in cursor.options()? {
                match option.as_str() {
                    "COMMENT" => comment = Some(value),
                    _ => return Err(SqlError::unexpected(option)),
                }
            }
            Ok(Command::AlterStream { stream, if_exists, comment })
        }
        Some("USER") => {
            let if_exists = cursor.if_exists();
            let name = cursor.name()?;
            if cursor.take(&["SET"]) {
                return Ok(Command::AlterUser { name, if_exists, set: cursor.options()?, unset: Vec::new() });
            }
            cursor.expect(&["UNSET"])?;
            let mut unset = vec![cursor.name()?];
            while cursor.symbol(&Token::Comma) {
                unset.push(cursor.name()?);
            }
            Ok(Command::AlterUser { name, if_exists, set: Vec::new(), unset })
        }
        Some("WAREHOUSE") => {
            cursor.if_exists();
            let own = ["SUSPEND", "RESUME", "SET"].iter().any(|word| cursor.peek(&[word]));
            let name = match own {
                true => None,
                false => Some(cursor.name()?),
            };
            let (turn, options) = match cursor.take_any(&["SUSPEND", "RESUME", "SET"]) {
                Some("SUSPEND") => (Some(Turn::Suspend), Vec::new()),
                Some("RESUME") if cursor.take(&["IF", "SUSPENDED"]) => (Some(Turn::ResumeIfSuspended), Vec::new()),
                Some("RESUME") => (Some(Turn::Resume), Vec::new()),
                Some(_) => (None, cursor.options()?),
                None => return Err(cursor.unexpected()),
            };
            Ok(Command::AlterWarehouse { name, options, turn })
        }
        Some(_) => {
            if cursor.take(&["SET"]) {
                return Ok(Command::AlterSession { set: cursor.options()?, unset: Vec::new() });
            }
            cursor.expect(&["UNSET"])?;
            let mut unset = vec![cursor.name()?];
            while cursor.symbol(&Token::Comma) {
                unset.push(cursor.name()?);
            }
            Ok(Command::AlterSession { set: Vec::new(), unset })
        }
        None => Err(cursor.unexpected()),
    }
}

fn action(cursor: &mut Cursor) -> Result<AlterTable, SqlError> {
    if cursor.take(&["RENAME", "TO"]) {
        return Ok(AlterTable::Rename(cursor.path()?));
    }
    if cursor.take(&["SWAP", "WITH"]) {
        return Ok(AlterTable::Swap(cursor.path()?));
    }
    if cursor.take(&["RENAME", "COLUMN"]) {
        let from = cursor.name()?;
        cursor.expect(&["TO"])?;
        return Ok(AlterTable::RenameColumn { from, to: cursor.name()? });
    }
    if cursor.take(&["SET"]) {
        return Ok(AlterTable::Set(cursor.options()?));
    }
    if cursor.take(&["UNSET"]) {
        let mut names = vec![cursor.name()?];
        while cursor.symbol(&Token::Comma) {
            names.push(cursor.name()?);
        }
        return Ok(AlterTable::Unset(names));
    }
    if cursor.take(&["DROP", "PRIMARY", "KEY"]) {
        return Ok(AlterTable::DropPrimaryKey);
    }
    if cursor.take(&["DROP"]) {
        cursor.take(&["COLUMN"]);
        let if_exists = cursor.if_exists();
        let mut names = vec![cursor.name()?];
        while cursor.symbol(&Token::Comma) {
            names.push(cursor.name()?);
        }
        return Ok(AlterTable::DropColumns { names, if_exists });
    }
    if cursor.take(&["ADD"]) {
        let name = match cursor.take(&["CONSTRAINT"]) {
            true => Some(cursor.name()?),
            false => None,
        };
        if cursor.take(&["PRIMARY", "KEY"]) {
            return Ok(AlterTable::AddPrimaryKey { name, columns: cursor.names()? });
        }
        if name.is_some() {
            return Err(cursor.unexpected());
        }
        cursor.take(&["COLUMN"]);
        let if_not_exists = cursor.if_not_exists();
        let mut columns = vec![column(cursor, false)?.0];
        while cursor.symbol(&Token::Comma) {
            cursor.take(&["COLUMN"]);
            columns.push(column(cursor, false)?.0);
        }
        return Ok(AlterTable::AddColumns { columns, if_not_exists });
    }
    if cursor.take_any(&["ALTER", "MODIFY"]).is_some() {
        cursor.take(&["COLUMN"]);
        let name = cursor.name()?;
        let change = if cursor.take(&["SET", "NOT", "NULL"]) {
            ColumnChange::SetNotNull
        } else if cursor.take(&["DROP", "NOT", "NULL"]) {
            ColumnChange::DropNotNull
        } else if cursor.take(&["DROP", "DEFAULT"]) {
            ColumnChange::DropDefault
        } else if cursor.take(&["COMMENT"]) {
            ColumnChange::Comment(cursor.option_value()?)
        } else {
            cursor.take(&["SET", "DATA"]);
            cursor.take(&["TYPE"]);
            ColumnChange::Type(snow_type(&cursor.parser.parse_data_type().map_err(SqlError::syntax)?)?)
        };
        return Ok(AlterTable::AlterColumn { name, change });
    }
    Err(cursor.unexpected())
}
