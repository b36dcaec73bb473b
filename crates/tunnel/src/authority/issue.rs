//! Certificates: the authority's own, and the credentials it signs.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{AuthorityError, Project};
use crate::attribute::{AUTHORITY, Attributes, RELAY, RelayName};
use crate::credential::{Fingerprint, Id, Node, Relays};
use crate::identity::Identity;

/// Clocks differ: a credential counts from this long before it was made.
const SKEW: Duration = Duration::from_secs(300);
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// What the authority hands to a node.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The node's certificate.
    pub certificate: CertificateDer<'static>,
    /// What it says.
    pub node: Node,
}

fn issue_error(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Issue(error.to_string())
}

fn params(name: String, from: SystemTime, until: SystemTime) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(Vec::new()).map_err(issue_error)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = from.into();
    params.not_after = until.into();
    // Positive, as RFC 5280 asks.
    let mut serial: [u8; 16] = rand::random();
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    Ok(params)
}

/// The certificate of a new authority: it may sign nodes, and nothing that signs in turn.
pub(super) fn authority_certificate(identity: &Identity) -> Result<rcgen::Certificate, AuthorityError> {
    let now = SystemTime::now();
    let mut params = params(format!("snowmelt project {}", identity.id()), now - SKEW, now + AUTHORITY_LIFETIME)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.self_signed(identity.pair()).map_err(issue_error)
}

impl Project {
    /// Signs a credential for the key `spki`.
    pub(crate) fn issue(
        &self,
        attributes: &Attributes,
        relays: &BTreeSet<RelayName>,
        spki: &[u8],
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Credential, AuthorityError> {
        let key = SubjectPublicKeyInfo::from_der(spki).map_err(issue_error)?;
        let id = Id::of(&Fingerprint::of(spki));
        let not_after = now + lifetime;
        let mut params = params(format!("snowmelt node {id}"), now - SKEW, not_after)?;
        let node =
            Node { project: self.id(), id, attributes: attributes.clone(), relays: Relays(relays.clone()), not_after };
        for uri in node.uris() {
            params.subject_alt_names.push(SanType::URI(uri.try_into().map_err(issue_error)?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A node is a client to the relay and may be a server inside.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_der(self.certificate(), self.identity.pair()).map_err(issue_error)?;
        let certificate = params.signed_by(&key, &issuer).map_err(issue_error)?.into();
        Ok(Credential { certificate, node })
    }

    /// The authority's credential for itself, with which its server answers, also as the relay when it is that too.
    pub(crate) fn own_credential(
        &self,
        identity: &Identity,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Credential, AuthorityError> {
        let attribute = |text: &str| text.parse().map_err(|error| AuthorityError::Issue(format!("{error}")));
        let attributes = Attributes::from([attribute(AUTHORITY)?, attribute(RELAY)?]);
        self.issue(&attributes, &BTreeSet::new(), &identity.pair().subject_public_key_info(), now, lifetime)
    }
}
