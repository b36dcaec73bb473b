//! How often a capture looks at its stream, and when it reads what is there.
//!
//! ```text
//!  quiet      probes: nothing, nothing …      found: data
//!    ├── interval ──┴── longer ──┴── longer ──────┤── waits ──┤ due = last quiet probe + freshness − time to deliver
//!                                   a wake of another table ──┘ or earlier: it goes along
//! ```
//! Promises: with no freshness and no budget, a probe every `poll.interval` and a read at once. With them, the gate of
//! [`crate::warehouse`] decides, and what waits says for what and until when.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, Moment};
use crate::config::Poll;
use crate::source::{Found, Permit};
use crate::status::{State, Waiting};
use crate::warehouse::{Due, Held, Hold, Tab, Warehouse};

/// First guess of the time from a wake to the last commit of its batch.
const FIRST_LEAD: Duration = Duration::from_secs(5);

/// The pace of one capture.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    tab: Tab,
    poll: Poll,
    /// Time to the next probe, as it is now.
    interval: Duration,
    /// The stream had no data at this moment; `None` when it is not known to have been empty.
    quiet: Option<Moment>,
    /// When the probe under way was sent.
    asked: Moment,
    /// Since when the batch under way is read.
    went: Option<Moment>,
    /// Time from a wake to the last commit.
    lead: Duration,
    held: Option<Held>,
    /// Whether there is a reason not to wait: the stream goes stale soon, or a person ordered something.
    hurried: bool,
    calls: watch::Receiver<u64>,
}

impl Pace {
    pub(super) fn new(clock: &Clock, warehouse: &Warehouse, table: &str, poll: Poll) -> Self {
        Self {
            clock: clock.clone(),
            tab: warehouse.tab(table),
            poll,
            interval: poll.interval,
            quiet: None,
            asked: clock.now(),
            went: None,
            lead: poll.freshness.map_or(FIRST_LEAD, |freshness| FIRST_LEAD.min(freshness / 4)),
            held: None,
            hurried: false,
            calls: warehouse.calls(),
        }
    }

    /// The capture's account at the warehouse.
    pub(super) fn tab(&self) -> &Tab {
        &self.tab
    }

    /// The capture starts again: whether the stream has something is not known any more.
    pub(super) fn restart(&mut self) {
        (self.quiet, self.held) = (None, None);
    }

    /// A look at the stream begins.
    pub(super) fn begin(&mut self) {
        self.asked = self.clock.now();
        self.went = None;
        // Wakes called before this look are over for it: it sees what was there then.
        self.calls.mark_unchanged();
    }

    /// Whether not to wait at all.
    pub(super) fn hurry(&mut self, hurried: bool) {
        self.hurried = hurried;
    }

    /// Whether what waits would go now.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurried && self.held.is_some()
    }

    /// The batch that was let through is whole in Kafka.
    pub(super) fn delivered(&mut self, rows: u64, initial: bool) {
        self.interval = self.poll.interval;
        if rows == 0 {
            self.tab.empty_batch();
        }
        let Some(went) = self.went.take() else { return };
        // The statement that read the stream began after this: what it did not see is younger.
        self.quiet = Some(went);
        if initial {
            return;
        }
        let took = self.clock.now().since(went);
        self.lead = took.max((self.lead * 3 + took) / 4);
    }

    /// Nothing was read: what the capture does until the next look.
    pub(super) fn rest(&mut self) -> (State, Moment) {
        if let Some(held) = self.held {
            let since = self.quiet.map(|quiet| self.clock.unix_ms_of(quiet));
            let until_ms = self.clock.unix_ms_of(held.until);
            let by = match held.by {
                Hold::Freshness => Waiting::Freshness,
                Hold::Budget => Waiting::Budget,
            };
            return (State::Waiting { by, until_ms, quiet_at_ms: since }, held.until);
        }
        let next = self.clock.now().after(self.interval);
        if let Some(freshness) = self.poll.freshness {
            self.interval = (self.interval * 3 / 2).min(freshness / 2).max(self.poll.interval);
        }
        (State::Idle, next)
    }

    /// Waits until another table wakes the warehouse.
    pub(super) async fn called(&mut self) {
        // The sender lives as long as the publisher.
        if self.calls.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn due(&self, initial: bool) -> Due {
        if initial || self.hurried {
            return Due::AtOnce;
        }
        match (self.quiet, self.poll.freshness) {
            (Some(quiet), Some(freshness)) => {
                let lead = self.lead.min(freshness / 2);
                Due::By(quiet.after(freshness - lead))
            }
            _ => Due::By(self.clock.now()),
        }
    }
}

impl Permit for Pace {
    fn may_read(&mut self, found: Found) -> bool {
        if found != Found::Initial {
            self.tab.probed();
        }
        let before = self.held.take();
        if found == Found::Nothing {
            self.quiet = Some(self.asked);
            return false;
        }
        self.held = self.tab.ask(self.due(found == Found::Initial));
        let Some(held) = self.held else {
            let now = self.clock.now();
            self.went = Some(now);
            return true;
        };
        if held.by == Hold::Budget && before.is_none_or(|before| before.by != Hold::Budget) {
            self.tab.held_by_budget(held.until.since(self.clock.now()));
        }
        false
    }
}
