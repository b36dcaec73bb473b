//! `snowmelt snapshot`: order a new snapshot of one table, while the others go on.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::output;
use super::tunnel::trouble::Trouble;
use crate::command::{Command, Wish};
use crate::config::{Config, Table};
use crate::error::{Error, ExitCode};
use crate::inlet::{Authority, Passage};
use crate::sink::{Cluster, Sink, SinkError, commands};
use crate::status::now_ms;

/// How often the checkpoint is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Order a new snapshot of one table: all its rows again, as events `r`, then its changes. The others go on.
///
/// The order waits in Kafka (`topics.commands`) until the publisher is there, and is carried out once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  snowmelt snapshot SHOP.PUBLIC.ORDERS --wait")]
pub(crate) struct Snapshot {
    /// The table, as the configuration names it; database and schema may be left out where one table fits
    table: String,
    /// The publisher's configuration file (docs/configuration.md)
    #[arg(long, short, default_value = "snowmelt.toml")]
    config: PathBuf,
    /// Wait until the snapshot is whole in Kafka, and say how far it is
    #[arg(long)]
    wait: bool,
    /// Print what happens as JSON lines
    #[arg(long)]
    json: bool,
}

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// The publisher has not seen it: it is at work on a batch, or it does not run.
    Waiting,
    Refused(String),
    /// Rows in Kafka, and rows of the snapshot; 0 before they are staged.
    Sending(u64, u64),
    /// With its rows, unless batches after it have come meanwhile.
    Done(Option<u64>),
    /// A later order took its place.
    Overtaken,
}

impl Snapshot {
    pub(crate) async fn run(self) -> ExitCode {
        let mut config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) => {
                output::problem(problems);
                return ExitCode::Usage;
            }
        };
        let table = match named(&config, &self.table) {
            Ok(table) => table,
            Err(problem) => {
                output::problem(problem);
                return ExitCode::Usage;
            }
        };
        let ended = match Passage::open(&mut config, Authority::MustAnswer).await {
            Ok(passage) => Box::pin(Passage::beside(passage, self.order(&config, &table))).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(Ok(code)) => code,
            Ok(Err(error)) => {
                output::problem(&error);
                Error::from(error).exit_code()
            }
            Err(error) => {
                let trouble = Trouble::from(error);
                output::problem(&trouble);
                trouble.code()
            }
        }
    }

    async fn order(&self, config: &Config, table: &Table) -> Result<ExitCode, SinkError> {
        let cluster = Cluster::connect(&config.kafka).await?;
        let capture = format!("{}/{}", config.name, table.name);
        let command = Command::new(Wish::Snapshot, now_ms());
        commands::give(&cluster, config, &capture, &command).await?;
        self.say(table, &command, &Stage::Waiting);
        if !self.wait {
            return Ok(ExitCode::Ok);
        }
        let mut said = Stage::Waiting;
        loop {
            let stage = stage(Sink::peek(&cluster, config, &capture).await?.as_ref(), &command, || async {
                commands::read(&cluster, config, &capture).await
            })
            .await?;
            if stage != said {
                self.say(table, &command, &stage);
            }
            match stage {
                Stage::Done(_) => return Ok(ExitCode::Ok),
                Stage::Refused(_) | Stage::Overtaken => return Ok(ExitCode::Findings),
                Stage::Waiting | Stage::Sending(..) => {}
            }
            said = stage;
            tokio::time::sleep(LOOK).await;
        }
    }

    fn say(&self, table: &Table, command: &Command, stage: &Stage) {
        let (state, rows, of, words) = match stage {
            Stage::Waiting => {
                ("ordered", None, None, "ordered; the publisher begins it after the batch it is at".to_owned())
            }
            Stage::Refused(reason) => ("refused", None, None, format!("refused: {reason}")),
            Stage::Sending(_, 0) => ("begun", None, None, "begun".to_owned()),
            Stage::Sending(rows, of) => {
                ("sending", Some(*rows), Some(*of), format!("{rows} of {of} rows are in Kafka"))
            }
            Stage::Done(None) => ("done", None, None, "done".to_owned()),
            Stage::Done(Some(rows)) => ("done", Some(*rows), Some(*rows), format!("done: {rows} rows")),
            Stage::Overtaken => ("overtaken", None, None, "a later order took its place".to_owned()),
        };
        if self.json {
            let mut line = json!({ "table": table.name.to_string(), "command": command.id, "state": state });
            if let (Some(rows), Some(of)) = (rows, of) {
                line["rows"] = rows.into();
                line["of"] = of.into();
            }
            if let Stage::Refused(reason) = stage {
                line["reason"] = reason.as_str().into();
            }
            output::json(&line);
        } else {
            output::line(format_args!("snapshot of {} ({}): {words}", table.name, command.id));
        }
    }
}

/// The configured table that `text` names; one that only a pattern has is named in full.
fn named(config: &Config, text: &str) -> Result<Table, String> {
    let known = || {
        let named = config.tables.iter().map(|table| table.name.to_string());
        let matched = config.table_patterns.iter().map(|pattern| format!("what {} finds", pattern.matches));
        named.chain(matched).collect::<Vec<_>>().join(", ")
    };
    let full = text.parse().ok();
    let fits = |table: &&Table| {
        full.as_ref().is_some_and(|full| table.name == *full)
            || crate::config::identifier(text).is_ok_and(|name| table.name.name == name)
    };
    let mut found = config.tables.iter().filter(fits);
    let by_pattern = || {
        let full = full.as_ref()?;
        let mut fitting = config.table_patterns.iter().filter(|pattern| pattern.fits(full));
        match (fitting.next(), fitting.next()) {
            (Some(pattern), None) => config.found(pattern, full, &config.tables).ok(),
            _ => None,
        }
    };
    match (found.next(), found.next()) {
        (Some(table), None) => Ok(table.clone()),
        (None, _) if let Some(table) = by_pattern() => Ok(table),
        (None, _) => Err(format!("{text} is not a table of the configuration, which has {}", known())),
        (Some(_), Some(_)) => Err(format!("{text} may be several tables; name it in full, as one of {}", known())),
    }
}

/// Where the order `command` stands, by the capture's checkpoint. What only the topic of commands knows is asked of
/// `latest`.
async fn stage<F>(
    checkpoint: Option<&crate::checkpoint::Checkpoint>,
    command: &Command,
    latest: impl FnOnce() -> F,
) -> Result<Stage, SinkError>
where
    F: Future<Output = Result<Option<Command>, SinkError>>,
{
    let answered = checkpoint.and_then(|checkpoint| Some((checkpoint, checkpoint.command.as_ref()?)));
    match answered {
        Some((checkpoint, answered)) if answered.id == command.id => Ok(match &answered.refused {
            Some(reason) => Stage::Refused(reason.clone()),
            None if checkpoint.batch > 1 => Stage::Done(None),
            None if checkpoint.batch == 1 && checkpoint.batch_is_whole() => Stage::Done(Some(checkpoint.rows)),
            None => Stage::Sending(checkpoint.row, checkpoint.rows),
        }),
        _ => match latest().await? {
            Some(latest) if latest.id != command.id => Ok(Stage::Overtaken),
            _ => Ok(Stage::Waiting),
        },
    }
}
