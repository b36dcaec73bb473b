//! What a statement can fail with, in Snowflake's own numbers.
//!
//! Promises: every error carries the six-digit code, the SQL state and a message that names the
//! thing, as the drivers expect them (codes: facts of the driver protocol, section 7).
//! Leaves to others: HTTP and login errors (the server's).

use datafusion::error::DataFusionError;

/// A statement's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// Six digits, as in `001003`.
    pub code: String,
    /// Five characters, as in `42000`.
    pub sql_state: String,
    /// What went wrong, naming the thing.
    pub message: String,
}

impl SqlError {
    /// An error with a code, a SQL state and a message.
    #[must_use]
    pub fn new(code: &str, sql_state: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), sql_state: sql_state.to_owned(), message: message.into() }
    }

    /// 001003: text that is no statement the simulator knows.
    #[must_use]
    pub fn syntax(detail: impl std::fmt::Display) -> Self {
        Self::new("001003", "42000", format!("SQL compilation error:\nsyntax error {detail}."))
    }

    /// 001003, naming the unexpected word.
    #[must_use]
    pub fn unexpected(word: impl std::fmt::Display) -> Self {
        Self::syntax(format!("line 1 at position 0 unexpected '{word}'"))
    }

    /// 001003: known to Snowflake, not to the simulator.
    #[must_use]
    pub fn unsupported(feature: impl std::fmt::Display) -> Self {
        Self::new("001003", "0A000", format!("Unsupported feature '{feature}' (the simulator does not know it)."))
    }

    /// 002003: an object that is missing, or that the role may not see.
    #[must_use]
    pub fn missing(kind: &str, name: impl std::fmt::Display) -> Self {
        let state = if kind == "Object" { "42S02" } else { "02000" };
        Self::new("002003", state, format!("SQL compilation error:\n{kind} '{name}' does not exist or not authorized."))
    }

    /// 002043: what USE and the IN of a SHOW say of a container that is missing, or that the role may not use.
    #[must_use]
    pub fn unusable() -> Self {
        Self::new("002043", "02000", "SQL compilation error:\nObject does not exist, or operation cannot be performed.")
    }

    /// 002002: a name that is taken.
    #[must_use]
    pub fn exists(name: impl std::fmt::Display) -> Self {
        Self::new("002002", "42710", format!("SQL compilation error:\nObject '{name}' already exists."))
    }

    /// 002140: a function nobody defined.
    #[must_use]
    pub fn unknown_function(name: impl std::fmt::Display) -> Self {
        Self::new("002140", "42601", format!("SQL compilation error:\nUnknown function {name}"))
    }

    /// 003001: a visible object on which the role lacks a privilege.
    #[must_use]
    pub fn denied(kind: &str, name: impl std::fmt::Display) -> Self {
        Self::new(
            "003001",
            "42501",
            format!(
                "SQL access control error:\nInsufficient privileges to operate on {} '{name}'",
                kind.to_lowercase()
            ),
        )
    }

    /// 000904: a column nobody has.
    #[must_use]
    pub fn invalid_identifier(name: impl std::fmt::Display) -> Self {
        Self::new("000904", "42000", format!("SQL compilation error:\ninvalid identifier '{name}'"))
    }

    /// 001044 and its kin: an expression that does not compile.
    #[must_use]
    pub fn compilation(detail: impl std::fmt::Display) -> Self {
        Self::new("001007", "22023", format!("SQL compilation error:\n{detail}"))
    }

    /// 100038: a text that is no value of the type asked for.
    #[must_use]
    pub fn bad_value(kind: &str, value: impl std::fmt::Display) -> Self {
        let (code, state) = match kind {
            "Numeric" => ("100038", "22018"),
            "Boolean" => ("100037", "22018"),
            "Date" => ("100040", "22007"),
            "Timestamp" => ("100035", "22007"),
            "Time" => ("100108", "22007"),
            _ => ("100069", "22P02"),
        };
        let shown: String = value.to_string().chars().take(80).collect();
        Self::new(code, state, format!("{kind} value '{shown}' is not recognized"))
    }

    /// 300005: the simulator itself broke (disk, a bug); never the statement's fault.
    #[must_use]
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        Self::new("300005", "XX000", format!("Internal error: {detail}"))
    }
}

impl From<std::io::Error> for SqlError {
    fn from(error: std::io::Error) -> Self {
        Self::internal(format!("storage: {error}"))
    }
}

impl From<arrow_schema::ArrowError> for SqlError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::from(DataFusionError::from(error))
    }
}

/// Carries a `SqlError` through the query engine's own error type.
impl From<SqlError> for DataFusionError {
    fn from(error: SqlError) -> Self {
        Self::External(Box::new(error))
    }
}

/// Finds a `SqlError` inside the engine's error, or maps the engine's kind to the nearest code.
impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        if let Some(own) = find_own(&error) {
            return own;
        }
        let text = error.strip_backtrace();
        match error.find_root() {
            DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
                datafusion::common::SchemaError::FieldNotFound { field, .. } => Self::invalid_identifier(&field.name),
                datafusion::common::SchemaError::AmbiguousReference { field } => Self::new(
                    "001052",
                    "42601",
                    format!("SQL compilation error:\nambiguous column name '{}'", field.name),
                ),
                other => Self::compilation(other),
            },
            DataFusionError::NotImplemented(what) => Self::unsupported(what),
            DataFusionError::SQL(parse, _) => Self::syntax(parse),
            DataFusionError::ArrowError(arrow, _) => from_arrow(arrow),
            DataFusionError::ResourcesExhausted(_) => Self::new("000709", "57014", text),
            DataFusionError::Plan(_) | DataFusionError::Execution(_) => Self::compilation(text),
            _ => Self::internal(text),
        }
    }
}

fn from_arrow(error: &arrow_schema::ArrowError) -> SqlError {
    use arrow_schema::ArrowError;
    match error {
        ArrowError::DivideByZero => SqlError::new("100051", "22012", "Division by zero"),
        ArrowError::ArithmeticOverflow(_) => {
            SqlError::new("100039", "22003", format!("Numeric value is out of range: {error}"))
        }
        other => SqlError::compilation(other),
    }
}

fn find_own(error: &DataFusionError) -> Option<SqlError> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = at {
        if let Some(own) = inner.downcast_ref::<SqlError>() {
            return Some(own.clone());
        }
        at = match inner.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(boxed)) => Some(boxed.as_ref()),
            Some(DataFusionError::Shared(shared)) => Some(shared.as_ref()),
            _ => inner.source(),
        };
    }
    None
}
