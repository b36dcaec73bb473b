//! What a procedure's body says, without running it.
//!
//! ```text
//!  CALL core.keep('a', :b)                             ─▶ Call { CORE.KEEP, 2 }
//!  EXECUTE IMMEDIATE 'DROP VIEW ' || name              ─▶ Sql("DROP VIEW X")
//!  IF (a) THEN ALTER SERVICE s.x SUSPEND               ─▶ Sql("ALTER SERVICE S . X SUSPEND")
//! ```
//! Promises: every statement of the body is found, also those inside of blocks and those put together from texts,
//! where `X` stands for what is only known when it runs.
//! Leaves to others: what they name (`session::native`).

use datafusion::sql::sqlparser::dialect::SnowflakeDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::SqlError;

/// A thing that a body does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It calls a procedure with so many arguments.
    Call { name: String, arguments: usize },
    /// It runs a statement.
    Sql(String),
    /// It reads or writes an object named with its schema.
    Object(String),
    /// It asks a system function.
    System(String),
}

const VERBS: [&str; 14] = [
    "CREATE", "ALTER", "DROP", "GRANT", "SHOW", "INSERT", "UPDATE", "DELETE", "SELECT", "CALL", "EXECUTE", "USE",
    "MERGE", "TRUNCATE",
];

/// Words after which a statement begins.
const OPENERS: [&str; 5] = ["BEGIN", "THEN", "ELSE", "DO", "DECLARE"];

/// All that a body does, in its order.
pub(crate) fn deeds(body: &str) -> Result<Vec<Deed>, SqlError> {
    let tokens = Tokenizer::new(&SnowflakeDialect, body).tokenize().map_err(SqlError::syntax)?;
    let tokens: Vec<Token> = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let mut found = Vec::new();
    for chunk in tokens.split(|token| *token == Token::SemiColon) {
        objects(chunk, &mut found);
        let Some(start) = start(chunk) else { continue };
        let statement = &chunk[start..];
        match word(statement, 0).as_str() {
            "CALL" => found.extend(call(&statement[1..])),
            "EXECUTE" if word(statement, 1) == "IMMEDIATE" && word(statement, 2) != "FROM" => {
                found.push(Deed::Sql(symbolic(&statement[2..])));
            }
            // A query's clauses are the engine's matter; what it reads has been noted.
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" => {}
            _ => found.push(Deed::Sql(statement.iter().map(shown).collect::<Vec<_>>().join(" "))),
        }
    }
    Ok(found)
}

fn word(tokens: &[Token], at: usize) -> String {
    match tokens.get(at) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_uppercase(),
        _ => String::new(),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::SingleQuotedString(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    }
}

/// Where a statement begins in a piece between semicolons.
fn start(chunk: &[Token]) -> Option<usize> {
    (0..chunk.len()).find(|at| {
        let begins = *at == 0 || OPENERS.contains(&word(chunk, at - 1).as_str());
        begins && VERBS.contains(&word(chunk, *at).as_str())
    })
}

/// `schema.name(argument, …)`.
fn call(tokens: &[Token]) -> Option<Deed> {
    let open = tokens.iter().position(|token| *token == Token::LParen)?;
    let name = tokens[..open].iter().map(ToString::to_string).collect::<String>().to_uppercase();
    let (mut depth, mut commas, mut any) = (0_u32, 0, false);
    for token in &tokens[open..] {
        match token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma if depth == 1 => commas += 1,
            _ => any = true,
        }
        if depth == 0 {
            break;
        }
    }
    Some(Deed::Call { name, arguments: if any { commas + 1 } else { 0 } })
}

/// Texts joined by `||`; whatever is no text becomes `X`.
fn symbolic(tokens: &[Token]) -> String {
    let mut text = String::new();
    let (mut depth, mut unknown) = (0_i32, false);
    for token in tokens {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::StringConcat if depth == 0 => unknown = false,
            Token::SingleQuotedString(literal) if depth == 0 => text.push_str(literal),
            _ if depth == 0 && !unknown => {
                text.push('X');
                unknown = true;
            }
            _ => {}
        }
    }
    text
}

/// Names of two parts where tables stand, and system functions.
fn objects(chunk: &[Token], found: &mut Vec<Deed>) {
    const PLACES: [&str; 5] = ["FROM", "JOIN", "INTO", "UPDATE", "TABLE"];
    for at in 0..chunk.len() {
        let name = word(chunk, at);
        if name.starts_with("SYSTEM$") {
            found.push(Deed::System(name));
            continue;
        }
        let place = at > 0 && PLACES.contains(&word(chunk, at - 1).as_str());
        let created = word(chunk, 0) == "CREATE" || at > 1 && word(chunk, at - 2) == "CREATE";
        if place && !created && chunk.get(at + 1) == Some(&Token::Period) && chunk.get(at + 3) != Some(&Token::LParen) {
            found.push(Deed::Object(format!("{name}.{}", word(chunk, at + 2))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_in_blocks_and_in_texts() {
        let body = "
            BEGIN
              LET a STRING := (SELECT b FROM state.service);
              IF (a IS NULL) THEN
                CALL core.keep('x, y', :a, LEFT(:b, 2));
                CALL core.none() INTO :a;
              END IF;
              EXECUTE IMMEDIATE 'DROP VIEW ' || REPLACE(a, 'x', 'y') || ' -- it''s';
              ALTER SERVICE IF EXISTS state.s SUSPEND;
              SELECT SYSTEM$WAIT_FOR_SERVICES(1, 'state.s');
              RETURN 'call me';
            END;";
        let deed = |text: &str| Deed::Sql(text.to_owned());
        assert_eq!(
            deeds(body).unwrap(),
            [
                Deed::Object("STATE.SERVICE".to_owned()),
                Deed::Call { name: "CORE.KEEP".to_owned(), arguments: 3 },
                Deed::Call { name: "CORE.NONE".to_owned(), arguments: 0 },
                deed("DROP VIEW X -- it's"),
                deed("ALTER SERVICE IF EXISTS state . s SUSPEND"),
                Deed::System("SYSTEM$WAIT_FOR_SERVICES".to_owned()),
            ]
        );
    }
}
