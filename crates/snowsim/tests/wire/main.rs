//! The driver protocol, held to what the official clients send and expect, byte by byte: a raw HTTP client
//! and no driver. The official clients themselves run in `conformance/`.

#![expect(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod chunk;
mod client;
mod fault;
mod key_pair;
mod session;
mod statement;
mod token;
