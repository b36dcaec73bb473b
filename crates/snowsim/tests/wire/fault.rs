//! Every fault, as a client meets it.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use snowsim::fault::{Action, Counters, Moment, Rule};
use snowsim::{Options, Running};

use crate::client::{Client, query_path, start};

const INSERT: &str = "INSERT INTO T VALUES (1)";

async fn with_table() -> (Running, Client) {
    let running = start(Options::default()).await;
    let client = Client::at_work(&running).await;
    client.rows("CREATE TABLE T (A INT)").await;
    (running, client)
}

async fn count(client: &Client) -> Value {
    client.rows("SELECT COUNT(*) FROM T").await[0][0].clone()
}

fn insert() -> Value {
    json!({ "sqlText": INSERT })
}

#[tokio::test]
async fn a_status_answers_in_place_of_the_statement() {
    let (running, client) = with_table().await;
    let id =
        running.sim.faults().add(Rule::on_path("/queries/v1", Action::Status { status: 429, retry_after: Some(3) }));
    let (status, _) = client.try_post(&query_path("a"), &insert()).await.unwrap();
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(count(&client).await, "0");
    assert_eq!(running.sim.faults().counters(id), Some(Counters { matched: 2, struck: 1 }));
    assert_eq!(client.query_as("a", INSERT).await["success"], true, "the request id was not used up");
}

#[tokio::test]
async fn a_connection_dropped_before_runs_nothing_and_after_runs_once() {
    let (running, client) = with_table().await;
    running.sim.faults().add(Rule::on_sql("insert", Action::DropBefore));
    assert!(client.try_post(&query_path("before"), &insert()).await.is_err());
    assert_eq!(count(&client).await, "0");
    running.sim.faults().add(Rule::on_sql("insert", Action::DropAfter));
    assert!(client.try_post(&query_path("after"), &insert()).await.is_err());
    assert_eq!(count(&client).await, "1", "the statement committed, only its answer was lost");
    assert_eq!(client.query_as("after", INSERT).await["success"], true);
    assert_eq!(count(&client).await, "1", "and the retry got the first answer");
}

#[tokio::test]
async fn delays_and_errors_strike_as_told() {
    let (running, client) = with_table().await;
    for moment in [Moment::Before, Moment::After] {
        running.sim.faults().add(Rule::on_sql("select 5", Action::Delay { moment, ms: 80 }));
        let begun = Instant::now();
        assert_eq!(client.rows("SELECT 5").await, json!([["5"]]));
        assert!(begun.elapsed() >= Duration::from_millis(80));
    }
    let error =
        Action::Error { code: "000606".to_owned(), message: "no warehouse".to_owned(), sql_state: "57P03".to_owned() };
    running.sim.faults().add(Rule { nth: 2, ..Rule::on_sql("insert", error) });
    assert_eq!(client.query(INSERT).await["success"], true);
    let reply = client.query(INSERT).await;
    assert_eq!((&reply["code"], &reply["data"]["sqlState"]), (&json!("000606"), &json!("57P03")));
    assert_eq!(count(&client).await, "1");
}

#[tokio::test]
async fn sessions_expire_and_vanish_on_demand() {
    let (running, mut client) = with_table().await;
    let faults = running.sim.faults().clone();
    faults.add(Rule::on_sql("insert", Action::ExpireSession));
    assert_eq!(client.query_as("i", INSERT).await["code"], "390112");
    let renew = json!({ "oldSessionToken": client.token, "requestType": "RENEW" });
    let renewed = client.post_with(&client.master, "/session/token-request", &renew).await;
    client.token = renewed["data"]["sessionToken"].as_str().unwrap().to_owned();
    assert_eq!(client.query_as("i", INSERT).await["success"], true);

    faults.add(Rule::on_sql("insert", Action::MasterExpired));
    assert_eq!(client.query(INSERT).await["code"], "390112");
    let renewed = client.post_with(&client.master, "/session/token-request", &renew).await;
    assert_eq!(renewed["code"], "390114");

    let client = Client::at_work(&running).await;
    client.rows("BEGIN").await;
    client.rows("INSERT INTO T VALUES (2)").await;
    faults.add(Rule::on_sql("commit", Action::SessionGone));
    assert_eq!(client.query("COMMIT").await["code"], "390111");
    let client = Client::at_work(&running).await;
    client.rows("INSERT INTO T VALUES (3)").await;
    assert_eq!(client.rows("SELECT A FROM T ORDER BY A").await, json!([["1"], ["3"]]));
}

#[tokio::test]
async fn chunks_are_refused_cut_and_slowed() {
    let running = start(Options { chunk_bytes: Some(4_000), inline_bytes: 500, ..Options::default() }).await;
    let client = Client::at_work(&running).await;
    let reply = client.query("SELECT SEQ8(), 'x' FROM TABLE(GENERATOR(ROWCOUNT => 2000))").await;
    let url = reply["data"]["chunks"][1]["url"].as_str().unwrap();
    let size = reply["data"]["chunks"][1]["compressedSize"].as_u64().unwrap();
    let headers = &reply["data"]["chunkHeaders"];
    let faults = running.sim.faults();
    faults.add(Rule::on_path("/results/", Action::ChunkForbidden));
    assert_eq!(client.download(url, headers).await.unwrap().0, StatusCode::FORBIDDEN);
    faults.add(Rule::on_path("/results/", Action::CutChunk { after: size / 2 }));
    assert!(client.download(url, headers).await.is_err(), "half a chunk is no chunk");
    faults.add(Rule::on_path("/results/", Action::SlowChunk { bytes: size / 4 + 1, every_ms: 20 }));
    let begun = Instant::now();
    let (status, _, body) = client.download(url, headers).await.unwrap();
    assert_eq!((status, body.len() as u64), (StatusCode::OK, size));
    assert!(begun.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn another_process_arms_reads_and_clears_them() {
    let (running, client) = with_table().await;
    let rule = json!({ "match": { "sql": "insert" }, "times": 1, "action": { "kind": "status", "status": 503 } });
    let armed = client.post("/simulator/faults", &json!([rule])).await;
    assert_eq!(armed["ids"].as_array().unwrap().len(), 1);
    assert_eq!(client.try_post(&query_path("f"), &insert()).await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    let listed = client.get("/simulator/faults").await;
    assert_eq!((&listed["faults"][0]["matched"], &listed["faults"][0]["struck"]), (&json!(1), &json!(1)));
    let wrong = client.try_post("/simulator/faults", &json!({ "action": { "kind": "stauts" } })).await.unwrap();
    assert!(wrong.0 == StatusCode::BAD_REQUEST && wrong.1["error"].as_str().unwrap().contains("stauts"), "{wrong:?}");
    assert_eq!(client.delete("/simulator/faults").await, StatusCode::OK);
    assert_eq!(client.get("/simulator/faults").await["faults"], json!([]));

    let before = running.sim.clock().now_nanos();
    client.post("/simulator/clock", &json!({ "advance_seconds": 60 })).await;
    assert!(running.sim.clock().now_nanos() - before >= 60_000_000_000);
    let backwards = client.try_post("/simulator/clock", &json!({ "advance_seconds": -1 })).await.unwrap();
    assert_eq!(backwards.0, StatusCode::BAD_REQUEST);

    let before = client.get("/simulator/stats").await;
    client.rows(INSERT).await;
    let after = client.get("/simulator/stats").await;
    let grown = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    assert_eq!((grown("statements"), grown("warehouse_statements")), (1, 1));
    assert_eq!(after["by_kind"]["insert"], json!(1));
}
