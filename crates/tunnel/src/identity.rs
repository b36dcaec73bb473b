//! A node's own key: made on its machine, kept there, shown to nobody.
//!
//! At rest it is PKCS #8 in PEM (RFC 5958), readable by its owner only, and encrypted when there is a passphrase (PBES2
//! with scrypt, as `openssl pkcs8 -topk8 -scrypt` writes it). A container without a disk gets the same PEM from a file or
//! from its environment.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use pkcs8::der::pem::PemLabel as _;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::credential::{Fingerprint, Id};
use crate::durable;

/// A key pair (ECDSA on P-256).
pub struct Identity {
    pair: KeyPair,
    fingerprint: Fingerprint,
}

/// Why there is no key. Never shows a key or passphrase.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system.
    #[error("the key file {path} cannot be {what}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Others can read it.
    #[error("the key file {path} can be read by others (mode {mode:o}); run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Encrypted, and no passphrase was given.
    #[error("{what} is encrypted; give its passphrase")]
    PassphraseMissing {
        /// The file or variable.
        what: String,
    },
    /// Encrypted with another one.
    #[error("{what} cannot be opened with this passphrase")]
    PassphraseWrong {
        /// The file or variable.
        what: String,
    },
    /// Not a key that is understood.
    #[error("{what} holds no key that can be used here: {reason}; it must be PKCS #8 in PEM with an EC key on P-256")]
    Content {
        /// The file or variable.
        what: String,
        /// Why.
        reason: String,
    },
    /// The machine gave no key.
    #[error("no key could be made: {0}")]
    Make(String),
}

impl Identity {
    /// Makes a new key pair.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let pair =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| IdentityError::Make(error.to_string()))?;
        Ok(Self::with(pair))
    }

    fn with(pair: KeyPair) -> Self {
        let fingerprint = Fingerprint::of(&pair.subject_public_key_info());
        Self { pair, fingerprint }
    }

    /// Reads the key of `path`, or makes one there, with mode 0600 and only ever whole.
    ///
    /// # Errors
    /// When the file cannot be read or written, is readable by others, or holds something else.
    pub fn open(path: &Path, passphrase: Option<&str>) -> Result<Self, IdentityError> {
        match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(pem) => {
                refuse_exposed(path)?;
                Self::from_pem(&pem, passphrase, &format!("the key file {}", path.display()))
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let identity = Self::generate()?;
                match identity.write(path, passphrase) {
                    // Another process was faster: its key is this node's.
                    Err(IdentityError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                        Self::open(path, passphrase)
                    }
                    written => written.map(|()| identity),
                }
            }
            Err(source) => Err(IdentityError::File { path: path.to_owned(), what: "read", source }),
        }
    }

    /// Reads a key from PEM; `what` names where it came from.
    ///
    /// # Errors
    /// When it is encrypted without or with another passphrase, or no such key.
    pub fn from_pem(pem: &str, passphrase: Option<&str>, what: &str) -> Result<Self, IdentityError> {
        let content =
            |reason: &dyn fmt::Display| IdentityError::Content { what: what.to_owned(), reason: reason.to_string() };
        let (label, document) = SecretDocument::from_pem(pem).map_err(|error| content(&error))?;
        let plain = if label == EncryptedPrivateKeyInfoRef::PEM_LABEL {
            let passphrase = passphrase.ok_or_else(|| IdentityError::PassphraseMissing { what: what.to_owned() })?;
            let locked = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|error| content(&error))?;
            locked.decrypt(passphrase).map_err(|_| IdentityError::PassphraseWrong { what: what.to_owned() })?
        } else {
            document
        };
        let key = PrivatePkcs8KeyDer::from(plain.as_bytes());
        let pair =
            KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).map_err(|error| content(&error))?;
        Ok(Self::with(pair))
    }

    /// As PEM, encrypted when there is a passphrase.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn to_pem(&self, passphrase: Option<&str>) -> Result<Zeroizing<String>, IdentityError> {
        let make = |error: &dyn fmt::Display| IdentityError::Make(error.to_string());
        let der = Zeroizing::new(self.pair.serialize_der());
        let info = PrivateKeyInfoRef::try_from(der.as_slice()).map_err(|error| make(&error))?;
        let (label, document) = match passphrase {
            Some(passphrase) => {
                (EncryptedPrivateKeyInfoRef::PEM_LABEL, info.encrypt(passphrase).map_err(|error| make(&error))?)
            }
            None => {
                let plain = SecretDocument::try_from(der.as_slice()).map_err(|error| make(&error))?;
                (PrivateKeyInfoRef::PEM_LABEL, plain)
            }
        };
        document.to_pem(label, LineEnding::LF).map_err(|error| make(&error))
    }

    fn write(&self, path: &Path, passphrase: Option<&str>) -> Result<(), IdentityError> {
        let file = |source| IdentityError::File { path: path.to_owned(), what: "written", source };
        let pem = self.to_pem(passphrase)?;
        // Two processes that start at once agree on one of their keys.
        let temporary = durable::beside(path, pem.as_bytes()).map_err(file)?;
        temporary.persist_noclobber(path).map_err(|error| file(error.error))?;
        Ok(())
    }

    /// The id that goes with the key.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::of(&self.fingerprint)
    }

    /// The key's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The public key (SubjectPublicKeyInfo in DER).
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// The key pair, for signing certificates.
    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    /// The private key for a TLS configuration.
    pub(crate) fn tls_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into()
    }

    /// A certificate that says nothing but the key. With it a node proves to the authority that the key is its own,
    /// before it has a credential and after that has ended.
    pub(crate) fn bare_certificate(&self) -> Result<CertificateDer<'static>, IdentityError> {
        let make = |error: rcgen::Error| IdentityError::Make(error.to_string());
        let params = CertificateParams::new(Vec::new()).map_err(make)?;
        Ok(params.self_signed(&self.pair).map_err(make)?.into())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// A key that others can read is no secret; to go on with it would hide that.
#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path).map_err(|source| IdentityError::File {
        path: path.to_owned(),
        what: "looked at",
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(IdentityError::Exposed { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let made = Identity::open(&path, None).unwrap();
        let read = Identity::open(&path, None).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert_eq!(made.id().as_str(), &made.fingerprint().to_string()[..16]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            let error = Identity::open(&path, None).unwrap_err().to_string();
            assert!(error.contains("mode 644") && error.contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_passphrase_locks_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let made = Identity::open(&path, Some("a long one")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{text}");
        assert_eq!(Identity::open(&path, Some("a long one")).unwrap().fingerprint(), made.fingerprint());
        assert!(matches!(Identity::open(&path, None), Err(IdentityError::PassphraseMissing { .. })));
        let wrong = Identity::open(&path, Some("another")).unwrap_err().to_string();
        assert!(wrong.contains("cannot be opened") && !wrong.contains("another"), "{wrong}");
    }

    #[test]
    fn what_is_no_key_is_said() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("empty", ""), ("words", "no key at all"), ("cut", "-----BEGIN PRIVATE KEY-----\nMIG\n")] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
            let error = Identity::open(&path, None).unwrap_err().to_string();
            assert!(error.contains("holds no key that can be used here"), "{error}");
        }
    }
}
