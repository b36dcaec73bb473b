//! Login, tokens and their ends.

use std::time::Duration;

use serde_json::{Value, json};
use snowsim::{Options, Simulator};

use crate::client::{Client, login_body, query_path, start};

#[tokio::test]
async fn a_login_reply_has_everything_the_strictest_client_wants() {
    let running = start(Options::default()).await;
    let client = Client::new(&running.url());
    let reply =
        client.post_gzipped("/session/v1/login-request?request_id=x", &login_body("PythonConnector", &json!({}))).await;
    let data = &reply["data"];
    for field in [
        "token",
        "masterToken",
        "sessionId",
        "validityInSeconds",
        "masterValidityInSeconds",
        "parameters",
        "sessionInfo",
        "serverVersion",
    ] {
        assert!(!data[field].is_null(), "no {field} in {reply}");
    }
    assert!(data["sessionId"].as_u64().unwrap() < 1 << 53);
    let names: Vec<&str> =
        data["parameters"].as_array().unwrap().iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert!(names.contains(&"PYTHON_CONNECTOR_QUERY_RESULT_FORMAT"), "{names:?}");
    assert_eq!(running.sim.stats().logins, 1);
}

#[tokio::test]
async fn known_users_need_their_password_and_known_tokens_their_spelling() {
    let options = Options {
        users: vec![("alice".to_owned(), "right".to_owned())],
        tokens: vec!["good-token".to_owned()],
        ..Options::default()
    };
    let running = start(options).await;
    let client = Client::new(&running.url());
    let attempt = async |changes: &[(&str, &str)]| {
        let mut body = login_body("Go", &json!({}));
        for (name, value) in changes {
            body["data"][*name] = json!(value);
        }
        let reply = client.post("/session/v1/login-request", &body).await;
        if reply["success"] == true { String::new() } else { reply["code"].as_str().unwrap().to_owned() }
    };
    assert_eq!(attempt(&[]).await, "390100");
    assert_eq!(attempt(&[("LOGIN_NAME", "bob"), ("PASSWORD", "right")]).await, "390100");
    assert_eq!(attempt(&[("PASSWORD", "right")]).await, "");
    assert_eq!(attempt(&[("AUTHENTICATOR", "OAUTH"), ("TOKEN", "bad")]).await, "390303");
    assert_eq!(attempt(&[("AUTHENTICATOR", "oauth"), ("TOKEN", "good-token")]).await, "");
    assert_eq!(attempt(&[("AUTHENTICATOR", "PROGRAMMATIC_ACCESS_TOKEN"), ("TOKEN", "good-token")]).await, "");
    assert_eq!(attempt(&[("AUTHENTICATOR", "EXTERNALBROWSER")]).await, "390190");
    let stats = running.sim.stats();
    assert_eq!((stats.logins, stats.refused_logins), (3, 4));
}

#[tokio::test]
async fn tokens_are_told_apart_when_they_fail() {
    let running = start(Options::default()).await;
    let client = Client::login(&running).await;
    let body = json!({ "sqlText": "SELECT 1" });
    let code = async |token: &str| client.post_with(token, &query_path("r"), &body).await["code"].clone();
    assert_eq!(code("").await, "390103");
    assert_eq!(code("None").await, "390103");
    assert_eq!(code("nonsense").await, "390104");
    assert_eq!(code(&client.master).await, "390104", "a master token is not a session token");
    assert_eq!(client.post("/session?delete=true", &json!({})).await["success"], true);
    assert_eq!(code(&client.token).await, "390111");
}

#[tokio::test]
async fn an_expired_session_renews_and_the_same_request_goes_on() {
    let running = start(Options::default()).await;
    let mut client = Client::at_work(&running).await;
    client.rows("CREATE TABLE T (A INT)").await;
    running.sim.clock().advance(Duration::from_secs(3_601));
    let refused = client.query_as("one", "INSERT INTO T VALUES (1)").await;
    assert_eq!((&refused["code"], &refused["data"]), (&json!("390112"), &Value::Null));
    let renewal = json!({ "oldSessionToken": client.token, "requestType": "RENEW" });
    let renewed = client.post_with(&client.master, "/session/token-request?requestId=r", &renewal).await;
    assert_eq!(renewed["success"], true, "{renewed}");
    assert!(renewed["data"]["validityInSecondsST"].is_u64() && renewed["data"]["masterToken"].is_string());
    client.token = renewed["data"]["sessionToken"].as_str().unwrap().to_owned();
    assert_eq!(client.query_as("one", "INSERT INTO T VALUES (1)").await["success"], true);
    assert_eq!(client.rows("SELECT COUNT(*) FROM T").await, json!([["1"]]));
    assert_eq!(running.sim.stats().renewals, 1);
}

#[tokio::test]
async fn a_master_token_ends_unless_the_heart_beats() {
    let running = start(Options::default()).await;
    let client = Client::login(&running).await;
    let renew = async || {
        let body = json!({ "oldSessionToken": client.token, "requestType": "RENEW" });
        client.post_with(&client.master, "/session/token-request", &body).await
    };
    running.sim.clock().advance(Duration::from_secs(3_000));
    assert_eq!(client.post("/session/heartbeat", &json!({})).await["success"], true);
    running.sim.clock().advance(Duration::from_secs(14_000));
    assert_eq!(renew().await["success"], true, "the heartbeat moved the master token's end");
    running.sim.clock().advance(Duration::from_secs(14_401));
    assert_eq!(renew().await["code"], "390114");
}

#[tokio::test]
async fn a_restart_ends_sessions_and_says_so() {
    let data = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(data.path().to_owned()), ..Options::default() };
    let first = Simulator::start_with(options()).await.unwrap();
    let mut client = Client::login(&first).await;
    first.stop().await;
    let second = Simulator::start_with(options()).await.unwrap();
    client.base = second.url();
    assert_eq!(client.query("SELECT 1").await["code"], "390111");
}

#[tokio::test]
async fn a_closed_session_undoes_its_open_transaction() {
    let running = start(Options::default()).await;
    let (client, watcher) = (Client::at_work(&running).await, Client::at_work(&running).await);
    client.rows("CREATE TABLE T (A INT)").await;
    client.rows("BEGIN").await;
    client.rows("INSERT INTO T VALUES (1)").await;
    client.post("/session?delete=true", &json!({})).await;
    // The next writer waits for the table until the rollback has let it go.
    watcher.rows("INSERT INTO T VALUES (2)").await;
    assert_eq!(watcher.rows("SELECT A FROM T").await, json!([["2"]]));
    assert_eq!(running.sim.stats().open_sessions, 1);
}

#[tokio::test]
async fn a_created_user_needs_the_password_it_was_given() {
    let running = start(Options::default()).await;
    let client = Client::login(&running).await;
    client.rows("CREATE USER CAROL PASSWORD = 'carols'").await;
    let attempt = async |password: &str| {
        let mut body = login_body("Go", &json!({}));
        body["data"]["LOGIN_NAME"] = json!("carol");
        body["data"]["PASSWORD"] = json!(password);
        client.post("/session/v1/login-request", &body).await["code"].clone()
    };
    assert_eq!(attempt("wrong").await, "390100");
    assert_eq!(attempt("carols").await, Value::Null);
}
