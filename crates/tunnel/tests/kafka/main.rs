//! Real clients against a cluster that they reach only through the tunnel's Kafka half.
//!
//! `world` is the harness, `clients` holds the tests.

#[cfg(test)]
mod clients;
#[cfg(test)]
mod world;
