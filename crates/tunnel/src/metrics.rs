//! What a relay, inlet, outlet or authority counts, in Prometheus's text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::wire::Reason;

/// Counters of one process. Names are in docs/tunnel.md.
#[derive(Debug, Default)]
pub struct Metrics {
    streams: AtomicI64,
    opened: AtomicU64,
    broken: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    handshakes: AtomicU64,
    handshake_failures: AtomicU64,
    reconnects: AtomicU64,
    enrolments: AtomicU64,
    renewals: AtomicU64,
    outlets: AtomicI64,
    half_open_evicted: AtomicU64,
    round_trip_micros: AtomicU64,
    ready: AtomicBool,
    refusals: Mutex<BTreeMap<Reason, u64>>,
}

/// A stream that is open; ends when dropped.
#[derive(Debug)]
pub struct StreamGuard<'a>(&'a Metrics);

impl Drop for StreamGuard<'_> {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// A stream was joined.
    pub fn stream(&self) -> StreamGuard<'_> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.streams.fetch_add(1, Ordering::Relaxed);
        StreamGuard(self)
    }

    /// A stream ended otherwise than by both sides' end.
    pub fn broke(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes towards the target.
    pub fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes from the target.
    pub fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A TLS handshake ended.
    pub fn handshake(&self, done: bool) {
        let counter = if done { &self.handshakes } else { &self.handshake_failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The control connection was made again.
    pub fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    /// A credential was issued.
    pub fn issued(&self, enrolment: bool) {
        let counter = if enrolment { &self.enrolments } else { &self.renewals };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// An outlet came or went.
    pub fn outlet(&self, by: i64) {
        self.outlets.fetch_add(by, Ordering::Relaxed);
    }

    /// A connection that had not shown who it is made room for another.
    pub fn evicted(&self) {
        self.half_open_evicted.fetch_add(1, Ordering::Relaxed);
    }

    /// The relay answered a ping.
    pub fn round_trip(&self, time: Duration) {
        self.round_trip_micros.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Something was refused.
    pub fn refused(&self, reason: Reason) {
        *self.refusals.lock().entry(reason).or_default() += 1;
    }

    /// Refusals of this reason.
    #[must_use]
    pub fn refusals(&self, reason: Reason) -> u64 {
        self.refusals.lock().get(&reason).copied().unwrap_or_default()
    }

    /// Streams open now.
    #[must_use]
    pub fn open_streams(&self) -> i64 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Connections evicted before they showed who they are.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.half_open_evicted.load(Ordering::Relaxed)
    }

    /// Whether the process can do its work now.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether the process can do its work now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Prometheus's text format 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut write = |name: &str, kind: &str, help: &str, labels: &str, value: f64| {
            if !help.is_empty() {
                let _ = writeln!(text, "# HELP snowmelt_tunnel_{name} {help}\n# TYPE snowmelt_tunnel_{name} {kind}");
            }
            let _ = writeln!(text, "snowmelt_tunnel_{name}{labels} {value}");
        };
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let gauge = |counter: &AtomicI64| counter.load(Ordering::Relaxed) as f64;
        write("ready", "gauge", "1 when the process can do its work now.", "", f64::from(u8::from(self.is_ready())));
        write("streams", "gauge", "Streams open now.", "", gauge(&self.streams));
        write("streams_opened_total", "counter", "Streams that were joined.", "", load(&self.opened));
        write("streams_broken_total", "counter", "Streams that ended by a failure.", "", load(&self.broken));
        write("bytes_total", "counter", "Bytes carried.", "{direction=\"to_target\"}", load(&self.sent));
        write("bytes_total", "counter", "", "{direction=\"from_target\"}", load(&self.received));
        write("handshakes_total", "counter", "TLS handshakes.", "{outcome=\"done\"}", load(&self.handshakes));
        write("handshakes_total", "counter", "", "{outcome=\"failed\"}", load(&self.handshake_failures));
        write(
            "reconnects_total",
            "counter",
            "Times the control connection was made again.",
            "",
            load(&self.reconnects),
        );
        write(
            "credentials_issued_total",
            "counter",
            "Credentials issued.",
            "{kind=\"enrolment\"}",
            load(&self.enrolments),
        );
        write("credentials_issued_total", "counter", "", "{kind=\"renewal\"}", load(&self.renewals));
        write("outlets", "gauge", "Outlets registered now.", "", gauge(&self.outlets));
        write(
            "half_open_evicted_total",
            "counter",
            "Connections dropped to make room before they showed who they are.",
            "",
            load(&self.half_open_evicted),
        );
        write(
            "relay_round_trip_seconds",
            "gauge",
            "Last round trip to the relay.",
            "",
            load(&self.round_trip_micros) / 1e6,
        );
        let mut help = "Refusals by reason.";
        for (reason, count) in self.refusals.lock().iter() {
            write("refusals_total", "counter", help, &format!("{{reason=\"{}\"}}", reason.as_str()), *count as f64);
            help = "";
        }
        text
    }
}
