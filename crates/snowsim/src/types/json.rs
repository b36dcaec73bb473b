//! JSON as VARIANT holds it: numbers keep their digits, objects are sorted by key.
//!
//! Promises: parsing then writing loses no digit and tells JSON null from SQL NULL; nesting is
//! bounded, so hostile text cannot exhaust the stack.
//! Leaves to others: conversion to and from typed values (`convert`).

use std::fmt::Write as _;

/// How deep arrays and objects may nest.
const MAX_DEPTH: usize = 256;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`, which is a value and not an absent one.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number's text.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, sorted by key.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one JSON value; `Err` says what was wrong and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { bytes: text.as_bytes(), text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        if reader.at < reader.bytes.len() {
            return Err(format!("unexpected text at position {}", reader.at));
        }
        Ok(value)
    }

    /// An object of the given members; of equal keys the last wins.
    #[must_use]
    pub fn object(members: Vec<(String, Self)>) -> Self {
        let mut sorted: Vec<(String, Self)> = Vec::with_capacity(members.len());
        for (key, value) in members {
            match sorted.binary_search_by(|(other, _)| other.as_str().cmp(&key)) {
                Ok(at) => {
                    if let Some(member) = sorted.get_mut(at) {
                        member.1 = value;
                    }
                }
                Err(at) => sorted.insert(at, (key, value)),
            }
        }
        Self::Object(sorted)
    }

    /// The value under a key of an object, or at an index of an array.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Self::Array(items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// Compact text.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => write_text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        out.write_str(&text)
    }
}

/// Writes a JSON string with its quotes.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.space();
        match self.bytes.get(self.at) {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
                    if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(format!("unexpected text at position {}", self.at))
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(b']') {
                return Ok(Json::Array(items));
            }
            if !self.take(b',') {
                return Err(format!("missing comma at position {}", self.at));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut members = Vec::new();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err(format!("missing key at position {}", self.at));
            }
            let key = self.string()?;
            if !self.take(b':') {
                return Err(format!("missing colon at position {}", self.at));
            }
            members.push((key, self.value(depth + 1)?));
            if self.take(b'}') {
                return Ok(Json::object(members));
            }
            if !self.take(b',') {
                return Err(format!("missing comma at position {}", self.at));
            }
        }
    }

    fn number(&mut self) -> Result<Json, String> {
        let start = self.at;
        while matches!(self.bytes.get(self.at), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let digits = self.text.get(start..self.at).unwrap_or_default();
        if digits.parse::<f64>().is_err() {
            return Err(format!("malformed number at position {start}"));
        }
        Ok(Json::Number(digits.to_owned()))
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                None => return Err(format!("unterminated string at position {start}")),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).ok_or_else(|| format!("malformed string at position {start}"))?;
        if escaped || quoted.bytes().any(|byte| byte < 0x20) {
            // Raw control characters are tolerated by Snowflake and not by JSON: escape them first.
            let clean: String = quoted
                .chars()
                .map(|c| match c {
                    c if u32::from(c) < 0x20 => format!("\\u{:04x}", u32::from(c)),
                    c => c.to_string(),
                })
                .collect();
            return serde_json::from_str(&clean)
                .map_err(|error| format!("malformed string at position {start}: {error}"));
        }
        Ok(quoted[1..quoted.len() - 1].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_nulls_and_escapes_survive() {
        let text = r#"{"b":[1,null,{"z":99999999999999999999999999999999999999.5}],"a":"é\n\"x\\"}"#;
        assert_eq!(
            Json::parse(text).unwrap().to_string(),
            r#"{"a":"é\n\"x\\","b":[1,null,{"z":99999999999999999999999999999999999999.5}]}"#
        );
        assert_eq!(Json::parse(" null ").unwrap(), Json::Null);
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in ["", "{", "[1,]", "{\"a\" 1}", "\"x", "1 2", "nul", "--1", "\"\\"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
        assert!(Json::parse(&"[".repeat(10_000)).is_err());
    }
}
