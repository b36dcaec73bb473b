//! Which local port stands for which broker. A plain structure: binding the ports is the caller's.
//!
//! A client remembers addresses for as long as it runs, so a broker keeps its port while the process lives, also when it
//! moves to another host, and also when it is gone: it may come back. Only when the range is used up does the broker
//! that has been gone longest give its port to a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::Broker;

/// What to do for a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It has this port already, and the port is bound.
    Has {
        /// The port.
        port: u16,
    },
    /// Bind this port (0: any), then call [`Ports::bound`], or [`Ports::unusable`] if that fails.
    Bind {
        /// The port to bind; 0 leaves the choice to the system.
        port: u16,
    },
    /// The port is bound already, and was another's: end the connections to that broker, which is gone.
    Takes {
        /// The port.
        port: u16,
        /// The broker that gave it up.
        from: Broker,
    },
}

/// No port is left, and every broker that has one is still there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("all {usable} usable ports of the range are taken by brokers of the cluster; widen the range of broker ports")]
pub struct PortsFull {
    /// Ports of the range that could be bound.
    pub usable: usize,
}

struct Seat {
    port: u16,
    broker: Broker,
    /// Since which complete answer it is missing.
    gone: Option<u64>,
}

/// The ports of one cluster's brokers.
pub struct Ports {
    range: Option<RangeInclusive<u16>>,
    seats: BTreeMap<i32, Seat>,
    unusable: BTreeSet<u16>,
    /// Complete answers seen.
    answers: u64,
}

impl Ports {
    /// Gives brokers the ports of this range, lowest first.
    pub fn within(range: RangeInclusive<u16>) -> Self {
        Self { range: Some(range), seats: BTreeMap::new(), unusable: BTreeSet::new(), answers: 0 }
    }

    /// Gives each broker a port that the system chooses.
    pub fn ephemeral() -> Self {
        Self { range: None, seats: BTreeMap::new(), unusable: BTreeSet::new(), answers: 0 }
    }

    /// Notes the brokers of an answer: where those with a port are now, and, if the list is `complete`, which are gone.
    pub fn revealed(&mut self, brokers: &[Broker], complete: bool) {
        if complete {
            self.answers += 1;
            for seat in self.seats.values_mut() {
                seat.gone.get_or_insert(self.answers);
            }
        }
        for broker in brokers {
            if let Some(seat) = self.seats.get_mut(&broker.id) {
                seat.gone = None;
                seat.broker.clone_from(broker);
            }
        }
    }

    /// What to do so that this broker has a port. Ask again after [`Self::unusable`].
    ///
    /// # Errors
    /// The range is too small for the cluster.
    pub fn place(&mut self, broker: &Broker) -> Result<Place, PortsFull> {
        if let Some(seat) = self.seats.get_mut(&broker.id) {
            seat.gone = None;
            seat.broker.clone_from(broker);
            return Ok(Place::Has { port: seat.port });
        }
        let Some(range) = self.range.clone() else { return Ok(Place::Bind { port: 0 }) };
        let taken: BTreeSet<u16> = self.seats.values().map(|seat| seat.port).collect();
        if let Some(port) =
            range.clone().find(|port| *port != 0 && !taken.contains(port) && !self.unusable.contains(port))
        {
            return Ok(Place::Bind { port });
        }
        let longest = self.seats.iter().filter_map(|(id, seat)| Some((seat.gone?, *id))).min();
        match longest.and_then(|(_, id)| self.seats.remove(&id)) {
            None => Err(PortsFull { usable: self.seats.len() }),
            Some(Seat { port, broker: from, .. }) => {
                self.seats.insert(broker.id, Seat { port, broker: broker.clone(), gone: None });
                Ok(Place::Takes { port, from })
            }
        }
    }

    /// The port asked for in [`Place::Bind`] is bound, as `port`.
    pub fn bound(&mut self, broker: &Broker, port: u16) {
        self.seats.insert(broker.id, Seat { port, broker: broker.clone(), gone: None });
    }

    /// The port asked for in [`Place::Bind`] could not be bound: something else has it. It is not offered again.
    pub fn unusable(&mut self, port: u16) {
        self.unusable.insert(port);
    }

    /// Which broker a connection to this port is for.
    pub fn target(&self, port: u16) -> Option<&Broker> {
        self.seats.values().find(|seat| seat.port == port).map(|seat| &seat.broker)
    }

    /// Every broker that has a port, by id.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Broker)> {
        self.seats.values().map(|seat| (seat.port, &seat.broker))
    }
}

#[cfg(test)]
mod tests;
