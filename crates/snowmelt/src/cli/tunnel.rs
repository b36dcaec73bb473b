//! The tunnel's verbs. The work is done in the crate `tunnel`; here are its options, its words and its exit codes.
//!
//! ```text
//!  project create ─ project ticket ─┐
//!                                   ▼
//!  client ─▶ inlet ═══▶ relay (or project serve) ◀═══ outlet ─▶ Kafka
//! ```

mod create;
mod inlet;
mod membership;
mod moment;
mod nodes;
mod outlet;
mod project;
mod relay;
mod revoke;
mod secret;
mod serve;
mod show;
mod ticket;
pub(super) mod trouble;
mod work;

use clap::ValueEnum;

pub(crate) use self::inlet::Inlet;
pub(crate) use self::outlet::Outlet;
pub(crate) use self::project::Project;
pub(crate) use self::relay::Relay;
pub(super) use self::secret::Hidden;

/// What is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Kafka's protocol: every broker of the cluster gets a local port at the inlet
    Kafka,
    /// Any TCP service: bytes, untouched
    Tcp,
}

impl From<Kind> for tunnel::wire::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Kafka => Self::Kafka,
            Kind::Tcp => Self::Tcp,
        }
    }
}
