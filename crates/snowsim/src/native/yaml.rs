//! YAML files as JSON values.
//!
//! Promises: one document, whose keys are texts; a repeated key, an anchor or a tag is refused.
//! Leaves to others: what may be in it (`schema`).

use serde_json::{Map, Number, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// Reads a file.
pub(crate) fn read(file: &str, text: &str) -> Result<Value, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| format!("{file}: {error}"))?;
    match documents.as_slice() {
        [one] => value(file, one),
        found => Err(format!("{file}: {} documents instead of one", found.len())),
    }
}

fn value(file: &str, yaml: &Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(value) => Value::Bool(*value),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Real(text) => {
            let number = text.parse().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| format!("{file}: {text} is no number"))?
        }
        Yaml::String(text) => Value::String(text.clone()),
        Yaml::Array(items) => Value::Array(items.iter().map(|item| value(file, item)).collect::<Result<_, _>>()?),
        Yaml::Hash(pairs) => {
            let mut map = Map::new();
            for (key, item) in pairs {
                let key = key.as_str().ok_or_else(|| format!("{file}: a key is no text: {key:?}"))?;
                map.insert(key.to_owned(), value(file, item)?);
            }
            Value::Object(map)
        }
        Yaml::Alias(_) | Yaml::BadValue => return Err(format!("{file}: aliases and bad values are not read")),
    })
}
