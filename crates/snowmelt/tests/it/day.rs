//! A day, or part of one, in as much time as its work takes: many tables of which a few change each hour, carried by the
//! publisher's own code in this process, while the clocks of publisher and simulator are moved from one event to the next.
//!
//! ```text
//!  all captures asleep ──▶ both clocks to the next probe, wake or change ──▶ wait until all are asleep again
//! ```
//! Sockets, statements, transactions and the gate are the real ones. Simulated is the passing of time in between, so the
//! time of the work itself is this machine's, and each statement takes milliseconds where Snowflake's take seconds.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use rand::{Rng as _, SeedableRng as _};
use snowmelt::clock::{Clock, Moment};
use snowmelt::config::Config;
use snowmelt::embedded;
use snowmelt::error::ExitCode;
use snowmelt::fleet;
use snowmelt::status::{CaptureStatus, State, Status, Waiting};
use snowsim::engine::Login;
use snowsim::session::Session;
use snowsim::{Options, Simulator, WarehouseUse};
use tokio_util::sync::CancellationToken;

/// Longest real time for one event's work.
const LIMIT: Duration = Duration::from_secs(120);
/// Tokens outlive the day: it is not about renewals, which in real days come with heartbeats.
const TOKENS: Duration = Duration::from_secs(30 * 24 * 3_600);
const HOUR: Duration = Duration::from_secs(3_600);

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) tables: usize,
    pub(crate) hours: u32,
    /// Tables of which a row changes in each hour, at random times.
    pub(crate) changes: usize,
    /// Sections of the configuration, in TOML.
    pub(crate) settings: String,
    /// What follows CREATE WAREHOUSE and the name.
    pub(crate) warehouse: String,
    /// What follows CREATE TABLE and the columns.
    pub(crate) table: String,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the simulator would bill, from the end of the initial rows on.
    pub(crate) billed: WarehouseUse,
    /// Statements that reached the simulator.
    pub(crate) statements: u64,
    /// By the publisher's own count, from its start on.
    pub(crate) status: BTreeMap<String, CaptureStatus>,
    /// How old each change was when it was in Kafka, youngest first.
    pub(crate) ages: Vec<Duration>,
    /// Most tables seen waiting at one time, by what for.
    pub(crate) waited: [usize; 2],
}

impl Outcome {
    /// The sum of an estimate over all tables.
    pub(crate) fn sum(&self, of: impl Fn(&CaptureStatus) -> f64) -> f64 {
        self.status.values().map(of).sum()
    }

    /// The age that this part of the changes did not exceed.
    pub(crate) fn age(&self, part: f64) -> Duration {
        let last = self.ages.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place"
        )]
        let place = (last as f64 * part).round() as usize;
        self.ages.get(place).copied().unwrap_or_default()
    }
}

/// Carries a day by the publisher.
pub(crate) async fn carry(plan: &Plan) -> Outcome {
    let options = Options { session_lifetime: TOKENS, master_lifetime: TOKENS, ..Options::default() };
    let snowflake = Simulator::start_with(options).await.expect("the simulator starts");
    let kafka = embedded::start(1).await.expect("the brokers start");
    let mut writer = writer(&snowflake.sim, plan).await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("password"), "none").expect("the password file");
    let origin = folder.path().join("snowmelt.toml");
    let text = configuration(plan, &snowflake.url(), &kafka.bootstrap_servers());
    let config = Config::parse(&text, &origin.display().to_string(), &|_| None).expect("the configuration is right");

    let (clock, status, stop) = (Clock::default(), Status::default(), CancellationToken::new());
    let running = tokio::spawn(fleet::run_by(clock.clone(), Arc::new(config), status.clone(), stop.clone()));
    let driver = Driver { clock, sim: snowflake.sim.clone(), status: status.clone(), tables: plan.tables };
    driver.settled().await;
    // The wake of the initial rows ends before the day begins, and the captures settle into their rest.
    driver.pass(driver.clock.now().after(2 * HOUR), |_, _| {}).await;
    let before = (driver.billed(), snowflake.sim.stats());

    let began = driver.clock.now();
    let mut changes = schedule(plan, began);
    let (mut pending, mut ages, mut waited) = (Vec::new(), Vec::new(), [0, 0]);
    let mut expected = vec![1_u64; plan.tables];
    let end = began.after(HOUR * plan.hours);
    while let Some((at, table)) = changes.pop_front() {
        driver.pass(at, |now, seen| see(now, seen, &mut pending, &mut ages, &mut waited)).await;
        run(&mut writer, &format!("INSERT INTO LAB.PUBLIC.T{table} VALUES ({}, 'x')", expected[table])).await;
        expected[table] += 1;
        pending.push((driver.clock.now(), table, expected[table]));
    }
    driver.pass(end, |now, seen| see(now, seen, &mut pending, &mut ages, &mut waited)).await;
    let (billed, stats) = (driver.billed(), snowflake.sim.stats());
    let seen = status.snapshot();
    stop.cancel();
    assert_eq!(running.await.expect("the publisher ends"), ExitCode::Ok);
    ages.sort_unstable();
    Outcome {
        billed: WarehouseUse {
            running: billed.running,
            resumes: billed.resumes - before.0.resumes,
            statements: billed.statements - before.0.statements,
            billed_seconds: billed.billed_seconds - before.0.billed_seconds,
            credits: billed.credits - before.0.credits,
        },
        statements: stats.statements - before.1.statements,
        status: seen,
        ages,
        waited,
    }
}

/// The same day by a program that selects from every table's stream once a minute.
pub(crate) async fn poll_each_minute(plan: &Plan) -> WarehouseUse {
    let simulator = Simulator::open(Options::default()).expect("the simulator opens");
    let mut poller = writer(&simulator, plan).await;
    run(&mut poller, "USE WAREHOUSE WH").await;
    for table in 0..plan.tables {
        run(&mut poller, &format!("CREATE STREAM LAB.STATE.S{table} ON TABLE LAB.PUBLIC.T{table}")).await;
    }
    let before = simulator.warehouse("WH").expect("the warehouse is there");
    for _ in 0..plan.hours * 60 {
        let began = simulator.clock().now_nanos();
        for table in 0..plan.tables {
            run(&mut poller, &format!("SELECT * FROM LAB.STATE.S{table}")).await;
        }
        let took = u64::try_from(simulator.clock().now_nanos() - began).unwrap_or_default();
        simulator.clock().advance(Duration::from_secs(60).saturating_sub(Duration::from_nanos(took)));
    }
    let after = simulator.warehouse("WH").expect("the warehouse is there");
    WarehouseUse {
        running: after.running,
        resumes: after.resumes - before.resumes,
        statements: after.statements - before.statements,
        billed_seconds: after.billed_seconds - before.billed_seconds,
        credits: after.credits - before.credits,
    }
}

/// Changes by time: each hour so many tables, each once.
fn schedule(plan: &Plan, began: Moment) -> VecDeque<(Moment, usize)> {
    let mut dice = rand::rngs::StdRng::seed_from_u64(plan.seed);
    let mut changes = Vec::new();
    for hour in 0..plan.hours {
        let mut tables: Vec<usize> = (0..plan.tables).collect();
        for _ in 0..plan.changes {
            let table = tables.swap_remove(dice.random_range(0..tables.len()));
            let at = HOUR * hour + Duration::from_secs(dice.random_range(0..3_600));
            changes.push((began.after(at), table));
        }
    }
    changes.sort_unstable();
    changes.into()
}

/// Takes down which changes have arrived, and who waits for what.
fn see(
    now: Moment,
    status: &BTreeMap<String, CaptureStatus>,
    pending: &mut Vec<(Moment, usize, u64)>,
    ages: &mut Vec<Duration>,
    waited: &mut [usize; 2],
) {
    pending.retain(|(changed, table, rows)| {
        let arrived = status.get(&format!("LAB.PUBLIC.T{table}")).is_some_and(|capture| capture.rows >= *rows);
        if arrived {
            ages.push(now.since(*changed));
        }
        !arrived
    });
    for (place, what) in [Waiting::Freshness, Waiting::Budget].into_iter().enumerate() {
        let waits = |capture: &&CaptureStatus| matches!(capture.state, State::Waiting { by, .. } if by == what);
        waited[place] = waited[place].max(status.values().filter(waits).count());
    }
}

struct Driver {
    clock: Clock,
    sim: Simulator,
    status: Status,
    tables: usize,
}

impl Driver {
    fn billed(&self) -> WarehouseUse {
        self.sim.warehouse("WH").expect("the warehouse is there")
    }

    /// The moment at which the first capture wakes, once all are asleep.
    async fn settled(&self) -> Moment {
        let deadline = tokio::time::Instant::now() + LIMIT;
        let mut seen = None;
        loop {
            let asleep = match self.clock.sleeping() {
                (count, Some(next)) if count == self.tables && next > self.clock.now() => Some(next),
                _ => None,
            };
            match asleep {
                // Twice, because who was just called by another's wake has not got up yet.
                Some(next) if seen == Some(next) => return next,
                _ => seen = asleep,
            }
            assert!(tokio::time::Instant::now() < deadline, "not all captures rest: {:#?}", self.status.snapshot());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets time pass until `end`, and shows what there is whenever all captures rest.
    async fn pass(&self, end: Moment, mut show: impl FnMut(Moment, &BTreeMap<String, CaptureStatus>)) {
        loop {
            let next = self.settled().await;
            let now = self.clock.now();
            show(now, &self.status.snapshot());
            if now >= end {
                return;
            }
            let by = next.min(end).since(now);
            self.sim.clock().advance(by);
            self.clock.advance(by);
        }
    }
}

async fn run(session: &mut Session, sql: &str) {
    let outcome = session.execute(sql, &[], false).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let _: Vec<_> = outcome.batches.try_collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The account with its tables of a row each, and a session that writes by a warehouse of its own.
async fn writer(simulator: &Simulator, plan: &Plan) -> Session {
    let login = Login { user: "TEST".to_owned(), role: Some("ACCOUNTADMIN".to_owned()), ..Login::default() };
    let mut session = simulator.engine().session(login).expect("a session");
    for sql in ["CREATE DATABASE LAB", "CREATE SCHEMA LAB.STATE"] {
        run(&mut session, sql).await;
    }
    run(&mut session, &format!("CREATE WAREHOUSE WH {} INITIALLY_SUSPENDED = TRUE", plan.warehouse)).await;
    run(&mut session, "CREATE WAREHOUSE WRITER INITIALLY_SUSPENDED = TRUE").await;
    for table in 0..plan.tables {
        run(
            &mut session,
            &format!("CREATE TABLE LAB.PUBLIC.T{table} (ID NUMBER(12,0) PRIMARY KEY, V VARCHAR) {}", plan.table),
        )
        .await;
        run(&mut session, &format!("INSERT INTO LAB.PUBLIC.T{table} VALUES (0, 'x')")).await;
    }
    session
}

fn configuration(plan: &Plan, url: &str, servers: &str) -> String {
    let mut text = format!(
        "name = \"day\"\n\
         [snowflake]\naccount = \"day\"\nurl = \"{url}\"\nuser = \"day\"\npassword = {{ file = \"password\" }}\n\
         role = \"ACCOUNTADMIN\"\nwarehouse = \"WH\"\nstate_schema = \"LAB.STATE\"\n\
         [kafka]\nbootstrap_servers = [\"{servers}\"]\n[topics]\npartitions = 1\n\
         {}\n",
        plan.settings
    );
    for table in 0..plan.tables {
        let _ = writeln!(text, "[[tables]]\nname = \"LAB.PUBLIC.T{table}\"");
    }
    text
}
