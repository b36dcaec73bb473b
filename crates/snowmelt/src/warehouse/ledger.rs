//! The book of one warehouse: when it was up for our statements, what that is billed, and to whom it goes.
//!
//! ```text
//!  first statement      last statement's end    + auto-suspend
//!    ├─────── work ───────────┤────────── idle ────────┤   billed: all of it, and 60 s at least
//! ```
//! Promises: pure book-keeping of moments it is given. All of it is an estimate: it knows our statements and no one
//! else's. Leaves deciding to [`super::gate`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;

/// What is billed at least for each resume (user-guide/cost-understanding-compute).
pub(super) const LEAST: Duration = Duration::from_secs(60);
/// What the sums of a day are over.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Wakes that the length of the next one is estimated from.
const RECENT: usize = 5;

/// The book.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Times from resume to suspension, oldest first.
    closed: VecDeque<Span>,
    open: Option<Span>,
    /// How long the warehouse idles before it suspends itself; `None` is for ever.
    idle: Option<Duration>,
    /// Credits an hour, if the size is known.
    rate: Option<f64>,
}

#[derive(Debug, Clone)]
struct Span {
    from: Moment,
    /// End of the last statement.
    used: Moment,
    /// Statements running now, and since when there have been any.
    busy: usize,
    busy_since: Moment,
    /// Time in which at least one ran.
    busy_for: Duration,
    /// Time of statements by table; more than `busy_for` in sum where they ran side by side.
    work: BTreeMap<String, Duration>,
    rate: Option<f64>,
    /// What it is billed, once it is closed.
    billed: Duration,
}

/// What a table is charged with.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Share {
    pub(super) seconds: f64,
    /// `None` if the size was not known for any part.
    pub(super) credits: Option<f64>,
}

impl Span {
    fn billed(&self, now: Moment, idle: Option<Duration>) -> Duration {
        let used = if self.busy > 0 { now } else { self.used };
        let end = match idle {
            Some(idle) => used.after(idle),
            None => now,
        };
        end.since(self.from).max(LEAST)
    }

    /// Work goes to whoever ran it; the rest of what is billed is shared evenly.
    fn share(&self, table: &str, billed: Duration) -> f64 {
        let Some(own) = self.work.get(table) else { return 0.0 };
        let total: f64 = self.work.values().map(Duration::as_secs_f64).sum();
        let busy = self.busy_for.as_secs_f64().min(billed.as_secs_f64());
        let worked = if total > 0.0 { busy * own.as_secs_f64() / total } else { 0.0 };
        worked + (billed.as_secs_f64() - busy) / count(self.work.len())
    }
}

impl Ledger {
    /// A book of a warehouse that idles for `idle`.
    pub(super) fn new(idle: Option<Duration>) -> Self {
        Self { idle, ..Self::default() }
    }

    /// What is known of the warehouse from now on.
    pub(super) fn learn(&mut self, idle: Option<Duration>, rate: Option<f64>) {
        (self.idle, self.rate) = (idle, rate);
        if let Some(open) = &mut self.open {
            open.rate = rate;
        }
    }

    /// Closes what has suspended itself by now, and forgets what is older than `keep`.
    pub(super) fn settle(&mut self, now: Moment, keep: Duration) {
        let idle = self.idle;
        let over = self.open.take_if(|open| open.busy == 0 && idle.is_some_and(|idle| open.used.after(idle) <= now));
        if let Some(mut span) = over {
            span.billed = span.billed(now, idle);
            self.closed.push_back(span);
        }
        while self.closed.front().is_some_and(|span| span.from.after(span.billed).after(keep) < now) {
            self.closed.pop_front();
        }
    }

    /// Whether the warehouse is up.
    pub(super) fn is_up(&self) -> bool {
        self.open.is_some()
    }

    /// A statement of `table` begins. True when the warehouse is resumed for it.
    pub(super) fn begin(&mut self, table: &str, now: Moment) -> bool {
        let (rate, woken) = (self.rate, self.open.is_none());
        let open = self.open.get_or_insert_with(|| Span {
            from: now,
            used: now,
            busy: 0,
            busy_since: now,
            busy_for: Duration::ZERO,
            work: BTreeMap::new(),
            rate,
            billed: Duration::ZERO,
        });
        if open.busy == 0 {
            open.busy_since = now;
        }
        open.busy += 1;
        open.work.entry(table.to_owned()).or_default();
        woken
    }

    /// It ends, after `took`.
    pub(super) fn end(&mut self, table: &str, took: Duration, now: Moment) {
        let Some(open) = &mut self.open else { return };
        open.busy = open.busy.saturating_sub(1);
        open.used = now;
        if open.busy == 0 {
            open.busy_for += now.since(open.busy_since);
        }
        *open.work.entry(table.to_owned()).or_default() += took;
    }

    /// It was refused for want of a warehouse, so that none was resumed for it.
    pub(super) fn refused(&mut self, table: &str) {
        let Some(open) = &mut self.open else { return };
        open.busy = open.busy.saturating_sub(1);
        if open.work.get(table).is_some_and(Duration::is_zero) {
            open.work.remove(table);
        }
        if open.work.is_empty() {
            self.open = None;
        }
    }

    fn spans(&self, now: Moment) -> impl Iterator<Item = (&Span, Duration)> {
        let open = self.open.iter().map(move |span| (span, span.billed(now, self.idle)));
        self.closed.iter().map(|span| (span, span.billed)).chain(open)
    }

    /// What was billed since `window` ago, with what the present time up will still cost.
    pub(super) fn used(&self, now: Moment, window: Duration) -> Duration {
        let began = now.before(window);
        self.spans(now).map(|(span, billed)| span.from.after(billed).since(span.from.max(began))).sum()
    }

    /// When so much of what was billed in `window` is over that no more than `limit` is left.
    pub(super) fn room(&self, now: Moment, window: Duration, limit: Duration) -> Moment {
        let mut over = self.used(now, window).saturating_sub(limit);
        let began = now.before(window);
        for (span, billed) in self.spans(now) {
            let from = span.from.max(began);
            let part = span.from.after(billed).since(from);
            if over <= part {
                return if over.is_zero() { now } else { from.after(over).after(window).max(now) };
            }
            over -= part;
        }
        now
    }

    /// What a wake is billed, by the latest ones.
    pub(super) fn wake(&self) -> Duration {
        let recent = self.closed.iter().rev().take(RECENT);
        let (wakes, work) =
            recent.fold((0_u32, Duration::ZERO), |(wakes, work), span| (wakes + 1, work + span.used.since(span.from)));
        let work = work.checked_div(wakes).unwrap_or_default();
        // One that never suspends itself is up for at least the hour that budgets are about.
        (work + self.idle.unwrap_or(Duration::from_secs(3_600))).max(LEAST)
    }

    /// What one more statement at `now` adds while the warehouse is up.
    pub(super) fn extension(&self, now: Moment) -> Duration {
        let (Some(open), Some(idle)) = (&self.open, self.idle) else { return Duration::ZERO };
        now.after(idle).since(open.from.after(open.billed(now, self.idle)))
    }

    /// What `table` is charged with for the last day.
    pub(super) fn share(&self, table: &str, now: Moment) -> Share {
        let began = now.before(DAY);
        let mut share = Share { seconds: 0.0, credits: self.rate.map(|_| 0.0) };
        for (span, billed) in self.spans(now) {
            if span.from < began {
                continue;
            }
            let seconds = span.share(table, billed);
            share.seconds += seconds;
            if let Some(rate) = span.rate {
                *share.credits.get_or_insert(0.0) += seconds / 3_600.0 * rate;
            }
        }
        share
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of tables")]
fn count(tables: usize) -> f64 {
    tables.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::default().after(secs(seconds))
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Statements of tables: from, to.
    fn book(idle: u64, statements: &[(&str, u64, u64)]) -> Ledger {
        let mut ledger = Ledger::new(Some(secs(idle)));
        ledger.learn(Some(secs(idle)), Some(2.0));
        for (table, from, to) in statements {
            ledger.settle(at(*from), DAY);
            ledger.begin(table, at(*from));
            ledger.end(table, secs(to - from), at(*to));
        }
        ledger
    }

    #[test]
    fn a_wake_is_billed_its_work_and_its_idling_and_a_minute_at_least() {
        assert_eq!(book(10, &[("A", 100, 101)]).used(at(200), secs(3_600)), secs(60));
        assert_eq!(book(60, &[("A", 100, 105)]).used(at(200), secs(3_600)), secs(65));
        assert_eq!(book(60, &[("A", 100, 105), ("B", 150, 160)]).used(at(300), secs(3_600)), secs(120));
        // The warehouse had suspended itself in between.
        assert_eq!(book(60, &[("A", 100, 105), ("B", 166, 167)]).used(at(300), secs(3_600)), secs(65 + 61));
    }

    #[test]
    fn what_was_billed_leaves_the_window_again() {
        let mut ledger = book(60, &[("A", 0, 40), ("A", 1_000, 1_040)]);
        ledger.settle(at(2_000), DAY);
        assert_eq!(ledger.used(at(2_000), secs(3_600)), secs(200));
        assert_eq!(ledger.used(at(3_650), secs(3_600)), secs(150));
        assert_eq!(ledger.room(at(2_000), secs(3_600), secs(200)), at(2_000));
        assert_eq!(ledger.room(at(2_000), secs(3_600), secs(150)), at(3_650));
        assert_eq!(ledger.room(at(2_000), secs(3_600), secs(70)), at(1_000 + 30 + 3_600));
        assert_eq!(ledger.used(at(1_000 + 30 + 3_600), secs(3_600)), secs(70));
    }

    #[test]
    fn a_shared_wake_is_shared_and_nothing_of_it_is_lost() {
        let ledger = book(60, &[("A", 0, 30), ("B", 30, 40)]);
        let (a, b) = (ledger.share("A", at(500)), ledger.share("B", at(500)));
        // 40 s of work, by work; 60 s of idling, evenly.
        assert!((a.seconds - 60.0).abs() < 1e-9 && (b.seconds - 40.0).abs() < 1e-9, "{a:?} {b:?}");
        assert!((a.credits.unwrap() - 60.0 / 1_800.0).abs() < 1e-9, "{a:?}");
        assert_eq!(ledger.share("C", at(500)).seconds, 0.0);
    }

    #[test]
    fn one_statement_more_costs_what_it_puts_the_end_off() {
        let ledger = book(60, &[("A", 0, 10)]);
        assert_eq!(ledger.extension(at(25)), secs(15));
        assert_eq!(book(10, &[("A", 0, 1)]).extension(at(5)), secs(0), "within the minute that is paid anyway");
    }

    #[test]
    fn a_statement_that_found_no_warehouse_costs_nothing() {
        let mut ledger = Ledger::new(Some(secs(60)));
        ledger.begin("A", at(5));
        ledger.refused("A");
        assert_eq!(ledger.used(at(10), secs(3_600)), Duration::ZERO);
        assert!(!ledger.is_up());
    }
}
