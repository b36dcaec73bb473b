//! Whom to believe, as rustls asks for it.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerMisbehaved, RootCertStore,
    SignatureScheme,
};

use super::{TlsError, project_of, provider};
use crate::attribute::{AUTHORITY, RELAY};
use crate::credential::{Fingerprint, Id, Node};

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

/// A refusal with words of its own.
#[derive(Debug)]
struct Words(String);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Words {}

fn refuse(words: impl fmt::Display) -> Error {
    let words: Arc<dyn std::error::Error + Send + Sync> = Arc::new(Words(words.to_string()));
    Error::InvalidCertificate(CertificateError::Other(OtherError(words)))
}

fn only(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.clone())
        .map_err(|error| TlsError::Roots { what: "the project's authority".to_owned(), reason: error.to_string() })?;
    Ok(Arc::new(roots))
}

/// What every verifier of servers answers alike.
macro_rules! tls13_signatures_only {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &algorithms())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            algorithms().supported_schemes()
        }
    };
}

/// Believes the authority with one key: what a ticket pins.
#[derive(Debug)]
pub(super) struct PinnedAuthority {
    fingerprint: Fingerprint,
}

impl PinnedAuthority {
    pub(super) fn new(fingerprint: Fingerprint) -> Self {
        Self { fingerprint }
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = |certificate: &&CertificateDer<'_>| {
            Fingerprint::of_certificate(certificate).is_ok_and(|found| found == self.fingerprint)
        };
        let authority = intermediates.iter().find(pinned).ok_or_else(|| {
            refuse(format!(
                "what answers is not the authority of this ticket: none of its keys has the fingerprint {}; is the \
                 address right, is something in between, or was the project made anew?",
                self.fingerprint
            ))
        })?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms().all)?;
        let node = Node::read(end_entity).map_err(refuse)?;
        if node.project != Id::of(&self.fingerprint) || !node.has(AUTHORITY) {
            return Err(refuse(format!("what answers is node {} of the project, not its authority", node.id)));
        }
        Ok(ServerCertVerified::assertion())
    }

    tls13_signatures_only!();
}

/// Believes nodes of the project: any of them, whether it is the right one the policy says afterwards; or its relays.
#[derive(Debug)]
pub(super) struct ProjectServer {
    roots: Arc<RootCertStore>,
    project: Id,
    relays_only: bool,
}

impl ProjectServer {
    pub(super) fn any(authority: &CertificateDer<'static>) -> Result<Self, TlsError> {
        let project = project_of(authority).map_err(|error| TlsError::Roots {
            what: "the project's authority".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { roots: only(authority)?, project, relays_only: false })
    }

    pub(super) fn relay(authority: &CertificateDer<'static>) -> Result<Self, TlsError> {
        Ok(Self { relays_only: true, ..Self::any(authority)? })
    }
}

impl ServerCertVerifier for ProjectServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, &[], now, algorithms().all)?;
        let node = Node::read(end_entity).map_err(refuse)?;
        if node.project != self.project {
            return Err(refuse("the other side's credential is of another project"));
        }
        if self.relays_only && !node.has(RELAY) {
            return Err(refuse(format!("what answers is node {} of the project, not a relay", node.id)));
        }
        Ok(ServerCertVerified::assertion())
    }

    tls13_signatures_only!();
}

/// Believes any key that signs for itself: whose key it is, the authority looks up.
#[derive(Debug)]
pub(super) struct KeyOnly;

impl KeyOnly {
    pub(super) fn new() -> Self {
        Self
    }
}

impl ClientCertVerifier for KeyOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Fingerprint::of_certificate(end_entity).map_err(refuse)?;
        Ok(ClientCertVerified::assertion())
    }

    tls13_signatures_only!();
}

/// Believes any node of the project.
pub(super) fn project_client(authority: &CertificateDer<'static>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(only(authority)?, provider())
        .build()
        .map_err(|error| TlsError::Roots { what: "the project's authority".to_owned(), reason: error.to_string() })
}
