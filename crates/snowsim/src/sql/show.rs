//! SHOW and its clauses.
//!
//! Promises: a kind of object the simulator does not have is refused by name.
//! Leaves to others: the rows (`session::show`).

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::{Command, Scope, Show};
use crate::error::SqlError;

const KINDS: [&[&str]; 20] = [
    &["DYNAMIC", "TABLES"],
    &["EXTERNAL", "TABLES"],
    &["EVENT", "TABLES"],
    &["ICEBERG", "TABLES"],
    &["STAGES"],
    &["PRIMARY", "KEYS"],
    &["UNIQUE", "KEYS"],
    &["FUTURE", "GRANTS"],
    &["TABLES"],
    &["STREAMS"],
    &["COLUMNS"],
    &["SCHEMAS"],
    &["DATABASES"],
    &["WAREHOUSES"],
    &["GRANTS"],
    &["PARAMETERS"],
    &["VIEWS"],
    &["TRANSACTIONS"],
    &["ROLES"],
    &["OBJECTS"],
];

pub(super) fn show(cursor: &mut Cursor) -> Result<Command, SqlError> {
    cursor.take(&["TERSE"]);
    let Some(kind) = KINDS.iter().find(|words| cursor.take(words)) else {
        return Err(match cursor.take(&["USERS"]) {
            true => SqlError::unsupported("SHOW USERS"),
            false => cursor.unexpected(),
        });
    };
    let mut show = Show { what: kind.join(" "), ..Show::default() };
    if cursor.take(&["HISTORY"]) {
        return Err(SqlError::unsupported("SHOW … HISTORY"));
    }
    while !cursor.at_end() {
        if cursor.take(&["LIKE"]) {
            show.like = Some(cursor.text()?);
        } else if cursor.take(&["STARTS", "WITH"]) {
            show.starts_with = Some(cursor.text()?);
        } else if cursor.take(&["LIMIT"]) {
            show.limit = usize::try_from(cursor.integer()?).ok();
            if cursor.take(&["FROM"]) {
                show.after = Some(cursor.text()?);
            }
        } else if cursor.take_any(&["IN", "FOR"]).is_some() {
            show.scope = scope(cursor)?;
        } else if cursor.take(&["TO"]) {
            show.scope = match cursor.take_any(&["ROLE", "USER"]) {
                Some("ROLE") => Scope::ToRole(cursor.name()?),
                Some(_) => Scope::ToUser(cursor.name()?),
                None => return Err(cursor.unexpected()),
            };
        } else if cursor.take(&["OF", "ROLE"]) {
            show.scope = Scope::OfRole(cursor.name()?);
        } else if cursor.take(&["ON"]) {
            show.scope = match cursor.take(&["ACCOUNT"]) {
                true => Scope::OnObject("ACCOUNT".to_owned(), Vec::new()),
                false => {
                    let kind = cursor.name()?;
                    Scope::OnObject(kind, cursor.path()?)
                }
            };
        } else {
            return Err(cursor.unexpected());
        }
    }
    Ok(Command::Show(Box::new(show)))
}

fn scope(cursor: &mut Cursor) -> Result<Scope, SqlError> {
    let ended = |cursor: &Cursor| cursor.at_end() || cursor.peek(&["LIKE"]) || cursor.peek(&["LIMIT"]);
    Ok(match cursor.take_any(&["ACCOUNT", "SESSION", "DATABASE", "SCHEMA", "TABLE", "VIEW"]) {
        Some("ACCOUNT") => Scope::Account,
        Some("SESSION") => Scope::Session,
        Some("DATABASE") if ended(cursor) => Scope::Database(None),
        Some("DATABASE") => Scope::Database(Some(cursor.name()?)),
        Some("SCHEMA") if ended(cursor) => Scope::Schema(None),
        Some("SCHEMA") => Scope::Schema(Some(cursor.path()?)),
        Some(_) => Scope::Table(cursor.path()?),
        None if matches!(cursor.parser.peek_token_ref().token, Token::Word(_)) => {
            let path = cursor.path()?;
            match path.len() {
                1 => Scope::Database(path.into_iter().next()),
                2 => Scope::Schema(Some(path)),
                _ => Scope::Table(path),
            }
        }
        None => return Err(cursor.unexpected()),
    })
}
