//! What makes the tunnel Kafka-aware: broker addresses in answers are found, told and replaced; all else passes as it is.
//!
//! ```text
//!            ┌ requests:  note key, version, correlation id ─────▶ bytes untouched ┐
//!  client ───┤                        │ in flight, in order                        ├─── broker
//!            └ bytes, or a new frame ◀┴─ responses: five kinds are read whole ─────┘
//! ```
//!
//! [`carry()`] follows one connection. [`Addresses`] decides what becomes of each broker found. [`Ports`] keeps the
//! local port of each broker. A client can ask only what this module has reviewed: everything else is taken out of the
//! broker's list of versions (`apis` holds the table, with reasons), so a newer cluster is *understood less*, never
//! misunderstood. Sockets, streams and the decision which broker may be dialled are left to the callers.
//!
//! # What is read, and what is not decoded
//!
//! Only the spans `host, port` of an answer are located and replaced; the bytes around them, tagged fields of any kind
//! included, are copied. Nothing is allocated from a length that a peer claims: buffers grow with bytes that arrived.
//! That is why no codec is used here but in the tests: `kafka-protocol` 0.18 reserves an array's claimed length before
//! it reads the first element, so that an answer of eight bytes makes it ask for 200 GB and aborts the process.
//!
//! # What a client loses
//!
//! - `Fetch` above version 15: its answers may name brokers behind the records, at the end of an answer of any size
//!   (KIP-951), and reading those would mean buffering every batch. Nothing else in the later versions serves clients.
//! - Share groups (KIP-932), for the same reason: `ShareFetch` names brokers behind the records from its first version.
//! - `SaslHandshake` version 0, which is followed by tokens that are no Kafka frames (KIP-152 replaced it in 1.0).
//! - What brokers and controllers say only to each other.

mod answers;
mod apis;
mod carry;
mod error;
mod flight;
mod ports;
mod requests;
mod responses;
mod versions;
mod wire;

pub use carry::{Counted, Limits, Traffic, carry};
pub use error::{Damage, Error, Side};
pub use ports::{Place, Ports, PortsFull};

/// A broker as the cluster names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Broker {
    /// The cluster's number for it, never negative.
    pub id: i32,
    /// The host it advertises, never empty.
    pub host: String,
    /// The port it advertises, never 0.
    pub port: u16,
}

impl std::fmt::Display for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "broker {} at {}:{}", self.id, self.host, self.port)
    }
}

/// What happens to the broker addresses of a cluster. One value serves all connections to that cluster.
///
/// Both functions are called while the answer waits, so they must not block on the network. They are not `async`:
/// binding a local listener is a call that returns at once, and without an await the frames can be followed by code
/// that owns no socket.
pub trait Addresses: Send + Sync {
    /// Takes notice of the brokers of one answer, each once, before any of them is replaced. `complete` says that these
    /// are all brokers of the cluster, so that those missing here are gone (only `Metadata` says so). Never empty.
    fn revealed(&self, brokers: &[Broker], complete: bool);

    /// The host and port to name instead of this broker's; `None` leaves the broker's own.
    ///
    /// # Errors
    /// What it returns ends the connection: an answer that kept an address the client cannot reach would end it too,
    /// but later and without a reason. [`Error::address`] makes one.
    fn local(&self, broker: &Broker) -> Result<Option<(String, u16)>, Error>;
}
