//! The authority's conversation with one node, and the list of revoked nodes that relays follow.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;

use super::{Credential, Project};
use crate::attribute::RELAY;
use crate::credential::{Fingerprint, Id, Node};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::socket::HANDSHAKE;
use crate::tls::{self, Own, TlsError};
use crate::wire::{self, FromAuthority, Reason, Refusal, ToAuthority, WireError};

/// How soon a revocation by another process is seen.
const LOOK: Duration = Duration::from_millis(500);
/// A relay hears the list at least this often, so that it knows that it would hear of a change.
const REPEAT: Duration = Duration::from_secs(3);
/// The authority's own credential, which is only in memory and made anew long before.
const OWN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Revoked nodes, as followed.
pub type Revoked = watch::Receiver<Arc<BTreeSet<Id>>>;

/// A project that answers.
pub struct Authority {
    project: Arc<Project>,
    identity: Identity,
    revoked: watch::Sender<Arc<BTreeSet<Id>>>,
    metrics: Arc<Metrics>,
}

impl Authority {
    /// Makes one of a project.
    ///
    /// # Errors
    /// When the state cannot be read, or no key made.
    pub fn new(project: Arc<Project>, metrics: Arc<Metrics>) -> Result<Self, super::AuthorityError> {
        let revoked = project.revoked(SystemTime::now())?.into_iter().collect();
        Ok(Self { project, identity: Identity::generate()?, revoked: watch::Sender::new(Arc::new(revoked)), metrics })
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &Arc<Project> {
        &self.project
    }

    /// The revoked nodes.
    #[must_use]
    pub fn revoked(&self) -> Revoked {
        self.revoked.subscribe()
    }

    /// The authority's own certificate chain and key, which serve the relay too when both are one process.
    fn own(&self) -> Result<Own<'_>, TlsError> {
        let credential = self
            .project
            .own_credential(&self.identity, SystemTime::now(), OWN_LIFETIME)
            .map_err(|error| TlsError::Roots { what: "the authority".to_owned(), reason: error.to_string() })?;
        let chain = vec![credential.certificate, self.project.certificate().clone()];
        Ok(Own { identity: &self.identity, chain })
    }

    /// TLS for the authority's conversation.
    pub(crate) fn tls(&self) -> Result<ServerConfig, TlsError> {
        tls::of_authority(&self.own()?)
    }

    /// TLS for a relay in the same process, with the project's own certificate.
    pub(crate) fn relay_tls(&self) -> Result<ServerConfig, TlsError> {
        tls::of_relay(self.own()?.chain, self.identity.tls_key(), self.project.certificate())
    }

    /// Follows the state file, which `project revoke` changes from another process.
    pub async fn follow(&self) -> Infallible {
        let mut interval = tokio::time::interval(LOOK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let project = Arc::clone(&self.project);
            match tokio::task::spawn_blocking(move || project.revoked(SystemTime::now())).await {
                Ok(Ok(nodes)) => {
                    let nodes: BTreeSet<Id> = nodes.into_iter().collect();
                    self.revoked.send_if_modified(|known| {
                        let changed = **known != nodes;
                        if changed {
                            *known = Arc::new(nodes);
                        }
                        changed
                    });
                }
                Ok(Err(error)) => tracing::error!(%error, "the list of revoked nodes could not be read"),
                Err(error) => tracing::error!(%error, "the list of revoked nodes could not be read"),
            }
        }
    }
}

/// Answers one node whose handshake is done.
///
/// # Errors
/// When the connection fails.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    authority: &Authority,
    stream: &mut TlsStream<S>,
) -> Result<(), WireError> {
    let (_, session) = stream.get_ref();
    let Some(certificate) =
        session.peer_certificates().and_then(|chain| chain.first()).map(|own| own.clone().into_owned())
    else {
        return refuse(authority, stream, Refusal::new(Reason::Protocol, "no key was shown")).await;
    };
    let question = timeout(HANDSHAKE, wire::receive::<_, ToAuthority>(stream))
        .await
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::TimedOut, "no question came"))??;
    let spki = match spki(&certificate) {
        Ok(spki) => spki,
        Err(refusal) => return refuse(authority, stream, refusal).await,
    };
    if question == (ToAuthority::Watch {}) {
        return watch_revocations(authority, stream, &spki).await;
    }
    let enrolment = matches!(question, ToAuthority::Enrol { .. });
    let project = Arc::clone(&authority.project);
    let key = spki.clone();
    let answered = tokio::task::spawn_blocking(move || match &question {
        ToAuthority::Enrol { secret } => project.enrol(secret, &key, SystemTime::now()),
        _ => project.renew(&key, SystemTime::now()),
    })
    .await;
    let answer = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::error!(%error, "the authority cannot answer");
            Err(Refusal::new(Reason::Busy, "the authority cannot write its state now; its log says why"))
        }
        Err(error) => {
            tracing::error!(%error, "the authority cannot answer");
            Err(Refusal::new(Reason::Busy, "the authority failed; its log says why"))
        }
    };
    match answer {
        Ok(Credential { certificate, node }) => {
            let attributes: Vec<&str> = node.attributes.iter().map(crate::attribute::Attribute::as_str).collect();
            tracing::info!(node = %node.id, ?attributes, enrolment, "credential issued");
            authority.metrics.issued(enrolment);
            let encoded = |certificate: &CertificateDer<'_>| BASE64.encode(certificate);
            let authority = encoded(authority.project.certificate());
            wire::send(stream, &FromAuthority::Credential { certificate: encoded(&certificate), authority }).await
        }
        Err(refusal) => {
            tracing::warn!(node = %Id::of(&Fingerprint::of(&spki)), reason = refusal.code.as_str(), "credential refused");
            refuse(authority, stream, refusal).await
        }
    }
}

/// Tells a relay which nodes are revoked until it leaves.
async fn watch_revocations<S: AsyncRead + AsyncWrite + Unpin>(
    authority: &Authority,
    stream: &mut TlsStream<S>,
    spki: &[u8],
) -> Result<(), WireError> {
    let id = Id::of(&Fingerprint::of(spki));
    let project = Arc::clone(&authority.project);
    let nodes = tokio::task::spawn_blocking(move || project.nodes()).await;
    let nodes = nodes.ok().and_then(Result::ok).unwrap_or_default();
    let relay = |(own, member): &(Id, super::Member)| {
        *own == id && member.revoked_at.is_none() && member.attributes.iter().any(|name| name.as_str() == RELAY)
    };
    if !nodes.iter().any(relay) {
        return refuse(
            authority,
            stream,
            Refusal::new(Reason::Policy, format!("node {id} is no relay of this project")),
        )
        .await;
    }
    let mut revoked = authority.revoked();
    loop {
        let nodes = revoked.borrow_and_update().iter().cloned().collect();
        wire::send(stream, &FromAuthority::Revoked { nodes }).await?;
        // A lost sender cannot be: the authority holds it.
        let _ = timeout(REPEAT, revoked.changed()).await;
    }
}

fn spki(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, Refusal> {
    Node::key_of(certificate).map_err(|error| Refusal::new(Reason::Protocol, error.to_string()))
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    authority: &Authority,
    stream: &mut TlsStream<S>,
    refusal: Refusal,
) -> Result<(), WireError> {
    authority.metrics.refused(refusal.code);
    wire::send(stream, &FromAuthority::Refused(refusal)).await
}
