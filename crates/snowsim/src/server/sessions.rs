//! Sessions and their tokens: who may speak, until when.
//!
//! A login gives a session token and a master token. A session token dies by the simulator's clock and is
//! renewed with the master token; a dead session's tokens are told apart from nonsense by their shape, also
//! after a restart, so that a client learns that it must log in again (390111) and not that it is wrong (390104).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use super::reply::Refusal;
use super::statement::Statement;
use crate::clock::Clock;
use crate::session::Session;
use crate::wire::Dialect;

/// Marks a token as one of ours, whichever process issued it.
const TOKEN_MARK: &str = "ver:1-hint:";

/// Request ids remembered per session. A retry comes within the next few requests; each answer may hold an
/// inline part, so remembering all of them would not be bounded.
const REMEMBERED: usize = 256;

/// How long tokens live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) session: Duration,
    pub(crate) master: Duration,
}

/// One driver session: the engine's session, and the requests it has made.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) user: String,
    /// How this client wants its results, from its application id.
    pub(crate) dialect: Dialect,
    pub(crate) engine: tokio::sync::Mutex<Session>,
    pub(crate) requests: Mutex<Requests>,
}

/// A session's statements by request id, the latest of them: a request id runs once.
#[derive(Default)]
pub(crate) struct Requests {
    by_id: HashMap<String, Arc<Statement>>,
    order: VecDeque<String>,
}

impl Requests {
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Statement>> {
        self.by_id.get(id).map(Arc::clone)
    }

    /// Remembers a statement, and hands back those that are now too old to be remembered.
    pub(crate) fn remember(&mut self, id: &str, statement: &Arc<Statement>) -> Vec<Arc<Statement>> {
        self.by_id.insert(id.to_owned(), Arc::clone(statement));
        self.order.push_back(id.to_owned());
        let mut forgotten = Vec::new();
        while self.order.len() > REMEMBERED {
            let oldest = self.order.front().and_then(|id| self.by_id.get(id));
            // One that still runs is in use by definition, and so is everything after it.
            if oldest.is_some_and(|statement| statement.answer().is_none()) {
                break;
            }
            forgotten.extend(self.order.pop_front().and_then(|id| self.by_id.remove(&id)));
        }
        forgotten
    }

    pub(crate) fn clear(&mut self) {
        self.by_id.clear();
        self.order.clear();
    }
}

/// The tokens of a fresh or renewed session.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) session: String,
    pub(crate) master: String,
    pub(crate) session_id: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Session,
    Master,
}

struct Token {
    session: u64,
    kind: Kind,
    expires: i128,
}

#[derive(Default)]
struct Registry {
    tokens: HashMap<String, Token>,
    connections: HashMap<u64, Arc<Connection>>,
}

/// All sessions of the simulator.
pub(crate) struct Sessions {
    clock: Arc<Clock>,
    lifetimes: Lifetimes,
    registry: Mutex<Registry>,
}

impl Sessions {
    pub(crate) fn new(clock: Arc<Clock>, lifetimes: Lifetimes) -> Sessions {
        Sessions { clock, lifetimes, registry: Mutex::default() }
    }

    pub(crate) fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.registry.lock().connections.len()).unwrap_or(u64::MAX)
    }

    /// Registers a session that has just logged in.
    pub(crate) fn open(&self, user: &str, dialect: Dialect, session: Session) -> (Arc<Connection>, Tokens) {
        // Drivers keep the id in a signed or floating number, so it stays below 2^53.
        let id = (Uuid::new_v4().as_u64_pair().0 >> 12).max(1);
        let connection = Arc::new(Connection {
            id,
            user: user.to_owned(),
            dialect,
            engine: tokio::sync::Mutex::new(session),
            requests: Mutex::default(),
        });
        let tokens = Tokens { session: fresh(id), master: fresh(id), session_id: id };
        let mut registry = self.registry.lock();
        registry.connections.insert(id, Arc::clone(&connection));
        registry.grant(&tokens.session, id, Kind::Session, self.after(self.lifetimes.session));
        registry.grant(&tokens.master, id, Kind::Master, self.after(self.lifetimes.master));
        (connection, tokens)
    }

    /// The session a request's token stands for.
    pub(crate) fn authenticate(&self, token: Option<&str>) -> Result<Arc<Connection>, Refusal> {
        self.find(token, Kind::Session, Refusal::session_expired)
    }

    /// Exchanges a master token for a new session token; the old session token ends.
    pub(crate) fn renew(&self, master: Option<&str>, old: Option<&str>) -> Result<Tokens, Refusal> {
        let connection = self.find(master, Kind::Master, Refusal::master_expired)?;
        let now = self.clock.now_nanos();
        let session = fresh(connection.id);
        let mut registry = self.registry.lock();
        if let Some(token) = old.and_then(|old| registry.tokens.get_mut(old))
            && token.session == connection.id
            && token.kind == Kind::Session
        {
            token.expires = token.expires.min(now);
        }
        registry.grant(&session, connection.id, Kind::Session, self.after(self.lifetimes.session));
        Ok(Tokens { session, master: master.unwrap_or_default().to_owned(), session_id: connection.id })
    }

    /// A heartbeat: the master token lives on from now.
    pub(crate) fn prolong(&self, session: u64) {
        let expires = self.after(self.lifetimes.master);
        let mut registry = self.registry.lock();
        for token in registry.tokens.values_mut().filter(|token| token.session == session && token.kind == Kind::Master)
        {
            token.expires = token.expires.max(expires);
        }
    }

    /// Ends a session; its tokens become those of a session that no longer exists.
    pub(crate) fn close(&self, session: u64) -> Option<Arc<Connection>> {
        let mut registry = self.registry.lock();
        registry.tokens.retain(|_, token| token.session != session);
        registry.connections.remove(&session)
    }

    /// Ends the sessions nobody can speak for any more.
    pub(crate) fn sweep(&self) -> Vec<Arc<Connection>> {
        let now = self.clock.now_nanos();
        let dead: Vec<u64> = {
            let registry = self.registry.lock();
            let alive: std::collections::HashSet<u64> =
                registry.tokens.values().filter(|token| token.expires > now).map(|token| token.session).collect();
            registry.connections.keys().copied().filter(|id| !alive.contains(id)).collect()
        };
        dead.into_iter().filter_map(|id| self.close(id)).collect()
    }

    /// Lets the tokens of the session that `token` belongs to expire; the master token too, if asked.
    pub(crate) fn expire(&self, token: &str, with_master: bool) {
        let now = self.clock.now_nanos();
        let mut registry = self.registry.lock();
        let Some(session) = registry.tokens.get(token).map(|token| token.session) else { return };
        for token in registry.tokens.values_mut().filter(|token| token.session == session) {
            if with_master || token.kind == Kind::Session {
                token.expires = token.expires.min(now);
            }
        }
    }

    /// The session a token belongs to, alive or expired.
    pub(crate) fn owner(&self, token: &str) -> Option<u64> {
        self.registry.lock().tokens.get(token).map(|token| token.session)
    }

    fn find(&self, token: Option<&str>, kind: Kind, expired: fn() -> Refusal) -> Result<Arc<Connection>, Refusal> {
        let token = token.ok_or_else(Refusal::token_missing)?;
        let registry = self.registry.lock();
        let Some(entry) = registry.tokens.get(token) else {
            return Err(if token.starts_with(TOKEN_MARK) { Refusal::session_gone() } else { Refusal::token_invalid() });
        };
        if entry.kind != kind {
            return Err(Refusal::token_invalid());
        }
        if entry.expires <= self.clock.now_nanos() {
            return Err(expired());
        }
        registry.connections.get(&entry.session).map(Arc::clone).ok_or_else(Refusal::session_gone)
    }

    fn after(&self, lifetime: Duration) -> i128 {
        self.clock.now_nanos() + i128::try_from(lifetime.as_nanos()).unwrap_or(i128::MAX / 2)
    }
}

impl Registry {
    fn grant(&mut self, token: &str, session: u64, kind: Kind, expires: i128) {
        self.tokens.insert(token.to_owned(), Token { session, kind, expires });
    }
}

fn fresh(session: u64) -> String {
    format!("{TOKEN_MARK}{session}-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
