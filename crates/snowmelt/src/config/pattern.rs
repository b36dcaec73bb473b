//! Names of columns, or `*` patterns of them.
//!
//! Promises: a name in quotes means itself alone, also where it holds a `*`; without quotes it means its upper-case
//! form, in which `*` stands for any characters, none included. Leaves to the source which columns there are.

use std::fmt;
use std::str::FromStr;

use super::name::{NameError, identifier};

/// One column by its name, or all columns whose names have a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This column, as Snowflake stores its name.
    Name(String),
    /// Upper-case text with at least one `*`.
    Form(String),
}

impl Pattern {
    /// Whether `column`, as Snowflake stores its name, is meant.
    pub fn matches(&self, column: &str) -> bool {
        match self {
            Self::Name(name) => name == column,
            Self::Form(form) => fits(form, column),
        }
    }
}

impl FromStr for Pattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.starts_with('"') || !text.contains('*') {
            return identifier(text).map(Self::Name);
        }
        match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '*'))) {
            Some(c) => Err(NameError { reason: format!("{c:?} may not stand in a pattern without quotes") }),
            None => Ok(Self::Form(text.to_ascii_uppercase())),
        }
    }
}

/// As it would be written: a name in quotes where it needs them.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) if identifier(name).as_ref() == Ok(name) => f.write_str(name),
            Self::Name(name) => f.write_str(&super::name::quote(name)),
            Self::Form(form) => f.write_str(form),
        }
    }
}

/// Each piece between two stars is looked for behind the one before it; the first and the last are held to the ends.
fn fits(form: &str, name: &str) -> bool {
    let Some((first, mut rest)) = form.split_once('*') else { return form == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    while let Some((piece, after)) = rest.split_once('*') {
        match name.split_once(piece) {
            Some((_, left)) => (name, rest) = (left, after),
            None => return false,
        }
    }
    name.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters_and_quotes_for_none() {
        for (pattern, hits, misses) in [
            ("email", &["EMAIL"][..], &["email", "EMAIL2", ""][..]),
            ("pii_*", &["PII_", "PII_NAME"], &["PII", "A_PII_", "pii_x"]),
            ("*_id", &["_ID", "A_ID", "A_ID_ID"], &["A_ID_", "ID"]),
            ("a*b*c", &["ABC", "AXBXC", "ABBC", "ABCBC"], &["AB", "AC", "ABCX", "ACB"]),
            ("*", &["", "anything"], &[]),
            ("a*a", &["AA", "ABA"], &["A"]),
            (r#""Mail*""#, &["Mail*"], &["Mail", "Mailx", "MAIL*"]),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            for name in hits {
                assert!(parsed.matches(name), "{pattern} {name}");
            }
            for name in misses {
                assert!(!parsed.matches(name), "{pattern} {name}");
            }
            assert_eq!(parsed.to_string().parse::<Pattern>().unwrap(), parsed);
        }
        for wrong in ["", "a b", "a.b", "a-*", "\"a", "*'"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }
}
