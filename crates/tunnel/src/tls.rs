//! Every TLS configuration of the tunnel. Verification and cryptography are rustls's and webpki's; what is said here is
//! only *whom* to believe.
//!
//! | conversation | client is believed because | server is believed because |
//! |---|---|---|
//! | authority | it signs with the key it asks for | its chain ends in the pinned key |
//! | relay (outer) | its credential is the project's | the project's, or a public one for the relay's name |
//! | tunnel (inner) | its credential is the project's | its credential is the project's |
//!
//! TLS 1.3 only, X25519MLKEM768 first. Sessions are never resumed: a resumed one would skip the certificates, and with
//! them the end of a credential.

mod verifier;

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore, ServerConfig};

use self::verifier::{KeyOnly, PinnedAuthority, ProjectServer, project_client};
use crate::address::Address;
use crate::credential::{Fingerprint, Id};
use crate::identity::{Identity, IdentityError};
use crate::wire::alpn;

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The key and its certificate.
    #[error("the key and its certificate cannot be used for TLS: {0}")]
    Own(Error),
    /// The key alone.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate to believe.
    #[error("the certificates of {what} cannot be used: {reason}")]
    Roots {
        /// The file, or the system's store.
        what: String,
        /// Why.
        reason: String,
    },
}

/// A credential's chain with the key it is for.
#[derive(Debug, Clone)]
pub(crate) struct Own<'a> {
    pub(crate) identity: &'a Identity,
    /// The node's certificate and then the authority's.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// How the relay's certificate is known: [`crate::ticket::RelayTrust`] with what it needs.
#[derive(Debug, Clone)]
pub(crate) enum RelayRoots {
    /// The project's own.
    Project,
    /// Certificate authorities for the relay's host name.
    Public(Arc<RootCertStore>),
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
    // The 128-bit cipher first: every byte is enciphered three times on its way, and it is the cheapest.
    provider.cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    Arc::new(provider)
}

/// A node to the authority whose key has this fingerprint.
pub(crate) fn to_authority(identity: &Identity, authority: Fingerprint) -> Result<ClientConfig, TlsError> {
    let chain = vec![identity.bare_certificate()?];
    client(Arc::new(PinnedAuthority::new(authority)), &Own { identity, chain }, alpn::AUTHORITY)
}

/// A node to the relay.
pub(crate) fn to_relay(
    own: &Own<'_>,
    authority: &CertificateDer<'static>,
    roots: &RelayRoots,
) -> Result<ClientConfig, TlsError> {
    let RelayRoots::Public(roots) = roots else {
        return client(Arc::new(ProjectServer::relay(authority)?), own, alpn::RELAY);
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider())
        .build()
        .map_err(|error| TlsError::Roots { what: "the relay".to_owned(), reason: error.to_string() })?;
    client(verifier, own, alpn::RELAY)
}

/// An inlet to an outlet.
pub(crate) fn to_outlet(own: &Own<'_>, authority: &CertificateDer<'static>) -> Result<ClientConfig, TlsError> {
    client(Arc::new(ProjectServer::any(authority)?), own, alpn::TUNNEL)
}

/// The authority's end.
pub(crate) fn of_authority(own: &Own<'_>) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Own)?
        .with_client_cert_verifier(Arc::new(KeyOnly::new()));
    server(config.with_single_cert(own.chain.clone(), own.identity.tls_key()), alpn::AUTHORITY)
}

/// The relay's end, with the project's certificate or a public one.
pub(crate) fn of_relay(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: &CertificateDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Own)?
        .with_client_cert_verifier(project_client(authority)?);
    server(config.with_single_cert(chain, key), alpn::RELAY)
}

/// An outlet's end.
pub(crate) fn of_outlet(own: &Own<'_>, authority: &CertificateDer<'static>) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Own)?
        .with_client_cert_verifier(project_client(authority)?);
    server(config.with_single_cert(own.chain.clone(), own.identity.tls_key()), alpn::TUNNEL)
}

/// An outlet to a Kafka broker: the only conversation whose other end is not ours, so TLS 1.2 will do.
pub(crate) fn to_broker(ca: Option<&Path>, certificate: Option<(&Path, &Path)>) -> Result<ClientConfig, TlsError> {
    let roots = match ca {
        Some(file) => roots_of(file)?,
        None => system_roots()?,
    };
    let RelayRoots::Public(roots) = roots else {
        return Err(TlsError::Roots { what: "the brokers".to_owned(), reason: "there are none".to_owned() });
    };
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Own)?
        .with_root_certificates(roots);
    let Some((chain_file, key_file)) = certificate else { return Ok(config.with_no_client_auth()) };
    let (chain, key) = chain_and_key(chain_file, key_file)?;
    config.with_client_auth_cert(chain, key).map_err(TlsError::Own)
}

fn client(
    verifier: Arc<dyn tokio_rustls::rustls::client::danger::ServerCertVerifier>,
    own: &Own<'_>,
    alpn: &[u8],
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Own)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(own.chain.clone(), own.identity.tls_key())
        .map_err(TlsError::Own)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server(config: Result<ServerConfig, Error>, alpn: &[u8]) -> Result<ServerConfig, TlsError> {
    let mut config = config.map_err(TlsError::Own)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::new(tokio_rustls::rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A certificate chain and its key, from two PEM files.
pub(crate) fn chain_and_key(
    chain: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let error = |file: &Path, reason: &dyn std::fmt::Display| TlsError::Roots {
        what: file.display().to_string(),
        reason: reason.to_string(),
    };
    let certificates =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect).map_err(|reason| error(chain, &reason))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|reason| error(key, &reason))?;
    Ok((certificates, private))
}

/// The certificate authorities of a PEM file.
pub(crate) fn roots_of(file: &Path) -> Result<RelayRoots, TlsError> {
    let error = |reason: String| TlsError::Roots { what: file.display().to_string(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|reason| error(reason.to_string()))? {
        let certificate = certificate.map_err(|reason| error(reason.to_string()))?;
        roots.add(certificate).map_err(|reason| error(reason.to_string()))?;
    }
    if roots.is_empty() {
        return Err(error("it holds no certificate".to_owned()));
    }
    Ok(RelayRoots::Public(Arc::new(roots)))
}

/// The certificate authorities the machine believes.
pub(crate) fn system_roots() -> Result<RelayRoots, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(TlsError::Roots { what: "the machine".to_owned(), reason });
    }
    Ok(RelayRoots::Public(Arc::new(roots)))
}

/// The server name of an address, which is what a public certificate is checked against.
pub(crate) fn server_name(address: &Address) -> ServerName<'static> {
    // An address's host is a DNS name or an IP address by construction; underscores are what may still be refused, and
    // such a host has no public certificate.
    ServerName::try_from(address.host().to_owned())
        .unwrap_or(ServerName::IpAddress(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED).into()))
}

/// The server name inside, where names mean nothing.
pub(crate) fn inner_name() -> ServerName<'static> {
    ServerName::IpAddress(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED).into())
}

/// What a failed handshake means, in words that name the remedy; falls back on the error's own.
pub(crate) fn explain(error: &std::io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the other side closed the connection during the handshake".to_owned(),
            _ => error.to_string(),
        };
    };
    match tls {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the other side's credential has expired; is its clock right, and can it reach the authority?".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the other side's certificate was not issued by this project's authority, nor by another that is believed here"
                .to_owned()
        }
        Error::InvalidCertificate(CertificateError::Other(other)) => other.to_string(),
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "the other side says that this node's credential has expired".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
            "the other side does not believe this one's certificate: it is of another project, or its issuer is unknown there"
                .to_owned()
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => "the other side does not speak TLS 1.3".to_owned(),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) | Error::NoApplicationProtocol => {
            "the other side is no snowmelt node of this kind (it refuses the protocol name)".to_owned()
        }
        Error::InvalidMessage(_) => "the other side does not speak TLS".to_owned(),
        other => other.to_string(),
    }
}

/// The project an authority's certificate stands for.
pub(crate) fn project_of(authority: &CertificateDer<'_>) -> Result<Id, crate::credential::CredentialError> {
    Ok(Id::of(&Fingerprint::of_certificate(authority)?))
}
