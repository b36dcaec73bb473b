//! A named connection, as the other Snowflake tools keep it: `connections.toml`, or `[connections]` of `config.toml`.
//!
//! Places and order are those of Snowflake's Python connector (developer-guide/python-connector/python-connector-connect)
//! and of Snowflake CLI (developer-guide/snowflake-cli/connecting/configure-cli, …/configure-connections):
//! `SNOWFLAKE_HOME`, else `~/.snowflake`, if that folder is there; else the system's folder for configurations. Variables
//! `SNOWFLAKE_CONNECTIONS_<NAME>_<KEY>` count before the file.
//!
//! Promises: values of the connection are never shown, nor its text; a file that others may write is refused, as there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::problem::{Problems, Refusal};
use super::secret::{Secret, SecretError, SecretSource};
use super::snowflake::Authenticator;
use super::text::Text;

/// What a publisher takes from a connection. Other keys are other tools' and are not looked at; database and schema
/// have no use here, because every name in a publisher's configuration is complete.
const KEYS: [&str; 18] = [
    "account",
    "region",
    "host",
    "port",
    "protocol",
    "user",
    "username",
    "authenticator",
    "password",
    "token",
    "token_file_path",
    "private_key_file",
    "private_key_path",
    "private_key_raw",
    "private_key_passphrase",
    "private_key_file_pwd",
    "role",
    "warehouse",
];

/// Snowflake CLI's variable for the passphrase of any connection's key.
const PASSPHRASE: &str = "PRIVATE_KEY_PASSPHRASE";
/// Snowflake's connectors keep silent about who else can read the file when this is `true`.
const SILENCE: &str = "SF_SKIP_WARNING_FOR_READ_PERMISSIONS_ON_CONFIG_FILE";

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A connection that was found.
pub(super) struct Connection {
    pub(super) name: String,
    /// By the keys of [`KEYS`]; never empty texts.
    values: BTreeMap<&'static str, String>,
    home: Option<PathBuf>,
    passphrase: Option<String>,
    /// What somebody should know about the file.
    pub(super) warning: Option<String>,
}

impl Connection {
    /// Finds the connection `name`.
    ///
    /// # Errors
    /// There is no file, no such connection in it, or others may write it.
    pub(super) fn find(name: &str, env: Env<'_>) -> Result<Self, Refusal> {
        let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let folder = folder(env, home.as_deref())?;
        let (connections, config) = (folder.join("connections.toml"), folder.join("config.toml"));
        let (file, section) = match (connections.is_file(), config.is_file()) {
            // Whatever stands in config.toml: the two are not mixed.
            (true, _) => (connections, None),
            (false, true) => (config, Some("connections")),
            (false, false) => {
                return Err(Refusal::new(
                    format!(
                        "is \"{name}\", and there is neither connections.toml nor config.toml in {}",
                        folder.display()
                    ),
                    "make one there, or say in SNOWFLAKE_HOME where they are",
                ));
            }
        };
        let warning = permissions(&file, env)?;
        let mut values = read(&file, section, name)?;
        for key in KEYS {
            let variable = format!("SNOWFLAKE_CONNECTIONS_{}_{}", name.to_uppercase(), key.to_uppercase());
            if let Some(value) = env(&variable) {
                values.insert(key, value);
            }
        }
        values.retain(|_, value| !value.is_empty());
        let passphrase = env(PASSPHRASE).filter(|passphrase| !passphrase.is_empty());
        Ok(Self { name: name.to_owned(), values, home, passphrase, warning })
    }

    /// A value that is no secret.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The user, under either name.
    pub(super) fn user(&self) -> Option<&str> {
        self.get("user").or_else(|| self.get("username"))
    }

    /// The authenticator; a connection with a private key and none means the key.
    ///
    /// # Errors
    /// It is one for people, or one that is not known here.
    pub(super) fn authenticator(&self) -> Result<Authenticator, Refusal> {
        let key = ["private_key_file", "private_key_path", "private_key_raw"].iter().any(|key| self.get(key).is_some());
        match self.get("authenticator").unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "snowflake" if key => Ok(Authenticator::KeyPair),
            "" | "snowflake" => Ok(Authenticator::Password),
            "snowflake_jwt" => Ok(Authenticator::KeyPair),
            "oauth" => Ok(Authenticator::Oauth),
            "programmatic_access_token" => Ok(Authenticator::ProgrammaticAccessToken),
            _ => Err(Refusal::new(
                format!("is \"{}\", whose authenticator is for people at a screen or not known here", self.name),
                "set snowflake.authenticator to a login that works unattended: key_pair, oauth, programmatic_access_token",
            )),
        }
    }

    /// The base URL; `None` when the connection names neither host nor port nor protocol.
    pub(super) fn url(&self, account: &str) -> Option<String> {
        let (host, port, protocol) = (self.get("host"), self.get("port"), self.get("protocol"));
        if host.is_none() && port.is_none() && protocol.is_none() {
            return None;
        }
        let host = host.map_or_else(|| super::snowflake::default_host(account), str::to_owned);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{host}{port}", protocol.unwrap_or("https")))
    }

    /// The account with its region, where the connection names that apart as old ones do.
    pub(super) fn account(&self) -> Option<String> {
        let account = self.get("account")?;
        Some(match self.get("region") {
            Some(region) if !account.contains('.') => format!("{account}.{region}"),
            _ => account.to_owned(),
        })
    }

    /// A secret that stands in the connection itself.
    pub(super) fn secret(&self, key: &str) -> Option<Secret> {
        self.get(key).map(|value| Secret::of_connection(value.to_owned(), &self.name))
    }

    /// The token, or the file it is in.
    ///
    /// # Errors
    /// Both are given; the file cannot be read.
    pub(super) fn token(&self) -> Result<Option<Secret>, Refusal> {
        match (self.secret("token"), self.get("token_file_path")) {
            (Some(_), Some(_)) => Err(Refusal::new(
                format!("is \"{}\", which gives both token and token_file_path", self.name),
                "remove one of them from the connection",
            )),
            (Some(token), None) => Ok(Some(token)),
            (None, Some(path)) => self.file(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The private key: `private_key_file` before `private_key_path` before `private_key_raw`, as Snowflake CLI does.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn private_key(&self) -> Result<Option<Secret>, Refusal> {
        match self.get("private_key_file").or_else(|| self.get("private_key_path")) {
            Some(path) => self.file(path).map(Some),
            None => Ok(self.secret("private_key_raw")),
        }
    }

    /// The private key's passphrase, under the names that connectors and Snowflake CLI have for it.
    pub(super) fn passphrase(&self) -> Option<Secret> {
        let named = self.secret("private_key_passphrase").or_else(|| self.secret("private_key_file_pwd"));
        named.or_else(|| Some(Secret::of_connection(self.passphrase.clone()?, PASSPHRASE)))
    }

    /// Relative paths start where the process does, as in the other tools.
    fn file(&self, path: &str) -> Result<Secret, Refusal> {
        SecretSource::read_file(&expanded(path, self.home.as_deref())).map_err(|error: SecretError| {
            let text = error.to_string();
            let (reason, remedy) = text.split_once("; ").unwrap_or((&text, ""));
            Refusal::new(format!("is \"{}\", and its {reason}", self.name), remedy)
        })
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("name", &self.name).finish_non_exhaustive()
    }
}

fn folder(env: Env<'_>, home: Option<&Path>) -> Result<PathBuf, Refusal> {
    let named = env("SNOWFLAKE_HOME").unwrap_or_else(|| "~/.snowflake".to_owned());
    let folder = expanded(&named, home);
    if folder.is_dir() {
        return Ok(folder);
    }
    let system = if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library/Application Support"))
    } else {
        let named = env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| Some(home?.join(".config")))
    };
    system.map(|system| system.join("snowflake")).ok_or_else(|| {
        Refusal::new(
            "needs a home to look in, and HOME is not set",
            "set SNOWFLAKE_HOME to the folder of connections.toml",
        )
    })
}

fn expanded(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// The connection's values. The file's text may hold secrets, so nothing of it is repeated but names.
fn read(file: &Path, section: Option<&str>, name: &str) -> Result<BTreeMap<&'static str, String>, Refusal> {
    let shown = file.display();
    let unreadable = |problems: Problems| {
        let problem = problems.as_slice().first();
        let line = problem.and_then(|problem| problem.line).map(|line| format!(", line {line}")).unwrap_or_default();
        let reason = problem.map(|problem| problem.reason.clone()).unwrap_or_default();
        Refusal::new(format!("is \"{name}\", and {shown}{line} {reason}"), "correct that file")
    };
    let text = Text::of_file(file).map_err(unreadable)?;
    let root = text.root().map_err(unreadable)?;
    let tables = |table: &DeTable<'_>| -> Vec<String> {
        table.iter().filter(|(_, value)| value.get_ref().is_table()).map(|(key, _)| key.get_ref().to_string()).collect()
    };
    let connections = match section {
        None => Some(root.get_ref()),
        Some(section) => root.get_ref().get(section).and_then(|value| value.get_ref().as_table()),
    };
    let Some(DeValue::Table(connection)) =
        connections.and_then(|connections| connections.get(name)).map(|value| value.get_ref())
    else {
        let known = connections.map(tables).unwrap_or_default();
        let remedy = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => "add it there".to_owned(),
            None => format!("there are {}", known.join(", ")),
        };
        return Err(Refusal::new(format!("\"{name}\" is not a connection of {shown}"), remedy));
    };
    let mut values = BTreeMap::new();
    for key in KEYS {
        let Some(value) = connection.get(key) else { continue };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            _ => {
                return Err(Refusal::new(
                    format!("is \"{name}\", whose {key} in {shown} is neither a string nor a number"),
                    "write it as a string",
                ));
            }
        };
        values.insert(key, text);
    }
    Ok(values)
}

#[cfg(unix)]
fn permissions(file: &Path, env: Env<'_>) -> Result<Option<String>, Refusal> {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(file) else { return Ok(None) };
    let (mode, shown) = (metadata.permissions().mode() & 0o777, file.display());
    if mode & 0o022 != 0 {
        return Err(Refusal::new(
            format!("is in {shown}, which others can write (mode {mode:o})"),
            format!("run `chmod 600 {shown}`"),
        ));
    }
    let silent = env(SILENCE).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let exposed = mode & 0o044 != 0 && !silent;
    Ok(exposed.then(|| format!("{shown} can be read by others (mode {mode:o}); run `chmod 600 {shown}`")))
}

#[cfg(not(unix))]
fn permissions(_: &Path, _: Env<'_>) -> Result<Option<String>, Refusal> {
    Ok(None)
}

#[cfg(test)]
mod tests;
