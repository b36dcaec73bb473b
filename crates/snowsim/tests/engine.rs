//! The engine through `Session::execute`: statements, streams, transactions, values, access, crashes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how these tests report")]

#[path = "engine/access.rs"]
mod access;
#[path = "engine/changes.rs"]
mod changes;
#[path = "engine/crash.rs"]
mod crash;
#[path = "engine/model.rs"]
mod model;
#[path = "engine/native.rs"]
mod native;
#[path = "engine/recorded.rs"]
mod recorded;
#[path = "engine/statements.rs"]
mod statements;
#[path = "engine/streams.rs"]
mod streams;
#[path = "engine/transactions.rs"]
mod transactions;
#[path = "engine/values.rs"]
mod values;
#[path = "engine/warehouses.rs"]
mod warehouses;
#[path = "engine/windows.rs"]
mod windows;
#[path = "engine/world.rs"]
mod world;
