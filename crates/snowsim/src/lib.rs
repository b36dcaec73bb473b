//! A local Snowflake: the driver protocol over HTTP, tables, streams, faults on demand and a clock to move.
//!
//! ```text
//!  a driver ──HTTP──▶ server ──SQL──▶ session ──▶ engine ──▶ tables, streams, versions on disk
//!     ▲                 │                │
//!     │              fault asks          └─ rows in the canonical representation of `types`
//!     │                 ▼                                   │
//!     └── chunks ◀── result (spooled on disk) ◀── wire (JSON or Arrow)
//! ```
//!
//! Start one in a test with [`Simulator::start`]; it is a first-class fake: real sockets, real SQL, every
//! answer as the official clients expect it. What it does not know it refuses by name. It shares no code with
//! the publisher, so that the two can disagree.

#![forbid(unsafe_code)]

pub mod access;
mod catalog;
pub mod clock;
pub mod engine;
pub mod error;
pub mod fault;
mod native;
mod result;
mod server;
pub mod session;
mod simulator;
mod sql;
mod stats;
mod stream;
mod table;
pub mod types;
mod warehouse;
mod wire;

pub use simulator::{Options, Running, Simulator, StartError};
pub use stats::Stats;
pub use warehouse::WarehouseUse;
