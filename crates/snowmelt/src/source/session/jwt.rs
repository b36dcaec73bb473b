//! The token of a key-pair login: RS256 over issuer, subject and times (RFC 7515, RFC 7519).
//!
//! Claims as Snowflake wants them (developer-guide/sql-api/authenticating, and connector-python `auth/keypair.py`):
//! `iss` is `ACCOUNT.USER.SHA256:<fingerprint>`, `sub` is `ACCOUNT.USER`, in capitals, the account without its region.
//! Snowflake refuses a token that arrives a minute after `iat`, so one is made for each attempt.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{KeyError, PrivateKey};

/// As long as it can be of use.
const LIFETIME: Duration = Duration::from_secs(60);

/// A token for `user` of `account`, made at `now`.
pub(super) fn jwt(key: &PrivateKey, account: &str, user: &str, now: SystemTime) -> Result<String, KeyError> {
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let subject = format!("{}.{}", bare(account), user.to_uppercase());
    let claims = serde_json::json!({
        "iss": format!("{subject}.{}", key.fingerprint()),
        "sub": subject,
        "iat": issued.as_secs(),
        "exp": (issued + LIFETIME).as_secs(),
    });
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(br#"{"alg":"RS256","typ":"JWT"}"#), part(claims.to_string().as_bytes()));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", part(&signature)))
}

/// The account without its region: up to the first dot; of a `.global` address, up to the first hyphen.
fn bare(account: &str) -> String {
    let end = if account.contains(".global") { '-' } else { '.' };
    account.split_once(end).map_or(account, |(bare, _)| bare).to_uppercase()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn it_says_what_snowflake_reads_and_the_public_half_verifies_it() {
        let fixture = |name: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name);
            std::fs::read_to_string(path).unwrap()
        };
        let key = PrivateKey::read(&fixture("plain.p8"), None).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let token = jwt(&key, "xy12345.eu-central-1.aws", "snowMelt", now).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let read = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(read(header), r#"{"alg":"RS256","typ":"JWT"}"#);
        let claims: serde_json::Value = serde_json::from_str(&read(claims)).unwrap();
        let expected = serde_json::json!({
            "iss": format!("XY12345.SNOWMELT.SHA256:{}", fixture("fingerprint.txt").trim()),
            "sub": "XY12345.SNOWMELT", "iat": 1_700_000_000, "exp": 1_700_000_060,
        });
        assert_eq!(claims, expected);
        let public: String = fixture("public.pem").lines().filter(|line| !line.starts_with("--")).collect();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, STANDARD.decode(public).unwrap());
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        public.verify(signed.as_bytes(), &signature).unwrap();
        assert!(public.verify(header.as_bytes(), &signature).is_err());
    }

    #[test]
    fn an_account_has_no_region_in_it() {
        for (account, expected) in [
            ("myorg-my_account", "MYORG-MY_ACCOUNT"),
            ("xy12345", "XY12345"),
            ("xy12345.us-east-2.aws", "XY12345"),
            ("abc-def.global", "ABC"),
        ] {
            assert_eq!(bare(account), expected);
        }
    }
}
