//! The private half of a key pair: PKCS #8 in PEM, plain or encrypted, RSA of at least 2048 bits.
//!
//! Promises: what is no such key is told apart by what it is, with the command that makes one of it; neither key nor
//! passphrase is ever shown. Leaves the token that is signed to the session.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};

/// rsaEncryption (RFC 8017, appendix C).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// Bytes of the shortest key that Snowflake takes (user-guide/key-pair-auth).
const SHORTEST: usize = 2048 / 8;

/// A private key that can sign.
pub struct PrivateKey {
    pair: KeyPair,
    fingerprint: String,
}

/// Why there is no key. Read after its name: "the private key …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Encrypted, and there is no passphrase.
    #[error("is encrypted; give its passphrase in snowflake.private_key_passphrase")]
    PassphraseMissing,
    /// Encrypted with another passphrase.
    #[error("cannot be opened with this passphrase; correct snowflake.private_key_passphrase")]
    PassphraseWrong,
    /// PKCS #1, the older form.
    #[error(
        "is in PKCS #1 form (BEGIN RSA PRIVATE KEY), not PKCS #8; convert it: \
         openssl pkcs8 -topk8 -v2 aes-256-cbc -in rsa_key.pem -out rsa_key.p8"
    )]
    Pkcs1,
    /// The form of `ssh-keygen`.
    #[error(
        "is in OpenSSH's form (BEGIN OPENSSH PRIVATE KEY), not PKCS #8; convert a copy of it: \
         ssh-keygen -p -m PKCS8 -f copy_of_key, or make a new one: \
         openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes-256-cbc -out rsa_key.p8"
    )]
    OpenSsh,
    /// The other half.
    #[error("is a public key; give the private one, and its public half to the user in Snowflake")]
    Public,
    /// Of another algorithm.
    #[error("is no RSA key; make one: openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes-256-cbc -out rsa_key.p8")]
    NotRsa,
    /// Too few bits.
    #[error(
        "has fewer than 2048 bits, and Snowflake wants at least that many; make another: \
         openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes-256-cbc -out rsa_key.p8"
    )]
    Short,
    /// Encrypted in a way that is not known here.
    #[error(
        "is encrypted by a method that is not known here; encrypt it anew: \
         openssl pkcs8 -topk8 -v2 aes-256-cbc -in rsa_key.p8 -out new_key.p8"
    )]
    Cipher,
    /// Something else.
    #[error(
        "is no private key: {0}; it must be PKCS #8 in PEM, beginning with BEGIN PRIVATE KEY or BEGIN ENCRYPTED PRIVATE KEY"
    )]
    Content(String),
    /// The library refused to sign.
    #[error("did not sign; try again, and if it lasts make another key")]
    Sign,
}

impl PrivateKey {
    /// Reads a key from PEM; `passphrase` is not looked at when the key is not encrypted.
    ///
    /// # Errors
    /// It is not such a key, or the passphrase does not open it.
    pub fn read(pem: &str, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let pem = pem.trim();
        for (mark, error) in [
            ("BEGIN RSA PRIVATE KEY", KeyError::Pkcs1),
            ("BEGIN OPENSSH PRIVATE KEY", KeyError::OpenSsh),
            ("BEGIN PUBLIC KEY", KeyError::Public),
            ("BEGIN RSA PUBLIC KEY", KeyError::Public),
            ("BEGIN EC PRIVATE KEY", KeyError::NotRsa),
        ] {
            if pem.contains(mark) {
                return Err(error);
            }
        }
        let content = |error: &dyn std::fmt::Display| KeyError::Content(error.to_string());
        let (label, document) = SecretDocument::from_pem(pem).map_err(|error| content(&error))?;
        let plain = if label == EncryptedPrivateKeyInfoRef::PEM_LABEL {
            let passphrase = passphrase.ok_or(KeyError::PassphraseMissing)?;
            // What cannot be read before a passphrase is tried is how the key was encrypted.
            let locked = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeyError::Cipher)?;
            locked.decrypt(passphrase).map_err(|error| match error {
                pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }) => KeyError::Cipher,
                _ => KeyError::PassphraseWrong,
            })?
        } else if label == PrivateKeyInfoRef::PEM_LABEL {
            document
        } else {
            return Err(KeyError::Content(format!("it is a {}", label.to_lowercase())));
        };
        let info = PrivateKeyInfoRef::try_from(plain.as_bytes()).map_err(|error| content(&error))?;
        if info.algorithm.oid != RSA {
            return Err(KeyError::NotRsa);
        }
        let pair = KeyPair::from_pkcs8(plain.as_bytes()).map_err(|error| match error.to_string().as_str() {
            "TooSmall" => KeyError::Short,
            other => content(&other),
        })?;
        if pair.public_modulus_len() < SHORTEST {
            return Err(KeyError::Short);
        }
        let public = pair.public_key().as_der().map_err(|error| content(&error))?;
        let fingerprint = format!("SHA256:{}", STANDARD.encode(digest(&SHA256, public.as_ref())));
        Ok(Self { pair, fingerprint })
    }

    /// `SHA256:` and base64 of the hash of the public half's SubjectPublicKeyInfo, as `DESCRIBE USER` shows it in
    /// `RSA_PUBLIC_KEY_FP`. No secret.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The signature of `message`: RSASSA-PKCS1-v1_5 with SHA-256, which is RS256 (RFC 7518 §3.3).
    ///
    /// # Errors
    /// [`KeyError::Sign`] when the library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| KeyError::Sign)?;
        Ok(signature)
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that openssl 3 and ssh-keygen made for these tests, all encrypted ones with the passphrase `opensesame`.
    fn fixture(name: &str) -> String {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
        std::fs::read_to_string(folder.join(name)).unwrap()
    }

    #[test]
    fn every_form_that_snowflakes_instructions_made_is_one_key() {
        // openssl rsa -in plain.p8 -pubout -outform DER | openssl dgst -sha256 -binary | openssl enc -base64
        let fingerprint = fixture("fingerprint.txt");
        for name in ["plain.p8", "aes256.p8", "des3.p8", "des3-sha1.p8", "scrypt.p8"] {
            let key =
                PrivateKey::read(&fixture(name), Some("opensesame")).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(key.fingerprint(), format!("SHA256:{}", fingerprint.trim()), "{name}");
        }
        assert!(PrivateKey::read(&fixture("plain.p8"), None).is_ok());
        let with_carriage_returns = fixture("plain.p8").replace('\n', "\r\n");
        assert!(PrivateKey::read(&with_carriage_returns, None).is_ok());
    }

    #[test]
    fn what_is_no_key_to_use_says_what_it_is() {
        for (name, error) in [
            ("pkcs1.pem", KeyError::Pkcs1),
            ("openssh", KeyError::OpenSsh),
            ("public.pem", KeyError::Public),
            ("ec.p8", KeyError::NotRsa),
            ("short.p8", KeyError::Short),
            ("camellia.p8", KeyError::Cipher),
        ] {
            assert_eq!(PrivateKey::read(&fixture(name), Some("opensesame")).unwrap_err(), error, "{name}");
        }
        let encrypted = fixture("aes256.p8");
        assert_eq!(PrivateKey::read(&encrypted, None).unwrap_err(), KeyError::PassphraseMissing);
        for number in 0..20 {
            // Garbage may pass for padding by chance; it must not pass for another failure.
            let wrong = PrivateKey::read(&encrypted, Some(&format!("wrong-{number}"))).unwrap_err();
            assert_eq!(wrong, KeyError::PassphraseWrong);
        }
        for text in ["", "no key", "-----BEGIN PRIVATE KEY-----\nMIG\n"] {
            assert!(matches!(PrivateKey::read(text, None), Err(KeyError::Content(_))), "{text}");
        }
        let cut = fixture("plain.p8");
        assert!(PrivateKey::read(&cut[..cut.len() / 2], None).is_err());
    }
}
