//! Key-pair login: what the token must say, and what is told when it does not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use snowsim::{Options, Running};

use crate::client::{Client, login_body, start};

struct Key {
    pair: KeyPair,
    public: String,
    fingerprint: String,
}

impl Key {
    fn new() -> Key {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        let fingerprint = format!("SHA256:{}", STANDARD.encode(digest(&SHA256, &der)));
        Key { pair, public: STANDARD.encode(der), fingerprint }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn claims(key: &Key, subject: &str) -> Value {
    json!({ "iss": format!("{subject}.{}", key.fingerprint), "sub": subject, "iat": now(), "exp": now() + 60 })
}

async fn attempt(running: &Running, token: &str, account: &str, user: &str) -> Value {
    let mut body = login_body("snowsim-tests", &json!({}));
    let data = body["data"].as_object_mut().unwrap();
    data.remove("PASSWORD");
    for (name, value) in
        [("AUTHENTICATOR", "SNOWFLAKE_JWT"), ("TOKEN", token), ("ACCOUNT_NAME", account), ("LOGIN_NAME", user)]
    {
        data.insert(name.to_owned(), json!(value));
    }
    Client::new(&running.url()).post("/session/v1/login-request", &body).await
}

#[tokio::test]
async fn the_wire_says_invalid_and_the_account_says_why() {
    let running = start(Options::default()).await;
    let admin = Client::at_work(&running).await;
    let (key, other) = (Key::new(), Key::new());
    admin.rows(&format!("CREATE USER CAROL RSA_PUBLIC_KEY = '{}'", key.public)).await;
    let rs256 = json!({ "alg": "RS256", "typ": "JWT" });
    let good = claims(&key, "TEST.CAROL");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let good_token = key.sign(&rs256, &good);
    let reply = attempt(&running, &good_token, "test.eu-central-1.aws", "carol").await;
    assert_eq!(reply["success"], true, "{reply}");
    assert_eq!(reply["data"]["displayUserName"], "CAROL");
    assert_eq!(attempt(&running, &good_token, "test", "").await["success"], true, "the token names the user");
    let cut = good_token.rsplit_once('.').unwrap().0;
    let forged = format!("{cut}.{}", other.sign(&rs256, &good).rsplit_once('.').unwrap().1);
    let mismatch = "JWT_TOKEN_INVALID_PUBLIC_KEY_FINGERPRINT_MISMATCH";
    for (token, account, user, reason) in [
        ("no token at all".to_owned(), "test", "carol", "JWT_TOKEN_INVALID"),
        (format!("{cut}."), "test", "carol", "JWT_TOKEN_INVALID_SIGNATURE"),
        (good_token.clone(), "test", "bob", "JWT_TOKEN_INVALID"),
        (good_token.clone(), "elsewhere", "carol", "JWT_TOKEN_ACCOUNT_MISMATCH"),
        (forged, "test", "carol", "JWT_TOKEN_INVALID_SIGNATURE"),
        (other.sign(&rs256, &good), "test", "carol", "JWT_TOKEN_INVALID_SIGNATURE"),
        (other.sign(&rs256, &claims(&other, "TEST.CAROL")), "test", "carol", mismatch),
        (key.sign(&json!({ "alg": "HS256" }), &good), "test", "carol", "JWT_TOKEN_INVALID_ALGORITHM"),
        (key.sign(&json!({ "alg": "none" }), &good), "test", "carol", "JWT_TOKEN_INVALID_ALGORITHM"),
        (key.sign(&rs256, &claims(&key, "TEST.NOBODY")), "test", "", "JWT_TOKEN_INVALID_USER_IN_ISSUER"),
        (key.sign(&rs256, &claims(&key, "TEST.carol")), "test", "carol", "JWT_TOKEN_INVALID_USER_IN_ISSUER"),
        (key.sign(&rs256, &with("sub", json!("TEST.BOB"))), "test", "carol", "JWT_TOKEN_INVALID"),
        (key.sign(&rs256, &with("exp", json!(now() - 1))), "test", "carol", "JWT_TOKEN_INVALID_EXPIRATION_TIME"),
        (key.sign(&rs256, &with("iat", json!(now() - 70))), "test", "carol", "JWT_TOKEN_INVALID_ISSUE_TIME"),
        (key.sign(&rs256, &with("iat", json!(now() + 600))), "test", "carol", "JWT_TOKEN_INVALID_ISSUE_TIME"),
        (key.sign(&rs256, &with("exp", Value::Null)), "test", "carol", "JWT_TOKEN_MISSING_ISSUE_OR_EXPIRATION_TIME"),
    ] {
        let reply = attempt(&running, &token, account, user).await;
        assert_eq!((&reply["success"], &reply["code"]), (&json!(false), &json!("390144")), "{reason}: {reply}");
        let message = reply["message"].as_str().unwrap();
        let id = message.strip_prefix("JWT token is invalid. [").unwrap().strip_suffix(']').unwrap();
        let details = admin.rows(&format!("SELECT SYSTEM$GET_LOGIN_FAILURE_DETAILS('{id}')")).await;
        let details: Value = serde_json::from_str(details[0][0].as_str().unwrap()).unwrap();
        assert_eq!((&details["errorCode"], &details["clientType"]), (&json!(reason), &json!("snowsim-tests")));
    }
    // By the account's clock, as everything.
    running.sim.clock().advance(Duration::from_secs(90));
    assert_eq!(attempt(&running, &good_token, "test", "carol").await["code"], "390144");
    let unknown = admin.query("SELECT SYSTEM$GET_LOGIN_FAILURE_DETAILS('x')").await;
    assert_eq!(unknown["success"], false);
}

#[tokio::test]
async fn a_public_key_is_set_shown_by_its_fingerprint_and_taken_away() {
    let running = start(Options::default()).await;
    let admin = Client::at_work(&running).await;
    let (key, second) = (Key::new(), Key::new());
    admin.rows("CREATE USER DAVE").await;
    for wrong in [
        "no base64!".to_owned(),
        "AAAA".to_owned(),
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", key.public),
    ] {
        let reply = admin.query(&format!("ALTER USER DAVE SET RSA_PUBLIC_KEY = '{wrong}'")).await;
        assert!(reply["message"].as_str().unwrap().contains("Invalid public key"), "{reply}");
    }
    let broken = format!("{}\n{}", &key.public[..64], &key.public[64..]);
    admin.rows(&format!("ALTER USER DAVE SET RSA_PUBLIC_KEY = '{broken}'")).await;
    admin.rows(&format!("ALTER USER IF EXISTS DAVE SET RSA_PUBLIC_KEY_2 = '{}'", second.public)).await;
    let shown = async |property: &str| {
        let rows = admin.rows("DESC USER DAVE").await;
        let row = rows.as_array().unwrap().iter().find(|row| row[0] == property).unwrap().clone();
        row[1].as_str().unwrap().to_owned()
    };
    assert_eq!(shown("RSA_PUBLIC_KEY_FP").await, key.fingerprint);
    assert_eq!(shown("RSA_PUBLIC_KEY_2_FP").await, second.fingerprint);
    let rs256 = json!({ "alg": "RS256" });
    let login = async |key: &Key| {
        attempt(&running, &key.sign(&rs256, &claims(key, "TEST.DAVE")), "test", "DAVE").await["success"].clone()
    };
    assert_eq!((login(&key).await, login(&second).await), (json!(true), json!(true)));
    admin.rows("ALTER USER DAVE UNSET RSA_PUBLIC_KEY").await;
    assert_eq!((login(&key).await, login(&second).await), (json!(false), json!(true)));
    assert_eq!(shown("RSA_PUBLIC_KEY_FP").await, "null");
    assert_eq!(admin.query("ALTER USER NOBODY UNSET RSA_PUBLIC_KEY").await["code"], "002003");
    assert_eq!(admin.query("ALTER USER DAVE UNSET SHOE_SIZE").await["code"], "001003");
}

#[tokio::test]
async fn keys_survive_a_restart_and_details_are_for_administrators() {
    let data = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(data.path().to_owned()), ..Options::default() };
    let key = Key::new();
    let first = start(options()).await;
    let admin = Client::login(&first).await;
    admin.rows(&format!("CREATE USER ERIN RSA_PUBLIC_KEY = '{}'", key.public)).await;
    first.stop().await;
    let second = start(options()).await;
    let token = key.sign(&json!({ "alg": "RS256" }), &claims(&key, "TEST.ERIN"));
    let reply = attempt(&second, &token, "test", "erin").await;
    let mut erin = Client::new(&second.url());
    erin.token = reply["data"]["token"].as_str().unwrap().to_owned();
    assert_eq!(erin.rows("SELECT CURRENT_USER(), CURRENT_ROLE()").await, json!([["ERIN", "PUBLIC"]]));
    assert_eq!(erin.query("SELECT SYSTEM$GET_LOGIN_FAILURE_DETAILS('x')").await["code"], "003001");
}
