//! A file's text, and where in it something stands.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::problem::{Problem, Problems};

/// A TOML file, not yet understood.
pub(crate) struct Text {
    origin: String,
    text: String,
}

impl Text {
    /// `text` of the file `origin`.
    pub(crate) fn new(origin: &str, text: &str) -> Self {
        Self { origin: origin.to_owned(), text: text.to_owned() }
    }

    /// The text of the file at `path`.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Problems> {
        let origin = path.display().to_string();
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => Ok(Self { origin, text }),
            Ok(Err(_)) => Err(Problems::of_file(&origin, "is not UTF-8 text", "save it as UTF-8, as TOML asks")),
            Err(error) => {
                Err(Problems::of_file(&origin, &format!("cannot be read: {error}"), "give the path of a readable file"))
            }
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Its tables and values, each with its place.
    pub(crate) fn root(&self) -> Result<Spanned<DeTable<'_>>, Problems> {
        DeTable::parse(&self.text).map_err(|error| {
            let reason = error.message().trim().replace('\n', ", ");
            Problems::sorted(vec![Problem {
                origin: self.origin.clone(),
                line: Some(self.line(&error.span().unwrap_or_default())),
                setting: None,
                reason: format!("is not TOML: {reason}"),
                remedy: "correct the text at this line".to_owned(),
            }])
        })
    }

    /// The line of a place, counted from 1.
    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
    }
}
