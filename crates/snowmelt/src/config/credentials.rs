//! What a login needs, by authenticator.
//!
//! A credential that the authenticator would ignore is refused: it is either a forgotten secret or a login other than the
//! one meant. That holds for what the file itself gives; a connection is shared with other tools and may hold more.

use super::choice::Choice as _;
use super::connection::Connection;
use super::private_key::{KeyError, PrivateKey};
use super::problem::Refusal;
use super::secret::{Secret, SecretError};
use super::snowflake::{Authenticator, Sources, refused};
use super::token::Token;

/// Where a container service finds its token (developer-guide/snowpark-container-services/spcs-execute-sql).
const SERVICE_TOKEN: &str = "/snowflake/session/token";

/// How a session proves who it is, with what that needs.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A user's password.
    Password {
        /// Login name.
        user: String,
        /// Read again at each login.
        password: Secret,
    },
    /// A private key whose public half the user has.
    KeyPair {
        /// Login name.
        user: String,
        /// PKCS #8 in PEM. Read again at each login: keys are rotated.
        key: Secret,
        /// Opens the key, if it is encrypted.
        passphrase: Option<Secret>,
    },
    /// An OAuth access token.
    Oauth {
        /// Login name, which the token must agree with.
        user: Option<String>,
        /// Asked for at each login.
        token: Token,
    },
    /// A programmatic access token.
    ProgrammaticAccessToken {
        /// Login name, which the token must agree with.
        user: Option<String>,
        /// Asked for at each login.
        token: Token,
    },
    /// What a container service is given. It says who logs in; a user beside it is refused (390309).
    ContainerService {
        /// Asked for at each login: Snowflake replaces the file every few minutes.
        token: Token,
    },
}

impl Credentials {
    /// The setting's word.
    #[must_use]
    pub fn authenticator(&self) -> Authenticator {
        match self {
            Self::Password { .. } => Authenticator::Password,
            Self::KeyPair { .. } => Authenticator::KeyPair,
            Self::Oauth { .. } => Authenticator::Oauth,
            Self::ProgrammaticAccessToken { .. } => Authenticator::ProgrammaticAccessToken,
            Self::ContainerService { .. } => Authenticator::ContainerService,
        }
    }

    /// The login name, where there is one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password { user, .. } | Self::KeyPair { user, .. } => Some(user),
            Self::Oauth { user, .. } | Self::ProgrammaticAccessToken { user, .. } => user.as_deref(),
            Self::ContainerService { .. } => None,
        }
    }

    /// Whether the next login may find another secret than the last one did, so that a refusal may pass by itself.
    #[must_use]
    pub fn may_change(&self) -> bool {
        match self {
            Self::Oauth { token, .. }
            | Self::ProgrammaticAccessToken { token, .. }
            | Self::ContainerService { token } => token.may_change(),
            Self::Password { .. } | Self::KeyPair { .. } => false,
        }
    }
}

/// The private key of [`Credentials::KeyPair`] as it is now.
///
/// # Errors
/// Key or passphrase cannot be read; the key cannot be used. Read after "the private key".
pub fn read_private_key(key: &Secret, passphrase: Option<&Secret>) -> Result<PrivateKey, KeyTrouble> {
    let key = key.reread()?;
    let passphrase = passphrase.map(Secret::reread).transpose()?;
    Ok(PrivateKey::read(key.expose(), passphrase.as_ref().map(Secret::expose))?)
}

/// Why there is no private key.
#[derive(Debug, thiserror::Error)]
pub enum KeyTrouble {
    /// A file is gone or empty.
    #[error("cannot be read: {0}")]
    Secret(#[from] SecretError),
    /// What is in it cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

pub(super) fn build(sources: &Sources<'_>, authenticator: Authenticator) -> Option<Credentials> {
    use Authenticator::{ContainerService, KeyPair, Oauth, Password, ProgrammaticAccessToken};
    refuse_unused(sources, authenticator);
    let user = sources.text("user", Connection::user);
    let needed_user = || needed(sources, authenticator, "user", user.clone());
    match authenticator {
        Password => {
            let own = sources.section.get::<Option<Secret>>("password");
            let password = own.map(|own| own.or_else(|| sources.connection.as_ref()?.secret("password")));
            let (user, password) = (needed_user(), needed(sources, authenticator, "password", password));
            Some(Credentials::Password { user: user?, password: password? })
        }
        KeyPair => {
            let user = needed_user();
            let (key, passphrase) = key_pair(sources)?;
            Some(Credentials::KeyPair { user: user?, key, passphrase })
        }
        Oauth => Some(Credentials::Oauth { user: user?, token: token(sources, authenticator)? }),
        ProgrammaticAccessToken => {
            Some(Credentials::ProgrammaticAccessToken { user: user?, token: token(sources, authenticator)? })
        }
        ContainerService => {
            let own = sources.section.get::<Option<Token>>("token")?;
            let token = own.unwrap_or_else(|| Token::Secret(Secret::unread(SERVICE_TOKEN.into())));
            Some(Credentials::ContainerService { token })
        }
    }
}

/// The key is also opened here, so that a wrong passphrase is said with everything else that is wrong.
fn key_pair(sources: &Sources<'_>) -> Option<(Secret, Option<Secret>)> {
    let section = sources.section;
    let own = section.get::<Option<Secret>>("private_key")?;
    let own_passphrase = section.get::<Option<Secret>>("private_key_passphrase")?;
    // A passphrase belongs to its key: the connection's is not tried on another one.
    let (at, key, passphrase) = match (own, &sources.connection) {
        (None, Some(connection)) => {
            let key = refused(section, "connection", connection.private_key())?;
            ("connection", key, own_passphrase.or_else(|| connection.passphrase()))
        }
        (own, _) => ("private_key", own, own_passphrase),
    };
    let key = needed(sources, Authenticator::KeyPair, "private_key", Some(key))?;
    let opened = read_private_key(&key, passphrase.as_ref()).map_err(|error| {
        let text = error.to_string();
        let (reason, remedy) = text.split_once("; ").unwrap_or((&text, ""));
        let which = if at == "connection" { "gives a private key that " } else { "" };
        Refusal::new(format!("{which}{reason}"), remedy)
    });
    refused(section, at, opened)?;
    Some((key, passphrase))
}

fn token(sources: &Sources<'_>, authenticator: Authenticator) -> Option<Token> {
    let own = sources.section.get::<Option<Token>>("token")?;
    let found = match (own, &sources.connection) {
        (Some(own), _) => Some(own),
        (None, Some(connection)) => refused(sources.section, "connection", connection.token())?.map(Token::Secret),
        (None, None) => None,
    };
    needed(sources, authenticator, "token", Some(found))
}

/// The value, or a refusal; `None` inside is what is missing, outside what was refused before.
fn needed<T>(sources: &Sources<'_>, authenticator: Authenticator, key: &str, found: Option<Option<T>>) -> Option<T> {
    let found = found?;
    if found.is_none() {
        let (word, chosen) = (authenticator.as_str(), sources.chosen());
        sources.section.refuse(
            key,
            format!("is missing, and authenticator \"{word}\"{chosen} needs it"),
            match &sources.connection {
                Some(connection) => {
                    format!("set {key} here or in connection \"{}\", or choose another authenticator", connection.name)
                }
                None => format!("set {key}, or choose another authenticator"),
            },
        );
    }
    found
}

fn refuse_unused(sources: &Sources<'_>, authenticator: Authenticator) {
    let unused: &[&str] = match authenticator {
        Authenticator::Password => &["token", "private_key", "private_key_passphrase"],
        Authenticator::KeyPair => &["password", "token"],
        Authenticator::Oauth | Authenticator::ProgrammaticAccessToken => {
            &["password", "private_key", "private_key_passphrase"]
        }
        Authenticator::ContainerService => &["user", "password", "private_key", "private_key_passphrase"],
    };
    let (word, chosen) = (authenticator.as_str(), sources.chosen());
    for key in unused.iter().filter(|key| sources.section.given(key)) {
        sources.section.refuse(
            key,
            format!("is not used by authenticator \"{word}\"{chosen}"),
            match *key {
                "user" => "remove user: the token says who logs in, and Snowflake refuses a user beside it".to_owned(),
                key => format!("remove {key}, or choose the authenticator that uses it"),
            },
        );
    }
}
