//! Statements: once per request id, polled, watched, aborted, several in one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use snowsim::fault::{Action, Rule};
use snowsim::{Options, Running};

use crate::client::{Client, query_path, start};

/// A simulator that makes clients poll after a moment.
async fn impatient() -> Running {
    start(Options { hold: Duration::from_millis(30), ..Options::default() }).await
}

/// Lets the next statement with this text take so long.
fn stall(running: &Running, sql: &str, ms: u64) {
    running.sim.faults().add(Rule::on_sql(sql, Action::Stall { ms }));
}

/// Follows a reply's link until there is an answer.
async fn follow(client: &Client, mut reply: Value) -> Value {
    while reply["code"] == "333333" || reply["code"] == "333334" {
        let url = reply["data"]["getResultUrl"].as_str().unwrap().to_owned();
        reply = client.get(&url).await;
    }
    reply
}

#[tokio::test]
async fn a_request_id_runs_once_even_when_asked_twice_at_once() {
    let running = start(Options::default()).await;
    let client = Arc::new(Client::at_work(&running).await);
    client.rows("CREATE TABLE T (A INT)").await;
    stall(&running, "insert into t", 150);
    let twin = || {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.query_as("same", "INSERT INTO T VALUES (1)").await })
    };
    let (one, two) = (twin(), twin());
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    let three = client.query_as("same", "INSERT INTO T VALUES (1)").await;
    assert_eq!(one["success"], true, "{one}");
    assert_eq!(one["data"]["queryId"], two["data"]["queryId"]);
    assert_eq!(one["data"]["queryId"], three["data"]["queryId"]);
    assert_eq!(client.rows("SELECT COUNT(*) FROM T").await, json!([["1"]]));
    assert_eq!(running.sim.stats().replays, 2);
    let other = Client::at_work(&running).await;
    assert_eq!(other.query_as("same", "SELECT 1").await["data"]["rowset"], json!([["1"]]), "ids are per session");
}

#[tokio::test]
async fn a_failed_statement_fails_the_same_way_again() {
    let running = start(Options::default()).await;
    let client = Client::at_work(&running).await;
    let first = client.query_as("x", "SELECT * FROM NOT_THERE").await;
    assert_eq!((&first["success"], &first["code"]), (&json!(false), &json!("002003")), "{first}");
    client.rows("CREATE TABLE NOT_THERE (A INT)").await;
    assert_eq!(client.query_as("x", "SELECT * FROM NOT_THERE").await["code"], "002003");
    assert_eq!(running.sim.stats().failed_statements, 1);
}

#[tokio::test]
async fn a_long_statement_is_polled_and_watched() {
    let running = impatient().await;
    let client = Client::at_work(&running).await;
    stall(&running, "select 42", 300);
    let reply = client.query("SELECT 42 AS X").await;
    assert_eq!(reply["code"], "333333");
    let id = reply["data"]["queryId"].as_str().unwrap().to_owned();
    for path in [format!("/monitoring/queries/{id}"), format!("/monitoring/queries//{id}")] {
        assert_eq!(client.get(&path).await["data"]["queries"][0]["status"], "RUNNING");
    }
    let answer = follow(&client, reply).await;
    assert_eq!(answer["data"]["rowset"], json!([["42"]]));
    assert_eq!(client.get(&format!("/monitoring/queries/{id}")).await["data"]["queries"][0]["status"], "SUCCESS");
}

#[tokio::test]
async fn an_asynchronous_statement_is_answered_at_once() {
    let running = start(Options::default()).await;
    let client = Client::at_work(&running).await;
    let reply = client.post(&query_path("a"), &json!({ "sqlText": "SELECT 7", "asyncExec": true })).await;
    assert_eq!((&reply["code"], &reply["success"]), (&json!("333334"), &json!(true)));
    let id = reply["data"]["queryId"].as_str().unwrap().to_owned();
    assert_eq!(follow(&client, reply).await["data"]["rowset"], json!([["7"]]));
    assert_eq!(client.rows(&format!("select * from table(result_scan('{id}'))")).await, json!([["7"]]));
    let unknown = client.query("select * from table(result_scan('nobody'))").await;
    assert_eq!(unknown["code"], "000612");
    assert_eq!(client.get("/queries/nobody/result").await["code"], "000612");
}

#[tokio::test]
async fn an_aborted_statement_leaves_nothing_behind() {
    let running = impatient().await;
    let client = Client::at_work(&running).await;
    client.rows("CREATE TABLE T (A INT)").await;
    for by_query_id in [false, true] {
        stall(&running, "insert into t", 60_000);
        let request_id = format!("abort-{by_query_id}");
        let reply = client.query_as(&request_id, "INSERT INTO T VALUES (1)").await;
        assert_eq!(reply["code"], "333333");
        let aborted = if by_query_id {
            let id = reply["data"]["queryId"].as_str().unwrap();
            client.post(&format!("/queries/{id}/abort-request"), &json!({})).await
        } else {
            client
                .post("/queries/v1/abort-request?requestId=z", &json!({ "sqlText": "", "requestId": request_id }))
                .await
        };
        assert_eq!(aborted["success"], true, "{aborted}");
        let end = follow(&client, reply).await;
        assert_eq!((&end["code"], &end["data"]["sqlState"]), (&json!("000604"), &json!("57014")));
        let again = client.post("/queries/v1/abort-request", &json!({ "requestId": request_id })).await;
        assert_eq!(again["code"], "000605");
    }
    assert_eq!(follow(&client, client.query("SELECT COUNT(*) FROM T").await).await["data"]["rowset"], json!([["0"]]));
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_its_statement() {
    let running = start(Options::default()).await;
    let client = Client::at_work(&running).await;
    client.rows("CREATE TABLE T (A INT)").await;
    stall(&running, "insert into t", 200);
    let sent = client.query_as("gone", "INSERT INTO T VALUES (1)");
    assert!(tokio::time::timeout(Duration::from_millis(60), sent).await.is_err(), "the statement was to last longer");
    assert_eq!(client.rows("SELECT COUNT(*) FROM T").await, json!([["1"]]), "statements of a session queue up");
    assert_eq!(client.query_as("gone", "INSERT INTO T VALUES (1)").await["success"], true);
    assert_eq!(client.rows("SELECT COUNT(*) FROM T").await, json!([["1"]]));
}

#[tokio::test]
async fn several_statements_have_a_result_each() {
    let running = start(Options::default()).await;
    let client = Client::at_work(&running).await;
    let sql = "CREATE TABLE T (A INT); INSERT INTO T VALUES (1), (2); SELECT A FROM T ORDER BY A;";
    let ask = |id: &str, sql: &str, count: u64| {
        (query_path(id), json!({ "sqlText": sql, "parameters": { "MULTI_STATEMENT_COUNT": count } }))
    };
    let (path, body) = ask("wrong", sql, 2);
    let wrong = client.post(&path, &body).await;
    assert_eq!(wrong["code"], "000008", "{wrong}");
    assert_eq!(client.query(sql).await["code"], "000008", "one statement is the default");
    let (path, body) = ask("right", sql, 3);
    let reply = client.post(&path, &body).await;
    let ids: Vec<&str> = reply["data"]["resultIds"].as_str().unwrap().split(',').collect();
    assert_eq!(ids.len(), 3, "{reply}");
    assert_eq!(reply["data"]["statementTypeId"], 0xA000);
    assert_eq!(reply["data"]["resultTypes"].as_str().unwrap().split(',').count(), 3);
    assert_eq!(client.get(&format!("/queries/{}/result", ids[1])).await["data"]["rowset"], json!([["2"]]));
    assert_eq!(client.get(&format!("/queries/{}/result", ids[2])).await["data"]["rowset"], json!([["1"], ["2"]]));
    let (path, body) = ask("half", "INSERT INTO T VALUES (3); SELECT * FROM NOPE; INSERT INTO T VALUES (4)", 0);
    let half = client.post(&path, &body).await;
    assert_eq!(half["code"], "100132", "{half}");
    assert!(half["message"].as_str().unwrap().contains("NOPE"));
    assert_eq!(client.rows("SELECT COUNT(*) FROM T").await, json!([["3"]]), "what came before the failure stands");
}

#[tokio::test]
async fn bind_variables_arrive_in_their_order() {
    let running = start(Options::default()).await;
    let client = Client::at_work(&running).await;
    client.rows("CREATE TABLE T (A NUMBER(38,0), B VARCHAR, C BOOLEAN)").await;
    let bindings = json!({
        "2": { "type": "TEXT", "value": "it's" }, "3": { "type": "BOOLEAN", "value": null },
        "1": { "type": "FIXED", "value": "99999999999999999999999999999999999999" },
    });
    let body = json!({ "sqlText": "INSERT INTO T SELECT ?, ?, ?", "bindings": bindings });
    let reply = client.post(&query_path("b"), &body).await;
    assert_eq!(reply["success"], true, "{reply}");
    assert_eq!(client.rows("SELECT * FROM T").await, json!([["99999999999999999999999999999999999999", "it's", null]]));
    let array =
        json!({ "sqlText": "INSERT INTO T SELECT ?", "bindings": { "1": { "type": "TEXT", "value": ["a", "b"] } } });
    let refused = client.post(&query_path("c"), &array).await;
    assert!(refused["success"] == false && refused["message"].as_str().unwrap().contains("array"), "{refused}");
}

#[tokio::test]
async fn describing_a_statement_does_not_run_it() {
    let running = start(Options::default()).await;
    let client = Client::at_work(&running).await;
    client.rows("CREATE TABLE T (A NUMBER(10,2) NOT NULL, B VARCHAR(20))").await;
    let before = running.sim.stats();
    let body = json!({ "sqlText": "SELECT A, B FROM T", "describeOnly": true });
    let reply = client.post(&query_path("d"), &body).await;
    let columns = &reply["data"]["rowtype"];
    assert_eq!(
        (&columns[0]["name"], &columns[0]["type"], &columns[0]["precision"], &columns[0]["scale"]),
        (&json!("A"), &json!("fixed"), &json!(10), &json!(2))
    );
    assert_eq!((&columns[1]["type"], &columns[1]["length"]), (&json!("text"), &json!(20)));
    let after = running.sim.stats();
    assert_eq!((before.statements, before.warehouse_statements), (after.statements, after.warehouse_statements));
}
