//! What a setting of each kind yields, and how a struct's field takes it.
//!
//! Leaves the TOML to [`super::reading`]; here a value is already checked
//! against its kind, so a conversion fails only if a field's type and the
//! setting's kind were made to differ.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tunnel::attribute::{Policy, RelayName};

use super::filter::Filter;
use super::name::{ObjectName, SchemaName};
use super::name_pattern::NamePattern;
use super::pattern::Pattern;
use super::secret::{Secret, SecretSource};
use super::token::Token;
use super::topics::TopicTemplate;
use super::tunnel::PortRange;

/// A checked value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Left out, and there is no default.
    Absent,
    Text(String),
    Flag(bool),
    Integer(i64),
    /// In bytes.
    Size(u64),
    Duration(Duration),
    Secret(Secret),
    SecretSource(SecretSource),
    Token(Token),
    /// Of a file or a folder.
    File(PathBuf),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
    Counts(BTreeMap<String, i64>),
}

/// A field's type that a setting can yield.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Absent => Some(None),
            present => T::from_value(present).map(Some),
        }
    }
}

/// A count, or a size in bytes.
impl FromValue for usize {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => (*number).try_into().ok(),
            Value::Size(bytes) => (*bytes).try_into().ok(),
            _ => None,
        }
    }
}

/// A map that is left out is an empty one.
impl FromValue for BTreeMap<String, String> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Map(map) => Some(map.clone()),
            Value::Absent => Some(Self::new()),
            _ => None,
        }
    }
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $out:expr;)+) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $out,
                    _ => None,
                }
            }
        })+
    };
}

from_value! {
    String: Value::Text(text) => Some(text.clone());
    bool: Value::Flag(flag) => Some(*flag);
    i32: Value::Integer(number) => (*number).try_into().ok();
    i16: Value::Integer(number) => (*number).try_into().ok();
    Duration: Value::Duration(duration) => Some(*duration);
    Secret: Value::Secret(secret) => Some(secret.clone());
    Token: Value::Token(token) => Some(token.clone());
    SecretSource: Value::SecretSource(source) => Some(source.clone());
    PathBuf: Value::File(path) => Some(path.clone());
    Vec<String>: Value::List(list) => Some(list.clone());
    ObjectName: Value::Text(text) => text.parse().ok();
    SchemaName: Value::Text(text) => text.parse().ok();
    RelayName: Value::Text(text) => text.parse().ok();
    Policy: Value::Text(text) => text.parse().ok();
    SocketAddr: Value::Text(text) => text.parse().ok();
    PortRange: Value::Text(text) => text.parse().ok();
    Filter: Value::Text(text) => Filter::parse(text).ok();
    Vec<Pattern>: Value::List(list) => list.iter().map(|text| text.parse().ok()).collect();
    Vec<(Pattern, usize)>: Value::Counts(counts) => counts
        .iter()
        .map(|(text, count)| Some((text.parse().ok()?, usize::try_from(*count).ok()?)))
        .collect();
    NamePattern: Value::Text(text) => text.parse().ok();
    Vec<NamePattern>: Value::List(list) => list.iter().map(|text| text.parse().ok()).collect();
    TopicTemplate: Value::Text(text) => TopicTemplate::parse(text).ok();
}
