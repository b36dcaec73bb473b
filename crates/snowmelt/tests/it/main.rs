//! One binary for all integration tests: the real program against the simulator and the embedded Kafka.
//!
//! `world`, `publisher`, `workload`, `chaos`, `day` and `verifier` are the harness; the other modules are the tests, each a
//! story told with them.

#[cfg(test)]
mod account;
#[cfg(test)]
mod brokers;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod day;
#[cfg(test)]
mod evolution;
#[cfg(test)]
mod image;
#[cfg(test)]
mod publisher;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod verifier;
#[cfg(test)]
mod workload;
#[cfg(test)]
mod world;

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod check;
#[cfg(test)]
mod complaints;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod graceful;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod large;
#[cfg(test)]
mod late;
#[cfg(test)]
mod login;
#[cfg(test)]
mod nothing;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod selection;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod stale;
#[cfg(test)]
mod tunnel;
#[cfg(test)]
mod two_publishers;
#[cfg(test)]
mod values;
#[cfg(test)]
mod windows;
#[cfg(test)]
mod windows_lost;
