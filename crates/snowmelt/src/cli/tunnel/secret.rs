//! Secrets on their way in: from options, files and the environment, and never out again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, ValueHint};
use zeroize::Zeroizing;

use super::trouble::Trouble;

/// Text as the program holds it.
pub(super) type Text = Arc<Zeroizing<String>>;

/// An option's value that `Debug` does not show. Reading it never fails, because clap repeats in its message what it
/// could not read.
#[derive(Clone)]
pub(in crate::cli) struct Hidden(Text);

impl Hidden {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Arc::new(Zeroizing::new(text.to_owned()))))
    }
}

/// A file's text.
pub(super) fn of_file(path: &Path, option: &str) -> Result<Text, Trouble> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Arc::new(Zeroizing::new(text))),
        Err(error) => Err(Trouble::Usage(format!("{option} {} cannot be read: {error}", path.display()))),
    }
}

/// A variable's text. One that is set to nothing counts as not set, as templates of containers leave them.
pub(super) fn of_variable(name: &str) -> Option<Text> {
    let text = Zeroizing::new(std::env::var(name).ok()?);
    (!text.trim().is_empty()).then(|| Arc::new(text))
}

/// What opens a key.
#[derive(Debug, Args)]
pub(super) struct Passphrase {
    /// A file with the passphrase that encrypts the key on disk; the variable SNOWMELT_PASSPHRASE does the same
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    passphrase_file: Option<PathBuf>,
}

impl Passphrase {
    pub(super) fn read(&self) -> Result<Option<Text>, Trouble> {
        let Some(path) = &self.passphrase_file else { return Ok(of_variable("SNOWMELT_PASSPHRASE")) };
        let text = of_file(path, "--passphrase-file")?;
        // Editors end a file with a line end that nobody typed as part of the passphrase.
        let line = text.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Err(Trouble::Usage(format!("--passphrase-file {} holds no passphrase", path.display())));
        }
        Ok(Some(Arc::new(Zeroizing::new(line.to_owned()))))
    }
}

impl From<Text> for Hidden {
    fn from(text: Text) -> Self {
        Self(text)
    }
}
