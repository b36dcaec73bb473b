//! The connection to one Kafka cluster, shared by all captures of a publisher.
//!
//! Built from `[kafka]` once; producers, consumers and the admin client draw from its connection pool. Secrets go from
//! the configuration straight into the client and are never formatted.

use std::time::Duration;

use krafka::Compression as WireCompression;
use krafka::Kafka;
use krafka::admin::AdminClient;
use krafka::auth::{AuthConfig, TlsConfig};
use krafka::producer::{ProducerBuilder, TransactionalProducer};

use super::SinkError;
use crate::config::{self, Compression, Mechanism};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One Kafka cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    kafka: Kafka,
    settings: config::Kafka,
}

impl Cluster {
    /// Connects to the first bootstrap server that answers.
    ///
    /// # Errors
    /// [`SinkError::Setting`] for an unusable file, [`SinkError::Kafka`] when no server answers or refuses the login.
    pub async fn connect(settings: &config::Kafka) -> Result<Self, SinkError> {
        let mut builder = Kafka::builder(settings.bootstrap_servers.join(","))
            .client_id(&settings.client_id)
            // The client refuses a connection that may take longer than a whole request.
            .connect_timeout(settings.request_timeout.min(CONNECT_TIMEOUT))
            .request_timeout(settings.request_timeout);
        if let Some(security) = security(settings)? {
            builder = builder.security(security);
        }
        let servers = settings.bootstrap_servers.join(", ");
        let kafka = builder
            .connect()
            .await
            .map_err(|source| SinkError::Kafka { what: format!("connecting to {servers}"), source })?;
        Ok(Self { kafka, settings: settings.clone() })
    }

    /// `[kafka]` as configured.
    #[must_use]
    pub fn settings(&self) -> &config::Kafka {
        &self.settings
    }

    /// The client itself, for consumers.
    #[must_use]
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// An admin client.
    #[must_use]
    pub fn admin(&self) -> AdminClient {
        self.kafka.admin()
    }

    /// A transactional producer; building it fences every older one with the same id.
    pub(crate) async fn producer(&self, transactional_id: &str) -> Result<TransactionalProducer, SinkError> {
        let settings = &self.settings;
        let largest = settings.max_message_bytes.max(settings.batch_bytes);
        let builder: ProducerBuilder = self
            .kafka
            .producer()
            .compression(match settings.compression {
                Compression::None => WireCompression::None,
                Compression::Gzip => WireCompression::Gzip,
                Compression::Snappy => WireCompression::Snappy,
                Compression::Lz4 => WireCompression::Lz4,
            })
            .batch_size(settings.batch_bytes)
            .max_request_size(largest)
            // The client refuses a record that its buffer could never hold, whatever Kafka takes.
            .buffer_memory(BUFFER.max(largest.saturating_add(BUFFER_BEYOND_RECORD)))
            .delivery_timeout(settings.delivery_timeout)
            .transaction_timeout(settings.transaction_timeout)
            .max_block(settings.delivery_timeout);
        builder
            .build_transactional(transactional_id)
            .await
            .map_err(|source| SinkError::kafka("claiming the transactional id", transactional_id, source))
    }
}

/// Bytes that the client holds before it makes its caller wait, as it would by itself.
const BUFFER: usize = 32 << 20;
/// What the client counts for a record beyond its key, value and headers, by far.
const BUFFER_BEYOND_RECORD: usize = 1 << 20;

fn security(settings: &config::Kafka) -> Result<Option<AuthConfig>, SinkError> {
    let tls = settings.tls.enabled.then(|| {
        let mut tls = TlsConfig::new();
        if let Some(file) = &settings.tls.ca_file {
            tls = tls.with_ca_cert(file.display().to_string());
        }
        if let (Some(certificate), Some(key)) = (&settings.tls.certificate_file, &settings.tls.key_file) {
            tls = tls.with_client_cert(certificate.display().to_string(), key.display().to_string());
        }
        tls
    });
    let Some(sasl) = &settings.sasl else { return Ok(tls.map(AuthConfig::ssl)) };
    let password = sasl
        .password
        .reread()
        .map_err(|reason| SinkError::Setting { what: "kafka.sasl.password".to_owned(), reason: reason.to_string() })?;
    let (user, password) = (sasl.username.as_str(), password.expose());
    let auth = match sasl.mechanism {
        Mechanism::Plain => AuthConfig::sasl_plain(user, password),
        Mechanism::ScramSha256 => AuthConfig::sasl_scram_sha256(user, password),
        Mechanism::ScramSha512 => AuthConfig::sasl_scram_sha512(user, password),
    };
    Ok(Some(match tls {
        Some(tls) => auth.with_tls(tls),
        None => auth,
    }))
}
