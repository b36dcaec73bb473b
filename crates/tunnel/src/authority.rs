//! The authority of a project: makes tickets, takes them back for credentials, and remembers who was let in.
//!
//! ```text
//! project.toml    addresses, lifetimes: written by a person, or by `project create`
//! authority.key   signs every credential; never leaves the machine
//! authority.pem   its certificate, which every node gets
//! state.json      tickets (hashed) and nodes; replaced as a whole, under the lock of state.lock
//! ```
//!
//! Every change is on the disk before anybody hears of it, so that a crash cannot give one use of a ticket twice.

mod issue;
mod serve;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

pub use self::issue::Credential;
pub use self::serve::{Authority, Revoked, serve};
pub use self::state::{Member, TicketTerms};
use self::state::{State, Store};
use crate::address::Address;
use crate::attribute::AUTHORITY;
use crate::credential::{Fingerprint, Id};
use crate::durable;
use crate::identity::{Identity, IdentityError};
use crate::ticket::{RelayTrust, Secret, Ticket};
use crate::wire::{Reason, Refusal};

/// How long a credential lasts unless the project says otherwise. A revoked node is refused at once by the relay; by
/// its peers alone, at the latest after this time. A node renews after half of it, so that an authority may be away for
/// the other half.
pub const CREDENTIAL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What `project.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where nodes find the relay.
    pub relay: Address,
    /// Where nodes find the authority; the relay's address when both are one process.
    pub authority: Address,
    /// How nodes know the relay's certificate.
    #[serde(default)]
    pub relay_trust: RelayTrust,
    /// Seconds that a credential lasts.
    pub credential_lifetime_seconds: u64,
}

/// Why the authority cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A project is there already.
    #[error("{path} holds a project already; `snowmelt project show --dir {path}` shows it", path = .0.display())]
    Exists(PathBuf),
    /// None is there.
    #[error("{path} holds no project: {missing} is missing; make one with `snowmelt project create --dir {path}`", path = path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// The file.
        missing: &'static str,
    },
    /// The file system.
    #[error("{path} cannot be {what}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} is damaged: {reason}; restore it from a backup", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Issue(String),
    /// A ticket cannot promise this.
    #[error("{0}")]
    Terms(String),
    /// No such node.
    #[error("the project has no node {0}; `snowmelt project nodes` lists them")]
    NoNode(Id),
}

/// A project with its authority's key.
#[derive(Debug)]
pub struct Project {
    directory: PathBuf,
    settings: Settings,
    identity: Identity,
    certificate: CertificateDer<'static>,
    store: Store,
}

impl Project {
    /// Makes a project in `directory`, which is made too when it is not there.
    ///
    /// # Errors
    /// [`AuthorityError::Exists`] when one is there; when files cannot be written.
    pub fn create(directory: &Path, settings: Settings, passphrase: Option<&str>) -> Result<Self, AuthorityError> {
        make_private_directory(directory)?;
        if Self::is_in(directory) {
            return Err(AuthorityError::Exists(directory.to_owned()));
        }
        // A key without the rest is of a creation that was cut off; nobody has heard of it.
        let identity = Identity::open(&directory.join("authority.key"), passphrase)?;
        let certificate = issue::authority_certificate(&identity)?;
        write(&directory.join("authority.pem"), certificate.pem().as_bytes())?;
        let text = toml::to_string(&settings).map_err(|error| AuthorityError::Terms(error.to_string()))?;
        // Last, because its being there is what makes the directory a project.
        write(&directory.join("project.toml"), text.as_bytes())?;
        Self::open(directory, passphrase)
    }

    /// Whether the directory holds a project.
    #[must_use]
    pub fn is_in(directory: &Path) -> bool {
        directory.join("project.toml").exists()
    }

    /// Opens a project.
    ///
    /// # Errors
    /// When none is there, or its files are damaged or of others.
    pub fn open(directory: &Path, passphrase: Option<&str>) -> Result<Self, AuthorityError> {
        let read = |missing: &'static str| {
            let path = directory.join(missing);
            std::fs::read_to_string(&path).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => AuthorityError::Missing { path: directory.to_owned(), missing },
                _ => AuthorityError::File { path, what: "read", source },
            })
        };
        let damaged = |file: &str, reason: String| AuthorityError::Damaged { path: directory.join(file), reason };
        let settings = toml::from_str(&read("project.toml")?)
            .map_err(|error| damaged("project.toml", error.message().to_owned()))?;
        let pem = read("authority.pem")?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| damaged("authority.pem", error.to_string()))?;
        // To open is not to make: a key made here would be another project's.
        read("authority.key")?;
        let identity = Identity::open(&directory.join("authority.key"), passphrase)?;
        let certified =
            Fingerprint::of_certificate(&certificate).map_err(|error| damaged("authority.pem", error.to_string()))?;
        if certified != identity.fingerprint() {
            return Err(damaged("authority.pem", "it is not for the key in authority.key".to_owned()));
        }
        let store = Store::new(directory);
        Ok(Self { directory: directory.to_owned(), settings, identity, certificate, store })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The project's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.identity.id()
    }

    /// What tickets pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    /// The authority's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Makes a ticket. Of its secret only a hash is kept.
    ///
    /// # Errors
    /// [`AuthorityError::Terms`] for terms that no ticket can have; when the state cannot be written.
    pub fn ticket(&self, terms: TicketTerms) -> Result<Ticket, AuthorityError> {
        if terms.attributes.iter().any(|attribute| attribute.as_str() == AUTHORITY) {
            return Err(AuthorityError::Terms(format!(
                "no ticket can give the attribute {AUTHORITY}: it is the authority's own"
            )));
        }
        terms.check()?;
        let secret = Secret::random();
        let relay_name = terms.relays.first().cloned();
        self.store.change(|state| {
            state.forget_old_tickets(SystemTime::now());
            state.add_ticket(secret.hash(), terms);
            Ok(())
        })?;
        Ok(Ticket {
            authority: self.fingerprint(),
            authority_address: self.settings.authority.clone(),
            relay_address: self.settings.relay.clone(),
            relay_trust: self.settings.relay_trust,
            relay_name,
            secret,
        })
    }

    /// Takes one use of a ticket and issues a credential for the key `spki` (SubjectPublicKeyInfo, DER). A key that used
    /// this ticket before gets its credential again without another use: its first answer may have been lost.
    ///
    /// # Errors
    /// The outer one when the state cannot be written; the inner is the refusal.
    pub fn enrol(
        &self,
        secret: &Secret,
        spki: &[u8],
        now: SystemTime,
    ) -> Result<Result<Credential, Refusal>, AuthorityError> {
        let fingerprint = Fingerprint::of(spki);
        let lifetime = self.lifetime();
        let member =
            self.store.change_if(|state: &mut State| state.enrol(&secret.hash(), fingerprint, now, lifetime))?;
        self.issued(member, spki, now)
    }

    /// Issues a new credential to a member.
    ///
    /// # Errors
    /// As [`Project::enrol`].
    pub fn renew(&self, spki: &[u8], now: SystemTime) -> Result<Result<Credential, Refusal>, AuthorityError> {
        let id = Id::of(&Fingerprint::of(spki));
        let member = self.store.change_if(|state| state.renew(&id, now, self.lifetime()))?;
        self.issued(member, spki, now)
    }

    fn issued(
        &self,
        member: Result<Member, Refusal>,
        spki: &[u8],
        now: SystemTime,
    ) -> Result<Result<Credential, Refusal>, AuthorityError> {
        let member = match member {
            Ok(member) => member,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.issue(&member.attributes, &member.relays, spki, now, self.lifetime()).map(Ok)
    }

    fn lifetime(&self) -> Duration {
        Duration::from_secs(self.settings.credential_lifetime_seconds)
    }

    /// All nodes that were let in, by id.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn nodes(&self) -> Result<Vec<(Id, Member)>, AuthorityError> {
        Ok(self.store.read()?.nodes.into_iter().collect())
    }

    /// Revokes a node: it gets no new credential, and the relay refuses the one it has.
    ///
    /// # Errors
    /// [`AuthorityError::NoNode`]; when the state cannot be written.
    pub fn revoke(&self, id: &Id, now: SystemTime) -> Result<(), AuthorityError> {
        self.store.change(|state| state.revoke(id, now))
    }

    /// The ids of the revoked nodes whose credentials may still be in force. The others are refused by everybody, as
    /// the credentials have ended; so the list does not grow for ever.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn revoked(&self, now: SystemTime) -> Result<Vec<Id>, AuthorityError> {
        let nodes = self.store.read()?.nodes;
        Ok(nodes.into_iter().filter(|(_, member)| member.is_to_be_refused(now)).map(|(id, _)| id).collect())
    }
}

/// What a refusal says to a key that is no member's.
fn not_member(id: &Id) -> Refusal {
    Refusal::new(
        Reason::NotMember,
        format!("node {id} is no member of this project; enrol it with a ticket of `snowmelt project ticket`"),
    )
}

fn make_private_directory(directory: &Path) -> Result<(), AuthorityError> {
    let file = |source| AuthorityError::File { path: directory.to_owned(), what: "made", source };
    std::fs::create_dir_all(directory).map_err(file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(file)?;
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), AuthorityError> {
    durable::write(path, content).map_err(|source| AuthorityError::File {
        path: path.to_owned(),
        what: "written",
        source,
    })
}
