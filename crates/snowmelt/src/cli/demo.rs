//! `snowmelt demo`: the whole thing on this machine, and a proof at the end.
//!
//! ```text
//!  writer ──SQL──▶ simulated Snowflake ──▶ publisher ══tunnel══▶ embedded Kafka ──▶ reader ──▶ ledger
//!                         │                                                                     │
//!                         └────────────────────── rows, at the end ────────────────▶ compare ◀──┘
//! ```
//!
//! The publisher is the one that `run` starts, with a configuration such as a user writes; everything around it only
//! goes through front doors: the driver protocol on one side, a `read_committed` consumer on the other.

mod board;
mod cast;
mod dml;
mod event;
mod ledger;
mod moment;
pub(super) mod open;
mod paint;
mod passage;
mod quiet;
mod reader;
mod report;
mod shop;
mod stage;
mod view;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::board::{Board, Phase};
use self::cast::Cast;
use self::ledger::Findings;
use self::paint::{Line, Paint};
use self::reader::{ReadError, Reader};
use self::report::{Broken, Counted, Report, thousands};
use self::shop::TABLES;
use self::stage::{Stage, StageError};
use self::view::View;
use self::writer::{WriteError, Writer};
use super::duration::duration;
use super::{output, signal};
use crate::error::ExitCode;
use crate::source::SourceError;
use crate::status::Status;

/// Longest wait for the last changes to arrive.
const DRAIN: Duration = Duration::from_secs(60);

/// Show the whole thing on this machine.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How long to go on, as in 30s, 5m or 1h; without it, until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// A real Kafka, as HOST:PORT,…, instead of the embedded one
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    bootstrap_servers: Vec<String>,
    /// Let the publisher talk to Kafka without the tunnel
    #[arg(long)]
    direct: bool,
    /// What the random statements follow from; without it, drawn and printed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Row changes a second, about
    #[arg(long, value_name = "CHANGES", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Show nothing but the outcome, as one JSON line
    #[arg(long)]
    json: bool,
}

/// Why the demo came to no comparison.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Writer(#[from] WriteError),
    #[error(transparent)]
    Reader(#[from] ReadError),
    #[error("the comparison cannot read the tables: {0}")]
    Source(#[from] SourceError),
    #[error("the publisher ended by itself: {0}")]
    Publisher(String),
    #[error("{limit} s after the last change, this is still missing: {0}", limit = DRAIN.as_secs())]
    Missing(String),
    #[error("a task of the demo ended without a result: {0}; this is a bug, please report it")]
    Task(#[from] tokio::task::JoinError),
}

impl Trouble {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Stage(StageError::Options(_)) => ExitCode::Usage,
            Self::Reader(ReadError::Sink(_)) => ExitCode::Sink,
            Self::Task(_) => ExitCode::Bug,
            _ => ExitCode::Findings,
        }
    }
}

impl Demo {
    pub(crate) async fn run(self) -> ExitCode {
        let stop = signal::stop_token();
        let seed = self.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let mut view = View::open(self.json, self.duration);
        let outcome = Box::pin(self.play(seed, &stop, &mut view)).await;
        match &outcome {
            Ok(report) if self.json => output::json(report),
            Ok(report) => view.print(&report.lines()),
            Err(trouble) if self.json => {
                output::json(&Broken { seed, ok: false, problem: &trouble.to_string() });
            }
            Err(trouble) => output::problem(format_args!("\n{trouble}\n(seed {seed})")),
        }
        match outcome {
            Ok(report) if report.ok => {
                view.print(&report::next_steps());
                ExitCode::Ok
            }
            Ok(_) => ExitCode::Findings,
            Err(trouble) => trouble.exit_code(),
        }
    }

    /// Sets the stage, and shows what goes on there until all is over.
    async fn play(&self, seed: u64, stop: &CancellationToken, view: &mut View) -> Result<Report, Trouble> {
        let stage = Stage::set(&self.bootstrap_servers, self.direct).await?;
        view.print(&self.opening(&stage, seed));
        let (board, status) = (Arc::new(Board::default()), Status::default());
        let acts = Box::pin(self.acts(seed, stop, &stage, &board, &status));
        let outcome = tokio::select! {
            outcome = acts => outcome,
            never = view.live(&board, &status) => match never {},
        };
        if outcome.is_ok() {
            board.enter(Phase::Ended);
            view.frame(&board, &status.snapshot());
        }
        view.keep();
        outcome
    }

    fn opening(&self, stage: &Stage, seed: u64) -> Vec<Line> {
        let servers = &stage.beside_kafka.kafka.bootstrap_servers;
        let server = servers.first().map_or("", String::as_str);
        let topic = stage.config.tables.first().map_or("", |table| table.topic.as_str());
        let kind = if stage.embedded.is_some() { "embedded" } else { "yours" };
        vec![
            Line::of(Paint::Bold, "snowmelt demo")
                .and(Paint::Plain, format!("   Snowflake {}", stage.snowflake.url()))
                .and(Paint::Dim, " (simulated)")
                .and(Paint::Plain, format!("   Kafka {server}"))
                .and(Paint::Dim, format!(" ({kind})")),
            self.way(stage),
            Line::default(),
            Line::of(
                Paint::Plain,
                format!(
                    "Random statements (seed {seed}) change two tables, about {} rows a second.",
                    thousands(u64::from(self.rate))
                ),
            ),
            Line::of(
                Paint::Plain,
                "Every change must arrive in Kafka once; at the end Kafka is compared with the tables.",
            ),
            Line::of(Paint::Dim, format!("Look in with  kcat -C -b {server} -t {topic}")),
        ]
    }

    /// How the publisher reaches Kafka.
    fn way(&self, stage: &Stage) -> Line {
        match &stage.passage {
            None => Line::of(Paint::Dim, "The publisher dials Kafka directly"),
            Some(passage) => Line::of(
                Paint::Dim,
                format!(
                    "The publisher reaches Kafka through the tunnel: inlet {}, relay {}, outlet",
                    passage.inlet, passage.relay
                ),
            ),
        }
    }

    /// From the first statement to the comparison.
    async fn acts(
        &self,
        seed: u64,
        stop: &CancellationToken,
        stage: &Stage,
        board: &Arc<Board>,
        status: &Status,
    ) -> Result<Report, Trouble> {
        let mut writer = Writer::open(&stage.config.snowflake, seed, self.rate, Arc::clone(board)).await?;
        let reader = Reader::open(&stage.beside_kafka, Arc::clone(board)).await?;
        let mut cast = Cast::start(&stage.config, status, reader);
        let started = Instant::now();
        board.figures().since = Some(started);
        board.enter(Phase::Running);
        let ending = stop.child_token();
        let _timer = self.duration.map(|duration| cancel_after(duration, ending.clone()));
        cast.beside(async { Ok(writer.work(&ending).await?) }).await?;

        board.enter(Phase::Draining);
        let mut missing = String::new();
        let reader = cast.to_the_end();
        let drained = timeout(DRAIN, async {
            quiet::everything_left(writer.session(), status, &mut missing).await?;
            "events that are in the topics and did not reach the consumer".clone_into(&mut missing);
            reader.read().await;
            Ok(())
        });
        let drained = cast.beside(async { Ok(drained.await) }).await?;
        let took = started.elapsed();
        drained.unwrap_or(Err(Trouble::Missing(missing)))?;
        let ledgers = cast.end().await?;

        board.enter(Phase::Comparing);
        let stats = stage.snowflake.sim.stats();
        let mut counted = Counted {
            snowflake_statements: stats.statements,
            warehouse_statements: stats.warehouse_statements,
            ..Counted::default()
        };
        for capture in status.snapshot().into_values() {
            counted.rows += capture.rows;
            counted.batches += capture.batches;
            counted.restarts += capture.restarts;
        }
        let mut findings = Vec::new();
        for (table, ledger) in TABLES.iter().zip(ledgers) {
            findings.push(ledger.close(&table.rows(writer.session()).await?));
        }
        Ok(Report::new(seed, took, &board.figures(), counted, Findings::sum(findings)))
    }
}

fn cancel_after(duration: Duration, token: CancellationToken) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        token.cancel();
    }))
}
