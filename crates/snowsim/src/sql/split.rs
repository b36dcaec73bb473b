//! Cutting a text into statements at its semicolons.
//!
//! Promises: semicolons inside strings, quoted names, `$$` texts and comments do not cut; pieces of
//! nothing but space and comments vanish; each piece is the text as it was written.
//! Leaves to others: parsing.

use crate::error::SqlError;

/// The statements of a text, in order.
pub(crate) fn split(sql: &str) -> Result<Vec<String>, SqlError> {
    let bytes = sql.as_bytes();
    let mut statements = Vec::new();
    let (mut start, mut at, mut meaningful) = (0, 0, false);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let next = match rest {
            [b'\'', ..] => quoted(bytes, at, b'\'', true)?,
            [b'"', ..] => quoted(bytes, at, b'"', false)?,
            [b'$', b'$', ..] => find(bytes, at + 2, b"$$").ok_or_else(|| unterminated(at))?,
            [b'-', b'-', ..] | [b'/', b'/', ..] => {
                at = find(bytes, at, b"\n").unwrap_or(bytes.len());
                continue;
            }
            [b'/', b'*', ..] => {
                at = find(bytes, at + 2, b"*/").ok_or_else(|| unterminated(at))?;
                continue;
            }
            [b';', ..] => {
                if meaningful {
                    statements.push(sql[start..at].trim().to_owned());
                }
                (start, meaningful) = (at + 1, false);
                at += 1;
                continue;
            }
            _ => at + 1,
        };
        meaningful |= !rest[0].is_ascii_whitespace();
        at = next;
    }
    if meaningful {
        statements.push(sql[start..].trim().to_owned());
    }
    Ok(statements)
}

/// Position after the closing quote.
fn quoted(bytes: &[u8], start: usize, quote: u8, escapes: bool) -> Result<usize, SqlError> {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'\\' && escapes {
            at += 2;
        } else if *byte == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return Ok(at + 1);
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    Err(unterminated(start))
}

/// Position after the next occurrence of a text.
fn find(bytes: &[u8], from: usize, text: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let at = rest.windows(text.len()).position(|window| window == text)?;
    Some(from + at + text.len())
}

fn unterminated(at: usize) -> SqlError {
    SqlError::syntax(format!("parse error near position {at}: text is not terminated"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_semicolons_cut() {
        let sql = "select ';', 'it''s;', 'a\\';'; -- no; \n/* ; */ select \";\"\"x\"; ; select $$;$$ // ;";
        assert_eq!(
            split(sql).unwrap(),
            ["select ';', 'it''s;', 'a\\';'", "-- no; \n/* ; */ select \";\"\"x\"", "select $$;$$ // ;"]
        );
        assert!(split("select 'x").is_err());
        assert!(split(" ; -- nothing").unwrap().is_empty());
    }
}
