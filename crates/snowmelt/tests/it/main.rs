//! One binary for all integration tests: the real program against the simulator and the embedded Kafka.

