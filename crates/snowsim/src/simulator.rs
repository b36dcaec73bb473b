//! The simulator as a whole: open it on a directory, serve it on a listener, or start it in one call.
//!
//! ```no_run
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let running = snowsim::Simulator::start().await?;
//! println!("log in at {}", running.url());
//! running.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Listener and shutdown are handed in, so the caller decides about ports and signals.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::{AccessTokens, TokenGrant};
use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::SqlError;
use crate::fault::Faults;
use crate::result::Spool;
use crate::server::{self, Lifetimes, Lines, Scissors, Service, ServiceLimits, Sessions, Statements};
use crate::stats::{Counts, Stats};
use crate::warehouse::WarehouseUse;

/// How long connections get to finish when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// How a simulator is set up. The default is a playground: temporary, open to anybody.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the account lives; `None` is a temporary directory that goes with the simulator.
    pub data: Option<PathBuf>,
    /// Users and their passwords. If there are none, every user and password fits.
    pub users: Vec<(String, String)>,
    /// OAuth and programmatic access tokens of any user. If there are none, and none is issued, every token fits.
    pub tokens: Vec<String>,
    /// How long a session token lives, by the simulator's clock.
    pub session_lifetime: Duration,
    /// How long a master token lives, by the simulator's clock.
    pub master_lifetime: Duration,
    /// How long a request is held for its statement, before the client is told to poll.
    pub hold: Duration,
    /// How long a link to a result chunk lives, by the simulator's clock.
    pub link_lifetime: Duration,
    /// Bytes of a result's part inside the reply.
    pub inline_bytes: usize,
    /// Bytes of a result chunk; `None` follows `CLIENT_RESULT_CHUNK_SIZE` (16 MB).
    pub chunk_bytes: Option<usize>,
    /// Gzip Arrow chunks too.
    pub gzip_arrow: bool,
    /// Bytes of results that stay on disk after they have been read.
    pub spool_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            data: None,
            users: Vec::new(),
            tokens: Vec::new(),
            session_lifetime: Duration::from_secs(3_600),
            master_lifetime: Duration::from_secs(14_400),
            hold: Duration::from_secs(45),
            link_lifetime: Duration::from_secs(6 * 3_600),
            inline_bytes: 100 << 10,
            chunk_bytes: None,
            gzip_arrow: false,
            spool_bytes: 4 << 30,
        }
    }
}

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made or emptied of old results.
    #[error("simulator's data directory is unusable: {0}; choose another one, or check its rights")]
    Data(#[source] io::Error),
    /// The account's files cannot be opened.
    #[error("simulated account not opened: {0}")]
    Account(#[source] SqlError),
    /// No address to listen on.
    #[error("simulator cannot listen: {0}")]
    Listen(#[source] io::Error),
}

/// A simulated Snowflake account with its front door. Cheap to clone; every clone is the same account.
#[derive(Clone)]
pub struct Simulator {
    service: Arc<Service>,
    /// Keeps a temporary account's directory until the last clone goes.
    _temporary: Option<Arc<TempDir>>,
}

impl Simulator {
    /// Opens the account and makes everything ready but the listener.
    ///
    /// # Errors
    /// The data directory is unusable, or what is in it is no account.
    pub fn open(options: Options) -> Result<Simulator, StartError> {
        let (data, temporary) = match options.data {
            Some(data) => (data, None),
            None => {
                let temporary = TempDir::with_prefix("snowsim-").map_err(StartError::Data)?;
                (temporary.path().to_owned(), Some(Arc::new(temporary)))
            }
        };
        std::fs::create_dir_all(&data).map_err(StartError::Data)?;
        let clock = Clock::new();
        let engine = Engine::open(&data.join("account"), Arc::clone(&clock)).map_err(StartError::Account)?;
        let spool =
            Spool::open(&data.join("results"), Arc::clone(&clock), options.link_lifetime).map_err(StartError::Data)?;
        let lifetimes = Lifetimes { session: options.session_lifetime, master: options.master_lifetime };
        let service = Service {
            engine,
            sessions: Sessions::new(Arc::clone(&clock), lifetimes),
            access: AccessTokens::new(Arc::clone(&clock), options.tokens),
            clock,
            faults: Faults::default(),
            statements: Statements::default(),
            spool,
            counts: Counts::default(),
            limits: ServiceLimits {
                hold: options.hold,
                inline_bytes: options.inline_bytes.max(1),
                chunk_bytes: options.chunk_bytes,
                gzip_arrow: options.gzip_arrow,
                spool_bytes: options.spool_bytes,
            },
            users: options.users,
            closing: CancellationToken::new(),
        };
        Ok(Simulator { service: Arc::new(service), _temporary: temporary })
    }

    /// Serves until `shutdown` is ready; then lets open requests end, but not for long.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let closing = self.service.closing.clone();
        let routes = server::router(Arc::clone(&self.service));
        let serving = axum::serve(Lines(listener), routes.into_make_service_with_connect_info::<Scissors>())
            .with_graceful_shutdown({
                let closing = closing.clone();
                async move {
                    shutdown.await;
                    closing.cancel();
                }
            });
        tokio::select! {
            ended = serving.into_future() => ended,
            () = async { closing.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    }

    /// Starts a temporary simulator on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// As [`Simulator::open`], or there is no port.
    pub async fn start() -> Result<Running, StartError> {
        Simulator::start_with(Options::default()).await
    }

    /// Starts a simulator with options on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// As [`Simulator::open`], or there is no port.
    pub async fn start_with(options: Options) -> Result<Running, StartError> {
        let sim = Simulator::open(options)?;
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(StartError::Listen)?;
        let addr = listener.local_addr().map_err(StartError::Listen)?;
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (sim, stop) = (sim.clone(), stop.clone());
            async move { sim.serve(listener, stop.cancelled_owned()).await }
        });
        Ok(Running { addr, sim, stop, task })
    }

    /// The faults in force.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// The account's clock.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.service.clock
    }

    /// Issues an access token and returns its text.
    pub fn issue_token(&self, grant: TokenGrant) -> String {
        self.service.access.issue(grant)
    }

    /// Takes an issued token back; false if there is none.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.service.access.revoke(token)
    }

    /// The account itself, for tests that look behind the door.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.service.engine
    }

    /// What a warehouse has been used for since the account was opened; `None` if there is none of that name.
    pub fn warehouse(&self, name: &str) -> Option<WarehouseUse> {
        self.service.engine.warehouse_use().remove(name)
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        self.service.stats()
    }
}

/// A simulator that serves in the background. Dropping it stops the serving.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The simulator.
    pub sim: Simulator,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    /// The base address for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops serving and waits for the end, so that the account's directory can be opened again.
    pub async fn stop(mut self) {
        self.stop.cancel();
        match (&mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "simulator ended with an error"),
            Err(error) => tracing::warn!(%error, "simulator's task ended early"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
