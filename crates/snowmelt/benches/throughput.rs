//! Rows a second from the simulator to an embedded Kafka, and what the same records cost the producer alone.
//!
//! ```text
//! this process ── SQL ──▶ `snowmelt sim --kafka` ◀── `snowmelt run` (measured: rows/s, peak RSS)
//!      └──────── the same keys and values by krafka alone: the ceiling ────────┘
//! ```
//!
//! `cargo bench --bench throughput -- [ROWS[xBYTES[~KILLS]]]…` (default `1000000x100 1000000x200 1000000x1024`). With
//! kills the publisher is ended as by kill -9 that often on its way, at even distances, and goes on where it was. Three
//! processes over real sockets share the machine's cores. Numbers are ratios within one run; nothing is asserted.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use krafka::consumer::{AutoOffsetReset, ConsumerRecord, IsolationLevel};
use krafka::{Kafka, Record};
use snowmelt::checkpoint::Checkpoint;
use snowmelt::config::Config;
use snowmelt::source::session::Session;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PER_TRANSACTION: usize = 20_000;
const MMAP_THRESHOLD: &str = "1048576";

fn main() -> Outcome<()> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let asked = if asked.is_empty() {
        ["1000000x100", "1000000x200", "1000000x1024"].map(str::to_owned).to_vec()
    } else {
        asked
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!(
        "| rows | row bytes | rows/s | event MB/s | producer alone rows/s | ratio | staging s | peak RSS MB | kills at row: s to next commit |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in asked {
        let (case, kills) = case.split_once('~').unwrap_or((&case, "0"));
        let (rows, bytes) = case.split_once('x').unwrap_or((case, "200"));
        let measured = runtime.block_on(measure(rows.parse()?, bytes.parse()?, kills.parse()?))?;
        println!("{measured}");
    }
    Ok(())
}

/// A child that does not outlive the run.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// The most memory it ever held, in MB (`VmHWM` of proc(5)).
    fn peak_rss(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
        let kb: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
        Ok(kb / 1024)
    }
}

async fn measure(rows: u64, bytes: u64, kills: u64) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let (_sim, url, servers) = simulator(folder.path())?;
    let config_file = configuration(folder.path(), &url, &servers)?;
    let config = Config::load(&config_file)?;
    let session = Session::connect(&config.snowflake).await?;
    load(&session, rows, bytes).await?;

    let began = Instant::now();
    let mut victim = Victim::start(&config_file, rows, kills)?;
    let kafka = Kafka::builder(&servers).connect().await?;
    let ((first, last), sample) = tokio::try_join!(follow(&kafka, rows, &mut victim), sample(&kafka))?;
    let (rss, resumed) = victim.end()?;

    let carried = last.row - first.row;
    let rate = per_second(carried, last.at - first.at);
    let event_bytes: usize = sample.iter().map(size).sum::<usize>() / sample.len().max(1);
    // The cluster keeps everything in memory, so that the ceiling of a long run is taken from part of it.
    let alone = produce_alone(&kafka, &sample, rows.min(1_000_000)).await?;
    Ok(format!(
        "| {rows} | {bytes} | {rate:.0} | {:.0} | {alone:.0} | {:.2} | {:.1} | {rss} | {resumed} |",
        rate * event_bytes as f64 / 1e6,
        rate / alone,
        (first.at - began).as_secs_f64(),
    ))
}

/// The publisher, and how it is killed.
struct Victim {
    config: PathBuf,
    process: Process,
    /// Rows after which it is killed next, the nearest last.
    places: Vec<u64>,
    /// Where it was killed and when, until the next commit.
    killed: Option<Seen>,
    rss: u64,
    resumed: Vec<String>,
}

impl Victim {
    fn start(config: &Path, rows: u64, kills: u64) -> Outcome<Self> {
        let places = (1..=kills).rev().map(|kill| rows * kill / (kills + 1)).collect();
        let process = Self::spawn(config)?;
        Ok(Self { config: config.to_owned(), process, places, killed: None, rss: 0, resumed: Vec::new() })
    }

    fn spawn(config: &Path) -> Outcome<Process> {
        let child = Command::new(env!("CARGO_BIN_EXE_snowmelt"))
            .args(["--log", "warn", "run", "--config"])
            .arg(config)
            // As docs/operations.md advises: glibc keeps result chunks for itself otherwise.
            .env("MALLOC_MMAP_THRESHOLD_", MMAP_THRESHOLD)
            .stderr(Stdio::inherit())
            .spawn()?;
        Ok(Process(child))
    }

    /// A checkpoint came: kills and starts again where it is time to.
    fn reached(&mut self, row: u64, at: Instant) -> Outcome<()> {
        if let Some(killed) = self.killed.take_if(|killed| row > killed.row) {
            self.resumed.push(format!("{}: {:.1}", killed.row, (at - killed.at).as_secs_f64()));
        }
        if self.killed.is_none() && self.places.pop_if(|place| row >= *place).is_some() {
            self.rss = self.rss.max(self.process.peak_rss()?);
            self.process.0.kill()?;
            self.process.0.wait()?;
            self.killed = Some(Seen { row, at: Instant::now() });
            self.process = Self::spawn(&self.config)?;
        }
        Ok(())
    }

    fn end(self) -> Outcome<(u64, String)> {
        let resumed = if self.resumed.is_empty() { "none".to_owned() } else { self.resumed.join(", ") };
        Ok((self.rss.max(self.process.peak_rss()?), resumed))
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

fn simulator(folder: &Path) -> Outcome<(Process, String, String)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_snowmelt"))
        .args(["--log", "error", "sim", "--json", "--listen", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--data"])
        .arg(folder.join("sim"))
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let says: serde_json::Value = serde_json::from_str(&line)?;
    let text = |name: &str| says[name].as_str().map(str::to_owned).ok_or(format!("the simulator does not say {name}"));
    Ok((Process(child), text("url")?, text("bootstrap_servers")?))
}

fn configuration(folder: &Path, url: &str, servers: &str) -> Outcome<PathBuf> {
    std::fs::write(folder.join("password"), "none")?;
    let file = folder.join("snowmelt.toml");
    let text = format!(
        "name = \"bench\"\n\
         [snowflake]\naccount = \"bench\"\nurl = \"{url}\"\nuser = \"bench\"\npassword = {{ file = \"password\" }}\n\
         role = \"ACCOUNTADMIN\"\nwarehouse = \"WH\"\nstate_schema = \"BENCH.STATE\"\n\
         [kafka]\nbootstrap_servers = [\"{servers}\"]\n[topics]\nname = \"{{table}}\"\npartitions = 1\n\
         [[tables]]\nname = \"BENCH.PUBLIC.ROWS\"\nkey = [\"ID\"]\n"
    );
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Ten columns that come to about `bytes` a row.
async fn load(session: &Arc<Session>, rows: u64, bytes: u64) -> Outcome<()> {
    let text = bytes.saturating_sub(56).max(4);
    for sql in [
        "CREATE WAREHOUSE IF NOT EXISTS WH".to_owned(),
        "CREATE DATABASE BENCH".to_owned(),
        "CREATE SCHEMA BENCH.STATE".to_owned(),
        "CREATE TABLE BENCH.PUBLIC.ROWS (ID NUMBER(12,0), A NUMBER(9,0), B NUMBER(9,0), C NUMBER(12,2), D NUMBER(12,2), \
         E BOOLEAN, F DATE, G TEXT, H TEXT, I TEXT)"
            .to_owned(),
        format!(
            "INSERT INTO BENCH.PUBLIC.ROWS SELECT SEQ8(), SEQ8() % 1000, SEQ8() % 77, (SEQ8() % 99999)::NUMBER(12,2), \
             (SEQ8() % 1234)::NUMBER(12,2), SEQ8() % 2 = 0, '2026-01-01'::DATE, 'group ' || (SEQ8() % 10)::TEXT, \
             'x', REPEAT('y', {text}) FROM TABLE(GENERATOR(ROWCOUNT => {rows}))"
        ),
    ] {
        session.table("the bench's data", &sql).await?;
    }
    Ok(())
}

/// A checkpoint and when it was seen.
struct Seen {
    row: u64,
    at: Instant,
}

/// Follows the checkpoint topic until all rows are in Kafka.
async fn follow(kafka: &Kafka, rows: u64, victim: &mut Victim) -> Outcome<(Seen, Seen)> {
    let consumer = kafka
        .consumer_without_group()
        .isolation_level(IsolationLevel::ReadCommitted)
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .build()
        .await?;
    let topic = "snowmelt-checkpoints";
    while consumer.assign(topic, vec![0]).await.is_err() {
        tokio::task::yield_now().await;
    }
    let mut first: Option<Seen> = None;
    loop {
        for record in consumer.poll(Duration::from_millis(50)).await? {
            let Some(value) = record.value else { continue };
            let row = Checkpoint::from_bytes("bench", &value)?.row;
            let seen = Seen { row, at: Instant::now() };
            victim.reached(row, seen.at)?;
            match (&first, row) {
                (_, 0) => {}
                (None, _) => first = Some(seen),
                (Some(_), row) if row == rows => return Ok((first.ok_or("no first")?, seen)),
                _ => {}
            }
        }
    }
}

fn size(record: &ConsumerRecord) -> usize {
    record.key.as_ref().map_or(0, bytes::Bytes::len) + record.value.as_ref().map_or(0, bytes::Bytes::len)
}

/// The first records the publisher writes, read as soon as they are there: the embedded cluster answers a fetch with all
/// it has from that offset on, which later is more than a client takes.
async fn sample(kafka: &Kafka) -> Outcome<Vec<ConsumerRecord>> {
    let consumer = kafka.consumer_without_group().auto_offset_reset(AutoOffsetReset::Earliest).build().await?;
    while consumer.assign("ROWS", vec![0]).await.is_err() {
        tokio::task::yield_now().await;
    }
    loop {
        let mut sample = consumer.poll(Duration::from_secs(1)).await?;
        if !sample.is_empty() {
            sample.truncate(PER_TRANSACTION);
            return Ok(sample);
        }
    }
}

/// The same records by the producer alone, with the publisher's own settings.
async fn produce_alone(kafka: &Kafka, sample: &[ConsumerRecord], rows: u64) -> Outcome<f64> {
    use krafka::admin::{CreateTopicsOptions, NewTopic};
    kafka.admin().create_topics([NewTopic::new("CEILING", 1, -1)?], CreateTopicsOptions::default()).await?;
    let producer = kafka.producer().batch_size(1_000_000).build_transactional("ceiling").await?;
    let began = Instant::now();
    let mut left = usize::try_from(rows)?;
    while left > 0 {
        producer.begin()?;
        for record in sample.iter().cycle().take(left.min(PER_TRANSACTION)) {
            let mut copy = Record::new("CEILING", record.value.clone().unwrap_or_default());
            copy.key = record.key.clone();
            drop(producer.enqueue(copy).await?);
        }
        producer.commit().await?;
        left = left.saturating_sub(PER_TRANSACTION);
    }
    let rate = per_second(rows, began.elapsed());
    producer.close().await?;
    Ok(rate)
}
