//! Carries Kafka connections from a place that may only dial out to the brokers that it must not see.

pub mod kafka;
