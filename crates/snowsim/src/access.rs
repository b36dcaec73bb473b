//! Access tokens that the account has issued: whose they are, how they may be used, until when.
//!
//! Promises: a token that is unknown, expired, another's or not for this client is refused with Snowflake's own code.
//! While nobody has issued or configured any, every token fits: a playground lets anybody in.
//! Leaves to others: passwords and key pairs (the server's login).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// What a token is, which decides how it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// An OAuth access token: with `AUTHENTICATOR` `OAUTH`, the user's name beside it or not.
    Oauth,
    /// A programmatic access token: with its own authenticator, or in place of the user's password.
    ProgrammaticAccess,
    /// What a container service finds in its token file: with `OAUTH` and no user, else 390309.
    Service,
}

/// A token to issue, read from JSON as `{"kind":"oauth","user":"ALICE","lifetime_seconds":600}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenGrant {
    /// What it is.
    pub kind: TokenKind,
    /// The user it speaks for.
    pub user: String,
    /// The role of a session that asks for none.
    #[serde(default)]
    pub role: Option<String>,
    /// How long it lives by the account's clock, in seconds; for ever if absent.
    #[serde(default)]
    pub lifetime_seconds: Option<u64>,
    /// The `CLIENT_APP_ID`s that may use it, any if empty; the others are refused with 395092.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Its text; random if absent.
    #[serde(default)]
    pub token: Option<String>,
}

/// Who comes with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) user: String,
    pub(crate) role: Option<String>,
}

/// Why a token does not open the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenRefusal {
    Invalid,
    Expired,
    OtherUser,
    OtherClient,
}

struct Issued {
    grant: TokenGrant,
    expires: Option<i128>,
}

/// All tokens of the account.
pub(crate) struct AccessTokens {
    clock: Arc<Clock>,
    /// Tokens of any kind and any user, named when the simulator was set up.
    configured: Vec<String>,
    issued: Mutex<HashMap<String, Issued>>,
}

impl AccessTokens {
    pub(crate) fn new(clock: Arc<Clock>, configured: Vec<String>) -> AccessTokens {
        AccessTokens { clock, configured, issued: Mutex::default() }
    }

    /// Issues a token; from now on the account knows its tokens, and unknown ones do not fit.
    pub(crate) fn issue(&self, grant: TokenGrant) -> String {
        let token = grant
            .token
            .clone()
            .unwrap_or_else(|| format!("sim-{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()));
        let lifetime = grant.lifetime_seconds.map(|seconds| Duration::from_secs(seconds).as_nanos());
        let expires = lifetime.map(|nanos| self.clock.now_nanos() + i128::try_from(nanos).unwrap_or(i128::MAX / 2));
        self.issued.lock().insert(token.clone(), Issued { grant, expires });
        token
    }

    /// Takes a token back; false if nobody issued it. The account goes on knowing its tokens.
    pub(crate) fn revoke(&self, token: &str) -> bool {
        match self.issued.lock().get_mut(token) {
            // Kept as one that nobody may use: an account whose last token is revoked is not open to all.
            Some(issued) => {
                issued.expires = Some(i128::MIN);
                true
            }
            None => false,
        }
    }

    /// With `AUTHENTICATOR` `OAUTH`; an empty `user` is none.
    pub(crate) fn oauth(&self, token: &str, user: &str, client: &str) -> Result<Bearer, TokenRefusal> {
        self.find(token, user, |issued| {
            let grant = &issued.grant;
            if grant.kind == TokenKind::ProgrammaticAccess {
                return Err(TokenRefusal::Invalid);
            }
            if !grant.clients.is_empty() && !grant.clients.iter().any(|known| known == client) {
                return Err(TokenRefusal::OtherClient);
            }
            let same = user.is_empty() || grant.kind == TokenKind::Oauth && user.eq_ignore_ascii_case(&grant.user);
            if same { Ok(()) } else { Err(TokenRefusal::OtherUser) }
        })
    }

    /// With `AUTHENTICATOR` `PROGRAMMATIC_ACCESS_TOKEN`.
    pub(crate) fn programmatic(&self, token: &str, user: &str) -> Result<Bearer, TokenRefusal> {
        self.find(token, user, |issued| {
            let grant = &issued.grant;
            let same = user.is_empty() || user.eq_ignore_ascii_case(&grant.user);
            let fits = grant.kind == TokenKind::ProgrammaticAccess && same;
            if fits { Ok(()) } else { Err(TokenRefusal::Invalid) }
        })
    }

    /// Whether `password` is a programmatic access token of `user`, which Snowflake takes in a password's place.
    pub(crate) fn replaces_password(&self, password: &str, user: &str) -> bool {
        let named = !self.issued.lock().is_empty() || !self.configured.is_empty();
        named && !user.is_empty() && self.programmatic(password, user).is_ok()
    }

    fn find(
        &self,
        token: &str,
        user: &str,
        may: impl FnOnce(&Issued) -> Result<(), TokenRefusal>,
    ) -> Result<Bearer, TokenRefusal> {
        let registry = self.issued.lock();
        if let Some(issued) = registry.get(token) {
            may(issued)?;
            return match issued.expires {
                Some(i128::MIN) => Err(TokenRefusal::Invalid),
                Some(expires) if expires <= self.clock.now_nanos() => Err(TokenRefusal::Expired),
                _ => Ok(Bearer { user: issued.grant.user.clone(), role: issued.grant.role.clone() }),
            };
        }
        let open = registry.is_empty() && self.configured.is_empty();
        if token.is_empty() || !(open || self.configured.iter().any(|known| known == token)) {
            return Err(TokenRefusal::Invalid);
        }
        let user = if user.is_empty() { "SERVICE" } else { user };
        Ok(Bearer { user: user.to_owned(), role: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(kind: TokenKind, token: &str) -> TokenGrant {
        TokenGrant {
            kind,
            user: "ALICE".to_owned(),
            role: Some("READER".to_owned()),
            lifetime_seconds: Some(60),
            clients: Vec::new(),
            token: Some(token.to_owned()),
        }
    }

    #[test]
    fn each_kind_has_its_use_and_its_end() {
        let clock = Clock::new();
        let tokens = AccessTokens::new(Arc::clone(&clock), Vec::new());
        assert!(tokens.oauth("anything", "", "Go").is_ok(), "a playground");
        for (kind, name) in [(TokenKind::Oauth, "o"), (TokenKind::ProgrammaticAccess, "p"), (TokenKind::Service, "s")] {
            tokens.issue(grant(kind, name));
        }
        let picky = TokenGrant { clients: vec!["Go".to_owned()], ..grant(TokenKind::Service, "picky") };
        tokens.issue(picky);
        let bearer = Bearer { user: "ALICE".to_owned(), role: Some("READER".to_owned()) };
        assert_eq!(tokens.oauth("anything", "", "Go"), Err(TokenRefusal::Invalid));
        assert_eq!(tokens.oauth("o", "alice", "Go"), Ok(bearer.clone()));
        assert_eq!(tokens.oauth("o", "bob", "Go"), Err(TokenRefusal::OtherUser));
        assert_eq!(tokens.oauth("s", "", "Go"), Ok(bearer.clone()));
        assert_eq!(tokens.oauth("s", "alice", "Go"), Err(TokenRefusal::OtherUser));
        assert_eq!(tokens.oauth("p", "", "Go"), Err(TokenRefusal::Invalid));
        assert_eq!(tokens.oauth("picky", "", "Go"), Ok(bearer.clone()));
        assert_eq!(tokens.oauth("picky", "", "PythonConnector"), Err(TokenRefusal::OtherClient));
        assert_eq!(tokens.programmatic("p", "ALICE"), Ok(bearer));
        assert_eq!(tokens.programmatic("o", "ALICE"), Err(TokenRefusal::Invalid));
        assert!(tokens.replaces_password("p", "alice") && !tokens.replaces_password("p", "bob"));
        clock.advance(Duration::from_secs(61));
        assert_eq!(tokens.oauth("o", "", "Go"), Err(TokenRefusal::Expired));
        assert_eq!(tokens.oauth("s", "", "Go"), Err(TokenRefusal::Expired));
        tokens.issue(grant(TokenKind::Oauth, "o"));
        assert!(tokens.oauth("o", "", "Go").is_ok());
        assert!(tokens.revoke("o") && !tokens.revoke("never"));
        assert_eq!(tokens.oauth("o", "", "Go"), Err(TokenRefusal::Invalid));
    }
}
