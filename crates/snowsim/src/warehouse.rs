//! When each warehouse runs, and what would be billed for it.
//!
//! A warehouse is billed by the second while it runs, with 60 seconds at least for each start or resume and for the
//! additional size of a resize to a larger one (user-guide/cost-understanding-compute of Snowflake's documentation).
//!
//! ```text
//!  resume          last statement's end     + AUTO_SUSPEND
//!    ├── statements ──────┤──────── idle ────────┤   billed: all of it, and never less than 60 s
//! ```
//! Promises: goes by the account's clock alone, so that a day passes when a test says so. Leaves to others: which
//! statements need a warehouse, and who may use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::catalog::Warehouse;
use crate::clock::Clock;
use crate::error::SqlError;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;
/// What is billed at least for each resume, nanoseconds.
const LEAST: i64 = 60 * SECOND;

/// What one warehouse has been used for since the account was opened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WarehouseUse {
    /// Whether it runs now.
    pub running: bool,
    /// Times it was started or resumed.
    pub resumes: u64,
    /// Statements that ran on it.
    pub statements: u64,
    /// Seconds billed, had it been suspended now.
    pub billed_seconds: u64,
    /// Credits for them, by the sizes it had.
    pub credits: f64,
}

/// What ALTER WAREHOUSE does to one that runs or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// SUSPEND.
    Suspend,
    /// RESUME.
    Resume,
    /// RESUME IF SUSPENDED.
    ResumeIfSuspended,
}

/// The meters of all warehouses.
pub(crate) struct Meters {
    clock: Arc<Clock>,
    meters: Mutex<BTreeMap<String, Meter>>,
}

/// Keeps a warehouse running until dropped: one statement on it.
pub(crate) struct Use {
    meters: Arc<Meters>,
    name: String,
    run: u64,
}

#[derive(Default)]
struct Meter {
    running: Option<Run>,
    /// When it was resumed last; 1970 before the first time, as SHOW WAREHOUSES has it.
    resumed: i64,
    resumes: u64,
    statements: u64,
    billed_seconds: u64,
    credits: f64,
}

/// One time from resume to suspension.
struct Run {
    number: u64,
    from: i64,
    /// End of the last statement.
    used: i64,
    /// Statements running now.
    busy: u64,
    rates: Vec<Rate>,
}

/// Credits an hour that are billed from a moment on, for a minute at least.
struct Rate {
    from: i64,
    credits: f64,
}

/// Credits an hour of a size as SHOW WAREHOUSES writes it; each size costs twice the one before it
/// (user-guide/warehouses-overview).
fn credits_per_hour(size: &str) -> f64 {
    let place = crate::catalog::SIZES.iter().position(|(_, shown)| *shown == size).unwrap_or(0);
    f64::from(1_u32 << place.min(31))
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of at most some years, in credits")]
fn hours(nanos: i64) -> f64 {
    nanos as f64 / (3_600 * SECOND) as f64
}

impl Run {
    /// Seconds and credits billed if it ends at `end`.
    fn bill(&self, end: i64) -> (u64, f64) {
        let billed = |from: i64| {
            let seconds = (end - from).max(LEAST).saturating_add(SECOND - 1) / SECOND;
            seconds * SECOND
        };
        let credits = self.rates.iter().map(|rate| rate.credits * hours(billed(rate.from))).sum();
        (u64::try_from(billed(self.from) / SECOND).unwrap_or(0), credits)
    }
}

impl Meter {
    /// Suspends it if it has been idle for as long as `warehouse` allows.
    fn settle(&mut self, warehouse: &Warehouse, now: i64) {
        let allowed = i64::try_from(warehouse.auto_suspend).unwrap_or(i64::MAX).saturating_mul(SECOND);
        let idle = self.running.as_ref().filter(|run| run.busy == 0 && allowed > 0);
        if let Some(end) = idle.map(|run| run.used.saturating_add(allowed)).filter(|end| *end <= now) {
            self.suspend(end);
        }
    }

    fn suspend(&mut self, end: i64) {
        if let Some(run) = self.running.take() {
            let (seconds, credits) = run.bill(end);
            self.billed_seconds += seconds;
            self.credits += credits;
        }
    }

    fn resume(&mut self, size: &str, now: i64) -> &mut Run {
        let resumes = &mut self.resumes;
        let resumed = &mut self.resumed;
        self.running.get_or_insert_with(|| {
            *resumes += 1;
            *resumed = now;
            let rates = vec![Rate { from: now, credits: credits_per_hour(size) }];
            Run { number: *resumes, from: now, used: now, busy: 0, rates }
        })
    }

    fn reading(&self, now: i64) -> WarehouseUse {
        let (seconds, credits) = self.running.as_ref().map_or((0, 0.0), |run| run.bill(now));
        WarehouseUse {
            running: self.running.is_some(),
            resumes: self.resumes,
            statements: self.statements,
            billed_seconds: self.billed_seconds + seconds,
            credits: self.credits + credits,
        }
    }
}

impl Meters {
    pub(crate) fn new(clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Self { clock, meters: Mutex::default() })
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now_nanos()).unwrap_or(i64::MAX)
    }

    fn with<T>(&self, warehouse: &Warehouse, act: impl FnOnce(&mut Meter, i64) -> T) -> T {
        let now = self.now();
        let mut meters = self.meters.lock();
        let meter = meters.entry(warehouse.name.clone()).or_default();
        meter.settle(warehouse, now);
        act(meter, now)
    }

    /// Begins a statement, for which a suspended warehouse is resumed.
    ///
    /// # Errors
    /// 000608 when it is suspended and may not resume by itself.
    pub(crate) fn begin(self: &Arc<Self>, warehouse: &Warehouse) -> Result<Use, SqlError> {
        let name = warehouse.name.clone();
        let run = self.with(warehouse, |meter, now| {
            if meter.running.is_none() && !warehouse.auto_resume {
                // Code and words: recorded on an account (PostHog/posthog#37608). The SQL state is 000606's.
                return Err(SqlError::new(
                    "000608",
                    "57P03",
                    format!(
                        "Warehouse '{name}' is suspended.  Use 'alter warehouse {name} resume;' command if you need to \
                         use it again."
                    ),
                ));
            }
            meter.statements += 1;
            let run = meter.resume(&warehouse.size, now);
            run.busy += 1;
            Ok(run.number)
        })?;
        Ok(Use { meters: Arc::clone(self), name: warehouse.name.clone(), run })
    }

    /// Suspends or resumes one.
    ///
    /// # Errors
    /// 090063 and 090064 when it is so already.
    pub(crate) fn turn(&self, warehouse: &Warehouse, turn: Turn) -> Result<(), SqlError> {
        let refused = |code: &'static str, verb: &str| {
            let text = format!("Invalid state. Warehouse '{}' cannot be {verb}.", warehouse.name);
            Err(SqlError::new(code, "22000", text))
        };
        self.with(warehouse, |meter, now| match (turn, meter.running.is_some()) {
            (Turn::Suspend, false) => refused("090064", "suspended"),
            (Turn::Suspend, true) => {
                meter.suspend(now);
                Ok(())
            }
            (Turn::Resume, true) => refused("090063", "resumed"),
            (Turn::ResumeIfSuspended | Turn::Resume, _) => {
                meter.resume(&warehouse.size, now);
                Ok(())
            }
        })
    }

    /// Takes note of another size, which a running warehouse has at once.
    pub(crate) fn resized(&self, before: &Warehouse, after: &Warehouse) {
        let (old, new) = (credits_per_hour(&before.size), credits_per_hour(&after.size));
        self.with(before, |meter, now| {
            let Some(run) = &mut meter.running else { return };
            if new > old {
                run.rates.push(Rate { from: now, credits: new - old });
            } else if new < old {
                meter.suspend(now);
                meter.resume(&after.size, now);
            }
        });
    }

    /// Ends what is gone or replaced.
    pub(crate) fn gone(&self, warehouse: &Warehouse) {
        self.with(warehouse, Meter::suspend);
    }

    /// What a warehouse has been used for; its last resume, nanoseconds since 1970; and statements running now.
    pub(crate) fn read(&self, warehouse: &Warehouse) -> (WarehouseUse, i64, u64) {
        self.with(warehouse, |meter, now| {
            (meter.reading(now), meter.resumed, meter.running.as_ref().map_or(0, |run| run.busy))
        })
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let now = self.meters.now();
        let mut meters = self.meters.meters.lock();
        let run = meters.get_mut(&self.name).and_then(|meter| meter.running.as_mut());
        if let Some(run) = run.filter(|run| run.number == self.run) {
            run.busy -= 1;
            run.used = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn warehouse() -> Warehouse {
        Warehouse {
            name: "WH".to_owned(),
            created: 0,
            owner: "SYSADMIN".to_owned(),
            size: "X-Small".to_owned(),
            auto_suspend: 60,
            auto_resume: true,
            comment: String::new(),
        }
    }

    fn advance(meters: &Meters, seconds: u64) {
        meters.clock.advance(Duration::from_secs(seconds));
    }

    #[test]
    fn a_resume_costs_a_minute_at_least_and_idling_counts() {
        let (meters, wh) = (Meters::new(Clock::new()), warehouse());
        drop(meters.begin(&wh).unwrap());
        advance(&meters, 30);
        drop(meters.begin(&wh).unwrap());
        assert_eq!(meters.read(&wh).0.resumes, 1, "it was still running");
        advance(&meters, 600);
        let (read, ..) = meters.read(&wh);
        assert!(!read.running);
        // 30 seconds between the two, 60 idle; a little real time passes between the statements.
        assert!((90..95).contains(&read.billed_seconds), "{read:?}");
        drop(meters.begin(&wh).unwrap());
        let (read, ..) = meters.read(&wh);
        assert_eq!((read.resumes, read.statements, read.running), (2, 3, true));
        assert!((150..155).contains(&read.billed_seconds), "a minute is billed from the start: {read:?}");
    }

    #[test]
    fn a_running_statement_keeps_it_up_and_a_larger_size_costs_its_own_minute() {
        let (meters, wh) = (Meters::new(Clock::new()), warehouse());
        let long = meters.begin(&wh).unwrap();
        advance(&meters, 3_600);
        assert!(meters.read(&wh).0.running);
        let large = Warehouse { size: "Small".to_owned(), ..wh.clone() };
        meters.resized(&wh, &large);
        drop(long);
        advance(&meters, 3_600);
        let (read, ..) = meters.read(&large);
        // An hour and a minute at 1 credit an hour, a minute of one more.
        let expected = 3_660.0 / 3_600.0 + 60.0 / 3_600.0;
        assert!((read.credits - expected).abs() < 0.005, "{read:?}, expected {expected}");
    }

    #[test]
    fn one_that_may_not_resume_says_so() {
        let (meters, wh) = (Meters::new(Clock::new()), Warehouse { auto_resume: false, ..warehouse() });
        let refused = meters.begin(&wh).err().unwrap();
        assert_eq!(refused.code, "000608");
        assert_eq!(meters.turn(&wh, Turn::Suspend).err().unwrap().code, "090064");
        meters.turn(&wh, Turn::Resume).unwrap();
        assert_eq!(meters.turn(&wh, Turn::Resume).err().unwrap().code, "090063");
        meters.turn(&wh, Turn::ResumeIfSuspended).unwrap();
        drop(meters.begin(&wh).unwrap());
    }
}
