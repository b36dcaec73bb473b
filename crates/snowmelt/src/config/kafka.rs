//! `[kafka]`, `[kafka.tls]`, `[kafka.sasl]`: the brokers and how to produce to
//! them.
//!
//! Promises: the time-outs fit into each other and a batch fits into a message.
//! Leaves connecting, and what the broker itself allows, to the sink.

use std::path::PathBuf;
use std::time::Duration;

use super::choice::choice;
use super::quantity;
use super::reading::Section;
use super::secret::Secret;

choice! {
    /// SASL mechanism.
    Mechanism {
        Plain = "PLAIN", "user name and password as they are: use it inside TLS";
        ScramSha256 = "SCRAM-SHA-256", "challenge and response with SHA-256";
        ScramSha512 = "SCRAM-SHA-512", "challenge and response with SHA-512";
    }
}

choice! {
    /// Compression of record batches.
    Compression {
        None = "none", "no compression";
        Gzip = "gzip", "smallest, slowest";
        Snappy = "snappy", "fast";
        Lz4 = "lz4", "fast, a little smaller than snappy";
    }
}

/// `[kafka]`.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port` of at least one broker; none where a [`super::Tunnel`] leads to them, until its inlet listens.
    pub bootstrap_servers: Vec<String>,
    /// Client id shown in the brokers' logs; default `snowmelt-<name>`.
    pub client_id: String,
    /// Default `none`.
    pub compression: Compression,
    /// Largest batch of one partition, in bytes; default 1 MB (1,000,000).
    pub batch_bytes: usize,
    /// Largest record, key and value, in bytes; default 1 MiB. Not above the
    /// topic's `max.message.bytes`.
    pub max_message_bytes: usize,
    /// Longest wait for one answer; default 30 s.
    pub request_timeout: Duration,
    /// After this the coordinator aborts a transaction that was left open;
    /// default 60 s. Not above the broker's `transaction.max.timeout.ms`.
    pub transaction_timeout: Duration,
    /// Longest time from enqueueing a record to its acknowledgement, retries
    /// included; default 45 s.
    pub delivery_timeout: Duration,
    /// `[kafka.tls]`.
    pub tls: Tls,
    /// `[kafka.sasl]`; `None` when the section is absent.
    pub sasl: Option<Sasl>,
}

/// `[kafka.tls]`. Paths start from the configuration's folder and were readable
/// when it was read.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Default false.
    pub enabled: bool,
    /// PEM certificates to trust instead of the public ones; default none.
    pub ca_file: Option<PathBuf>,
    /// PEM certificate chain of this client; default none.
    pub certificate_file: Option<PathBuf>,
    /// PEM private key of this client; there if `certificate_file` is.
    pub key_file: Option<PathBuf>,
}

/// `[kafka.sasl]`.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// Required.
    pub mechanism: Mechanism,
    /// Required.
    pub username: String,
    /// Required.
    pub password: Secret,
}

/// A send needs one whole attempt, and the moment a record waits for company
/// in its batch, inside its delivery time.
const ATTEMPT_MARGIN: Duration = Duration::from_secs(1);

impl Kafka {
    pub(super) fn build(section: &Section<'_>, name: Option<&str>) -> Option<Self> {
        check_timeouts(section);
        check_sizes(section);
        let tls = Tls::build(&section.child("tls"));
        let sasl_section = section.child("sasl");
        let sasl = if sasl_section.present() { Sasl::build(&sasl_section).map(Some) } else { Some(None) };
        let client_id = section.get::<Option<String>>("client_id")?;
        Some(Self {
            bootstrap_servers: section.get::<Option<Vec<String>>>("bootstrap_servers")?.unwrap_or_default(),
            client_id: client_id.or_else(|| Some(format!("snowmelt-{}", name?)))?,
            compression: section.get("compression")?,
            batch_bytes: section.get("batch_bytes")?,
            max_message_bytes: section.get("max_message_bytes")?,
            request_timeout: section.get("request_timeout")?,
            transaction_timeout: section.get("transaction_timeout")?,
            delivery_timeout: section.get("delivery_timeout")?,
            tls: tls?,
            sasl: sasl?,
        })
    }
}

fn check_timeouts(section: &Section<'_>) {
    let request = section.get::<Duration>("request_timeout");
    let delivery = section.get::<Duration>("delivery_timeout");
    let transaction = section.get::<Duration>("transaction_timeout");
    if let (Some(delivery), Some(transaction)) = (delivery, transaction)
        && delivery > transaction
    {
        section.refuse(
            "delivery_timeout",
            format!(
                "{} is above transaction_timeout ({}): the coordinator would abort a transaction whose records are still being sent",
                quantity::show_duration(delivery),
                quantity::show_duration(transaction),
            ),
            format!("set it to at most {}", quantity::show_duration(transaction)),
        );
    }
    if let (Some(request), Some(delivery)) = (request, delivery)
        && request + ATTEMPT_MARGIN > delivery
    {
        section.refuse(
            "request_timeout",
            format!(
                "{} leaves less than {} of delivery_timeout ({}): a record could not be sent even once",
                quantity::show_duration(request),
                quantity::show_duration(ATTEMPT_MARGIN),
                quantity::show_duration(delivery),
            ),
            "lower request_timeout, or raise delivery_timeout".to_owned(),
        );
    }
}

fn check_sizes(section: &Section<'_>) {
    let batch = section.get::<usize>("batch_bytes");
    let message = section.get::<usize>("max_message_bytes");
    if let (Some(batch), Some(message)) = (batch, message)
        && batch > message
    {
        section.refuse(
            "batch_bytes",
            format!(
                "{} is above max_message_bytes ({}): brokers measure whole batches, and would refuse it",
                quantity::show_size(batch),
                quantity::show_size(message),
            ),
            format!("set it to at most {}", quantity::show_size(message)),
        );
    }
}

impl Tls {
    fn build(section: &Section<'_>) -> Option<Self> {
        if section.get::<bool>("enabled") == Some(false) {
            for key in ["ca_file", "certificate_file", "key_file"] {
                if section.given(key) {
                    section.refuse(
                        key,
                        "has no effect, because TLS is not enabled".to_owned(),
                        format!("set kafka.tls.enabled = true, or remove {key}"),
                    );
                }
            }
        }
        for (one, other) in [("certificate_file", "key_file"), ("key_file", "certificate_file")] {
            if section.given(one) && !section.given(other) {
                section.refuse(
                    one,
                    format!("is given without {other}"),
                    format!("set {other} as well, or remove {one}"),
                );
            }
        }
        Some(Self {
            enabled: section.get("enabled")?,
            ca_file: section.get("ca_file")?,
            certificate_file: section.get("certificate_file")?,
            key_file: section.get("key_file")?,
        })
    }
}

impl Sasl {
    fn build(section: &Section<'_>) -> Option<Self> {
        Some(Self {
            mechanism: section.get("mechanism")?,
            username: section.get("username")?,
            password: section.get("password")?,
        })
    }
}
