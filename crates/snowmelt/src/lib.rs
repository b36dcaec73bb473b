//! Snowmelt carries row changes out of Snowflake tables into Kafka, exactly once.
//!
//! ```text
//!  Snowflake                                                                  Kafka
//!     │                                                                         ▲
//!  source ──Batch──▶ change ──Event──▶ encode ──Encoded──▶ slicing ──Slice──▶ sink
//!     ▲                                                                         │
//!     └───────────── Checkpoint: the only thing that goes back ─────────────────┘
//! ```
//!
//! # Layout, in the data's order
//!
//! - [`fleet`]: all captures of a publisher. [`discovery`]: tables that patterns find. [`pipeline`]: the one loop of each, which joins everything below.
//! - [`source`]: a session of the driver protocol, staging tables, typed values.
//! - [`change`]: staged rows to change events. [`encode`]: events to bytes. `slicing`: bytes to transactions.
//! - [`sink`]: fencing, the checkpoint topic, one transaction per slice. [`checkpoint`]: what flows back.
//! - [`shape`], [`notification`]: a table's columns, and what is announced. [`command`]: what a person asks of a capture.
//! - [`health`], [`metrics`]: what a publisher says of itself over HTTP.
//! - [`config`], [`error`], [`status`], [`budget`], [`backoff`], [`failpoint`]: what they share.
//! - `inlet`: the tunnel's near end, when it is in this process. `membership`: how any node joins its project.
//! - `embedded` (feature `demo`): the Kafka cluster inside the process.
//! - [`privilege`]: what the role needs in Snowflake. [`check`]: tries beforehand what the pipeline will need. [`cli`]: one file per verb.
//!
//! Source and sink never meet; what knows both is the pipeline.

pub mod backoff;
pub mod budget;
pub mod change;
pub mod check;
pub mod checkpoint;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod discovery;
#[cfg(feature = "demo")]
pub mod embedded;
pub mod encode;
pub mod error;
pub mod failpoint;
pub mod fleet;
pub mod health;
mod inlet;
mod membership;
pub mod metrics;
mod moment;
pub mod notification;
pub mod pipeline;
pub mod privilege;
pub mod shape;
pub mod sink;
mod slicing;
pub mod source;
pub mod status;
pub mod warehouse;
