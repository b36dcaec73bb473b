//! Statements that only Native Apps have.
//!
//! Promises: a statement that begins like one of these is read here, or refused by the word that was not understood;
//! any other is left alone.
//! Leaves to others: their effects (`session::native`).

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::SqlError;
use crate::native::Procedure;
use crate::sql::Path;
use crate::sql::cursor::Cursor;

mod setup;

/// Where an application's files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// USING @stage.
    Stage(Path, String),
    /// USING VERSION.
    Version(String),
}

/// A statement.
#[derive(Debug, Clone)]
pub(crate) enum Statement {
    CreatePackage { name: String, if_not_exists: bool, options: Vec<(String, String)> },
    DropPackage { name: String, if_exists: bool },
    DescribePackage { name: String },
    AddVersion { package: String, version: String, source: Source },
    CreateApplication { name: String, package: String, source: Source, comment: String },
    Upgrade { name: String, source: Source },
    SetDebugMode { name: String },
    DropApplication { name: String, if_exists: bool },
    DescribeApplication { name: String },
    SetConfiguration { application: String, name: String, value: Option<String> },
    Review { application: String, specification: String, sequence: u64, approve: bool },
    Show { what: &'static str, like: Option<String>, of: Option<String> },
    Call { name: Path, arguments: Vec<String> },
    CreateRepository { name: Path, if_not_exists: bool },
    GrantRepository { privileges: Vec<String>, name: Path, role: String },
    // The rest is for setup scripts and procedures.
    ExecuteFrom { file: String },
    CreateRole { name: String, or_replace: bool },
    GrantRole { role: String, to: String, application: bool },
    Grant(Grant),
    VersionedSchema { name: Path },
    CreateProcedure { procedure: Box<Procedure>, or_replace: bool },
    CreateSecret { name: Path },
    AlterSecret { name: Path },
    CreateRule { name: Path, hosts: Vec<String>, alter: bool },
    CreateIntegration { name: String, rules: Vec<String> },
    CreatePool { name: String },
    CreateService(Box<Service>),
    AlterService(Box<Service>),
    TurnService { name: Path, resume: bool },
    Configuration { name: String, options: Vec<(String, Vec<String>)> },
    Specification { name: String, options: Vec<(String, Vec<String>)> },
}

/// GRANT … TO APPLICATION ROLE, or TO APPLICATION.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) privileges: Vec<String>,
    pub(crate) kind: String,
    pub(crate) name: Path,
    /// Types of a procedure's arguments.
    pub(crate) types: Option<Vec<String>>,
    /// The role, or the application.
    pub(crate) to: String,
    /// Whether to an application rather than to one of its roles.
    pub(crate) application: bool,
}

/// CREATE SERVICE and ALTER SERVICE … FROM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: Path,
    pub(crate) pool: Option<String>,
    /// The specification's file and whether it is a template.
    pub(crate) file: Option<(String, bool)>,
    pub(crate) variables: Vec<(String, String)>,
    /// Names, and `reference('…')` as it stands.
    pub(crate) integrations: Vec<String>,
    pub(crate) options: Vec<(String, String)>,
}

/// The statement at the cursor, if it is one of these.
pub(crate) fn statement(cursor: &mut Cursor) -> Result<Option<Statement>, SqlError> {
    if let Some(shown) = show(cursor)? {
        return Ok(Some(shown));
    }
    if let Some(found) = setup::statement(cursor)? {
        return Ok(Some(found));
    }
    if cursor.take(&["CREATE", "APPLICATION", "PACKAGE"]) {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.name()?;
        return Ok(Some(Statement::CreatePackage { name, if_not_exists, options: cursor.options()? }));
    }
    if cursor.take(&["CREATE", "APPLICATION"]) {
        let name = cursor.name()?;
        cursor.expect(&["FROM", "APPLICATION", "PACKAGE"])?;
        let package = cursor.name()?;
        let source = source(cursor)?;
        let mut comment = String::new();
        for (option, value) in cursor.options()? {
            match option.as_str() {
                "COMMENT" => comment = value,
                _ => return Err(SqlError::unexpected(option)),
            }
        }
        return Ok(Some(Statement::CreateApplication { name, package, source, comment }));
    }
    if cursor.take(&["DROP", "APPLICATION", "PACKAGE"]) {
        let if_exists = cursor.if_exists();
        return Ok(Some(Statement::DropPackage { name: cursor.name()?, if_exists }));
    }
    if cursor.take(&["DROP", "APPLICATION"]) {
        let if_exists = cursor.if_exists();
        let name = cursor.name()?;
        // Its own warehouse, pool and integration go along in any case: nobody else owns them.
        cursor.take(&["CASCADE"]);
        return Ok(Some(Statement::DropApplication { name, if_exists }));
    }
    for words in [["DESCRIBE", "APPLICATION"], ["DESC", "APPLICATION"]] {
        if cursor.take(&words) {
            let package = cursor.take(&["PACKAGE"]);
            let name = cursor.name()?;
            return Ok(Some(match package {
                true => Statement::DescribePackage { name },
                false => Statement::DescribeApplication { name },
            }));
        }
    }
    if cursor.take(&["ALTER", "APPLICATION", "PACKAGE"]) {
        let package = cursor.name()?;
        if cursor.take_any(&["ADD", "REGISTER"]).is_none() {
            return Err(cursor.unexpected());
        }
        cursor.expect(&["VERSION"])?;
        let version = cursor.name()?;
        return Ok(Some(Statement::AddVersion { package, version, source: source(cursor)? }));
    }
    if cursor.take(&["ALTER", "APPLICATION"]) {
        return alter(cursor).map(Some);
    }
    if cursor.take(&["CREATE", "IMAGE", "REPOSITORY"]) {
        let if_not_exists = cursor.if_not_exists();
        return Ok(Some(Statement::CreateRepository { name: cursor.path()?, if_not_exists }));
    }
    if cursor.take(&["CALL"]) {
        let name = cursor.path()?;
        return Ok(Some(Statement::Call { name, arguments: arguments(cursor)? }));
    }
    Ok(None)
}

fn alter(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let name = cursor.name()?;
    if cursor.take(&["UPGRADE"]) {
        return Ok(Statement::Upgrade { name, source: source(cursor)? });
    }
    if cursor.take(&["SET", "DEBUG_MODE"]) {
        cursor.option_value()?;
        return Ok(Statement::SetDebugMode { name });
    }
    if cursor.take(&["SET", "CONFIGURATION"]) {
        let configuration = cursor.name()?;
        cursor.expect(&["VALUE"])?;
        cursor.symbol(&Token::Eq);
        let value = Some(cursor.text()?);
        return Ok(Statement::SetConfiguration { application: name, name: configuration, value });
    }
    if cursor.take(&["UNSET", "CONFIGURATION"]) {
        return Ok(Statement::SetConfiguration { application: name, name: cursor.name()?, value: None });
    }
    if let Some(word) = cursor.take_any(&["APPROVE", "DECLINE"]) {
        cursor.expect(&["SPECIFICATION"])?;
        let specification = cursor.name()?;
        cursor.expect(&["SEQUENCE_NUMBER"])?;
        cursor.symbol(&Token::Eq);
        let sequence = u64::try_from(cursor.integer()?).map_err(|_| cursor.unexpected())?;
        return Ok(Statement::Review { application: name, specification, sequence, approve: word == "APPROVE" });
    }
    Err(cursor.unexpected())
}

fn source(cursor: &mut Cursor) -> Result<Source, SqlError> {
    cursor.expect(&["USING"])?;
    if cursor.take(&["VERSION"]) {
        return Ok(Source::Version(cursor.name()?));
    }
    if cursor.symbol(&Token::AtSign) {
        let stage = cursor.path()?;
        let mut folder = Vec::new();
        while cursor.symbol(&Token::Div) {
            folder.push(cursor.name()?.to_lowercase());
        }
        return Ok(Source::Stage(stage, folder.join("/")));
    }
    let (stage, folder) = crate::native::transfer::location(&cursor.text()?)?;
    Ok(Source::Stage(stage, folder))
}

/// `( argument, … )`, each as it was written.
pub(super) fn arguments(cursor: &mut Cursor) -> Result<Vec<String>, SqlError> {
    cursor.expect_symbol(&Token::LParen)?;
    let (mut found, mut text, mut depth) = (Vec::new(), String::new(), 0_u32);
    loop {
        let token = cursor.parser.next_token().token;
        match (&token, depth) {
            (Token::EOF, _) => return Err(cursor.unexpected()),
            (Token::RParen, 0) => {
                if !text.is_empty() {
                    found.push(text);
                }
                return Ok(found);
            }
            (Token::Comma, 0) => {
                found.push(std::mem::take(&mut text));
                continue;
            }
            (Token::LParen, _) => depth += 1,
            (Token::RParen, _) => depth -= 1,
            _ => {}
        }
        match &token {
            Token::SingleQuotedString(literal) if depth == 0 => text.push_str(literal),
            other => text.push_str(&other.to_string()),
        }
    }
}

fn show(cursor: &mut Cursor) -> Result<Option<Statement>, SqlError> {
    const KINDS: [(&[&str], &[&str]); 10] = [
        (&["SHOW", "APPLICATION", "PACKAGES"], &[]),
        (&["SHOW", "APPLICATIONS"], &[]),
        (&["SHOW", "IMAGE", "REPOSITORIES"], &[]),
        (&["SHOW", "VERSIONS"], &["IN", "APPLICATION", "PACKAGE"]),
        (&["SHOW", "OBJECTS", "OWNED", "BY", "APPLICATION"], &[]),
        (&["SHOW", "TELEMETRY", "EVENT", "DEFINITIONS"], &["IN", "APPLICATION"]),
        (&["SHOW", "CONFIGURATIONS"], &["IN", "APPLICATION"]),
        (&["SHOW", "SPECIFICATIONS"], &["IN", "APPLICATION"]),
        (&["SHOW", "REFERENCES"], &["IN", "APPLICATION"]),
        (&["SHOW", "SERVICES"], &["IN", "APPLICATION"]),
    ];
    let Some((words, place)) = KINDS.iter().find(|(words, _)| cursor.take(words)) else {
        return Ok(None);
    };
    let what = words.last().copied().unwrap_or_default();
    let like = match cursor.take(&["LIKE"]) {
        true => Some(cursor.text()?),
        false => None,
    };
    let of = match (what, place.is_empty()) {
        ("APPLICATION", _) => Some(cursor.name()?),
        ("REPOSITORIES", _) if cursor.take(&["IN"]) => {
            let _ = cursor.take_any(&["SCHEMA", "DATABASE"]);
            Some(cursor.path()?.join("."))
        }
        (_, true) => None,
        (_, false) => {
            cursor.expect(place)?;
            Some(cursor.name()?)
        }
    };
    Ok(Some(Statement::Show { what, like, of }))
}
