//! Functions of text and binary.
//!
//! Promises: positions and lengths count characters, from 1. Leaves to others: NULLs (`function`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::digest;
use super::{Builtin, count, gives_boolean, gives_first, gives_integer, gives_text, integer_of, text_of};
use crate::error::SqlError;
use crate::types::value::{Value, format_hex, parse_hex};
use crate::types::{MAX_BINARY, SnowType};

fn gives_binary(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Binary { length: MAX_BINARY })
}

fn text(text: impl Into<String>) -> Result<Option<Value>, SqlError> {
    Ok(Some(Value::Text(text.into())))
}

fn size(value: &Option<Value>) -> Result<usize, SqlError> {
    Ok(usize::try_from(integer_of(value)?).unwrap_or(0))
}

pub(super) const FUNCTIONS: &[Builtin] = &[
    Builtin::new("upper", 1, 1, gives_text, |v, _, _| text(text_of(&v[0]).to_uppercase())),
    Builtin::new("lower", 1, 1, gives_text, |v, _, _| text(text_of(&v[0]).to_lowercase())),
    Builtin::new("initcap", 1, 1, gives_text, |v, _, _| {
        let mut start = true;
        let shown: String = text_of(&v[0])
            .chars()
            .map(|c| {
                let changed = if start { c.to_uppercase().to_string() } else { c.to_lowercase().to_string() };
                start = !c.is_alphanumeric();
                changed
            })
            .collect();
        text(shown)
    }),
    Builtin::new("length", 1, 1, gives_integer, |v, _, _| Ok(Some(length(&v[0])))),
    Builtin::new("len", 1, 1, gives_integer, |v, _, _| Ok(Some(length(&v[0])))),
    Builtin::new("char_length", 1, 1, gives_integer, |v, _, _| Ok(Some(length(&v[0])))),
    Builtin::new("octet_length", 1, 1, gives_integer, |v, _, _| {
        Ok(Some(match &v[0] {
            Some(Value::Binary(bytes)) => count(bytes.len()),
            other => count(text_of(other).len()),
        }))
    }),
    Builtin::new("repeat", 2, 2, gives_text, |v, _, _| text(text_of(&v[0]).repeat(size(&v[1])?))),
    Builtin::new("space", 1, 1, gives_text, |v, _, _| text(" ".repeat(size(&v[0])?))),
    Builtin::new("reverse", 1, 1, gives_text, |v, _, _| text(text_of(&v[0]).chars().rev().collect::<String>())),
    Builtin::new("lpad", 2, 3, gives_text, |v, _, _| {
        let (body, pad) = pad(v)?;
        text(pad + &body)
    }),
    Builtin::new("rpad", 2, 3, gives_text, |v, _, _| {
        let (body, pad) = pad(v)?;
        text(body + &pad)
    }),
    Builtin::new("left", 2, 2, gives_text, |v, _, _| {
        text(text_of(&v[0]).chars().take(size(&v[1])?).collect::<String>())
    }),
    Builtin::new("right", 2, 2, gives_text, |v, _, _| {
        let whole = text_of(&v[0]);
        let skip = whole.chars().count().saturating_sub(size(&v[1])?);
        text(whole.chars().skip(skip).collect::<String>())
    }),
    Builtin::new("substr", 2, 3, gives_text, |v, _, _| substring(v)),
    Builtin::new("substring", 2, 3, gives_text, |v, _, _| substring(v)),
    Builtin::new("trim", 1, 2, gives_text, |v, _, _| {
        let set = trimmed(v);
        text(text_of(&v[0]).trim_matches(|c| set.contains(c)))
    }),
    Builtin::new("ltrim", 1, 2, gives_text, |v, _, _| {
        let set = trimmed(v);
        text(text_of(&v[0]).trim_start_matches(|c| set.contains(c)))
    }),
    Builtin::new("rtrim", 1, 2, gives_text, |v, _, _| {
        let set = trimmed(v);
        text(text_of(&v[0]).trim_end_matches(|c| set.contains(c)))
    }),
    Builtin::new("replace", 2, 3, gives_text, |v, _, _| {
        let to = v.get(2).map(text_of).unwrap_or_default();
        let from = text_of(&v[1]);
        text(if from.is_empty() { text_of(&v[0]) } else { text_of(&v[0]).replace(&from, &to) })
    }),
    Builtin::new("split_part", 3, 3, gives_text, |v, _, _| {
        let (whole, mark, at) = (text_of(&v[0]), text_of(&v[1]), integer_of(&v[2])?);
        let parts: Vec<&str> = if mark.is_empty() { vec![&whole] } else { whole.split(&mark).collect() };
        let index = match at {
            0 | 1 => Some(0),
            2.. => usize::try_from(at - 1).ok(),
            _ => usize::try_from(-at).ok().and_then(|back| parts.len().checked_sub(back)),
        };
        text(index.and_then(|index| parts.get(index)).copied().unwrap_or_default())
    }),
    Builtin::new("contains", 2, 2, gives_boolean, |v, _, _| {
        Ok(Some(Value::Bool(text_of(&v[0]).contains(&text_of(&v[1])))))
    }),
    Builtin::new("startswith", 2, 2, gives_boolean, |v, _, _| {
        Ok(Some(Value::Bool(text_of(&v[0]).starts_with(&text_of(&v[1])))))
    }),
    Builtin::new("endswith", 2, 2, gives_boolean, |v, _, _| {
        Ok(Some(Value::Bool(text_of(&v[0]).ends_with(&text_of(&v[1])))))
    }),
    Builtin::new("charindex", 2, 2, gives_integer, |v, _, _| {
        let (what, whole) = (text_of(&v[0]), text_of(&v[1]));
        Ok(Some(count(whole.find(&what).map_or(0, |at| whole[..at].chars().count() + 1))))
    }),
    Builtin::new("ascii", 1, 1, gives_integer, |v, _, _| {
        Ok(Some(Value::Fixed(text_of(&v[0]).chars().next().map_or(0, |c| i128::from(u32::from(c))), 0)))
    }),
    Builtin::new("chr", 1, 1, gives_text, |v, _, _| {
        let code = integer_of(&v[0])?;
        match u32::try_from(code).ok().and_then(char::from_u32) {
            Some(c) => text(c),
            None => Err(SqlError::compilation(format!("Invalid character code {code}"))),
        }
    }),
    Builtin::new("snow$concat", 2, 2, gives_concat, |v, _, _| {
        Ok(Some(match (&v[0], &v[1]) {
            (Some(Value::Binary(a)), Some(Value::Binary(b))) => Value::Binary([a.as_slice(), b].concat()),
            (a, b) => Value::Text(text_of(a) + &text_of(b)),
        }))
    }),
    Builtin::new("to_binary", 1, 2, gives_binary, |v, _, _| {
        let whole = match &v[0] {
            Some(Value::Binary(bytes)) => return Ok(Some(Value::Binary(bytes.clone()))),
            other => text_of(other),
        };
        let format = v.get(1).map_or_else(|| "HEX".to_owned(), |value| text_of(value).to_uppercase());
        let bytes = match format.as_str() {
            "HEX" => parse_hex(&whole),
            "UTF-8" | "UTF8" => Some(whole.clone().into_bytes()),
            "BASE64" => BASE64.decode(&whole).ok(),
            _ => return Err(SqlError::compilation(format!("Bad binary input format '{format}'"))),
        };
        match bytes {
            Some(bytes) => Ok(Some(Value::Binary(bytes))),
            None => Err(SqlError::new(
                "100115",
                "22000",
                format!("The following string is not a legal {format}-encoded value: '{whole}'"),
            )),
        }
    }),
    Builtin::new("hex_encode", 1, 1, gives_text, |v, _, _| {
        text(match &v[0] {
            Some(Value::Binary(bytes)) => format_hex(bytes),
            other => format_hex(text_of(other).as_bytes()),
        })
    }),
    Builtin::new("base64_encode", 1, 1, gives_text, |v, _, _| {
        text(match &v[0] {
            Some(Value::Binary(bytes)) => BASE64.encode(bytes),
            other => BASE64.encode(text_of(other)),
        })
    }),
    Builtin::new("md5", 1, 1, gives_text, |v, _, _| text(md5(&v[0]))),
    Builtin::new("sha2", 1, 2, gives_text, |v, _, _| {
        match v.get(1).map(integer_of).transpose()? {
            None | Some(256) => {}
            Some(bits) => return Err(SqlError::unsupported(format!("SHA2 of {bits} bits; the simulator knows 256"))),
        }
        let digest = match &v[0] {
            Some(Value::Binary(bytes)) => digest::sha256(bytes),
            other => digest::sha256(text_of(other).as_bytes()),
        };
        text(format_hex(&digest).to_lowercase())
    }),
    Builtin::new("md5_hex", 1, 1, gives_text, |v, _, _| text(md5(&v[0]))),
    Builtin::new("hash", 1, usize::MAX, super::random::gives_hash, |v, _, _| {
        Ok(Some(Value::Fixed(i128::from(digest::hash(v)), 0)))
    })
    .sees_null(),
];

fn gives_concat(types: &[SnowType]) -> Result<SnowType, SqlError> {
    match types {
        [SnowType::Binary { .. }, SnowType::Binary { .. }] => gives_first(&[SnowType::Binary { length: MAX_BINARY }]),
        _ => Ok(SnowType::TEXT),
    }
}

fn md5(value: &Option<Value>) -> String {
    let digest = match value {
        Some(Value::Binary(bytes)) => digest::md5(bytes),
        other => digest::md5(text_of(other).as_bytes()),
    };
    format_hex(&digest).to_lowercase()
}

fn length(value: &Option<Value>) -> Value {
    match value {
        Some(Value::Binary(bytes)) => count(bytes.len()),
        other => count(text_of(other).chars().count()),
    }
}

/// The text cut to the wanted length, and what fills it up.
fn pad(v: &[Option<Value>]) -> Result<(String, String), SqlError> {
    let length = size(&v[1])?;
    let body: String = text_of(&v[0]).chars().take(length).collect();
    let fill = v.get(2).map_or_else(|| " ".to_owned(), text_of);
    let missing = length - body.chars().count();
    Ok((body, fill.chars().cycle().take(if fill.is_empty() { 0 } else { missing }).collect()))
}

fn trimmed(v: &[Option<Value>]) -> String {
    v.get(1).map_or_else(|| " ".to_owned(), text_of)
}

fn substring(v: &[Option<Value>]) -> Result<Option<Value>, SqlError> {
    let whole = text_of(&v[0]);
    let start = integer_of(&v[1])?;
    let characters = i64::try_from(whole.chars().count()).unwrap_or(i64::MAX);
    let first = match start {
        1.. => start - 1,
        0 => 0,
        _ => (characters + start).max(0),
    };
    let length = match v.get(2) {
        Some(length) => integer_of(length)?.max(0),
        None => characters,
    };
    let skip = usize::try_from(first).unwrap_or(usize::MAX);
    let take = usize::try_from(length).unwrap_or(usize::MAX);
    text(whole.chars().skip(skip).take(take).collect::<String>())
}
