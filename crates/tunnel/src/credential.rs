//! What the authority says of a node, as an X.509 certificate, and how it is read back.
//!
//! All of it stands in URIs of the subject alternative name (RFC 5280 §4.2.1.6), as SPIFFE does:
//!
//! ```text
//! snowmelt://<project>/node/<node>          who
//! snowmelt://<project>/attribute/<name>     what it is allowed to be, once per attribute
//! snowmelt://<project>/relay/<name>         what it may register at the relay, once per name
//! ```
//!
//! A certificate is only believed after its chain was verified (`crate::tls`); reading alone proves nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::attribute::{Attribute, Attributes, MOST, RelayName, shortened};

const SCHEME: &str = "snowmelt://";

/// The SHA-256 of a public key (its SubjectPublicKeyInfo in DER), written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a key.
    #[must_use]
    pub fn of(spki: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, spki).as_ref());
        Self(bytes)
    }

    /// Of a certificate's key.
    ///
    /// # Errors
    /// When it is no certificate.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, CredentialError> {
        Ok(Self::of(parse(certificate)?.public_key().raw))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a fingerprint has 64 hex digits";
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return Err(WRONG);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| WRONG)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(WRONG);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// Names a project or a node: the first 16 hex digits of its key's fingerprint, so that nobody can take another's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

impl Id {
    /// The id that goes with a key.
    #[must_use]
    pub fn of(fingerprint: &Fingerprint) -> Self {
        let mut digits = fingerprint.to_string();
        digits.truncate(16);
        Self(digits)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        let fits = text.len() == 16 && text.bytes().all(hex);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("an id has 16 lower-case hex digits; `snowmelt project nodes` lists them")
        }
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a credential says of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The project.
    pub project: Id,
    /// The node.
    pub id: Id,
    /// Its attributes.
    pub attributes: Attributes,
    /// What it may register at the relay.
    pub relays: Relays,
    /// When the credential ends.
    pub not_after: SystemTime,
}

/// Names that a node may register at the relay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relays(pub BTreeSet<RelayName>);

impl Relays {
    /// Whether `name` may be registered.
    #[must_use]
    pub fn contain(&self, name: &RelayName) -> bool {
        self.0.contains(name)
    }
}

/// Why a certificate is no credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is no credential of a project: {reason}")]
pub struct CredentialError {
    reason: String,
}

fn wrong(reason: impl Into<String>) -> CredentialError {
    CredentialError { reason: reason.into() }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CredentialError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) => Err(wrong("bytes follow it")),
        Err(_) => Err(wrong("it is not X.509")),
    }
}

impl Node {
    /// Reads a certificate whose chain has been verified.
    ///
    /// # Errors
    /// When it does not say what a credential says.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, CredentialError> {
        let parsed = parse(certificate)?;
        let not_after = parsed.validity().not_after.timestamp();
        let names = parsed
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                _ => None,
            })
            .ok_or_else(|| wrong("it names nobody"))?;
        let (mut node, mut attributes, mut relays) = (None, Attributes::new(), Relays::default());
        if names.len() > 2 * MOST + 1 {
            return Err(wrong("it has too many names"));
        }
        for name in names {
            let GeneralName::URI(uri) = name else { continue };
            let Some(rest) = uri.strip_prefix(SCHEME) else { continue };
            let mut parts = rest.splitn(3, '/');
            let (Some(project), Some(kind), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(wrong(format!("{:?} is not understood", shortened(uri))));
            };
            let project: Id = project.parse().map_err(|reason: &str| wrong(reason))?;
            match (kind, &node) {
                ("node", None) => {
                    let id: Id = value.parse().map_err(|reason: &str| wrong(reason))?;
                    node = Some((project, id));
                }
                ("attribute", Some((own, _))) if *own == project => {
                    attributes.insert(value.parse::<Attribute>().map_err(|error| wrong(error.to_string()))?);
                }
                ("relay", Some((own, _))) if *own == project => {
                    relays.0.insert(value.parse::<RelayName>().map_err(|error| wrong(error.to_string()))?);
                }
                _ => return Err(wrong(format!("{:?} cannot stand there", shortened(uri)))),
            }
        }
        let (project, id) = node.ok_or_else(|| wrong("it names no node"))?;
        // The id is derived from the key, so a certificate cannot pair one node's name with another's key.
        if Id::of(&Fingerprint::of(parsed.public_key().raw)) != id {
            return Err(wrong("its id is not its key's"));
        }
        let not_after = UNIX_EPOCH + Duration::from_secs(u64::try_from(not_after).unwrap_or(0));
        Ok(Self { project, id, attributes, relays, not_after })
    }

    /// The key of any certificate (SubjectPublicKeyInfo in DER).
    ///
    /// # Errors
    /// When it is no certificate.
    pub(crate) fn key_of(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, CredentialError> {
        Ok(parse(certificate)?.public_key().raw.to_vec())
    }

    /// The URIs that say it, the node's own first.
    #[must_use]
    pub fn uris(&self) -> Vec<String> {
        let Self { project, id, attributes, relays, .. } = self;
        let node = std::iter::once(format!("{SCHEME}{project}/node/{id}"));
        let attributes = attributes.iter().map(|name| format!("{SCHEME}{project}/attribute/{name}"));
        let relays = relays.0.iter().map(|name| format!("{SCHEME}{project}/relay/{name}"));
        node.chain(attributes).chain(relays).collect()
    }

    /// Whether the node has this attribute.
    #[must_use]
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|own| own.as_str() == attribute)
    }
}
