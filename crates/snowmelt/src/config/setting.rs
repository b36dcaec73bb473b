//! What is known about one setting, and how a TOML value becomes its value.
//!
//! Promises: a refusal says what was found, what is wanted, and shows an
//! example; a secret's text is never repeated. Leaves the list of settings to
//! [`super::settings`], and rules between settings to the structs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::problem::Refusal;
use super::quantity;
use super::rule::Rule;
use super::secret::{SecretSource, open};
use super::token::{Token, TokenCommand};
use super::value::Value;

/// One setting of the file.
#[derive(Debug)]
pub struct Setting {
    /// Its path, such as `kafka.tls.enabled`; `tables[].name` for what each of
    /// `[[tables]]` has.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds when it is left out.
    pub fallback: Fallback,
    /// What it means: whole sentences of Markdown.
    pub doc: &'static str,
    /// A value that is accepted, as TOML.
    pub example: &'static str,
}

/// What holds when a setting is left out.
#[derive(Debug)]
pub enum Fallback {
    /// It may not be left out (of a section that is there).
    Required,
    /// This value, as TOML.
    Value(&'static str),
    /// Nothing, or a value made from others: a phrase that says so.
    Otherwise(&'static str),
}

/// What a setting takes.
#[derive(Debug)]
pub enum Kind {
    /// A string that follows a rule.
    Text(&'static Rule),
    /// One of these words, each with its meaning.
    Choice(&'static [(&'static str, &'static str)]),
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Integer {
        /// Lowest allowed.
        min: i64,
        /// Highest allowed.
        max: i64,
    },
    /// A string such as `"64MiB"`, within these bounds in bytes.
    Size {
        /// Lowest allowed.
        min: u64,
        /// Highest allowed.
        max: u64,
    },
    /// A string such as `"500ms"`, within these bounds.
    Duration {
        /// Lowest allowed.
        min: Duration,
        /// Highest allowed.
        max: Duration,
    },
    /// `{ env = "NAME" }` or `{ file = "path" }`.
    Secret,
    /// A secret, or `{ command = ["program", "argument"] }`, which prints one at each login.
    Token,
    /// The same as a secret, but read when it is needed, and it may be empty or gone by then: a ticket is spent once.
    SpentSecret,
    /// The path of a readable file.
    File,
    /// The path of a folder, which need not be there yet.
    Folder,
    /// An array of at least one string, each of which follows a rule.
    List(&'static Rule),
    /// A table of strings, whose names follow a rule.
    Map(&'static Rule),
    /// A table of whole numbers, at least 1 and at most this, whose names follow a rule.
    Counts(&'static Rule, i64),
}

/// What reading a value may ask of the world.
pub(super) struct World<'a> {
    /// The folder that relative paths start from.
    pub(super) folder: PathBuf,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
}

impl Setting {
    /// The last part of its path.
    pub fn key(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, key)| key)
    }

    /// The part before it: `""` at the top level.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Checks one TOML value and converts it. Every refusal of a list's or a
    /// map's members is returned, each of one value.
    pub(super) fn read(&self, value: &DeValue<'_>, world: &World<'_>) -> Result<Value, Vec<Refusal>> {
        match (&self.kind, value) {
            (Kind::Text(rule), DeValue::String(text)) => {
                rule.apply(text).map(Value::Text).map_err(|refusal| vec![refusal])
            }
            (Kind::Choice(words), DeValue::String(word)) => choose(words, word),
            (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
            (Kind::Integer { min, max }, DeValue::Integer(number)) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) if (*min..=*max).contains(&number) => Ok(Value::Integer(number)),
                    _ => self.refuse(format!("must be between {min} and {max}")),
                }
            }
            (Kind::Size { min, max }, DeValue::String(text)) => match quantity::parse_size(text) {
                Some(size) if (*min..=*max).contains(&size) => Ok(Value::Size(size)),
                Some(_) => self.refuse(format!("must be {}", self.kind.bounds().unwrap_or_default())),
                None => self.refuse(format!("must be a whole number with one of the units {}", quantity::SIZE_UNITS)),
            },
            (Kind::Duration { min, max }, DeValue::String(text)) => match quantity::parse_duration(text) {
                Some(time) if (*min..=*max).contains(&time) => Ok(Value::Duration(time)),
                Some(_) => self.refuse(format!("must be {}", self.kind.bounds().unwrap_or_default())),
                None => {
                    self.refuse(format!("must be a whole number with one of the units {}", quantity::DURATION_UNITS))
                }
            },
            (Kind::Secret, DeValue::Table(table)) => self.read_secret(table, world),
            (Kind::Token, DeValue::Table(table)) if table.contains_key("command") => self.read_command(table, world),
            (Kind::Token, DeValue::Table(table)) => match self.read_secret(table, world)? {
                Value::Secret(secret) => Ok(Value::Token(Token::Secret(secret))),
                other => Ok(other),
            },
            (Kind::SpentSecret, DeValue::Table(table)) => self.secret_source(table, world).map(Value::SecretSource),
            (Kind::Secret | Kind::Token | Kind::SpentSecret, DeValue::String(_)) => Err(vec![Refusal::new(
                "secrets may not stand in this file",
                format!("put it into a file or an environment variable and write {}", self.example()),
            )]),
            (Kind::File, DeValue::String(path)) if !path.is_empty() => {
                let path = world.folder.join(path.as_ref());
                match open(&path) {
                    Ok(_) => Ok(Value::File(path)),
                    Err(error) => Err(vec![Refusal::new(
                        format!("{} cannot be read: {error}", path.display()),
                        "name a file that this user can read",
                    )]),
                }
            }
            (Kind::Folder, DeValue::String(path)) if !path.is_empty() => {
                Ok(Value::File(world.folder.join(path.as_ref())))
            }
            (Kind::File | Kind::Folder, DeValue::String(_)) => self.refuse("is empty".to_owned()),
            (Kind::List(rule), DeValue::Array(items)) => self.read_list(rule, items),
            (Kind::Map(rule), DeValue::Table(table)) => self.read_map(rule, table),
            (Kind::Counts(rule, max), DeValue::Table(table)) => self.read_counts(rule, *max, table),
            (kind, found) => self.refuse(format!("is {}, not {}", article(found), kind.noun())),
        }
    }

    /// The setting as it may be written, for a remedy.
    fn example(&self) -> String {
        match self.kind {
            Kind::Map(_) => format!("[{}] with {}", self.path, self.example),
            _ => format!("{} = {}", self.key(), self.example),
        }
    }

    fn refusal(&self, reason: String) -> Refusal {
        Refusal::new(reason, format!("write it like {}", self.example()))
    }

    fn refuse(&self, reason: String) -> Result<Value, Vec<Refusal>> {
        Err(vec![self.refusal(reason)])
    }

    fn read_secret(&self, table: &DeTable<'_>, world: &World<'_>) -> Result<Value, Vec<Refusal>> {
        self.secret_source(table, world)?.read(world.env).map(Value::Secret).map_err(|error| {
            let text = error.to_string();
            let (reason, remedy) = text.split_once("; ").unwrap_or((text.as_str(), ""));
            vec![Refusal::new(reason, remedy)]
        })
    }

    /// The words are not repeated: an argument may be a secret.
    fn read_command(&self, table: &DeTable<'_>, world: &World<'_>) -> Result<Value, Vec<Refusal>> {
        let refuse = |reason: &str| {
            let remedy = format!("write it like {} = {{ command = [\"program\", \"argument\"] }}", self.key());
            Err(vec![Refusal::new(reason, remedy)])
        };
        if table.len() > 1 {
            return refuse("has something beside command");
        }
        let Some(DeValue::Array(items)) = table.get("command").map(|value| value.get_ref()) else {
            return refuse("has a command that is not an array of strings");
        };
        let words: Option<Vec<String>> = items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(word) => Some(word.to_string()),
                _ => None,
            })
            .collect();
        let command = words.filter(|words| words.first().is_some_and(|program| !program.is_empty()));
        match command.and_then(|words| TokenCommand::new(&words, &world.folder)) {
            Some(command) => Ok(Value::Token(Token::Command(command))),
            None => refuse("has a command that is not a program and its arguments"),
        }
    }

    fn secret_source(&self, table: &DeTable<'_>, world: &World<'_>) -> Result<SecretSource, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut found = None;
        for (key, value) in table {
            let key = key.get_ref().as_ref();
            match (key, value.get_ref()) {
                // Not repeated: what is no name may well be the secret itself.
                ("env", DeValue::String(text)) if !is_variable(text) => {
                    refusals.push(self.refusal("env is not the name of an environment variable".to_owned()))
                }
                ("env" | "file", DeValue::String(text)) if !text.is_empty() => {
                    found = Some((key, text.as_ref()));
                }
                ("env" | "file", _) => {
                    refusals.push(self.refusal(format!("{key} is not a string with a name in it")));
                }
                _ => {
                    let known = if matches!(self.kind, Kind::Token) { "env, file or command" } else { "env or file" };
                    refusals.push(self.refusal(format!("{key} is not known here, only {known}")));
                }
            }
        }
        if table.contains_key("env") && table.contains_key("file") {
            refusals.push(self.refusal("has both env and file".to_owned()));
        } else if table.is_empty() {
            refusals.push(self.refusal("has neither env nor file".to_owned()));
        }
        let Some((key, text)) = found.filter(|_| refusals.is_empty()) else {
            return Err(refusals);
        };
        Ok(match key {
            "env" => SecretSource::Env(text.to_owned()),
            _ => SecretSource::File(world.folder.join(text)),
        })
    }

    fn read_list(&self, rule: &Rule, items: &[toml::Spanned<DeValue<'_>>]) -> Result<Value, Vec<Refusal>> {
        if items.is_empty() {
            return self.refuse("is empty".to_owned());
        }
        let mut list = Vec::new();
        let mut refusals = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let name = format!("item {}", at + 1);
            match item.get_ref() {
                DeValue::String(text) => match rule.apply(text) {
                    Ok(text) => list.push(text),
                    Err(refusal) => refusals.push(Refusal::new(format!("{name} {}", refusal.reason), refusal.remedy)),
                },
                other => refusals.push(self.refusal(format!("{name} is {}, not a string", article(other)))),
            }
        }
        if refusals.is_empty() { Ok(Value::List(list)) } else { Err(refusals) }
    }

    fn read_map(&self, rule: &Rule, table: &DeTable<'_>) -> Result<Value, Vec<Refusal>> {
        let mut map = BTreeMap::new();
        let mut refusals = Vec::new();
        for (key, value) in table {
            let key = key.get_ref().as_ref();
            match (rule.apply(key), value.get_ref()) {
                (Ok(key), DeValue::String(text)) => {
                    map.insert(key, text.clone().into_owned());
                }
                (Err(refusal), _) => {
                    refusals.push(Refusal::new(format!("{key} {}", refusal.reason), refusal.remedy));
                }
                (Ok(_), other) => {
                    refusals.push(self.refusal(format!("{key} is {}, not a string", article(other))));
                }
            }
        }
        if refusals.is_empty() { Ok(Value::Map(map)) } else { Err(refusals) }
    }
}

impl Setting {
    fn read_counts(&self, rule: &Rule, max: i64, table: &DeTable<'_>) -> Result<Value, Vec<Refusal>> {
        let mut counts = BTreeMap::new();
        let mut refusals = Vec::new();
        for (key, value) in table {
            let key = key.get_ref().as_ref();
            let count = match value.get_ref() {
                DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
                _ => None,
            };
            match (rule.apply(key), count) {
                (Ok(key), Some(count)) if (1..=max).contains(&count) => {
                    counts.insert(key, count);
                }
                (Err(refusal), _) => refusals.push(Refusal::new(format!("{key} {}", refusal.reason), refusal.remedy)),
                (Ok(_), _) => refusals.push(self.refusal(format!("{key} is not an integer between 1 and {max}"))),
            }
        }
        if refusals.is_empty() { Ok(Value::Counts(counts)) } else { Err(refusals) }
    }
}

impl Kind {
    fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Choice(_) => "a string",
            Self::Flag => "a boolean",
            Self::Integer { .. } => "an integer",
            Self::Size { .. } => "a size in a string",
            Self::Duration { .. } => "a duration in a string",
            Self::Secret | Self::Token | Self::SpentSecret => "a table that says where the secret is",
            Self::File | Self::Folder => "a string with a path",
            Self::List(_) => "an array of strings",
            Self::Map(_) => "a table of strings",
            Self::Counts(..) => "a table of integers",
        }
    }

    /// "between 1s and 10m", where there are bounds.
    pub(super) fn bounds(&self) -> Option<String> {
        let size = |bytes: &u64| usize::try_from(*bytes).map(quantity::show_size).ok();
        match self {
            Self::Integer { min, max } => Some(format!("between {min} and {max}")),
            Self::Size { min, max } => Some(format!("between {} and {}", size(min)?, size(max)?)),
            Self::Duration { min, max } => {
                Some(format!("between {} and {}", quantity::show_duration(*min), quantity::show_duration(*max)))
            }
            _ => None,
        }
    }
}

fn choose(words: &'static [(&'static str, &'static str)], word: &str) -> Result<Value, Vec<Refusal>> {
    let known = words.iter().map(|(word, _)| *word);
    if known.clone().any(|known| known == word) {
        return Ok(Value::Text(word.to_owned()));
    }
    let list = known.clone().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    let remedy = match nearest(word, known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "choose one of them".to_owned(),
    };
    Err(vec![Refusal::new(format!("\"{word}\" is not one of {list}"), remedy)])
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The type of a TOML value, with its article.
pub(crate) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
