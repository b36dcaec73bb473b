//! The smallest client that can ask: it logs in, sends a body, and hands back the JSON as it came.

use std::io::Write;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::StatusCode;
use serde_json::{Value, json};
use snowsim::{Options, Running, Simulator};

pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) token: String,
    pub(crate) master: String,
}

/// A login body of some client, without credentials.
pub(crate) fn login_body(app: &str, parameters: &Value) -> Value {
    json!({ "data": {
        "CLIENT_APP_ID": app, "CLIENT_APP_VERSION": "1.0.0", "ACCOUNT_NAME": "test", "LOGIN_NAME": "ALICE",
        "PASSWORD": "secret", "CLIENT_ENVIRONMENT": {}, "SESSION_PARAMETERS": parameters,
    }})
}

pub(crate) async fn start(options: Options) -> Running {
    Simulator::start_with(options).await.unwrap()
}

impl Client {
    pub(crate) fn new(base: &str) -> Client {
        // Each request has a connection of its own, so that a cut one cannot disturb the next.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Client { http, base: base.to_owned(), token: String::new(), master: String::new() }
    }

    /// Logs in as a client that gets JSON.
    pub(crate) async fn login(running: &Running) -> Client {
        Client::login_as(running, "snowsim-tests", &json!({})).await
    }

    pub(crate) async fn login_as(running: &Running, app: &str, parameters: &Value) -> Client {
        let mut client = Client::new(&running.url());
        let reply = client.post("/session/v1/login-request", &login_body(app, parameters)).await;
        assert_eq!(reply["success"], true, "{reply}");
        client.token = reply["data"]["token"].as_str().unwrap().to_owned();
        client.master = reply["data"]["masterToken"].as_str().unwrap().to_owned();
        client
    }

    /// A client with a database and a schema to work in.
    pub(crate) async fn at_work(running: &Running) -> Client {
        let client = Client::login(running).await;
        client.prepare().await;
        client
    }

    pub(crate) async fn prepare(&self) {
        for sql in [
            "CREATE DATABASE IF NOT EXISTS WIRE",
            "USE SCHEMA WIRE.PUBLIC",
            "CREATE WAREHOUSE IF NOT EXISTS W",
            "USE WAREHOUSE W",
        ] {
            self.rows(sql).await;
        }
    }

    fn request(&self, method: reqwest::Method, path: &str, token: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let request = self.http.request(method, url);
        if token.is_empty() { request } else { request.header("Authorization", format!("Snowflake Token=\"{token}\"")) }
    }

    /// Sends a body with the session token; the reply, or why there was none.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value), reqwest::Error> {
        let request = self.request(reqwest::Method::POST, path, &self.token).header("Content-Type", "application/json");
        let response = request.body(body.to_string()).send().await?;
        let status = response.status();
        let text = response.bytes().await?;
        Ok((status, serde_json::from_slice(&text).unwrap_or(Value::Null)))
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, reply) = self.try_post(path, body).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {reply}");
        reply
    }

    pub(crate) async fn post_with(&self, token: &str, path: &str, body: &Value) -> Value {
        let response = self.request(reqwest::Method::POST, path, token).body(body.to_string()).send().await.unwrap();
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    pub(crate) async fn post_gzipped(&self, path: &str, body: &Value) -> Value {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body.to_string().as_bytes()).unwrap();
        let request = self.request(reqwest::Method::POST, path, &self.token).header("Content-Encoding", "gzip");
        let response = request.body(encoder.finish().unwrap()).send().await.unwrap();
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request(reqwest::Method::GET, path, &self.token).send().await.unwrap();
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> StatusCode {
        self.request(reqwest::Method::DELETE, path, "").send().await.unwrap().status()
    }

    /// Downloads a chunk with some headers, and without the session.
    pub(crate) async fn download(
        &self,
        url: &str,
        headers: &Value,
    ) -> Result<(StatusCode, bool, Vec<u8>), reqwest::Error> {
        let mut request = self.request(reqwest::Method::GET, url, "");
        for (name, value) in headers.as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        let response = request.send().await?;
        let (status, gzipped) = (response.status(), response.headers().contains_key("content-encoding"));
        Ok((status, gzipped, response.bytes().await?.to_vec()))
    }

    pub(crate) async fn query_as(&self, request_id: &str, sql: &str) -> Value {
        self.post(&query_path(request_id), &json!({ "sqlText": sql, "sequenceId": 1 })).await
    }

    pub(crate) async fn query(&self, sql: &str) -> Value {
        self.query_as(&uuid::Uuid::new_v4().to_string(), sql).await
    }

    /// The rows of a statement that must succeed in one JSON reply.
    pub(crate) async fn rows(&self, sql: &str) -> Value {
        let reply = self.query(sql).await;
        assert_eq!(reply["success"], true, "{sql}: {reply}");
        assert_eq!(reply["data"]["queryResultFormat"], "json", "{sql}");
        reply["data"]["rowset"].clone()
    }
}

pub(crate) fn query_path(request_id: &str) -> String {
    format!("/queries/v1/query-request?requestId={request_id}")
}

pub(crate) fn unbase64(text: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap()
}
