//! The program under test, as a process of its own: started, killed, asked to stop, and heard.
//!
//! Its log goes to a file, which a failing test shows, and in which the password may never stand.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::world::{PASSWORD, Settings, World, eventually};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Lines of the log that a failing test shows.
const SHOWN: usize = 60;

/// A publisher process.
pub(crate) struct Publisher {
    child: Child,
    log: PathBuf,
    name: String,
}

/// How a publisher ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this code.
    Code(i32),
    /// By a signal: a fail point, or kill -9.
    Killed,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        status.code().map_or(Self::Killed, Self::Code)
    }
}

impl Publisher {
    /// Starts `snowmelt run`; `failpoint` is `<name>:<n>`.
    pub(crate) fn spawn(world: &World, settings: &Settings, failpoint: Option<&str>) -> Self {
        Self::spawn_with(world, settings, failpoint, &[])
    }

    /// The same with more options.
    pub(crate) fn spawn_with(world: &World, settings: &Settings, failpoint: Option<&str>, options: &[&str]) -> Self {
        let name = format!("publisher-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let config = world.path(&format!("{name}.toml"));
        settings.write(&config);
        let log = world.path(&format!("{name}.log"));
        let file = std::fs::File::create(&log).expect("the log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_snowmelt"));
        command.args(["run", "--json", "--config"]).arg(config).args(options);
        command.env("SNOWMELT_LOG", std::env::var("SNOWMELT_LOG").unwrap_or_else(|_| "info,krafka=error".to_owned()));
        command.env_remove("SNOWMELT_FAILPOINT");
        if let Some(failpoint) = failpoint {
            command.env("SNOWMELT_FAILPOINT", failpoint);
        }
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("the log file")).stderr(file).kill_on_drop(true);
        let child = command.spawn().expect("the program starts");
        Self { child, log, name }
    }

    /// kill -9.
    pub(crate) async fn kill(mut self) {
        self.child.start_kill().expect("the process is killed");
        self.child.wait().await.expect("the process is waited for");
    }

    /// SIGTERM.
    pub(crate) async fn terminate(&self) {
        let id = self.child.id().expect("the process runs");
        let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().await.expect("kill runs");
        assert!(sent.success(), "SIGTERM was not sent");
    }

    /// The end, if it has come by itself.
    pub(crate) fn ended(&mut self) -> Option<Exit> {
        self.child.try_wait().expect("the process is asked for").map(Exit::from)
    }

    /// Waits for the end.
    pub(crate) async fn end(&mut self, limit: Duration) -> Exit {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => status.expect("the process is waited for").into(),
            Err(_) => panic!("{} has not ended within {limit:?}", self.name),
        }
    }

    /// Asks it to stop, demands that it does so well, and returns the status it prints at its end.
    pub(crate) async fn stop_and_tell(self) -> String {
        let log = self.log.clone();
        self.stop().await;
        let log = std::fs::read_to_string(log).expect("the log is read");
        log.lines().rfind(|line| line.starts_with('{')).expect("a line of JSON").to_owned()
    }

    /// Asks it to stop, and demands that it does so well.
    pub(crate) async fn stop(mut self) {
        self.terminate().await;
        assert_eq!(self.end(Duration::from_secs(30)).await, Exit::Code(0), "{} did not stop well", self.name);
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log is read")
    }

    /// Waits until it says `text`.
    pub(crate) async fn says(&self, text: &str, limit: Duration) {
        eventually(&format!("{} says {text:?}", self.name), limit, || self.log().contains(text)).await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        if std::thread::panicking() {
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- {} ---\n{}", self.name, lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
        } else {
            assert!(!log.contains(PASSWORD), "{} wrote the password:\n{log}", self.name);
        }
    }
}
