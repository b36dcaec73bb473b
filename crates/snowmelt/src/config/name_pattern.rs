//! `*` patterns of tables' full names.
//!
//! Promises: case is as in Snowflake's names: what stands in quotes means itself, a `*` too; what does not means its
//! upper-case form, and there `*` stands for any characters, none included, in either case. Both may be mixed in one
//! part: `"Orders_"*`. Leaves to the source which tables there are.

use std::fmt;
use std::str::FromStr;

use super::name::{NameError, ObjectName, quote};

/// A pattern of `DATABASE.SCHEMA.NAME`.
#[derive(Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// Of the database's name.
    pub database: Glob,
    /// Of the schema's name.
    pub schema: Glob,
    /// Of the object's own name.
    pub name: Glob,
}

/// A pattern of one identifier, as Snowflake stores it.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(Vec<Piece>);

/// Texts and stars take turns: neighbours of one kind are made one.
#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Any,
}

impl NamePattern {
    /// Whether it stands for `name`.
    pub fn fits(&self, name: &ObjectName) -> bool {
        self.database.fits(&name.database) && self.schema.fits(&name.schema) && self.name.fits(&name.name)
    }

    /// Whether it can stand for one name only.
    pub fn is_a_name(&self) -> bool {
        [&self.database, &self.schema, &self.name].iter().all(|glob| glob.literal().is_some())
    }

    /// Reads a pattern whose leading parts may be left out: those stand for any.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse_tail(text: &str) -> Result<Self, NameError> {
        let mut parts = split(text)?;
        if parts.len() > 3 {
            return Err(count_error(parts.len()));
        }
        while parts.len() < 3 {
            parts.insert(0, Glob(vec![Piece::Any]));
        }
        Self::of(parts)
    }

    fn of(parts: Vec<Glob>) -> Result<Self, NameError> {
        match <[Glob; 3]>::try_from(parts) {
            Ok([database, schema, name]) => Ok(Self { database, schema, name }),
            Err(parts) => Err(count_error(parts.len())),
        }
    }
}

impl Glob {
    /// The one identifier it stands for, if it has no star.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What every identifier it stands for begins with.
    pub fn prefix(&self) -> &str {
        match self.0.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether it stands for `identifier`.
    pub fn fits(&self, identifier: &str) -> bool {
        let (mut rest, mut free) = (identifier, false);
        for (at, piece) in self.0.iter().enumerate() {
            let found = match piece {
                Piece::Any => {
                    free = true;
                    continue;
                }
                Piece::Text(text) if !free => rest.strip_prefix(text.as_str()),
                Piece::Text(text) if at + 1 == self.0.len() => return rest.ends_with(text.as_str()),
                // The first place will do: what comes after it can only have more to choose from.
                Piece::Text(text) => rest.split_once(text.as_str()).map(|(_, after)| after),
            };
            let Some(after) = found else { return false };
            (rest, free) = (after, false);
        }
        free || rest.is_empty()
    }
}

impl FromStr for NamePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::of(split(text)?)
    }
}

/// As it may be written: quotes only where they are needed.
impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.database, self.schema, self.name)
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Any => f.write_str("*")?,
                Piece::Text(text) if text.chars().all(|c| is_bare(c) && !c.is_ascii_lowercase()) => {
                    f.write_str(text)?
                }
                Piece::Text(text) => f.write_str(&quote(text))?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$')
}

fn count_error(found: usize) -> NameError {
    NameError { reason: format!("has {found} of 3 parts (DATABASE.SCHEMA.NAME)") }
}

fn split(text: &str) -> Result<Vec<Glob>, NameError> {
    let error = |reason: String| Err(NameError { reason });
    let mut parts = vec![Glob(Vec::new())];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(part) = parts.last_mut() else { break };
        match c {
            '.' if part.0.is_empty() => return error("a part is empty".to_owned()),
            '.' => parts.push(Glob(Vec::new())),
            '*' if part.0.last() == Some(&Piece::Any) => {}
            '*' => part.0.push(Piece::Any),
            '"' => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        Some('"') if chars.next_if_eq(&'"').is_none() => break,
                        Some(c) => quoted.push(c),
                        None => return error("a quote is not closed".to_owned()),
                    }
                }
                if quoted.is_empty() {
                    return error("a quoted text is empty".to_owned());
                }
                part.push(&quoted);
            }
            c if is_bare(c) => part.push(c.to_ascii_uppercase().encode_utf8(&mut [0; 4])),
            c => return error(format!("{c:?} may not stand in a pattern without quotes")),
        }
    }
    match parts.last() {
        Some(part) if part.0.is_empty() => error("a part is empty".to_owned()),
        _ => Ok(parts),
    }
}

impl Glob {
    fn push(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        text.parse::<NamePattern>().unwrap().name
    }

    #[test]
    fn stars_stand_for_anything_outside_quotes_and_case_is_snowflakes() {
        for (pattern, hits, misses) in [
            ("orders_*", &["ORDERS_", "ORDERS_1", "ORDERS_eu"][..], &["ORDERS", "orders_1", "X_ORDERS_1"][..]),
            ("*_eu", &["_EU", "A_EU", "a_EU_EU"], &["A_eu", "EU", "A_EU_"]),
            ("a*b*c", &["ABC", "AXBXC", "ABBCBC"], &["AB", "AC", "ABCX"]),
            ("a*a", &["AA", "ABA"], &["A"]),
            ("*", &["x", "ANY thing"], &[]),
            ("**", &["x"], &[]),
            (r#""Orders_"*"#, &["Orders_", "Orders_1"], &["ORDERS_1", "orders_1"]),
            (r#"*"Mixed"x"#, &["MixedX", "aMixedX"], &["Mixedx", "MIXEDX"]),
            (r#""a*b""#, &["a*b"], &["aXb", "A*B"]),
            (r#""say ""hi"""*"#, &["say \"hi\" there"], &["say hi"]),
        ] {
            let parsed = glob(&format!("d.s.{pattern}"));
            for name in hits {
                assert!(parsed.fits(name), "{pattern} {name}");
            }
            for name in misses {
                assert!(!parsed.fits(name), "{pattern} {name}");
            }
            assert_eq!(glob(&format!("D.S.{parsed}")), parsed);
        }
    }

    #[test]
    fn parts_are_told_apart() {
        let pattern: NamePattern = r#"shop."Mixed".ORDERS_*"#.parse().unwrap();
        assert_eq!((pattern.database.literal(), pattern.schema.literal()), (Some("SHOP"), Some("Mixed")));
        assert_eq!((pattern.name.literal(), pattern.name.prefix()), (None, "ORDERS_"));
        assert_eq!(pattern.to_string(), r#"SHOP."Mixed".ORDERS_*"#);
        let name = |text: &str| text.parse::<ObjectName>().unwrap();
        assert!(pattern.fits(&name(r#"SHOP."Mixed".ORDERS_1"#)) && !pattern.fits(&name("SHOP.MIXED.ORDERS_1")));
        assert!(NamePattern::parse_tail("*_tmp").unwrap().fits(&name("A.B.C_TMP")));
        assert!(!NamePattern::parse_tail("x.*_tmp").unwrap().fits(&name("A.B.C_TMP")));
        for (text, reason) in [
            ("", "a part is empty"),
            ("a..b", "a part is empty"),
            ("a.b.", "a part is empty"),
            ("a.b", "has 2 of 3 parts (DATABASE.SCHEMA.NAME)"),
            ("a.b.c.*", "has 4 of 3 parts (DATABASE.SCHEMA.NAME)"),
            ("a.b.c-*", "'-' may not stand in a pattern without quotes"),
            ("a.b.c?", "'?' may not stand in a pattern without quotes"),
            ("a.b.\"c", "a quote is not closed"),
            ("a.b.\"\"*", "a quoted text is empty"),
        ] {
            assert_eq!(text.parse::<NamePattern>().unwrap_err().reason, reason, "{text}");
        }
    }

    proptest! {
        /// Against the plainest matcher there is.
        #[test]
        fn globs_fit_as_the_obvious_matcher_says(pattern in "[A-C*]{1,7}", name in "[A-C]{0,9}") {
            fn obvious(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => {
                        obvious(rest, name) || name.split_first().is_some_and(|(_, name)| obvious(pattern, name))
                    }
                    (Some((a, pattern)), Some((b, name))) => a == b && obvious(pattern, name),
                    _ => false,
                }
            }
            prop_assert_eq!(glob(&format!("d.s.{pattern}")).fits(&name), obvious(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn shown_patterns_parse_back(quoted in "[a-zA-Z\". *]{1,8}", bare in "[A-Z_$*]{1,5}") {
            let pattern: NamePattern = format!("D.S.{}{bare}", quote(&quoted)).parse().unwrap();
            prop_assert_eq!(pattern.to_string().parse::<NamePattern>().unwrap(), pattern);
        }
    }
}
