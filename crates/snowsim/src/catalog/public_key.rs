//! A user's public key, as `RSA_PUBLIC_KEY` holds it: base64 of the DER of a SubjectPublicKeyInfo, without the lines
//! around it (user-guide/key-pair-auth of Snowflake's documentation).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::SqlError;

/// The key's bytes.
pub(crate) fn der(key: &str) -> Result<Vec<u8>, SqlError> {
    let text: String = key.chars().filter(|letter| !letter.is_whitespace()).collect();
    let invalid = |reason: &str| {
        SqlError::compilation(format!(
            "New public key rejected by current policy. Reason: 'Invalid public key' ({reason})"
        ))
    };
    if text.starts_with("-----") {
        return Err(invalid("leave out the lines BEGIN PUBLIC KEY and END PUBLIC KEY"));
    }
    let der = STANDARD.decode(&text).map_err(|_| invalid("it is not base64"))?;
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der).map_err(|_| invalid("it is no RSA key"))?;
    Ok(der)
}

/// What `DESCRIBE USER` shows and a token names: `SHA256:` and base64 of the hash of the key's bytes.
pub(crate) fn fingerprint(key: &str) -> String {
    let text: String = key.chars().filter(|letter| !letter.is_whitespace()).collect();
    let bytes = STANDARD.decode(text).unwrap_or_default();
    format!("SHA256:{}", STANDARD.encode(digest(&SHA256, &bytes)))
}
