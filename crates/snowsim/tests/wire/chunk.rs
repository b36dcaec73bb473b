//! Results in parts: exact counts and sizes, links that end, files that go.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use flate2::read::GzDecoder;
use reqwest::StatusCode;
use serde_json::{Value, json};
use snowsim::{Options, Running};

use crate::client::{Client, start, unbase64};

const ROWS: u64 = 5_000;

/// Small parts, so that a small result has many.
fn small() -> Options {
    Options { chunk_bytes: Some(8_000), inline_bytes: 2_000, ..Options::default() }
}

async fn filled(running: &Running, app: &str) -> Client {
    let client = Client::login_as(running, app, &json!({})).await;
    client.prepare().await;
    client.rows("CREATE TABLE T (ID NUMBER(38,0), NAME VARCHAR, AMOUNT NUMBER(38,2))").await;
    let fill = format!(
        "INSERT INTO T SELECT SEQ8(), 'name ' || SEQ8(), SEQ8() * 1000000007 / 4 FROM TABLE(GENERATOR(ROWCOUNT => {ROWS}))"
    );
    client.rows(&fill).await;
    client
}

/// The bodies of a result's chunks, each as large as announced.
async fn downloaded(client: &Client, data: &Value) -> Vec<(u64, Vec<u8>)> {
    let mut parts = Vec::new();
    for chunk in data["chunks"].as_array().unwrap() {
        let url = chunk["url"].as_str().unwrap();
        let (status, gzipped, body) = client.download(url, &data["chunkHeaders"]).await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body.len() as u64, chunk["compressedSize"].as_u64().unwrap());
        let mut plain = body;
        if gzipped {
            let compressed = std::mem::take(&mut plain);
            GzDecoder::new(compressed.as_slice()).read_to_end(&mut plain).unwrap();
        }
        assert_eq!(plain.len() as u64, chunk["uncompressedSize"].as_u64().unwrap());
        parts.push((chunk["rowCount"].as_u64().unwrap(), plain));
    }
    parts
}

fn batches(ipc: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(ipc, None).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_json_result_arrives_whole_in_parts() {
    let running = start(small()).await;
    let client = filled(&running, "snowsim-tests").await;
    let reply = client.query("SELECT ID, NAME FROM T").await;
    let data = &reply["data"];
    assert_eq!((data["total"].as_u64(), data["returned"].as_u64()), (Some(ROWS), Some(ROWS)));
    let mut ids: Vec<String> = Vec::new();
    let mut collect = |rows: &Value| {
        for row in rows.as_array().unwrap() {
            let id = row[0].as_str().unwrap();
            assert_eq!(row[1], format!("name {id}"));
            ids.push(id.to_owned());
        }
    };
    collect(&data["rowset"]);
    let parts = downloaded(&client, data).await;
    assert!(parts.len() > 5, "{} parts", parts.len());
    for (rows, body) in parts {
        assert!(body.starts_with(b"[\"") && body.len() < 16_000, "row arrays without outer brackets");
        let text = format!("[{}]", String::from_utf8(body).unwrap());
        let part: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(part.as_array().unwrap().len() as u64, rows);
        collect(&part);
    }
    assert_eq!(ids.len() as u64, ROWS);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len() as u64, ROWS);
}

#[tokio::test]
async fn an_arrow_result_has_one_schema_in_all_its_parts() {
    for gzip_arrow in [false, true] {
        let running = start(Options { gzip_arrow, ..small() }).await;
        let client = filled(&running, "Go").await;
        let reply = client.query("SELECT ID, NAME, AMOUNT FROM T ORDER BY ID").await;
        let data = &reply["data"];
        assert_eq!(data["queryResultFormat"], "arrow", "{reply}");
        let mut all = batches(&unbase64(&data["rowsetBase64"]));
        let schema = all[0].schema();
        for (rows, body) in downloaded(&client, data).await {
            let part = batches(&body);
            assert_eq!(part.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(), rows);
            assert!(part.iter().all(|batch| batch.schema() == schema), "a part has another schema than the first");
            all.extend(part);
        }
        assert_eq!(all.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(), ROWS);
        let field = schema.field(0);
        // 5,000 values need two bytes, although the first part's would fit in one.
        assert_eq!(
            (field.metadata()["logicalType"].as_str(), field.data_type()),
            ("FIXED", &arrow_schema::DataType::Int16)
        );
        assert_eq!(schema.field(2).metadata()["scale"], "2");
        let mut expected = 0_i16;
        for batch in &all {
            use arrow_array::cast::AsArray;
            for id in batch.column(0).as_primitive::<arrow_array::types::Int16Type>().values() {
                assert_eq!(*id, expected);
                expected += 1;
            }
        }
    }
}

#[tokio::test]
async fn the_session_chooses_the_format() {
    let running = start(Options::default()).await;
    let format = async |app: &str, parameters: Value| {
        let client = Client::login_as(&running, app, &parameters).await;
        client.query("SELECT 1").await["data"]["queryResultFormat"].clone()
    };
    assert_eq!(format("Go", json!({})).await, "arrow");
    assert_eq!(format("Go", json!({ "GO_QUERY_RESULT_FORMAT": "JSON" })).await, "json");
    assert_eq!(format("JavaScript", json!({})).await, "json");
    assert_eq!(format("somebody", json!({ "SOMEBODY_QUERY_RESULT_FORMAT": "ARROW" })).await, "arrow");
    let client = Client::login_as(&running, "PythonConnector", &json!({})).await;
    client.rows("ALTER SESSION SET PYTHON_CONNECTOR_QUERY_RESULT_FORMAT = 'JSON'").await;
    assert_eq!(client.rows("SELECT 1").await, json!([["1"]]));
}

#[tokio::test]
async fn a_link_needs_its_key_and_nothing_else() {
    let running = start(small()).await;
    let client = filled(&running, "snowsim-tests").await;
    let reply = client.query("SELECT * FROM T").await;
    let url = reply["data"]["chunks"][0]["url"].as_str().unwrap();
    let headers = &reply["data"]["chunkHeaders"];
    assert!(url.starts_with(&running.url()), "{url}");
    let status = async |url: &str, headers: &Value| client.download(url, headers).await.unwrap().0;
    assert_eq!(status(url, headers).await, StatusCode::OK);
    assert_eq!(status(url, &json!({})).await, StatusCode::FORBIDDEN);
    let mut leaky = headers.clone();
    leaky["Authorization"] = json!("Snowflake Token=\"x\"");
    assert_eq!(status(url, &leaky).await, StatusCode::BAD_REQUEST);
    let guessed = format!("{}/results/{}/0", running.url(), "0".repeat(64));
    assert_eq!(status(&guessed, headers).await, StatusCode::FORBIDDEN);
    assert_eq!(running.sim.stats().chunk_downloads, 1);
}

#[tokio::test]
async fn an_ended_link_is_made_anew_by_asking_for_the_result() {
    let running = start(Options { session_lifetime: Duration::from_secs(1_000_000), ..small() }).await;
    let client = filled(&running, "snowsim-tests").await;
    let reply = client.query("SELECT * FROM T").await;
    let old = reply["data"]["chunks"][0]["url"].as_str().unwrap();
    running.sim.clock().advance(Duration::from_secs(7 * 3_600));
    let headers = &reply["data"]["chunkHeaders"];
    assert_eq!(client.download(old, headers).await.unwrap().0, StatusCode::FORBIDDEN);
    let id = reply["data"]["queryId"].as_str().unwrap();
    let again = client.get(&format!("/queries/{id}/result")).await;
    assert_eq!(again["data"]["total"], reply["data"]["total"]);
    let fresh = again["data"]["chunks"][0]["url"].as_str().unwrap();
    assert_ne!(fresh, old);
    assert_eq!(client.download(fresh, &again["data"]["chunkHeaders"]).await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn files_go_with_the_session() {
    let data = tempfile::tempdir().unwrap();
    let running = start(Options { data: Some(data.path().to_owned()), ..small() }).await;
    let client = filled(&running, "snowsim-tests").await;
    client.query("SELECT * FROM T").await;
    let results = data.path().join("results");
    assert_eq!(entries(&results), 1);
    client.post("/session?delete=true", &json!({})).await;
    tokio::time::timeout(Duration::from_secs(10), async {
        while entries(&results) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the result's files outlive its session");
}

#[tokio::test]
async fn results_read_to_their_end_make_room_for_new_ones() {
    let running = start(Options { spool_bytes: 1, ..small() }).await;
    let client = filled(&running, "snowsim-tests").await;
    let first = client.query("SELECT * FROM T").await;
    let unread = client.query("SELECT * FROM T").await;
    downloaded(&client, &first["data"]).await;
    client.query("SELECT * FROM T").await;
    let again = async |reply: &Value| {
        let id = reply["data"]["queryId"].as_str().unwrap();
        client.get(&format!("/queries/{id}/result")).await["code"].clone()
    };
    assert_eq!(again(&first).await, "000612");
    assert_eq!(again(&unread).await, Value::Null, "what nobody has read yet stays");
}

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
