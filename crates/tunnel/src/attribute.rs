//! Attributes: what the authority says of a node, and the policies that ask for them.

mod expression;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use expression::{Expression, ExpressionError};

/// The attribute of a node that is a relay. Whoever has it is trusted to join streams, not to read them.
pub const RELAY: &str = "snowmelt-relay";
/// The attribute of the authority itself, which no ticket can give.
pub const AUTHORITY: &str = "snowmelt-authority";

const LONGEST: usize = 64;
/// Attributes that one node can have.
pub const MOST: usize = 32;

/// A name such as `snowflake-kafka-inlet` or `region=eu`: 1 to 64 of the characters `A-Z a-z 0-9 . _ = -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Attribute(String);

/// Why a text is no attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no attribute: 1 to {LONGEST} of the characters A-Z a-z 0-9 . _ = - are; write one such as `snowflake-kafka-inlet`"
)]
pub struct AttributeError {
    text: String,
}

impl Attribute {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Attribute {
    type Err = AttributeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_name_byte);
        if fits { Ok(Self(text.to_owned())) } else { Err(AttributeError { text: shortened(text) }) }
    }
}

impl TryFrom<String> for Attribute {
    type Error = AttributeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Attribute> for String {
    fn from(attribute: Attribute) -> Self {
        attribute.0
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'=' | b'-')
}

/// A stranger's text for a message: never more than a line of it.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The attributes of one node.
pub type Attributes = BTreeSet<Attribute>;

/// The name an outlet registers under at the relay: 1 to 64 of the characters of an [`Attribute`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelayName(String);

/// Why a text is no relay name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no relay name: 1 to {LONGEST} of the characters A-Z a-z 0-9 . _ = - are; write one such as `kafka`"
)]
pub struct RelayNameError {
    text: String,
}

impl RelayName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RelayName {
    type Err = RelayNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<Attribute>() {
            Ok(Attribute(name)) => Ok(Self(name)),
            Err(AttributeError { text }) => Err(RelayNameError { text }),
        }
    }
}

impl TryFrom<String> for RelayName {
    type Error = RelayNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RelayName> for String {
    fn from(name: RelayName) -> Self {
        name.0
    }
}

impl fmt::Display for RelayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom a node lets in: `--allow`. There is no default; a node without a policy does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    expression: Expression,
}

impl Policy {
    /// Whether a node with these attributes is allowed.
    #[must_use]
    pub fn allows(&self, attributes: &Attributes) -> bool {
        self.expression.holds(attributes)
    }
}

impl FromStr for Policy {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { expression: text.parse()? })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_has_few_characters() {
        for text in ["snowflake-kafka-inlet", "region=eu", "a", "1.2_3", &"x".repeat(64)] {
            assert_eq!(text.parse::<Attribute>().unwrap().as_str(), text);
        }
        for text in ["", "a b", "a/b", "é", "a\n", &"x".repeat(65)] {
            let error = text.parse::<Attribute>().unwrap_err().to_string();
            assert!(error.contains("is no attribute"), "{error}");
            assert!(error.len() < 400, "{error}");
        }
    }

    #[test]
    fn a_policy_is_read_once_and_asked_often() {
        let policy: Policy = "snowflake-kafka-inlet and not region=us".parse().unwrap();
        let node = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Attributes>();
        assert!(policy.allows(&node(&["snowflake-kafka-inlet", "region=eu"])));
        assert!(!policy.allows(&node(&["snowflake-kafka-inlet", "region=us"])));
        assert!(!policy.allows(&node(&[])));
    }
}
