//! `a and (b or not c)`: the language of policies.
//!
//! ```text
//! or   = and { "or" and }
//! and  = not { "and" not }
//! not  = "not" not | "(" or ")" | attribute
//! ```

use std::fmt;
use std::str::FromStr;

use super::{Attribute, AttributeError, Attributes, is_name_byte};

/// Longest text that is read; with it every expression's depth is bounded too.
const LONGEST: usize = 1024;
/// Deepest nesting, so that reading never exhausts the stack.
const DEEPEST: usize = 32;

/// A policy's expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// The node has the attribute.
    Has(Attribute),
    /// The other one does not hold.
    Not(Box<Expression>),
    /// Both hold.
    And(Box<Expression>, Box<Expression>),
    /// One holds, or both.
    Or(Box<Expression>, Box<Expression>),
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// A word that can be no attribute.
    #[error("in the policy: {0}")]
    Attribute(#[from] AttributeError),
    /// Something else was needed.
    #[error("the policy {text:?} ends too early: an attribute, `not` or `(` is missing at its end")]
    Ends {
        /// The whole policy.
        text: String,
    },
    /// A character or word that cannot stand there.
    #[error(
        "the policy has {found:?} at character {at} where {needed} is needed; write it such as `a and (b or not c)`"
    )]
    Unexpected {
        /// What stands there.
        found: String,
        /// Its place, counted from 1.
        at: usize,
        /// What could.
        needed: &'static str,
    },
    /// Longer or deeper than is read.
    #[error("the policy is too large: at most {LONGEST} characters and {DEEPEST} levels are read")]
    TooLarge,
}

impl Expression {
    /// Whether a node with these attributes fits.
    #[must_use]
    pub fn holds(&self, attributes: &Attributes) -> bool {
        match self {
            Self::Has(attribute) => attributes.contains(attribute),
            Self::Not(inner) => !inner.holds(attributes),
            Self::And(left, right) => left.holds(attributes) && right.holds(attributes),
            Self::Or(left, right) => left.holds(attributes) || right.holds(attributes),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Has(attribute) => attribute.fmt(f),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::And(left, right) => write!(f, "({left} and {right})"),
            Self::Or(left, right) => write!(f, "({left} or {right})"),
        }
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LONGEST {
            return Err(ExpressionError::TooLarge);
        }
        let mut reader = Reader { text, at: 0, depth: 0 };
        let expression = reader.or()?;
        match reader.peek() {
            None => Ok(expression),
            Some(found) => Err(reader.unexpected(found, "`and`, `or` or the end")),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    /// The next word or character.
    fn peek(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let word = rest.bytes().take_while(|byte| is_name_byte(*byte)).count();
        let end = if word > 0 { word } else { rest.chars().next()?.len_utf8() };
        rest.get(..end)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len();
        }
        found
    }

    fn unexpected(&self, found: &str, needed: &'static str) -> ExpressionError {
        let at = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        ExpressionError::Unexpected { found: super::shortened(found), at, needed }
    }

    fn or(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.and()?;
        while self.take("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.not()?;
        while self.take("and") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression, ExpressionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(ExpressionError::TooLarge);
        }
        let found = self.peek().ok_or_else(|| ExpressionError::Ends { text: self.text.to_owned() })?;
        let expression = if self.take("not") {
            Expression::Not(Box::new(self.not()?))
        } else if self.take("(") {
            let inner = self.or()?;
            if !self.take(")") {
                return Err(match self.peek() {
                    Some(found) => self.unexpected(found, "`and`, `or` or `)`"),
                    None => ExpressionError::Unexpected {
                        found: String::new(),
                        at: self.text.chars().count() + 1,
                        needed: "`)`",
                    },
                });
            }
            inner
        } else if found == "and" || found == "or" || !found.bytes().all(is_name_byte) {
            return Err(self.unexpected(found, "an attribute, `not` or `(`"));
        } else {
            self.at += found.len();
            Expression::Has(found.parse()?)
        };
        self.depth -= 1;
        Ok(expression)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expressions() -> impl Strategy<Value = Expression> {
        let has = "[a-d]{1,2}(=[0-9])?".prop_map(|name| Expression::Has(name.parse().unwrap()));
        has.prop_recursive(4, 24, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|inner| Expression::Not(Box::new(inner))),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| Expression::And(Box::new(a), Box::new(b))),
                (inner.clone(), inner).prop_map(|(a, b)| Expression::Or(Box::new(a), Box::new(b))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(expression in expressions()) {
            prop_assert_eq!(expression.to_string().parse::<Expression>().unwrap(), expression);
        }

        #[test]
        fn any_text_is_answered(text in "[a-c()!é \\nandort]{0,60}") {
            let _ = text.parse::<Expression>();
        }
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tightest() {
        let read = |text: &str| text.parse::<Expression>().unwrap().to_string();
        assert_eq!(read("a or b and not c"), "(a or (b and not c))");
        assert_eq!(read("(a or b)and c"), "((a or b) and c)");
        assert_eq!(read("not not a"), "not not a");
    }

    #[test]
    fn mistakes_are_placed() {
        let error = |text: &str| text.parse::<Expression>().unwrap_err().to_string();
        assert!(error("").contains("ends too early"), "{}", error(""));
        assert!(error("a and").contains("ends too early"));
        assert!(error("a b").contains("\"b\" at character 3"), "{}", error("a b"));
        assert!(error("(a").contains("`)`"), "{}", error("(a"));
        assert!(error("é or & b").contains("at character 1"), "{}", error("é or & b"));
        assert!(error(&"(".repeat(100)).contains("too large"));
        assert!(error(&"a or ".repeat(1000)).contains("too large"));
    }
}
