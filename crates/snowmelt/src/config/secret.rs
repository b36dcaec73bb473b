//! Values that must not be seen: passwords and tokens.
//!
//! Promises: neither `Debug` nor `Display` shows one, and an error about one
//! names its file or variable, never its content. A token file can be read
//! again, because whoever wrote it may replace it under a running publisher.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::quantity::show_duration;

/// A secret and where it came from.
#[derive(Clone)]
pub struct Secret {
    value: String,
    source: SecretSource,
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `{ env = "NAME" }`.
    Env(String),
    /// `{ file = "path" }`; the path is resolved.
    File(PathBuf),
    /// A value of this connection in `connections.toml`, or of a variable that stands for it.
    Connection(String),
    /// Made by this program, as in a demo.
    Given,
}

/// Why a secret could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No such variable, or its value is not UTF-8.
    #[error("environment variable {0} is not set; set it, or name another")]
    Unset(String),
    /// The variable is there and empty.
    #[error("environment variable {0} is empty; set it to the secret")]
    EmptyVariable(String),
    /// The file is missing, a folder, or not allowed to this user.
    #[error("secret file {path} cannot be read: {reason}; make it a file that this user can read")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Nothing but line ends in it.
    #[error("secret file {0} is empty; write the secret into it")]
    EmptyFile(String),
    /// The program made it, and keeps it nowhere.
    #[error("the secret was made by this program and cannot be read again; report this fault of snowmelt")]
    Forgotten,
    /// A command that cannot be started, or whose output cannot be read.
    #[error("the command {program} cannot be run: {reason}; name a program that this user can run")]
    CommandUnusable {
        /// The program.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// A command that says itself that it failed.
    #[error("the command {program} failed ({status}): {said}; run it by hand as this user")]
    CommandFailed {
        /// The program.
        program: String,
        /// Its exit status or signal.
        status: String,
        /// The last line of its error output, without long words.
        said: String,
    },
    /// A command that does not end.
    #[error("the command {program} took longer than {}; run it by hand as this user", show_duration(*limit))]
    CommandSlow {
        /// The program.
        program: String,
        /// How long it may take.
        limit: Duration,
    },
    /// A command that prints something else.
    #[error("what the command {program} printed is no token: {reason}; let it print the token and nothing else")]
    CommandOutput {
        /// The program.
        program: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not UTF-8, or longer than any secret.
    #[error("secret file {0} does not hold a secret: {1}; write nothing but the secret into it")]
    NotASecret(String, &'static str),
}

/// No password or token is near this; a wrong path often leads to something
/// that is, or that never ends.
pub(super) const LONGEST: u64 = 64 * 1024;

impl Secret {
    /// A secret that this program made itself.
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), source: SecretSource::Given }
    }

    /// What `path` holds, read only when it is needed.
    pub(super) fn unread(path: PathBuf) -> Self {
        Self { value: String::new(), source: SecretSource::File(path) }
    }

    /// A value of the connection `name`.
    pub(super) fn of_connection(value: String, name: &str) -> Self {
        Self { value, source: SecretSource::Connection(name.to_owned()) }
    }

    /// The secret in clear, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Where it came from.
    pub fn source(&self) -> &SecretSource {
        &self.source
    }

    /// The secret as it is now: a file is read again; an environment does not
    /// change under a running process.
    pub fn reread(&self) -> Result<Self, SecretError> {
        match &self.source {
            SecretSource::File(path) => SecretSource::read_file(path),
            SecretSource::Env(_) | SecretSource::Connection(_) | SecretSource::Given => Ok(self.clone()),
        }
    }
}

impl SecretSource {
    /// The secret as it is now; variables are asked of `env`.
    ///
    /// # Errors
    /// There is none, or what is there is no secret.
    pub(crate) fn read(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => Self::read_env(name, env),
            Self::File(path) => Self::read_file(path),
            Self::Connection(_) | Self::Given => Err(SecretError::Forgotten),
        }
    }

    fn read_env(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
        match env(name) {
            None => Err(SecretError::Unset(name.to_owned())),
            Some(value) if value.is_empty() => Err(SecretError::EmptyVariable(name.to_owned())),
            Some(value) => Ok(Secret { value, source: Self::Env(name.to_owned()) }),
        }
    }

    pub(super) fn read_file(path: &Path) -> Result<Secret, SecretError> {
        let shown = path.display().to_string();
        let mut bytes = Vec::new();
        if let Err(error) = open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)) {
            return Err(SecretError::Unreadable { path: shown, reason: error.to_string() });
        }
        if bytes.len() as u64 > LONGEST {
            return Err(SecretError::NotASecret(shown, "it is longer than 64 KiB"));
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return Err(SecretError::NotASecret(shown, "it is not UTF-8 text"));
        };
        let value = text.trim_end_matches(['\n', '\r']);
        if value.is_empty() {
            return Err(SecretError::EmptyFile(shown));
        }
        Ok(Secret { value: value.to_owned(), source: Self::File(path.to_owned()) })
    }
}

/// Opens a regular file: opening a folder succeeds on Unix, and a pipe would
/// wait for its writer.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(std::io::Error::other("it is a folder"));
    }
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    File::open(path)
}

/// To be read after what the secret is: "the token in file …".
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "in variable {name}"),
            Self::File(path) => write!(f, "in file {}", path.display()),
            Self::Connection(name) => write!(f, "of connection {name}"),
            Self::Given => f.write_str("made by this program"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_trimmed_at_its_end_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, " first \r\n\n").unwrap();
        let secret = SecretSource::read_file(&path).unwrap();
        assert_eq!(secret.expose(), " first ");
        std::fs::write(&path, "second").unwrap();
        assert_eq!(secret.reread().unwrap().expose(), "second");
        assert_eq!(secret.expose(), " first ");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(secret.reread(), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn what_is_not_a_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let shown = path.display().to_string();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            SecretSource::read_file(&path).map(|secret| secret.expose().len())
        };
        assert_eq!(read(b"\n\n"), Err(SecretError::EmptyFile(shown.clone())));
        assert_eq!(read(&vec![b'x'; 64 * 1024]), Ok(64 * 1024));
        let too_long = SecretError::NotASecret(shown.clone(), "it is longer than 64 KiB");
        assert_eq!(read(&vec![b'x'; 64 * 1024 + 1]), Err(too_long));
        let not_text = SecretError::NotASecret(shown, "it is not UTF-8 text");
        assert_eq!(read(b"\xff\xfe"), Err(not_text));
        assert!(matches!(
            SecretSource::read_file(folder.path()),
            Err(SecretError::Unreadable { reason, .. }) if reason == "it is a folder"
        ));
    }

    #[test]
    fn neither_debug_nor_display_shows_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {secret} {:#?}", Some(&secret)), "*** *** Some(\n    ***,\n)");
    }
}
