//! How a capture waits: after a failure, for a person, and between looks at its stream's forecast.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::{Clock, Moment};
use crate::command::Command;
use crate::fleet::{Shared, Working};
use crate::sink::commands;

/// A capture's patience.
pub(super) struct Patience {
    clock: Clock,
    backoff: Backoff,
    /// Counts the capture as working; `None` while it waits for a person.
    working: Option<Working>,
    /// When the stream's forecast was looked at.
    looked: Option<Moment>,
    warned: bool,
    /// The command that was given while the capture waited for a person. One that did not help is not tried again.
    obeyed: Option<Command>,
}

impl Patience {
    pub(super) fn new(shared: &Shared) -> Self {
        let retry = &shared.config.retry;
        let backoff = Backoff::new(retry.initial, retry.max);
        let clock = shared.clock.clone();
        Self { clock, backoff, working: Some(shared.working()), looked: None, warned: false, obeyed: None }
    }

    /// Whether the capture waits for a person.
    pub(super) fn is_halted(&self) -> bool {
        self.working.is_none()
    }

    /// The capture has got on.
    pub(super) fn works(&mut self, shared: &Shared) {
        self.backoff.reset();
        self.obeyed = None;
        if self.working.is_none() {
            self.working = Some(shared.working());
        }
    }

    /// The next wait after a failure that passes by itself.
    pub(super) fn next_wait(&mut self) -> Duration {
        self.backoff.next_wait()
    }

    /// Waits for a person: until it is worth another try. False when the capture is to end: because a stop was asked
    /// for, or because no other capture works. `answered` is the command that was dealt with last.
    pub(super) async fn halt(&mut self, shared: &Shared, capture: &str, answered: Option<&str>) -> bool {
        self.working = None;
        // The one that was given before this publisher started may not have been read yet, and nobody may be left who
        // would wait for it.
        let given = match shared.cluster().await {
            Ok(cluster) => commands::read(cluster, &shared.config, capture).await.ok().flatten(),
            Err(_) => None,
        };
        if given.as_ref().is_some_and(|given| Some(given.id.as_str()) != answered) && self.obeyed != given {
            self.obeyed = given;
            return true;
        }
        let mut commands = shared.commands.clone();
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => false,
            () = shared.idle() => false,
            given = commands.other_than(capture, answered), if self.obeyed.is_none() => {
                self.obeyed = Some(given);
                true
            }
            () = tokio::time::sleep(shared.config.retry.halted) => true,
        }
    }

    /// Whether `interval` is over since this was last true.
    pub(super) fn is_time_for_forecast(&mut self, interval: Duration) -> bool {
        let now = self.clock.now();
        let due = self.looked.is_none_or(|looked| looked.after(interval) <= now);
        if due {
            self.looked = Some(now);
        }
        due
    }

    /// When it is over next.
    pub(super) fn next_forecast(&self, interval: Duration) -> Moment {
        self.looked.unwrap_or_default().after(interval)
    }

    /// Whether `warn` is true and was not the last time.
    pub(super) fn is_news(&mut self, warn: bool) -> bool {
        let warned = std::mem::replace(&mut self.warned, warn);
        warn && !warned
    }
}
