//! Which keys a manifest or a service specification may have, and of which form.
//!
//! Promises: a key that is not listed, a missing one and a value of another form are each named with their place.
//! Leaves to others: what values mean together (`manifest`, `service`).

use serde_json::Value;

/// The form of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// A text.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(i64, i64),
    /// A text or a number: quantities of processors.
    Quantity,
    /// `true` or `false`.
    Flag,
    /// A list of one form.
    List(&'static Form),
    /// A map with these keys.
    Map(&'static [Key]),
    /// A map whose keys are names, with values of one form.
    Named(&'static Form),
    /// Anything.
    Any,
}

/// A key of a map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether it may be missing.
    pub(crate) optional: bool,
    /// Its value's form.
    pub(crate) form: Form,
}

/// A key that must be there.
pub(crate) const fn required(name: &'static str, form: Form) -> Key {
    Key { name, optional: false, form }
}

/// A key that may be missing.
pub(crate) const fn optional(name: &'static str, form: Form) -> Key {
    Key { name, optional: true, form }
}

/// All that is wrong with a value.
pub(crate) fn check(at: &str, value: &Value, form: &Form) -> Vec<String> {
    let mut wrong = Vec::new();
    walk(at, value, form, &mut wrong);
    wrong
}

fn walk(at: &str, value: &Value, form: &Form, wrong: &mut Vec<String>) {
    let mut not = |what: &str| wrong.push(format!("{at}: {value} is not {what}"));
    match (form, value) {
        (Form::Any, _) | (Form::Text, Value::String(_)) | (Form::Flag, Value::Bool(_)) => {}
        (Form::Quantity, Value::String(_) | Value::Number(_)) => {}
        (Form::OneOf(known), Value::String(text)) if known.contains(&text.as_str()) => {}
        (Form::OneOf(known), _) => not(&format!("one of {}", known.join(", "))),
        (Form::Number(least, most), _) => match value.as_i64() {
            Some(number) if (*least..=*most).contains(&number) => {}
            _ => not(&format!("a whole number from {least} to {most}")),
        },
        (Form::List(each), Value::Array(items)) => {
            for (number, item) in items.iter().enumerate() {
                walk(&format!("{at}[{number}]"), item, each, wrong);
            }
        }
        (Form::Named(each), Value::Object(map)) => {
            for (name, item) in map {
                walk(&format!("{at}.{name}"), item, each, wrong);
            }
        }
        (Form::Map(keys), Value::Object(map)) => {
            for name in map.keys().filter(|name| keys.iter().all(|key| key.name != name.as_str())) {
                let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                wrong.push(format!("{at}: unknown key '{name}'; known are {}", known.join(", ")));
            }
            for key in *keys {
                match map.get(key.name) {
                    Some(item) => walk(&format!("{at}.{}", key.name), item, &key.form, wrong),
                    None if key.optional => {}
                    None => wrong.push(format!("{at}: the key '{}' is missing", key.name)),
                }
            }
        }
        (Form::Text, _) => not("a text"),
        (Form::Quantity, _) => not("a quantity"),
        (Form::Flag, _) => not("true or false"),
        (Form::List(_), _) => not("a list"),
        (Form::Named(_) | Form::Map(_), _) => not("a map"),
    }
}
