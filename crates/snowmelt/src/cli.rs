//! The command line: one file per verb. Results go to standard output, the log to standard error.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod duration;
mod health;
mod options_file;
mod output;
mod run;
mod signal;
#[cfg(feature = "demo")]
mod sim;
mod snapshot;
mod sql;
mod tunnel;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::error::ExitCode;

/// Row changes out of Snowflake tables into Kafka, exactly once.
#[derive(Debug, Parser)]
#[command(name = "snowmelt", version, about, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 well, 1 findings, 2 usage or configuration, 3 Snowflake's side needs a person \
                        (or the project refuses this node), 4 Kafka's side does, 5 another publisher took over, 6 a row cannot be published, \
                        7 not stopped in time, 70 a bug. See docs/operations.md and docs/tunnel.md.")]
pub struct Cli {
    /// Form of the log on standard error
    #[arg(long, global = true, value_enum, default_value = "text", env = "SNOWMELT_LOG_FORMAT")]
    log_format: LogFormat,
    /// What to log: a level (error, warn, info, debug, trace) or a tracing filter
    #[arg(long, global = true, env = "SNOWMELT_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Try everything that `run` will need, and say what is missing and how to mend it
    Check(check::Check),
    /// Show the whole thing on this machine: a simulated Snowflake, an embedded Kafka, and a proof at the end
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Ask a running process of this program whether it is ready, for health checks of containers without a shell
    Health(health::Health),
    /// Take connections on a local port and carry them through the relay to an outlet
    Inlet(tunnel::Inlet),
    /// Stand beside Kafka (or any TCP service) and let inlets reach it through the relay
    Outlet(tunnel::Outlet),
    /// Make and look after a project: what lets relay, outlets and inlets trust each other
    #[command(subcommand)]
    Project(tunnel::Project),
    /// Run a relay apart from the authority: the public port that joins inlets with outlets and reads nothing
    Relay(tunnel::Relay),
    /// Carry the tables of a configuration to Kafka until stopped
    Run(run::Run),
    /// Order a new snapshot of one table, while the others go on
    Snapshot(snapshot::Snapshot),
    /// Run the simulated Snowflake (and an embedded Kafka) as a playground for any client
    #[cfg(feature = "demo")]
    Sim(sim::Sim),
    /// Print SQL that somebody has to run in Snowflake beforehand
    #[command(subcommand)]
    Sql(sql::Sql),
}

impl Cli {
    /// Reads the command line, and the file of options if it names one. Ends the process as every program does that is
    /// asked for help, or cannot read its command line.
    ///
    /// # Errors
    /// [`ExitCode::Usage`] when the file is not in order; what is wrong is said on standard error.
    pub fn read() -> Result<Self, ExitCode> {
        match options_file::arguments(&Self::command(), std::env::args_os().collect()) {
            Ok(arguments) => Ok(Self::parse_from(arguments)),
            Err(problems) => {
                output::problem(problems);
                Err(ExitCode::Usage)
            }
        }
    }

    /// Starts the log.
    pub fn start_log(&self) {
        let filter = self.log.clone().unwrap_or_else(|| self.verb.default_log().to_owned());
        let builder = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .with_target(false);
        // A second start (two verbs in one test process) keeps the first log.
        let _ = match self.log_format {
            LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
    }

    /// Runs the verb to its end.
    pub async fn run(self) -> ExitCode {
        match self.verb {
            Verb::Check(check) => Box::pin(check.run()).await,
            #[cfg(feature = "demo")]
            Verb::Demo(demo) => demo.run().await,
            Verb::Health(health) => health.run().await,
            Verb::Inlet(inlet) => inlet.run().await,
            Verb::Outlet(outlet) => outlet.run().await,
            Verb::Project(project) => project.run().await,
            Verb::Relay(relay) => relay.run().await,
            Verb::Run(run) => run.run().await,
            Verb::Snapshot(snapshot) => Box::pin(snapshot.run()).await,
            #[cfg(feature = "demo")]
            Verb::Sim(sim) => sim.run().await,
            Verb::Sql(sql) => sql.run().await,
        }
    }
}

impl Verb {
    /// The demo has a view of its own, which log lines would tear; what goes wrong still shows.
    fn default_log(&self) -> &'static str {
        match self {
            #[cfg(feature = "demo")]
            Self::Demo(_) => "error",
            Self::Check(_) | Self::Snapshot(_) | Self::Sql(_) => "error",
            _ => "info,krafka=warn,datafusion=warn",
        }
    }
}
