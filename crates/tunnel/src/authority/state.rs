//! What the authority remembers, and how it changes: one file, one lock, all or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{AuthorityError, not_member, write};
use crate::attribute::{Attributes, MOST, RelayName};
use crate::credential::{Fingerprint, Id};
use crate::ticket::SecretHash;
use crate::wire::{Reason, Refusal};

const VERSION: u32 = 1;
/// How long a ticket that can no longer be used is remembered, so that its holder hears why.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far apart clocks may be.
const SKEW: Duration = Duration::from_secs(24 * 3600);
const LONGEST_TICKET: Duration = Duration::from_secs(365 * 24 * 3600);
const MOST_USES: u32 = 10_000;

/// What a ticket promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketTerms {
    /// Nodes that can enrol with it.
    pub uses: u32,
    /// How long from now.
    pub expires_in: Duration,
    /// What its nodes are.
    pub attributes: Attributes,
    /// What they may register at the relay.
    pub relays: BTreeSet<RelayName>,
}

impl TicketTerms {
    pub(super) fn check(&self) -> Result<(), AuthorityError> {
        let wrong = |text: String| Err(AuthorityError::Terms(text));
        if !(1..=MOST_USES).contains(&self.uses) {
            return wrong(format!("a ticket has 1 to {MOST_USES} uses, not {}", self.uses));
        }
        if self.expires_in.is_zero() || self.expires_in > LONGEST_TICKET {
            return wrong("a ticket lasts more than nothing and at most 365 days".to_owned());
        }
        if self.attributes.len() > MOST || self.relays.len() > MOST {
            return wrong(format!("a node has at most {MOST} attributes and {MOST} relay names"));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketState {
    uses_left: u32,
    /// Milliseconds since 1970.
    expires_at: u64,
    attributes: Attributes,
    relays: BTreeSet<RelayName>,
    used_by: BTreeSet<Id>,
}

/// A node that was let in. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its key.
    pub fingerprint: Fingerprint,
    /// What it is.
    pub attributes: Attributes,
    /// What it may register at the relay.
    pub relays: BTreeSet<RelayName>,
    /// When it enrolled.
    pub enrolled_at: u64,
    /// When it last got a credential.
    pub renewed_at: u64,
    /// When that credential ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_ends_at: Option<u64>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
}

impl Member {
    fn issued(&mut self, now: SystemTime, lifetime: Duration) {
        self.renewed_at = millis(now);
        self.credential_ends_at = Some(millis(now + lifetime));
    }

    /// Whether the relays must be told to refuse it: its last credential may be in force by some clock.
    pub(super) fn is_to_be_refused(&self, now: SystemTime) -> bool {
        let in_force = |ends: u64| millis(now) < ends.saturating_add(millis(UNIX_EPOCH + SKEW));
        self.revoked_at.is_some() && self.credential_ends_at.is_none_or(in_force)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    tickets: BTreeMap<SecretHash, TicketState>,
    pub(super) nodes: BTreeMap<Id, Member>,
}

fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl State {
    pub(super) fn add_ticket(&mut self, hash: SecretHash, terms: TicketTerms) {
        let TicketTerms { uses, expires_in, attributes, relays } = terms;
        let expires_at = millis(SystemTime::now() + expires_in);
        self.tickets
            .insert(hash, TicketState { uses_left: uses, expires_at, attributes, relays, used_by: BTreeSet::new() });
    }

    pub(super) fn forget_old_tickets(&mut self, now: SystemTime) {
        let until = millis(now - REMEMBERED);
        self.tickets.retain(|_, ticket| ticket.expires_at > until);
    }

    pub(super) fn enrol(
        &mut self,
        hash: &SecretHash,
        fingerprint: Fingerprint,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Member, Refusal> {
        const ANOTHER: &str = "ask for another one (`snowmelt project ticket`)";
        let id = Id::of(&fingerprint);
        if let Some(member) = self.nodes.get(&id)
            && member.revoked_at.is_some()
        {
            return Err(revoked(&id));
        }
        let ticket = self.tickets.get_mut(hash).ok_or_else(|| {
            Refusal::new(Reason::TicketUnknown, format!("the authority does not know this ticket; {ANOTHER}"))
        })?;
        if ticket.used_by.contains(&id)
            && let Some(member) = self.nodes.get_mut(&id)
        {
            member.issued(now, lifetime);
            return Ok(member.clone());
        }
        if millis(now) >= ticket.expires_at {
            return Err(Refusal::new(Reason::TicketExpired, format!("the ticket has expired; {ANOTHER}")));
        }
        ticket.uses_left = ticket.uses_left.checked_sub(1).ok_or_else(|| {
            Refusal::new(Reason::TicketUsedUp, format!("all uses of the ticket are used up; {ANOTHER}"))
        })?;
        ticket.used_by.insert(id.clone());
        let mut member = Member {
            fingerprint,
            attributes: ticket.attributes.clone(),
            relays: ticket.relays.clone(),
            enrolled_at: millis(now),
            renewed_at: millis(now),
            credential_ends_at: None,
            revoked_at: None,
        };
        member.issued(now, lifetime);
        self.nodes.insert(id, member.clone());
        Ok(member)
    }

    pub(super) fn renew(&mut self, id: &Id, now: SystemTime, lifetime: Duration) -> Result<Member, Refusal> {
        let member = self.nodes.get_mut(id).ok_or_else(|| not_member(id))?;
        if member.revoked_at.is_some() {
            return Err(revoked(id));
        }
        member.issued(now, lifetime);
        Ok(member.clone())
    }

    pub(super) fn revoke(&mut self, id: &Id, now: SystemTime) -> Result<(), AuthorityError> {
        let member = self.nodes.get_mut(id).ok_or_else(|| AuthorityError::NoNode(id.clone()))?;
        member.revoked_at.get_or_insert(millis(now));
        Ok(())
    }
}

fn revoked(id: &Id) -> Refusal {
    Refusal::new(
        Reason::Revoked,
        format!("node {id} was revoked; to let this machine in again, remove its key and enrol it with a new ticket"),
    )
}

/// The file behind the state. Several processes may change it: `project serve`, and the commands beside it.
#[derive(Debug)]
pub(super) struct Store {
    file: PathBuf,
    lock: PathBuf,
}

impl Store {
    pub(super) fn new(directory: &Path) -> Self {
        Self { file: directory.join("state.json"), lock: directory.join("state.lock") }
    }

    pub(super) fn read(&self) -> Result<State, AuthorityError> {
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(State { version: VERSION, tickets: BTreeMap::new(), nodes: BTreeMap::new() });
            }
            Err(source) => return Err(AuthorityError::File { path: self.file.clone(), what: "read", source }),
        };
        let damaged = |reason: String| AuthorityError::Damaged { path: self.file.clone(), reason };
        let state: State = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        match state.version {
            VERSION => Ok(state),
            other => Err(damaged(format!("it has version {other}, this program knows {VERSION}"))),
        }
    }

    /// Changes the state; on an error it stays as it was.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, AuthorityError>,
    ) -> Result<T, AuthorityError> {
        let _lock = self.locked()?;
        let mut state = self.read()?;
        let result = change(&mut state)?;
        self.save(&state)?;
        Ok(result)
    }

    /// The same for a change that may be refused, which leaves the state as it was too.
    pub(super) fn change_if<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, Refusal>,
    ) -> Result<Result<T, Refusal>, AuthorityError> {
        let _lock = self.locked()?;
        let mut state = self.read()?;
        match change(&mut state) {
            Ok(result) => self.save(&state).map(|()| Ok(result)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn save(&self, state: &State) -> Result<(), AuthorityError> {
        let json = serde_json::to_vec_pretty(state)
            .map_err(|error| AuthorityError::Damaged { path: self.file.clone(), reason: error.to_string() })?;
        write(&self.file, &json)
    }

    /// Held until dropped; the system lets go of it when the process dies.
    fn locked(&self) -> Result<File, AuthorityError> {
        let file = |source| AuthorityError::File { path: self.lock.clone(), what: "locked", source };
        let lock = File::options().create(true).truncate(false).write(true).open(&self.lock).map_err(file)?;
        lock.lock().map_err(file)?;
        Ok(lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_node_is_listed_for_as_long_as_its_credential_may_be_in_force() {
        let (now, lifetime) = (SystemTime::now(), Duration::from_secs(3600));
        let mut member = Member {
            fingerprint: Fingerprint::of(b"key"),
            attributes: Attributes::new(),
            relays: BTreeSet::new(),
            enrolled_at: 0,
            renewed_at: 0,
            credential_ends_at: None,
            revoked_at: None,
        };
        assert!(!member.is_to_be_refused(now));
        member.revoked_at = Some(millis(now));
        assert!(member.is_to_be_refused(now), "nothing is known of its credential");
        member.issued(now, lifetime);
        assert!(member.is_to_be_refused(now + lifetime + SKEW / 2));
        assert!(!member.is_to_be_refused(now + lifetime + SKEW));
    }
}
