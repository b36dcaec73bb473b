//! Certificate authorities that have nothing to do with a project: what brokers, their clients and public relays show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A certificate authority with its certificate in a PEM file.
pub(crate) struct Signer {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
}

/// A certificate and its key in PEM files.
pub(crate) struct Leaf {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Signer {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key), file }
    }

    /// For a server of these host names or addresses, or for a client of this name.
    pub(crate) fn sign(&self, name: &str) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let stem = format!("{}-{name}", self.file.file_stem().unwrap().display());
        let leaf =
            Leaf { chain: self.folder.join(format!("{stem}.pem")), key: self.folder.join(format!("{stem}.key")) };
        std::fs::write(&leaf.chain, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&leaf.key, key.serialize_pem()).unwrap();
        leaf
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.file).unwrap()).unwrap();
        Arc::new(roots)
    }
}

impl Leaf {
    /// TLS of a server that shows this, and wants its clients to show something by `clients`.
    pub(crate) fn server(&self, clients: Option<&Signer>) -> Arc<ServerConfig> {
        let chain = vec![CertificateDer::from_pem_file(&self.chain).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let config = ServerConfig::builder();
        let config = match clients {
            Some(clients) => {
                config.with_client_cert_verifier(WebPkiClientVerifier::builder(clients.roots()).build().unwrap())
            }
            None => config.with_no_client_auth(),
        };
        Arc::new(config.with_single_cert(chain, key).unwrap())
    }
}
