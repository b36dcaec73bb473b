//! Names of Snowflake objects, as written by people and as written into SQL.
//!
//! Promises: an unquoted identifier means its upper-case form, a quoted one
//! means itself, as in Snowflake; [`ObjectName::quoted`] gives back SQL that
//! names exactly that object, whatever characters it has. Leaves existence to
//! the source.

use std::fmt;
use std::str::FromStr;

/// Longest identifier that Snowflake accepts, in characters.
const LONGEST: usize = 255;

/// `DATABASE.SCHEMA`, identifiers resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaName {
    /// The database, as Snowflake stores its name.
    pub database: String,
    /// The schema, as Snowflake stores its name.
    pub schema: String,
}

/// `DATABASE.SCHEMA.NAME` of a table or stream, identifiers resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// The database, as Snowflake stores its name.
    pub database: String,
    /// The schema, as Snowflake stores its name.
    pub schema: String,
    /// The object, as Snowflake stores its name.
    pub name: String,
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NameError {
    /// What is wrong with the text, without the text.
    pub reason: String,
}

impl SchemaName {
    /// SQL for this schema: `"DATABASE"."SCHEMA"`.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.database), quote(&self.schema))
    }

    /// The object called `name` (as Snowflake stores it) in this schema.
    pub fn object(&self, name: impl Into<String>) -> ObjectName {
        ObjectName { database: self.database.clone(), schema: self.schema.clone(), name: name.into() }
    }
}

impl ObjectName {
    /// SQL for this object: `"DATABASE"."SCHEMA"."NAME"`.
    pub fn quoted(&self) -> String {
        format!("{}.{}.{}", quote(&self.database), quote(&self.schema), quote(&self.name))
    }

    /// The schema that holds this object.
    pub fn parent(&self) -> SchemaName {
        SchemaName { database: self.database.clone(), schema: self.schema.clone() }
    }
}

impl FromStr for SchemaName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match <[String; 2]>::try_from(split(text)?) {
            Ok([database, schema]) => Ok(Self { database, schema }),
            Err(parts) => Err(count_error(parts.len(), 2, "DATABASE.SCHEMA")),
        }
    }
}

impl FromStr for ObjectName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match <[String; 3]>::try_from(split(text)?) {
            Ok([database, schema, name]) => Ok(Self { database, schema, name }),
            Err(parts) => Err(count_error(parts.len(), 3, "DATABASE.SCHEMA.NAME")),
        }
    }
}

/// Shown so that parsing it gives the same name: quotes only where needed.
impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", show(&self.database), show(&self.schema))
    }
}

/// Shown so that parsing it gives the same name: quotes only where needed.
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", show(&self.database), show(&self.schema), show(&self.name))
    }
}

/// SQL for one identifier, as Snowflake stores it: quoted, quotes doubled.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// One identifier as a person writes it, resolved to what Snowflake stores.
pub fn identifier(text: &str) -> Result<String, NameError> {
    match <[String; 1]>::try_from(split(text)?) {
        Ok([name]) => Ok(name),
        Err(parts) => Err(count_error(parts.len(), 1, "NAME")),
    }
}

fn show(identifier: &str) -> String {
    let mut chars = identifier.chars();
    let bare = chars.next().is_some_and(|c| c.is_ascii_uppercase() || c == '_')
        && chars.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '$');
    if bare { identifier.to_owned() } else { quote(identifier) }
}

fn split(text: &str) -> Result<Vec<String>, NameError> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted_part(inside)?,
            None => bare_part(rest)?,
        };
        if part.chars().count() > LONGEST {
            return Err(error(format!("an identifier is longer than {LONGEST} characters")));
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(parts),
            None => return Err(error("there is text after a closing quote".to_owned())),
        }
    }
}

/// The part up to its closing quote, and what follows it.
fn quoted_part(inside: &str) -> Result<(String, &str), NameError> {
    let mut part = String::new();
    let mut chars = inside.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            part.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else if part.is_empty() {
            return Err(error("a quoted identifier is empty".to_owned()));
        } else {
            return Ok((part, inside.get(at + 1..).unwrap_or_default()));
        }
    }
    Err(error("a quote is not closed".to_owned()))
}

fn bare_part(rest: &str) -> Result<(String, &str), NameError> {
    let (part, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    let Some(first) = part.chars().next() else {
        return Err(error("an identifier is empty".to_owned()));
    };
    let wrong = if first.is_ascii_alphabetic() || first == '_' {
        part.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$')))
    } else {
        Some(first)
    };
    match wrong {
        None => Ok((part.to_ascii_uppercase(), after)),
        Some(c) => Err(error(format!("{c:?} may not stand there in an unquoted identifier"))),
    }
}

fn count_error(found: usize, wanted: usize, form: &str) -> NameError {
    error(format!("has {found} of {wanted} parts ({form})"))
}

fn error(reason: String) -> NameError {
    NameError { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(database: &str, schema: &str, name: &str) -> ObjectName {
        ObjectName { database: database.into(), schema: schema.into(), name: name.into() }
    }

    #[test]
    fn unquoted_is_upper_case_and_quoted_is_kept() {
        let name: ObjectName = r#"shop."Mixed.Case".t_$1"#.parse().unwrap();
        assert_eq!(name, object("SHOP", "Mixed.Case", "T_$1"));
        assert_eq!(name.quoted(), r#""SHOP"."Mixed.Case"."T_$1""#);
        assert_eq!(name.to_string(), r#"SHOP."Mixed.Case".T_$1"#);
    }

    #[test]
    fn doubled_quotes_are_one_quote() {
        let name: ObjectName = r#"A.B."say ""hi""""#.parse().unwrap();
        assert_eq!(name.name, r#"say "hi""#);
        assert_eq!(name.quoted(), r#""A"."B"."say ""hi""""#);
    }

    #[test]
    fn what_is_not_a_name_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "an identifier is empty"),
            ("A.B", "has 2 of 3 parts (DATABASE.SCHEMA.NAME)"),
            ("A.B.C.D", "has 4 of 3 parts (DATABASE.SCHEMA.NAME)"),
            ("A..C", "an identifier is empty"),
            ("A.B.", "an identifier is empty"),
            ("A.B.1C", "'1' may not stand there in an unquoted identifier"),
            ("A.B.C-D", "'-' may not stand there in an unquoted identifier"),
            ("A.B. C", "' ' may not stand there in an unquoted identifier"),
            (r#"A.B."C"#, "a quote is not closed"),
            (r#"A.B."""#, "a quoted identifier is empty"),
            (r#"A.B."C"D"#, "there is text after a closing quote"),
        ] {
            assert_eq!(text.parse::<ObjectName>().unwrap_err().to_string(), reason, "{text}");
        }
        let long = format!("A.B.{}", "x".repeat(256));
        assert!(long.parse::<ObjectName>().is_err());
    }

    proptest! {
        #[test]
        fn quoted_and_shown_names_parse_back(
            database in "\\PC{1,20}", schema in "[A-Za-z_\".]{1,9}", name in "[A-Z_][A-Z0-9_$]{0,9}"
        ) {
            let object = object(&database, &schema, &name);
            prop_assert_eq!(&object.quoted().parse::<ObjectName>().unwrap(), &object);
            prop_assert_eq!(&object.to_string().parse::<ObjectName>().unwrap(), &object);
            prop_assert_eq!(&object.parent().quoted().parse::<SchemaName>().unwrap(), &object.parent());
        }
    }
}
