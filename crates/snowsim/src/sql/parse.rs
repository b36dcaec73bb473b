//! Which statement a text is.
//!
//! Promises: every statement of [`Command`] is recognised by its first words; any other is refused
//! with 001003, naming its first unexpected word.
//! Leaves to others: the clauses of CREATE, ALTER, GRANT and SHOW.

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::{Command, Kind, Path, alter, create, grant, objects, show};
use crate::error::SqlError;

/// Reads one statement.
pub(crate) fn parse(sql: &str) -> Result<Command, SqlError> {
    let mut cursor = Cursor::new(sql)?;
    let command = statement(&mut cursor)?;
    cursor.end()?;
    Ok(command)
}

fn statement(cursor: &mut Cursor) -> Result<Command, SqlError> {
    if cursor.at_end() {
        return Err(SqlError::new("000900", "42601", "SQL compilation error:\nEmpty SQL statement."));
    }
    if let Some(native) = crate::native::parse::statement(cursor)? {
        return Ok(Command::Native(Box::new(native)));
    }
    if ["SELECT", "WITH", "VALUES"].iter().any(|word| cursor.peek(&[word]))
        || cursor.parser.peek_token_ref().token == Token::LParen
    {
        return Ok(Command::Query(cursor.query()?));
    }
    if cursor.peek(&["INSERT"]) && cursor.peek_overwrite() {
        return overwrite(cursor);
    }
    if ["INSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|word| cursor.peek(&[word])) {
        return dml(cursor);
    }
    let first = [
        "CREATE", "DROP", "ALTER", "SHOW", "DESCRIBE", "DESC", "USE", "GRANT", "REVOKE", "COMMENT", "TRUNCATE",
        "BEGIN", "START", "COMMIT", "ROLLBACK", "SET", "UNSET", "COPY", "REMOVE", "RM",
    ];
    match cursor.take_any(&first) {
        Some("CREATE") => create::create(cursor),
        Some("DROP") => drop(cursor),
        Some("ALTER") => alter::alter(cursor),
        Some("SHOW") => show::show(cursor),
        Some("DESCRIBE" | "DESC") => {
            let kind = kind(cursor)?.unwrap_or(Kind::Table);
            Ok(Command::Describe { kind, name: cursor.path()? })
        }
        Some("USE") => {
            cursor
                .take(&["SECONDARY"])
                .then_some(())
                .map_or(Ok(()), |()| Err(SqlError::unsupported("USE SECONDARY ROLES")))?;
            let kind = kind(cursor)?;
            let name = cursor.path()?;
            let by_length = if name.len() == 1 { Kind::Database } else { Kind::Schema };
            Ok(Command::Use { kind: kind.unwrap_or(by_length), name })
        }
        Some(word @ ("GRANT" | "REVOKE")) => grant::grant(cursor, word == "GRANT"),
        Some("COMMENT") => comment(cursor),
        Some("COPY") => objects::copy(cursor),
        Some("REMOVE" | "RM") => Ok(Command::RemoveFiles(objects::location(cursor)?)),
        Some("TRUNCATE") => {
            cursor.take(&["TABLE"]);
            let if_exists = cursor.if_exists();
            Ok(Command::Truncate { table: cursor.path()?, if_exists })
        }
        Some("BEGIN" | "START") => {
            let _ = cursor.take_any(&["TRANSACTION", "WORK"]);
            if cursor.take(&["NAME"]) {
                cursor.name()?;
            }
            Ok(Command::Begin)
        }
        Some("COMMIT") => {
            cursor.take(&["WORK"]);
            Ok(Command::Commit)
        }
        Some("ROLLBACK") => {
            cursor.take(&["WORK"]);
            Ok(Command::Rollback)
        }
        Some("SET") => {
            let name = cursor.name()?;
            cursor.expect_symbol(&Token::Eq)?;
            Ok(Command::SetVariable { name, value: Box::new(cursor.expr()?) })
        }
        _ => Err(cursor.unexpected()),
    }
}

impl Cursor {
    fn peek_overwrite(&self) -> bool {
        self.peek(&["INSERT", "OVERWRITE"])
    }
}

/// INSERT OVERWRITE INTO: the parser underneath knows only other dialects' form of it.
fn overwrite(cursor: &mut Cursor) -> Result<Command, SqlError> {
    let statement = cursor.parser.parse_statement().map_err(SqlError::syntax)?;
    match statement {
        Statement::Insert(mut insert) => {
            insert.overwrite = true;
            Ok(Command::Insert(Box::new(insert)))
        }
        other => Err(SqlError::unexpected(other)),
    }
}

fn dml(cursor: &mut Cursor) -> Result<Command, SqlError> {
    let statement = cursor.parser.parse_statement().map_err(SqlError::syntax)?;
    Ok(match statement {
        Statement::Insert(insert) => Command::Insert(Box::new(insert)),
        Statement::Update(update) => Command::Update(Box::new(update)),
        Statement::Delete(delete) => Command::Delete(Box::new(delete)),
        Statement::Merge(merge) => Command::Merge(Box::new(merge)),
        other => return Err(SqlError::unsupported(other)),
    })
}

/// The kind of object named next, if it is named.
pub(super) fn kind(cursor: &mut Cursor) -> Result<Option<Kind>, SqlError> {
    // Every kind of table is dropped, described and granted as one.
    for words in [["DYNAMIC", "TABLE"], ["EXTERNAL", "TABLE"], ["EVENT", "TABLE"], ["ICEBERG", "TABLE"]] {
        if cursor.take(&words) {
            return Ok(Some(Kind::Table));
        }
    }
    if cursor.take(&["MATERIALIZED", "VIEW"]) {
        return Ok(Some(Kind::View));
    }
    let words = [
        ("STAGE", Kind::Stage),
        ("DATABASE", Kind::Database),
        ("SCHEMA", Kind::Schema),
        ("TABLE", Kind::Table),
        ("VIEW", Kind::View),
        ("STREAM", Kind::Stream),
        ("WAREHOUSE", Kind::Warehouse),
        ("ROLE", Kind::Role),
        ("USER", Kind::User),
    ];
    Ok(words.iter().find(|(word, _)| cursor.take(&[word])).map(|(_, kind)| *kind))
}

fn drop(cursor: &mut Cursor) -> Result<Command, SqlError> {
    let Some(kind) = kind(cursor)? else {
        return Err(cursor.unexpected());
    };
    let if_exists = cursor.if_exists();
    let name = cursor.path()?;
    let _ = cursor.take_any(&["CASCADE", "RESTRICT"]);
    Ok(Command::Drop { kind, name, if_exists })
}

fn comment(cursor: &mut Cursor) -> Result<Command, SqlError> {
    let if_exists = cursor.if_exists();
    cursor.expect(&["ON"])?;
    let (kind, name, column) = if cursor.take(&["COLUMN"]) {
        let (name, column) = column_path(cursor)?;
        (Kind::Table, name, Some(column))
    } else {
        match kind(cursor)? {
            Some(kind) => (kind, cursor.path()?, None),
            None => return Err(cursor.unexpected()),
        }
    };
    cursor.expect(&["IS"])?;
    let comment = cursor.text()?;
    Ok(Command::Comment { kind, name, column, comment, if_exists })
}

fn column_path(cursor: &mut Cursor) -> Result<(Path, String), SqlError> {
    let mut parts = vec![cursor.name()?];
    while cursor.symbol(&Token::Period) {
        parts.push(cursor.name()?);
    }
    match parts.pop() {
        Some(column) if !parts.is_empty() && parts.len() <= 3 => Ok((parts, column)),
        _ => Err(cursor.unexpected()),
    }
}
