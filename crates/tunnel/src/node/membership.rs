//! What a node keeps beside its key: `membership.json`. Nothing in it is secret.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::NodeError;
use crate::address::Address;
use crate::credential::Fingerprint;
use crate::durable;
use crate::ticket::{RelayTrust, SecretHash, Ticket};

const FILE: &str = "membership.json";

/// Of what project, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Membership {
    pub(super) authority: Fingerprint,
    pub(super) authority_address: Address,
    pub(super) relay: Address,
    pub(super) relay_trust: RelayTrust,
    /// The hash of the ticket that was used, which tells a new ticket from the old one.
    pub(super) ticket: SecretHash,
}

impl Membership {
    pub(super) fn of(ticket: &Ticket) -> Self {
        Self {
            authority: ticket.authority,
            authority_address: ticket.authority_address.clone(),
            relay: ticket.relay_address.clone(),
            relay_trust: ticket.relay_trust,
            ticket: ticket.secret.hash(),
        }
    }
}

/// A membership with its last credential.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) membership: Membership,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) authority: CertificateDer<'static>,
}

#[derive(Serialize, Deserialize)]
struct File {
    membership: Membership,
    certificate: String,
    authority: String,
}

fn failed(path: &Path, what: &'static str, reason: &dyn std::fmt::Display) -> NodeError {
    NodeError::File { path: path.to_owned(), what, reason: reason.to_string() }
}

/// A directory that only its owner can look into.
pub(super) fn make_directory(directory: &Path) -> Result<(), NodeError> {
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, "made", &error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
            .map_err(|error| failed(directory, "made private", &error))?;
    }
    Ok(())
}

pub(super) fn read(directory: &Path) -> Result<Option<Stored>, NodeError> {
    let path = directory.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, "read", &error)),
    };
    let file: File = serde_json::from_str(&text).map_err(|error| failed(&path, "understood", &error))?;
    let bytes =
        |text: &str| BASE64.decode(text).map(CertificateDer::from).map_err(|error| failed(&path, "understood", &error));
    Ok(Some(Stored {
        certificate: bytes(&file.certificate)?,
        authority: bytes(&file.authority)?,
        membership: file.membership,
    }))
}

pub(super) fn write(directory: &Path, stored: &Stored) -> Result<(), NodeError> {
    let path = directory.join(FILE);
    let file = File {
        membership: stored.membership.clone(),
        certificate: BASE64.encode(&stored.certificate),
        authority: BASE64.encode(&stored.authority),
    };
    let json = serde_json::to_vec_pretty(&file).map_err(|error| failed(&path, "written", &error))?;
    durable::write(&path, &json).map_err(|error| failed(&path, "written", &error))
}
