//! One pass over the file, against the list of settings.
//!
//! Promises: every setting that the file or its defaults give is checked and
//! kept with its line, every key that is not a setting is a problem, and no
//! problem ends the pass (but text that is not TOML). Structs then take their
//! values from a [`Section`] and may refuse combinations of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems, Refusal};
use super::setting::{Fallback, Setting, World, article};
use super::settings::{Presence, SECTIONS, SETTINGS, SectionInfo};
use super::text::Text;
use super::unknown::{heading, keys_of, unknown};
use super::value::{FromValue, Value};

/// The settings of `[snowflake]` that a connection may give in their place.
const LOGIN: [&str; 10] = [
    "account",
    "url",
    "user",
    "authenticator",
    "password",
    "private_key",
    "private_key_passphrase",
    "token",
    "role",
    "warehouse",
];

/// The file, read.
pub(super) struct Reading {
    origin: String,
    folder: PathBuf,
    /// By path with the table's number filled in: `tables[2].name`.
    slots: BTreeMap<String, Slot>,
    /// Sections that are there or always count as there, by the same paths.
    sections: BTreeMap<String, usize>,
    /// Interior, so that sections can refuse while others are borrowed.
    problems: RefCell<Vec<Problem>>,
}

/// One setting of one section.
struct Slot {
    /// `None` if it was refused.
    value: Option<Value>,
    /// The line it stands on, or that of its section if it is left out.
    line: usize,
    given: bool,
}

/// One section of a [`Reading`].
pub(super) struct Section<'r> {
    reading: &'r Reading,
    path: String,
}

impl Reading {
    pub(super) fn of(text: &str, origin: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let text = Text::new(origin, text);
        let root = text.root()?;
        let folder = Path::new(origin).parent().unwrap_or(Path::new("")).to_owned();
        let mut pass = Pass {
            text: &text,
            world: World { folder: folder.clone(), env },
            reading: Self {
                origin: origin.to_owned(),
                folder,
                slots: BTreeMap::new(),
                sections: BTreeMap::new(),
                problems: RefCell::new(Vec::new()),
            },
        };
        pass.section("", "", Some(root.get_ref()), 1);
        Ok(pass.reading)
    }

    /// Puts a connection in the place of everything that says how to log in.
    pub(super) fn log_in_through(&mut self, connection: &str) {
        for (path, slot) in &mut self.slots {
            let Some(key) = path.strip_prefix("snowflake.") else { continue };
            if key == "connection" {
                slot.value = Some(Value::Text(connection.to_owned()));
            } else if LOGIN.contains(&key) {
                (slot.value, slot.given) = (Some(Value::Absent), false);
            }
        }
    }

    /// The top level.
    pub(super) fn root(&self) -> Section<'_> {
        self.section("")
    }

    /// The section at `path`.
    pub(super) fn section(&self, path: &str) -> Section<'_> {
        Section { reading: self, path: path.to_owned() }
    }

    /// Every table of the array at `path`, in the file's order.
    pub(super) fn each(&self, path: &str) -> Vec<Section<'_>> {
        (1..).map(|number| self.section(&format!("{path}[{number}]"))).take_while(Section::present).collect()
    }

    /// Every setting that the file gives, with its line.
    #[cfg(test)]
    pub(super) fn given_lines(&self) -> Vec<(&str, usize)> {
        let given = self.slots.iter().filter(|(_, slot)| slot.given);
        given.map(|(path, slot)| (path.as_str(), slot.line)).collect()
    }

    /// The configuration, if nothing was refused.
    pub(super) fn finish<T>(self, built: Option<T>) -> Result<T, Problems> {
        let problems = self.problems.into_inner();
        match built {
            Some(config) if problems.is_empty() => Ok(config),
            None if problems.is_empty() => Err(Problems::of_file(
                &self.origin,
                "a setting is read that is not in the list of settings",
                "report this fault of snowmelt",
            )),
            _ => Err(Problems::sorted(problems)),
        }
    }

    fn refuse(&self, line: usize, setting: String, refusal: Refusal) {
        self.problems.borrow_mut().push(Problem {
            origin: self.origin.clone(),
            line: Some(line),
            setting: Some(setting),
            reason: refusal.reason,
            remedy: refusal.remedy,
        });
    }
}

impl<'r> Section<'r> {
    /// A setting's value; `None` if it was refused, and then it is reported.
    pub(super) fn get<T: FromValue>(&self, key: &str) -> Option<T> {
        let slot = self.reading.slots.get(&join(&self.path, key))?;
        slot.value.as_ref().and_then(T::from_value)
    }

    /// Whether the file has this key here, refused or not.
    pub(super) fn given(&self, key: &str) -> bool {
        self.reading.slots.get(&join(&self.path, key)).is_some_and(|slot| slot.given)
    }

    /// Whether this section counts: it is in the file, or need not be.
    pub(super) fn present(&self) -> bool {
        self.reading.sections.contains_key(&self.path)
    }

    /// The folder that relative paths start from.
    pub(super) fn folder(&self) -> &'r Path {
        &self.reading.folder
    }

    pub(super) fn child(&self, key: &str) -> Section<'r> {
        self.reading.section(&join(&self.path, key))
    }

    /// The key's line, or its section's.
    pub(super) fn line(&self, key: &str) -> usize {
        let slot = self.reading.slots.get(&join(&self.path, key)).map(|slot| slot.line);
        slot.or_else(|| self.reading.sections.get(&self.path).copied()).unwrap_or(1)
    }

    /// Reports a value that its kind allows and another setting does not.
    pub(super) fn refuse(&self, key: &str, reason: String, remedy: String) {
        self.reading.refuse(self.line(key), join(&self.path, key), Refusal { reason, remedy });
    }
}

/// The pass itself: what only it needs.
struct Pass<'a> {
    text: &'a Text,
    world: World<'a>,
    reading: Reading,
}

impl Pass<'_> {
    /// Reads one section: `pattern` is its path in [`SECTIONS`], `path` the same
    /// with the table's number.
    fn section(&mut self, pattern: &str, path: &str, table: Option<&DeTable<'_>>, line: usize) {
        self.reading.sections.insert(path.to_owned(), line);
        for setting in SETTINGS.iter().filter(|setting| setting.section() == pattern) {
            self.setting(setting, path, table, line);
        }
        for info in SECTIONS.iter().filter(|info| info.parent() == pattern) {
            self.child(info, path, table, line);
        }
        for (key, value) in table.into_iter().flatten() {
            if !keys_of(pattern).any(|known| known == key.get_ref().as_ref()) {
                let line = self.line(&key.span());
                let path = join(path, key.get_ref());
                self.reading.refuse(line, path, unknown(pattern, key.get_ref(), value.get_ref()));
            }
        }
    }

    fn setting(&mut self, setting: &Setting, path: &str, table: Option<&DeTable<'_>>, line: usize) {
        let path = join(path, setting.key());
        let found = table.and_then(|table| table.get_key_value(setting.key()));
        let (result, line) = match (found, &setting.fallback) {
            (Some((key, value)), _) => (setting.read(value.get_ref(), &self.world), self.line(&key.span())),
            (None, Fallback::Otherwise(_)) => (Ok(Value::Absent), line),
            (None, Fallback::Value(text)) => (default_of(setting, text, &self.world), line),
            (None, Fallback::Required) => {
                let remedy = format!("add {} = {}", setting.key(), setting.example);
                (Err(vec![Refusal::new("is missing", remedy)]), line)
            }
        };
        let value = match result {
            Ok(value) => Some(value),
            Err(refusals) => {
                for refusal in refusals {
                    self.reading.refuse(line, path.clone(), refusal);
                }
                None
            }
        };
        self.reading.slots.insert(path, Slot { value, line, given: found.is_some() });
    }

    fn child(&mut self, info: &SectionInfo, path: &str, table: Option<&DeTable<'_>>, line: usize) {
        let path = join(path, info.key());
        let found = table.and_then(|table| table.get_key_value(info.key()));
        match (found, info.presence) {
            (Some((key, value)), Presence::Repeated) => {
                let line = self.line(&key.span());
                self.repeated(info, &path, value, line);
            }
            (Some((key, value)), Presence::Always | Presence::IfGiven) => {
                let line = self.line(&key.span());
                let table = self.table(info, &path, value, line);
                // What is not a table says nothing about its settings, and
                // those that are missing are not the problem.
                if table.is_some() {
                    self.section(info.path, &path, table, line);
                }
            }
            (None, Presence::Always) => self.section(info.path, &path, None, line),
            (None, Presence::IfGiven) => {}
            (None, Presence::Repeated) => self.none(path, line),
        }
    }

    fn repeated(&mut self, info: &SectionInfo, path: &str, value: &Spanned<DeValue<'_>>, line: usize) {
        let DeValue::Array(items) = value.get_ref() else {
            let refusal = Refusal::new(
                format!("is {}, not an array of tables", article(value.get_ref())),
                format!("write [[{path}]] above each"),
            );
            return self.reading.refuse(line, path.to_owned(), refusal);
        };
        if items.is_empty() {
            return self.none(path.to_owned(), line);
        }
        for (at, item) in items.iter().enumerate() {
            let path = format!("{path}[{}]", at + 1);
            let line = self.line(&item.span());
            let table = self.table(info, &path, item, line);
            // Kept present, so that those after it are still read.
            self.reading.sections.insert(path.clone(), line);
            if table.is_some() {
                self.section(info.path, &path, table, line);
            }
        }
    }

    fn none(&mut self, path: String, line: usize) {
        let remedy = format!("add at least one section [[{path}]]");
        self.reading.refuse(line, path, Refusal::new("there are none", remedy));
    }

    fn table<'v, 'i>(
        &mut self,
        info: &SectionInfo,
        path: &str,
        value: &'v Spanned<DeValue<'i>>,
        line: usize,
    ) -> Option<&'v DeTable<'i>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        let refusal = Refusal::new(
            format!("is {}, not a section", article(value.get_ref())),
            format!("write its settings below {}", heading(info.path)),
        );
        self.reading.refuse(line, path.to_owned(), refusal);
        None
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.line(span)
    }
}

/// A default is TOML, so that what the reference shows is what is read.
fn default_of(setting: &Setting, text: &str, world: &World<'_>) -> Result<Value, Vec<Refusal>> {
    match DeValue::parse(text) {
        Ok(value) => setting.read(value.get_ref(), world),
        Err(error) => Err(vec![Refusal::new(
            format!("has a default that is not TOML: {}", error.message()),
            "report this fault of snowmelt",
        )]),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
