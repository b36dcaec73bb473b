//! Measures how fast the simulator serves a table of ten columns, from login to the last byte of the last chunk.
//!
//! `serve_rate [ROWS] [ARROW|JSON]`, 1,000,000 rows as Arrow by default. Client and server share this process; the client only
//! counts bytes, so what is measured is the scan, the encoding, the spool and HTTP. CPU time is the process's.

use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};
use snowsim::Simulator;

type Failure = Box<dyn std::error::Error>;

struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        let request = self.http.post(format!("{}{path}", self.url)).body(body.to_string());
        let request = request.header("Authorization", format!("Snowflake Token=\"{}\"", self.token));
        let reply: Value = serde_json::from_slice(&request.send().await?.bytes().await?)?;
        if reply["success"] != true {
            return Err(format!("{body}: {}", reply["message"]).into());
        }
        Ok(reply)
    }

    async fn query(&self, sql: &str) -> Result<Value, Failure> {
        let mut reply = self.post("/queries/v1/query-request", json!({ "sqlText": sql })).await?;
        while reply["code"] == "333333" {
            let url = reply["data"]["getResultUrl"].as_str().ok_or("no result link")?.to_owned();
            let request = self.http.get(format!("{}{url}", self.url));
            let request = request.header("Authorization", format!("Snowflake Token=\"{}\"", self.token));
            reply = serde_json::from_slice(&request.send().await?.bytes().await?)?;
        }
        Ok(reply)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let format = std::env::args().nth(2).unwrap_or_else(|| "ARROW".to_owned());
    let running = Simulator::start().await?;
    let mut client = Client { http: reqwest::Client::new(), url: running.url(), token: String::new() };
    let login = json!({ "data": {
        "CLIENT_APP_ID": "Go", "LOGIN_NAME": "BENCH", "PASSWORD": "x",
        "SESSION_PARAMETERS": { "GO_QUERY_RESULT_FORMAT": format },
    }});
    let reply = client.post("/session/v1/login-request", login).await?;
    client.token = reply["data"]["token"].as_str().ok_or("no token")?.to_owned();
    for sql in ["CREATE DATABASE BENCH", "USE SCHEMA BENCH.PUBLIC", "CREATE WAREHOUSE W", "USE WAREHOUSE W"] {
        client.query(sql).await?;
    }
    let mut out = std::io::stdout();
    let begun = Instant::now();
    client.query(&table(rows)).await?;
    writeln!(out, "made {rows} rows in {:.1} s", begun.elapsed().as_secs_f64())?;
    for _ in 0..3 {
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        let reply = client.query("SELECT * FROM T ORDER BY ID").await?;
        let answered = begun.elapsed().as_secs_f64();
        let data = &reply["data"];
        let mut bytes = data["rowsetBase64"].as_str().map_or(0, str::len);
        let mut counted = 0;
        for chunk in data["chunks"].as_array().into_iter().flatten() {
            let mut request = client.http.get(chunk["url"].as_str().ok_or("no link")?);
            for (name, value) in data["chunkHeaders"].as_object().into_iter().flatten() {
                request = request.header(name, value.as_str().unwrap_or_default());
            }
            bytes += request.send().await?.error_for_status()?.bytes().await?.len();
            counted += chunk["rowCount"].as_u64().unwrap_or(0);
        }
        let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        if data["total"].as_u64() != Some(rows) || counted > rows {
            return Err(format!("{} rows announced of {rows}", data["total"]).into());
        }
        let per_second = |seconds: f64| format!("{:.0}", rows.to_string().parse::<f64>().unwrap_or(0.0) / seconds);
        writeln!(
            out,
            "{rows} rows, {:.1} MB in {} chunks: {wall:.2} s wall ({answered:.2} s to the reply), {cpu:.2} s CPU; {} rows/s, {} rows per CPU-second",
            f64::from(u32::try_from(bytes / 1024)?) / 1024.0,
            data["chunks"].as_array().map_or(0, Vec::len),
            per_second(wall),
            per_second(cpu),
        )?;
    }
    running.stop().await;
    Ok(())
}

fn table(rows: u64) -> String {
    format!(
        "CREATE TABLE T AS SELECT SEQ8() AS ID, 'customer ' || SEQ8() AS NAME, SEQ8() * 7 AS B, SEQ8() % 100 AS C, \
         (SEQ8() * 1.25)::NUMBER(18,2) AS D, (SEQ8() / 3)::FLOAT AS E, SEQ8() % 2 = 0 AS F, \
         DATEADD(day, SEQ8() % 20000, '1970-01-01'::DATE) AS G, \
         DATEADD(second, SEQ8(), '2020-01-01 00:00:00'::TIMESTAMP_NTZ(9)) AS H, 'some text of thirty characters' AS I \
         FROM TABLE(GENERATOR(ROWCOUNT => {rows}))"
    )
}

/// User and system time of this process so far, from the kernel's own account of it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
