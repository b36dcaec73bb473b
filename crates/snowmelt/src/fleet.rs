//! All captures of a publisher: started together, joined by those of tables that are found later, and each going its
//! own way.
//!
//! Promises: what stops one table stops no other. A table that waits for a person is tried again from time to time, as
//! long as another still works; when none does, the publisher ends and its exit code says why. Leaves what a capture
//! does to [`crate::pipeline`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::Config;
use crate::discovery::Discovery;
use crate::error::{Error, ExitCode};
use crate::pipeline::Capture;
use crate::sink::{Cluster, Commands, commands};
use crate::status::Status;
use crate::warehouse::Warehouse;

/// First wait before commands are looked for again.
const FIRST_TRY: Duration = Duration::from_millis(50);

/// What the captures of a publisher share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) budget: Budget,
    pub(crate) status: Status,
    pub(crate) stop: CancellationToken,
    pub(crate) commands: Commands,
    pub(crate) clock: Clock,
    pub(crate) warehouse: Warehouse,
    cluster: Arc<OnceCell<Cluster>>,
    /// How many captures work, or may begin to without a person.
    working: watch::Sender<usize>,
}

/// Counts one capture as working, until dropped.
pub(crate) struct Working(watch::Sender<usize>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Shared {
    /// The connection to Kafka, made by whoever asks first.
    pub(crate) async fn cluster(&self) -> Result<&Cluster, Error> {
        Ok(self.cluster.get_or_try_init(|| Cluster::connect(&self.config.kafka)).await?)
    }

    /// Counts the caller as working.
    pub(crate) fn working(&self) -> Working {
        self.working.send_modify(|count| *count += 1);
        Working(self.working.clone())
    }

    /// Waits until no capture works any more.
    pub(crate) async fn idle(&self) {
        // The sender is this struct's own, so the channel does not close.
        let _ = self.working.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// Carries all configured tables until `stop`, or until none can go on. Returns the process's exit code.
pub async fn run(config: Arc<Config>, status: Status, stop: CancellationToken) -> ExitCode {
    run_by(Clock::default(), config, status, stop).await
}

/// The same by a clock that the caller may move: probes, waits for the warehouse and its estimated cost go by it.
pub async fn run_by(clock: Clock, config: Arc<Config>, status: Status, stop: CancellationToken) -> ExitCode {
    let (follower, commands) = commands::channel();
    let warehouse = Warehouse::new(&clock, &config.poll);
    status.charge_to(warehouse.clone());
    let shared = Shared {
        budget: Budget::new(config.delivery.memory),
        config: Arc::clone(&config),
        status: status.clone(),
        stop: stop.clone(),
        commands,
        clock,
        warehouse,
        cluster: Arc::new(OnceCell::new()),
        working: watch::Sender::new(0),
    };
    // Every capture counts before the first begins, so that none finds itself the last too early.
    let captures: Vec<Capture> =
        config.tables.iter().map(|table| Capture::new(table.clone(), shared.clone())).collect();
    let (to, mut found) = mpsc::unbounded_channel();
    let discovery = (!config.table_patterns.is_empty()).then(|| Discovery::new(shared.clone(), to));
    let mut running: JoinSet<ExitCode> = captures.into_iter().map(Capture::run).collect();
    let _discovery = discovery.map(|discovery| AbortOnDropHandle::new(tokio::spawn(discovery.run())));
    let _follower = AbortOnDropHandle::new(tokio::spawn(async move { follow(follower, &config).await }));
    loop {
        let ended = tokio::select! {
            Some(capture) = found.recv() => {
                running.spawn(Capture::run(capture));
                continue;
            }
            Some(ended) = running.join_next() => ended,
            // The discovery has ended, and so has every capture.
            else => break,
        };
        match ended {
            // Whoever claimed one capture of this pipeline is another publisher of it: all give way.
            Ok(ExitCode::Fenced) => stop.cancel(),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "a capture's task ended without a result"),
        }
    }
    tracing::info!(
        memory = shared.config.delivery.memory,
        peak = shared.budget.peak(),
        "most bytes in flight at one time"
    );
    shared.warehouse.sum_up();
    let codes = status.snapshot().into_values().filter_map(|capture| capture.exit);
    codes.max_by_key(|code| (*code == ExitCode::Fenced, *code != ExitCode::Ok)).unwrap_or(ExitCode::Bug)
}

/// Reads commands by a connection of its own: a broker answers a connection's requests in their order, and would let a
/// commit wait behind a look for news.
async fn follow(follower: commands::Follower, config: &Config) {
    let mut backoff = Backoff::new(FIRST_TRY, config.retry.max);
    loop {
        match Cluster::connect(&config.kafka).await {
            Ok(cluster) => return follower.run(&cluster, config).await,
            // The captures meet the same, and say so.
            Err(_) => tokio::time::sleep(backoff.next_wait()).await,
        }
    }
}
