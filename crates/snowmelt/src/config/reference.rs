//! `docs/configuration.md`, rendered from the list of settings.
//!
//! Promises: the page names every setting, and nothing that is not one. A test
//! compares the committed page with this text.

use std::fmt::Write as _;

use super::setting::{Fallback, Kind, Setting};
use super::settings::{Presence, SECTIONS, SETTINGS};

const INTRODUCTION: &str = "\
<!-- Made from the list of settings in crates/snowmelt/src/config/settings.rs; change it there. -->

# Configuration

A publisher reads one TOML file: `snowmelt run --config snowmelt.toml`. A complete one with remarks is
[examples/snowmelt.toml](examples/snowmelt.toml).

- **Strict and all at once.** A key that is not on this page, a wrong type, a value out of bounds, a missing file: each
  is a problem with its line, its reason and a remedy, and all of them are reported together. Nothing runs until there are none.
- **Secrets** do not stand in the file. They are given as `{ env = \"NAME\" }`, an environment variable, or
  `{ file = \"path\" }`, a file whose trailing line ends are ignored. They are never printed.
- **The environment** is read for secrets, and where the file asks for it: by `snowflake.connection`, and by the
  authenticator `container_service`. No other setting can be overridden by it, so that the file says what runs.
- **Paths** that are relative start from the folder of the configuration file.
- **Sizes** are strings with a unit: `B`, `kB`, `MB`, `GB` (powers of 1000) or `KiB`, `MiB`, `GiB` (powers of 1024).
- **Durations** are strings with a unit: `ms`, `s`, `m` or `h`.
- **Names of Snowflake objects** are read as Snowflake reads them: `shop.public.orders` means `SHOP.PUBLIC.ORDERS`, and
  `'SHOP.PUBLIC.\"Orders\"'` keeps its capitals. In messages, tables are counted from 1.
";

/// The text of `docs/configuration.md`.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## Top level\n");
    settings_of(&mut page, "");
    for info in SECTIONS {
        let heading = match (info.presence, info.path.strip_suffix("[]")) {
            (Presence::Repeated, Some(array)) => format!("[[{array}]]"),
            _ => super::unknown::heading(info.path),
        };
        page.push_str("\n## `");
        page.push_str(&heading);
        page.push_str("`\n\n");
        page.push_str(info.doc);
        page.push('\n');
        settings_of(&mut page, info.path);
    }
    page
}

fn settings_of(page: &mut String, section: &str) {
    for setting in SETTINGS.iter().filter(|setting| setting.section() == section) {
        // Writing to a string cannot fail.
        let _ = write!(page, "{}", Entry(setting));
    }
}

/// One setting's part of the page.
struct Entry(&'static Setting);

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let setting = self.0;
        writeln!(f, "\n### `{}`\n\n{}\n", setting.key(), setting.doc)?;
        if let Kind::Choice(words) = setting.kind {
            for (word, meaning) in words {
                writeln!(f, "- `\"{word}\"`: {meaning}")?;
            }
            writeln!(f)?;
        }
        write!(f, "{}. ", takes(&setting.kind))?;
        match setting.fallback {
            Fallback::Required => write!(f, "**Required.**")?,
            Fallback::Value(text) => write!(f, "Default: `{text}`.")?,
            Fallback::Otherwise(phrase) => write!(f, "Default: {phrase}.")?,
        }
        writeln!(f, " Example: `{} = {}`", setting.key(), setting.example)
    }
}

fn takes(kind: &Kind) -> String {
    let bounded = |noun: &str| match kind.bounds() {
        Some(bounds) => format!("{noun} {bounds}"),
        None => noun.to_owned(),
    };
    match kind {
        Kind::Text(rule) if rule.form == "string" => "String".to_owned(),
        Kind::Text(rule) => format!("String: {}", rule.form),
        Kind::Choice(_) => "One of these strings".to_owned(),
        Kind::Flag => "Boolean".to_owned(),
        Kind::Integer { .. } => bounded("Integer"),
        Kind::Size { .. } => bounded("Size"),
        Kind::Duration { .. } => bounded("Duration"),
        Kind::Secret => "Secret".to_owned(),
        Kind::Token => "Secret, or `{ command = [\"program\", \"argument\"] }` that prints it".to_owned(),
        Kind::SpentSecret => "Secret that may be empty or gone once it was used".to_owned(),
        Kind::File => "Path of a readable file".to_owned(),
        Kind::Folder => "Path of a folder".to_owned(),
        Kind::List(rule) => format!("Array of at least one string: {}", rule.form),
        Kind::Map(rule) => format!("Table of strings by {}", rule.form),
        Kind::Counts(rule, max) => format!("Table of integers between 1 and {max} by {}", rule.form),
    }
}
