//! One simulated account: its catalog, its journal, its locks, its query engine.
//!
//! ```text
//!  Session ──commit(changes)──▶ journal line ──▶ catalog ──▶ what the next statement sees
//! ```
//! Promises: a commit is in the journal before anyone sees it, and whole or absent after kill -9;
//! commit times and numbers strictly increase. Readers never wait for writers.
//! Leaves to others: statements (`session`), parts (`table`).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use datafusion::execution::context::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::catalog::change::{Change, Commit, Parts};
use crate::catalog::journal::Journal;
use crate::catalog::{Catalog, Warehouse};
use crate::clock::Clock;
use crate::error::SqlError;
use crate::session::Session;
use crate::sql::window::PartitionedWindows;
use crate::table::part::{Part, Store};
use crate::warehouse::{Meters, WarehouseUse};

pub(crate) mod lock;

/// Cuts a text into its statements.
///
/// # Errors
/// 001003 when a string, a quoted name or a comment is not terminated.
pub fn split(sql: &str) -> Result<Vec<String>, SqlError> {
    crate::sql::split::split(sql)
}

/// Memory that sorts, joins and windows of all statements share before they spill to disk, bytes.
const MEMORY: usize = 1 << 30;
/// Memory a sort keeps back for merging what it spilled, bytes: the default is less than two batches of wide rows.
const MERGE: usize = 96 << 20;
/// How many warehouse statements are remembered by text.
const LOG: usize = 10_000;
/// How many failed logins are remembered.
const FAILURES: usize = 1_000;

/// A simulated account.
pub struct Engine {
    state: RwLock<State>,
    /// Where parts are.
    pub(crate) store: Arc<Store>,
    /// The account's clock.
    pub(crate) clock: Arc<Clock>,
    /// Who holds which table or stream.
    pub(crate) locks: lock::Locks,
    /// The query engine, shared by all sessions.
    pub(crate) queries: SessionState,
    /// What each warehouse is used for.
    pub(crate) meters: Arc<Meters>,
    warehouse_count: AtomicU64,
    warehouse_log: Mutex<VecDeque<String>>,
    /// Why logins failed, by the id that the client was told; the latest of them.
    login_failures: Mutex<VecDeque<(String, String)>>,
    sessions: AtomicU64,
    objects: AtomicU64,
    /// Where clients on this machine put the files of stages.
    pub(crate) inbox: std::path::PathBuf,
    /// How long before they become visible commits are dated, nanoseconds.
    late: AtomicI64,
    /// Held as long as the account is open, so that no second process opens it.
    _exclusive: File,
}

struct State {
    catalog: Catalog,
    journal: Journal,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Who logs in, and the context the session starts in.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Role asked for.
    pub role: Option<String>,
    /// Database asked for.
    pub database: Option<String>,
    /// Schema asked for.
    pub schema: Option<String>,
    /// Warehouse asked for.
    pub warehouse: Option<String>,
    /// Session parameters.
    pub parameters: BTreeMap<String, serde_json::Value>,
}

impl Engine {
    /// Opens the account in a folder, creating it there if the folder is new or empty.
    ///
    /// # Errors
    /// 300005 when the folder cannot be used, is open in another process, or its journal is damaged.
    pub fn open(data: &Path, clock: Arc<Clock>) -> Result<Arc<Self>, SqlError> {
        std::fs::create_dir_all(data)?;
        let exclusive = File::create(data.join("lock"))?;
        exclusive.try_lock().map_err(|_| {
            SqlError::internal(format!(
                "the folder {} is in use by another simulator; stop that one or name another folder",
                data.display()
            ))
        })?;
        let store = Store::open(&data.join("parts"))?;
        let mut catalog = Catalog::default();
        let mut parts = Parts { store: &store, fresh: HashMap::new() };
        Journal::read(data, |commit| catalog.apply(commit, &mut parts))?;
        drop(parts);
        let now = nanos(&clock);
        if catalog.roles.is_empty() {
            found(&mut catalog, &store, now)?;
        }
        for (table, from) in trims(&catalog, now, 1) {
            apply_alone(&mut catalog, &store, Change::Trim { table, from })?;
        }
        let known = catalog.part_ids();
        store.sweep(&|id| known.contains(&id))?;
        let snapshot = Commit { sequence: catalog.sequence, at: catalog.last_commit, changes: catalog.snapshot() };
        let journal = Journal::restart(data, &snapshot)?;
        store.keep(false);
        let spill = data.join("spill");
        if spill.exists() {
            std::fs::remove_dir_all(&spill)?;
        }
        std::fs::create_dir_all(&spill)?;
        let objects = AtomicU64::new(catalog.next_object.max(1));
        Ok(Arc::new(Self {
            objects,
            state: RwLock::new(State { catalog, journal }),
            store,
            meters: Meters::new(Arc::clone(&clock)),
            clock,
            locks: lock::Locks::default(),
            queries: query_engine(&spill)?,
            warehouse_count: AtomicU64::new(0),
            warehouse_log: Mutex::new(VecDeque::new()),
            login_failures: Mutex::new(VecDeque::new()),
            sessions: AtomicU64::new(1),
            inbox: data.join("inbox"),
            late: AtomicI64::new(0),
            _exclusive: exclusive,
        }))
    }

    /// Opens a session.
    ///
    /// # Errors
    /// 390189 when the role does not exist or the user may not take it on.
    pub fn session(self: &Arc<Self>, login: Login) -> Result<Session, SqlError> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        Session::open(Arc::clone(self), number, login)
    }

    /// From now on commits become visible this long after the moment they are dated with, as far as no other commit lies
    /// between: whoever reads up to a moment less than that ago may miss some.
    pub fn commit_late(&self, by: Duration) {
        self.late.store(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// How many statements would have used a warehouse.
    #[must_use]
    pub fn warehouse_statements(&self) -> u64 {
        self.warehouse_count.load(Ordering::Relaxed)
    }

    /// The texts of the latest of them, oldest first.
    #[must_use]
    pub fn warehouse_log(&self) -> Vec<String> {
        self.warehouse_log.lock().iter().cloned().collect()
    }

    /// What each warehouse has been used for since the account was opened, by name.
    #[must_use]
    pub fn warehouse_use(&self) -> BTreeMap<String, WarehouseUse> {
        let warehouses: Vec<Warehouse> = self.catalog().warehouses.values().cloned().collect();
        warehouses.into_iter().map(|warehouse| (warehouse.name.clone(), self.meters.read(&warehouse).0)).collect()
    }

    /// Keeps why a login failed; the id under which [`Engine::login_failure`] finds it.
    pub(crate) fn remember_login_failure(&self, details: &str) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let mut failures = self.login_failures.lock();
        if failures.len() == FAILURES {
            failures.pop_front();
        }
        failures.push_back((id.clone(), details.to_owned()));
        id
    }

    pub(crate) fn login_failure(&self, id: &str) -> Option<String> {
        self.login_failures.lock().iter().find(|(known, _)| known == id).map(|(_, details)| details.clone())
    }

    pub(crate) fn count_warehouse(&self, sql: &str) {
        self.warehouse_count.fetch_add(1, Ordering::Relaxed);
        let mut log = self.warehouse_log.lock();
        if log.len() == LOG {
            log.pop_front();
        }
        log.push_back(sql.chars().take(2_000).collect());
    }

    /// The catalog as it is now. Hold it briefly: commits wait for it.
    pub(crate) fn catalog(&self) -> parking_lot::MappedRwLockReadGuard<'_, Catalog> {
        RwLockReadGuard::map(self.state.read(), |state| &state.catalog)
    }

    /// Now, nanoseconds since the epoch.
    pub(crate) fn now(&self) -> i64 {
        nanos(&self.clock)
    }

    /// Makes changes last and visible, all at once. `decide` sees the catalog as the commit will
    /// find it and says what to change, or refuses; no other commit comes between.
    pub(crate) fn commit<T>(
        &self,
        fresh: Vec<Arc<Part>>,
        decide: impl FnOnce(&Catalog) -> Result<(Vec<Change>, T), SqlError>,
    ) -> Result<T, SqlError> {
        let mut state = self.state.write();
        let (mut changes, answer) = decide(&state.catalog)?;
        if changes.is_empty() {
            return Ok(answer);
        }
        let now = self.now();
        let trims = trims(&state.catalog, now, 256);
        changes.extend(trims.into_iter().map(|(table, from)| Change::Trim { table, from }));
        let dated = now.saturating_sub(self.late.load(Ordering::Relaxed));
        let commit =
            Commit { sequence: state.catalog.sequence + 1, at: dated.max(state.catalog.last_commit + 1), changes };
        state.journal.append(&commit)?;
        let fresh = fresh.into_iter().map(|part| (part.meta.id, part)).collect();
        let mut parts = Parts { store: &self.store, fresh };
        state.catalog.apply(commit, &mut parts)?;
        Ok(answer)
    }

    /// An object id nobody has.
    pub(crate) fn reserve_object(&self) -> u64 {
        self.objects.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.store.keep(true);
    }
}

fn nanos(clock: &Clock) -> i64 {
    i64::try_from(clock.now_nanos()).unwrap_or(i64::MAX)
}

/// Histories that are longer than needed by at least `slack` versions.
fn trims(catalog: &Catalog, now: i64, slack: u64) -> Vec<(u64, u64)> {
    let long = catalog.tables.values().filter(|table| u64::try_from(table.versions.len()).unwrap_or(0) > slack);
    long.map(|table| (table.definition.id, table.versions[0].number, catalog.needed_from(table, now)))
        .filter(|(_, first, from)| from.saturating_sub(*first) >= slack)
        .map(|(id, _, from)| (id, from))
        .collect()
}

fn apply_alone(catalog: &mut Catalog, store: &Arc<Store>, change: Change) -> Result<(), SqlError> {
    let commit = Commit { sequence: catalog.sequence, at: catalog.last_commit, changes: vec![change] };
    catalog.apply(commit, &mut Parts { store, fresh: HashMap::new() })
}

/// What a new account has.
fn found(catalog: &mut Catalog, store: &Arc<Store>, now: i64) -> Result<(), SqlError> {
    for role in ["ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN", "ORGADMIN", "PUBLIC"] {
        let change = Change::PutRole { name: role.to_owned(), created: now, comment: String::new() };
        apply_alone(catalog, store, change)?;
    }
    let warehouse = Warehouse {
        name: "COMPUTE_WH".to_owned(),
        created: now,
        owner: "ACCOUNTADMIN".to_owned(),
        size: "X-Small".to_owned(),
        auto_suspend: 600,
        auto_resume: true,
        comment: String::new(),
    };
    apply_alone(catalog, store, Change::PutWarehouse { warehouse })
}

fn query_engine(spill: &Path) -> Result<SessionState, SqlError> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![spill.to_owned()]));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(MEMORY)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    // One partition: statements run side by side, and rows keep the order their parts have.
    let mut config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
    config.options_mut().execution.sort_spill_reservation_bytes = MERGE;
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    config.options_mut().sql_parser.enable_ident_normalization = false;
    // Before the engine's own rules: they sort the input of its window operator, which then tells every order that each
    // window's column could have, and an expression over six such columns is looked at in all their combinations.
    let mut rules = PhysicalOptimizer::new().rules;
    rules.insert(0, Arc::new(PartitionedWindows));
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rules(rules)
        .build())
}
