//! Statements of setup scripts and of an application's procedures.
//!
//! Promises: what Snowflake does not allow there (callers' rights, OR REPLACE of a role) is refused by name.
//! Leaves to others: plain SQL, which the rest of the simulator reads.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::{Grant, Service, Statement, arguments};
use crate::error::SqlError;
use crate::native::Procedure;
use crate::sql::cursor::Cursor;

pub(super) fn statement(cursor: &mut Cursor) -> Result<Option<Statement>, SqlError> {
    if cursor.take(&["EXECUTE", "IMMEDIATE", "FROM"]) {
        return Ok(Some(Statement::ExecuteFrom { file: cursor.text()? }));
    }
    if cursor.take(&["GRANT", "APPLICATION", "ROLE"]) {
        let role = cursor.name()?;
        cursor.expect(&["TO"])?;
        let application = cursor.take(&["APPLICATION"]);
        cursor.expect(&["ROLE"])?;
        return Ok(Some(Statement::GrantRole { role, to: cursor.name()?, application }));
    }
    if cursor.peek(&["GRANT"]) && mentions(cursor, ["TO", "APPLICATION"]) {
        return grant(cursor).map(Some);
    }
    if cursor.peek(&["GRANT"]) && mentions(cursor, ["ON", "IMAGE"]) {
        return repository_grant(cursor).map(Some);
    }
    if cursor.take(&["CREATE", "OR", "ALTER", "VERSIONED", "SCHEMA"]) {
        return Ok(Some(Statement::VersionedSchema { name: cursor.path()? }));
    }
    if let Some(made) = create(cursor)? {
        return Ok(Some(made));
    }
    if cursor.take(&["ALTER", "APPLICATION", "SET", "CONFIGURATION", "DEFINITION"]) {
        let name = cursor.name()?;
        return Ok(Some(Statement::Configuration { name, options: lists(cursor)? }));
    }
    if cursor.take(&["ALTER", "APPLICATION", "SET", "SPECIFICATION"]) {
        let name = cursor.name()?;
        return Ok(Some(Statement::Specification { name, options: lists(cursor)? }));
    }
    if cursor.take(&["ALTER", "SECRET"]) {
        let name = cursor.path()?;
        cursor.expect(&["SET", "SECRET_STRING"])?;
        cursor.option_value()?;
        return Ok(Some(Statement::AlterSecret { name }));
    }
    if cursor.take(&["ALTER", "NETWORK", "RULE"]) {
        let name = cursor.path()?;
        cursor.expect(&["SET"])?;
        let hosts = one(&lists(cursor)?, "VALUE_LIST").to_vec();
        return Ok(Some(Statement::CreateRule { name, hosts, alter: true }));
    }
    if cursor.take(&["ALTER", "SERVICE"]) {
        cursor.if_exists();
        let name = cursor.path()?;
        if let Some(word) = cursor.take_any(&["SUSPEND", "RESUME"]) {
            return Ok(Some(Statement::TurnService { name, resume: word == "RESUME" }));
        }
        cursor.take(&["SET"]);
        return Ok(Some(Statement::AlterService(Box::new(service(cursor, name)?))));
    }
    Ok(None)
}

fn repository_grant(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let privileges = privileges(cursor)?;
    cursor.expect(&["IMAGE", "REPOSITORY"])?;
    let name = cursor.path()?;
    cursor.expect(&["TO"])?;
    cursor.take(&["ROLE"]);
    Ok(Statement::GrantRepository { privileges, name, role: cursor.name()? })
}

/// Whether two words stand one after the other in what is still to be read.
fn mentions(cursor: &Cursor, words: [&str; 2]) -> bool {
    for ahead in 0.. {
        let word = |at| match &cursor.parser.peek_nth_token_ref(at).token {
            Token::Word(word) => word.value.as_str(),
            _ => "",
        };
        match &cursor.parser.peek_nth_token_ref(ahead).token {
            Token::EOF => return false,
            _ if word(ahead) == words[0] && word(ahead + 1) == words[1] => return true,
            _ => {}
        }
    }
    false
}

/// GRANT and the privileges up to ON.
fn privileges(cursor: &mut Cursor) -> Result<Vec<String>, SqlError> {
    cursor.expect(&["GRANT"])?;
    let mut privileges = vec![Vec::new()];
    while !cursor.take(&["ON"]) {
        match cursor.symbol(&Token::Comma) {
            true => privileges.push(Vec::new()),
            false => {
                let word = cursor.name()?;
                if let Some(last) = privileges.last_mut() {
                    last.push(word);
                }
            }
        }
    }
    Ok(privileges.iter().map(|words| words.join(" ")).collect())
}

fn grant(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let privileges = privileges(cursor)?;
    let kind = cursor.name()?;
    let name = cursor.path()?;
    let types = match cursor.parser.peek_token_ref().token {
        Token::LParen => Some(arguments(cursor)?.iter().map(|ty| plain(ty)).collect()),
        _ => None,
    };
    cursor.expect(&["TO", "APPLICATION"])?;
    let application = !cursor.take(&["ROLE"]);
    Ok(Statement::Grant(Grant { privileges, kind, name, types, to: cursor.name()?, application }))
}

fn create(cursor: &mut Cursor) -> Result<Option<Statement>, SqlError> {
    const KINDS: [&[&str]; 7] = [
        &["APPLICATION", "ROLE"],
        &["PROCEDURE"],
        &["SECRET"],
        &["NETWORK", "RULE"],
        &["EXTERNAL", "ACCESS", "INTEGRATION"],
        &["COMPUTE", "POOL"],
        &["SERVICE"],
    ];
    let found = KINDS.iter().find_map(|kind| {
        let plain: Vec<&str> = ["CREATE"].iter().chain(*kind).copied().collect();
        let replacing: Vec<&str> = ["CREATE", "OR", "REPLACE"].iter().chain(*kind).copied().collect();
        match cursor.take(&plain) {
            true => Some((*kind, false)),
            false => cursor.take(&replacing).then_some((*kind, true)),
        }
    });
    let Some((kind, or_replace)) = found else { return Ok(None) };
    let if_not_exists = cursor.if_not_exists();
    Ok(Some(match kind {
        ["APPLICATION", "ROLE"] => {
            let name = cursor.name()?;
            for (option, _) in cursor.options()? {
                if option != "COMMENT" {
                    return Err(SqlError::unexpected(option));
                }
            }
            Statement::CreateRole { name, or_replace }
        }
        ["PROCEDURE"] => procedure(cursor, or_replace)?,
        ["SECRET"] => {
            let name = cursor.path()?;
            for (option, value) in cursor.options()? {
                match option.as_str() {
                    "TYPE" if value.eq_ignore_ascii_case("GENERIC_STRING") => {}
                    "TYPE" => return Err(SqlError::unsupported(format!("a secret of type {value}"))),
                    "SECRET_STRING" | "COMMENT" => {}
                    _ => return Err(SqlError::unexpected(option)),
                }
            }
            Statement::CreateSecret { name }
        }
        ["NETWORK", "RULE"] => {
            let name = cursor.path()?;
            let options = lists(cursor)?;
            known(&options, &["TYPE", "MODE", "VALUE_LIST", "COMMENT"])?;
            Statement::CreateRule { name, hosts: one(&options, "VALUE_LIST").to_vec(), alter: false }
        }
        ["EXTERNAL", ..] => {
            // docs.snowflake.com/en/sql-reference/sql/create-external-access-integration has no such words.
            if if_not_exists {
                return Err(SqlError::unexpected("IF"));
            }
            let name = cursor.name()?;
            let options = lists(cursor)?;
            known(
                &options,
                &[
                    "ALLOWED_NETWORK_RULES",
                    "ALLOWED_API_AUTHENTICATION_INTEGRATIONS",
                    "ALLOWED_AUTHENTICATION_SECRETS",
                    "ENABLED",
                    "COMMENT",
                ],
            )?;
            Statement::CreateIntegration { name, rules: one(&options, "ALLOWED_NETWORK_RULES").to_vec() }
        }
        ["COMPUTE", ..] => {
            let name = cursor.name()?;
            let options = lists(cursor)?;
            known(
                &options,
                &[
                    "MIN_NODES",
                    "MAX_NODES",
                    "INSTANCE_FAMILY",
                    "AUTO_RESUME",
                    "AUTO_SUSPEND_SECS",
                    "INITIALLY_SUSPENDED",
                    "COMMENT",
                ],
            )?;
            for needed in ["MIN_NODES", "MAX_NODES", "INSTANCE_FAMILY"] {
                if one(&options, needed).is_empty() {
                    return Err(SqlError::compilation(format!("Missing option(s): [{needed}]")));
                }
            }
            Statement::CreatePool { name }
        }
        _ => {
            let name = cursor.path()?;
            Statement::CreateService(Box::new(service(cursor, name)?))
        }
    }))
}

fn procedure(cursor: &mut Cursor, or_replace: bool) -> Result<Statement, SqlError> {
    let name = cursor.path()?;
    let [schema, name] = name.as_slice() else {
        return Err(SqlError::compilation(format!(
            "Cannot perform operation. This session does not have a current schema: write SCHEMA.{}",
            name.join(".")
        )));
    };
    let arguments = arguments(cursor)?
        .iter()
        .map(|argument| {
            let written = argument.trim();
            let upper = written.to_uppercase();
            let types = [
                "VARCHAR", "STRING", "TEXT", "OBJECT", "ARRAY", "VARIANT", "INTEGER", "INT", "NUMBER", "BOOLEAN",
                "FLOAT",
            ];
            let ty = types.iter().find(|ty| upper.ends_with(**ty)).copied();
            ty.map(|ty| (upper[..upper.len() - ty.len()].to_owned(), plain(ty)))
                .ok_or_else(|| SqlError::unsupported(format!("the argument {written} of a procedure")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    cursor.expect(&["RETURNS"])?;
    cursor.name()?;
    if cursor.parser.peek_token_ref().token == Token::LParen {
        self::arguments(cursor)?;
    }
    while !cursor.take(&["AS"]) {
        if cursor.take(&["EXECUTE", "AS"]) {
            if !cursor.take(&["OWNER"]) {
                return Err(SqlError::compilation(
                    "a Native App has no procedures with callers' rights: EXECUTE AS CALLER",
                ));
            }
            continue;
        }
        let option = cursor.name()?;
        match option.as_str() {
            "LANGUAGE" => {
                let language = cursor.name()?;
                if language != "SQL" {
                    return Err(SqlError::unsupported(format!("a procedure in {language}")));
                }
            }
            "COMMENT" => {
                cursor.option_value()?;
            }
            _ => return Err(SqlError::unexpected(option)),
        }
    }
    let procedure = Procedure {
        schema: schema.clone(),
        name: name.clone(),
        arguments,
        body: cursor.text()?,
        ..Procedure::default()
    };
    Ok(Statement::CreateProcedure { procedure: Box::new(procedure), or_replace })
}

/// The types that are one type to a signature.
pub(super) fn plain(ty: &str) -> String {
    match ty.trim().to_uppercase().as_str() {
        "STRING" | "TEXT" => "VARCHAR".to_owned(),
        "INTEGER" | "INT" => "NUMBER".to_owned(),
        other => other.to_owned(),
    }
}

fn service(cursor: &mut Cursor, name: Vec<String>) -> Result<Service, SqlError> {
    let mut service = Service { name, ..Service::default() };
    if cursor.take(&["IN", "COMPUTE", "POOL"]) {
        service.pool = Some(cursor.name()?);
    }
    if cursor.take(&["FROM"]) {
        let option = cursor.name()?;
        service.file = match option.as_str() {
            "SPECIFICATION_FILE" => Some((cursor.option_value()?, false)),
            "SPECIFICATION_TEMPLATE_FILE" => Some((cursor.option_value()?, true)),
            "SPECIFICATION" | "SPECIFICATION_TEMPLATE" => {
                return Err(SqlError::unsupported(format!("a service FROM {option}: name a file of the app")));
            }
            _ => return Err(SqlError::unexpected(option)),
        };
        if cursor.take(&["USING"]) {
            cursor.expect_symbol(&Token::LParen)?;
            loop {
                let variable = cursor.name()?;
                cursor.expect_symbol(&Token::RArrow)?;
                let value = cursor.text()?;
                let bare = value.chars().all(char::is_alphanumeric) && !value.is_empty();
                if !bare && serde_json::from_str::<serde_json::Value>(&value).is_err() {
                    return Err(SqlError::compilation(format!(
                        "the value of {variable} in USING is neither alphanumeric nor JSON"
                    )));
                }
                service.variables.push((variable, value));
                if !cursor.symbol(&Token::Comma) {
                    break;
                }
            }
            cursor.expect_symbol(&Token::RParen)?;
        }
    }
    for (option, values) in lists(cursor)? {
        match option.as_str() {
            "EXTERNAL_ACCESS_INTEGRATIONS" => service.integrations = values,
            "AUTO_SUSPEND_SECS"
            | "AUTO_RESUME"
            | "MIN_INSTANCES"
            | "MIN_READY_INSTANCES"
            | "MAX_INSTANCES"
            | "LOG_LEVEL"
            | "QUERY_WAREHOUSE"
            | "COMMENT" => service.options.push((option, values.join(","))),
            _ => return Err(SqlError::unexpected(option)),
        }
    }
    Ok(service)
}

/// `NAME = value` and `NAME = (value, …)` up to the end.
fn lists(cursor: &mut Cursor) -> Result<Vec<(String, Vec<String>)>, SqlError> {
    let mut options = Vec::new();
    while !cursor.at_end() {
        if cursor.symbol(&Token::Comma) {
            continue;
        }
        let name = cursor.name()?;
        cursor.symbol(&Token::Eq);
        let values = match cursor.parser.peek_token_ref().token {
            Token::LParen => arguments(cursor)?,
            _ => vec![cursor.option_value()?],
        };
        options.push((name, values));
    }
    Ok(options)
}

fn one<'a>(options: &'a [(String, Vec<String>)], name: &str) -> &'a [String] {
    options.iter().find(|(option, _)| option == name).map_or(&[], |(_, values)| values.as_slice())
}

fn known(options: &[(String, Vec<String>)], names: &[&str]) -> Result<(), SqlError> {
    match options.iter().find(|(option, _)| !names.contains(&option.as_str())) {
        Some((option, _)) => Err(SqlError::unexpected(option)),
        None => Ok(()),
    }
}
