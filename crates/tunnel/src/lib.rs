//! Carries connections from a place that may only dial out to one that may only dial out, through a relay that cannot
//! read them.
//!
//! ```text
//!  client ─▶ inlet ══ outer TLS ══▶ relay ◀══ outer TLS ══ outlet ─▶ broker
//!              └────────── inner mutual TLS 1.3, end to end ──────────┘
//! ```
//!
//! # Layout, in the order a tunnel comes to be
//!
//! - [`authority`]: a project: makes [`ticket`]s, takes them back for [`credential`]s, revokes.
//! - [`identity`], [`node`]: a machine's own key, its enrolment, its credential kept fresh.
//! - [`relay`]: the one public port: shakes hands, joins streams. [`inlet`], [`outlet`]: its two kinds of guests.
//! - [`kafka`]: what makes an inlet hand out local ports for brokers.
//! - [`attribute`], [`address`], [`wire`], [`metrics`], [`health`]: what they share.

pub mod address;
#[cfg(test)]
mod attack;
pub mod attribute;
pub mod authority;
mod buffer;
mod control;
pub mod credential;
mod durable;
pub mod health;
pub mod identity;
pub mod inlet;
pub mod kafka;
pub mod metrics;
pub mod node;
pub mod outlet;
mod peer;
pub mod relay;
mod socket;
mod splice;
pub mod ticket;
mod tls;
pub mod wire;
