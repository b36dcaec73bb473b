//! GRANT and REVOKE.
//!
//! Promises: privileges and kinds are kept as written (upper case), so SHOW GRANTS shows them so.
//! Leaves to others: what they allow (`catalog::access`).

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::parse::kind;
use super::{Command, GrantHolder, GrantTarget, Kind};
use crate::error::SqlError;

pub(super) fn grant(cursor: &mut Cursor, grant: bool) -> Result<Command, SqlError> {
    if cursor.take(&["ROLE"]) {
        let role = cursor.name()?;
        let to = holder(cursor, grant)?;
        return Ok(Command::Grant { grant, privileges: Vec::new(), on: GrantTarget::Role(role), to });
    }
    let mut privileges = Vec::new();
    loop {
        let mut words = Vec::new();
        while !cursor.peek(&["ON"]) && cursor.parser.peek_token_ref().token != Token::Comma {
            words.push(cursor.name()?);
        }
        if words.is_empty() {
            return Err(cursor.unexpected());
        }
        let privilege = words.join(" ");
        privileges.push(match privilege.as_str() {
            "ALL PRIVILEGES" => "ALL".to_owned(),
            _ => privilege,
        });
        if !cursor.symbol(&Token::Comma) {
            break;
        }
    }
    cursor.expect(&["ON"])?;
    let on = target(cursor)?;
    let to = holder(cursor, grant)?;
    let _ = cursor.take(&["WITH", "GRANT", "OPTION"])
        || cursor.take(&["COPY", "CURRENT", "GRANTS"])
        || cursor.take(&["REVOKE", "CURRENT", "GRANTS"]);
    Ok(Command::Grant { grant, privileges, on, to })
}

fn target(cursor: &mut Cursor) -> Result<GrantTarget, SqlError> {
    if cursor.take(&["ACCOUNT"]) {
        return Ok(GrantTarget::Account);
    }
    if let Some(word) = cursor.take_any(&["ALL", "FUTURE"]) {
        let plural = cursor.name()?;
        let Some(kind_word) = plural.strip_suffix('S').map(str::to_owned) else {
            return Err(SqlError::unexpected(plural));
        };
        cursor.expect(&["IN"])?;
        return match kind(cursor)? {
            Some(container @ (Kind::Database | Kind::Schema)) => {
                Ok(GrantTarget::All { kind: kind_word, container, name: cursor.path()?, future: word == "FUTURE" })
            }
            _ => Err(cursor.unexpected()),
        };
    }
    match kind(cursor)? {
        Some(kind) => Ok(GrantTarget::Object { kind: kind.word().to_owned(), name: cursor.path()? }),
        None => Err(cursor.unexpected()),
    }
}

fn holder(cursor: &mut Cursor, grant: bool) -> Result<Option<GrantHolder>, SqlError> {
    cursor.expect(&[if grant { "TO" } else { "FROM" }])?;
    if cursor.take(&["USER"]) {
        return Ok(Some(GrantHolder::User(cursor.name()?)));
    }
    cursor.take(&["ROLE"]);
    Ok(Some(GrantHolder::Role(cursor.name()?)))
}
