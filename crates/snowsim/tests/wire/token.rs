//! Access tokens that the account issues: whom they let in, and what is told when they do not.

use std::time::Duration;

use serde_json::{Value, json};
use snowsim::{Options, Running};

use crate::client::{Client, login_body, start};

async fn attempt(running: &Running, changes: Value) -> Value {
    let mut body = login_body("Go", &json!({}));
    let data = body["data"].as_object_mut().unwrap();
    data.remove("LOGIN_NAME");
    data.remove("PASSWORD");
    for (name, value) in changes.as_object().unwrap() {
        data.insert(name.clone(), value.clone());
    }
    let reply = Client::new(&running.url()).post("/session/v1/login-request", &body).await;
    if reply["success"] == true { reply["data"]["displayUserName"].clone() } else { reply["code"].clone() }
}

#[tokio::test]
async fn tokens_are_issued_expire_and_are_revoked_over_http() {
    let running = start(Options::default()).await;
    let client = Client::login(&running).await;
    let issue = async |grant: Value| {
        let reply = client.post("/simulator/tokens", &grant).await;
        reply["token"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    };
    let oauth = async |token: &str, more: Value| {
        let mut changes = json!({ "AUTHENTICATOR": "OAUTH", "TOKEN": token });
        changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        attempt(&running, changes).await
    };
    assert_eq!(oauth("anything", json!({})).await, "SERVICE", "a playground");
    let service = issue(json!({ "kind": "service", "user": "SF$SERVICE$1", "lifetime_seconds": 3600 })).await;
    assert_eq!(oauth("anything", json!({})).await, "390303");
    assert_eq!(oauth(&service, json!({})).await, "SF$SERVICE$1");
    assert_eq!(oauth(&service, json!({ "LOGIN_NAME": "SF$SERVICE$1" })).await, "390309");
    let picky = issue(json!({ "kind": "service", "user": "S", "clients": ["PythonConnector"] })).await;
    assert_eq!(oauth(&picky, json!({})).await, "395092");
    assert_eq!(oauth(&picky, json!({ "CLIENT_APP_ID": "PythonConnector" })).await, "S");
    let user = issue(json!({ "kind": "oauth", "user": "ALICE", "token": "named" })).await;
    assert_eq!(user, "named");
    assert_eq!(oauth("named", json!({ "LOGIN_NAME": "alice" })).await, "ALICE");
    assert_eq!(oauth("named", json!({ "LOGIN_NAME": "bob" })).await, "390309");
    let programmatic = issue(json!({ "kind": "programmatic_access", "user": "ALICE" })).await;
    let pat = json!({ "AUTHENTICATOR": "PROGRAMMATIC_ACCESS_TOKEN", "TOKEN": programmatic, "LOGIN_NAME": "ALICE" });
    assert_eq!(attempt(&running, pat.clone()).await, "ALICE");
    assert_eq!(oauth(&programmatic, json!({})).await, "390303");
    running.sim.clock().advance(Duration::from_secs(3_601));
    assert_eq!(oauth(&service, json!({})).await, "390318");
    assert_eq!(oauth("named", json!({})).await, "ALICE", "without a lifetime it does not end");
    assert_eq!(client.delete("/simulator/tokens/named").await, 200);
    assert_eq!(oauth("named", json!({})).await, "390303");
    assert_eq!(client.delete(&format!("/simulator/tokens/{programmatic}")).await, 200);
    assert_eq!(attempt(&running, pat).await, "394400");
    assert_eq!(client.delete("/simulator/tokens/never").await, 404);
}

#[tokio::test]
async fn a_token_brings_its_role_and_a_wrong_grant_is_named() {
    let running = start(Options::default()).await;
    let client = Client::at_work(&running).await;
    client.rows("CREATE ROLE APP").await;
    client.post("/simulator/tokens", &json!({ "kind": "service", "user": "S", "role": "APP", "token": "t" })).await;
    let mut body = login_body("Go", &json!({}));
    body["data"] = json!({ "AUTHENTICATOR": "OAUTH", "TOKEN": "t", "CLIENT_APP_ID": "Go", "ACCOUNT_NAME": "a" });
    let reply = client.post("/session/v1/login-request", &body).await;
    assert_eq!(reply["data"]["sessionInfo"]["roleName"], "APP", "{reply}");
    let (status, reply) =
        client.try_post("/simulator/tokens", &json!({ "kind": "golden", "user": "S" })).await.unwrap();
    assert!(status == 400 && reply["error"].as_str().unwrap().contains("golden"), "{reply}");
}
