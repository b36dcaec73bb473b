//! Keys that are not settings, and what may have been meant.
//!
//! Promises: a remedy for each, the best there is: a neighbour with nearly its
//! name, or else the same name in another section, or else all that is known
//! in this one. The key's value is never looked at further than whether it is a
//! table: it may be a secret under a mistyped name.

use toml::de::DeValue;

use super::nearest::nearest;
use super::problem::Refusal;
use super::setting::Setting;
use super::settings::{SECTIONS, SETTINGS, SectionInfo};

/// What may stand in the section at `pattern`.
pub(super) fn keys_of(pattern: &str) -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().filter(move |setting| setting.section() == pattern);
    let sections = SECTIONS.iter().filter(move |info| info.parent() == pattern);
    settings.map(Setting::key).chain(sections.map(SectionInfo::key))
}

/// Where a key is not known: a neighbour with nearly its name, or else the same
/// name elsewhere, or else all that is known here.
pub(super) fn unknown(pattern: &str, key: &str, value: &DeValue<'_>) -> Refusal {
    let what = if matches!(value, DeValue::Table(_)) { "section" } else { "setting" };
    let reason = format!("is not a {what}");
    if let Some(near) = nearest(key, keys_of(pattern)) {
        return Refusal::new(reason, format!("did you mean {near}?"));
    }
    let elsewhere = SETTINGS.iter().filter(|setting| setting.key() == key);
    let places: Vec<String> = elsewhere.map(|setting| heading(setting.section())).collect();
    if !places.is_empty() {
        return Refusal::new(reason, format!("did you mean {key} in {}?", places.join(" or ")));
    }
    let known = keys_of(pattern).collect::<Vec<_>>().join(", ");
    Refusal::new(reason, format!("known here are {known}"))
}

/// A section as it is written in a file.
pub(super) fn heading(section: &str) -> String {
    match section.strip_suffix("[]") {
        _ if section.is_empty() => "the top of the file, above all sections".to_owned(),
        Some(array) => format!("[[{array}]]"),
        // A table inside each of an array's, as TOML writes it.
        None => format!("[{}]", section.replace("[]", "")),
    }
}
