//! What the demo runs on: a simulated Snowflake, a Kafka, and the publisher's configuration for the two.
//!
//! The configuration is text, read as a user's file is read; the demo has no way into the publisher of its own.

use krafka::testing::FakeBroker;
use snowsim::{Running, Simulator};

use super::passage::Passage;
use super::shop::{DATABASE, SCHEMA, STATE_SCHEMA, TABLES, WAREHOUSE};
use crate::config::Config;
use crate::embedded;

/// Brokers of the embedded cluster.
const BROKERS: usize = 3;
/// Fits, because the simulator was given no users.
const PASSWORD: &str = "demo";

/// Why there is no stage.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    /// The simulator.
    #[error(transparent)]
    Simulator(#[from] snowsim::StartError),
    /// The embedded Kafka.
    #[error("the embedded Kafka cannot start: {0}")]
    Kafka(#[from] krafka::KrafkaError),
    /// The tunnel.
    #[error("the demo's tunnel cannot be opened: {0}; `--direct` does without")]
    Tunnel(Box<dyn std::error::Error + Send + Sync>),
    /// The configuration made of the options.
    #[error("{0}")]
    Options(String),
}

/// What the demo runs on. Goes away when dropped, and all that the simulator held with it.
pub(super) struct Stage {
    /// The simulator.
    pub(super) snowflake: Running,
    /// The embedded cluster, unless a real one was named.
    pub(super) embedded: Option<FakeBroker>,
    /// The way from the publisher to Kafka, unless it is direct.
    pub(super) passage: Option<Passage>,
    /// The publisher's configuration.
    pub(super) config: Config,
    /// The reader's, which sits beside Kafka.
    pub(super) beside_kafka: Config,
}

impl Stage {
    /// Starts what has to be started. `servers` names a real Kafka; `direct` does without a tunnel.
    pub(super) async fn set(servers: &[String], direct: bool) -> Result<Self, StageError> {
        let snowflake = Simulator::start().await?;
        let (embedded, servers, name) = if servers.is_empty() {
            let embedded = embedded::start(BROKERS).await?;
            let servers = embedded.bootstrap_servers().split(',').map(str::to_owned).collect();
            (Some(embedded), servers, "demo".to_owned())
        } else {
            // Topics, transactional ids and checkpoints have the name in theirs, so that runs do not collide.
            (None, servers.to_vec(), format!("demo-{:08x}", rand::random::<u32>()))
        };
        let env = |variable: &str| (variable == "DEMO_PASSWORD").then(|| PASSWORD.to_owned());
        let parse = |servers: &[String]| {
            let text = configuration(&name, &snowflake.url(), servers);
            Config::parse(&text, "demo.toml", &env).map_err(|problems| StageError::Options(problems.to_string()))
        };
        // Read first, so that a server that is none is refused in the words of the configuration.
        let beside_kafka = parse(&servers)?;
        let passage = match direct {
            true => None,
            false => Some(Passage::open(&servers).await.map_err(StageError::Tunnel)?),
        };
        let config = match &passage {
            Some(passage) => parse(&[passage.inlet.to_string()])?,
            None => beside_kafka.clone(),
        };
        Ok(Self { snowflake, embedded, passage, config, beside_kafka })
    }
}

/// The configuration file.
fn configuration(name: &str, url: &str, servers: &[String]) -> String {
    let servers: Vec<String> = servers.iter().map(|server| toml::Value::from(server.as_str()).to_string()).collect();
    let tables: String =
        TABLES.iter().map(|table| format!("\n[[tables]]\nname = \"{SCHEMA}.{}\"\n", table.name)).collect();
    format!(
        r#"name = "{name}"

[snowflake]
account = "{DATABASE}"
url = "{url}"
user = "DEMO"
password = {{ env = "DEMO_PASSWORD" }}
warehouse = "{WAREHOUSE}"
state_schema = "{STATE_SCHEMA}"

[kafka]
bootstrap_servers = [{servers}]

[checkpoint]
topic = "{name}.checkpoints"

[topics]
name = "{{pipeline}}.{{table}}"
partitions = 3

[poll]
interval = "200ms"
{tables}"#,
        servers = servers.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_a_users() {
        let text = configuration("demo", "http://127.0.0.1:1", &["127.0.0.1:2".to_owned(), "localhost:3".to_owned()]);
        let config = Config::parse(&text, "demo.toml", &|_| Some(PASSWORD.to_owned())).unwrap();
        assert_eq!(config.kafka.bootstrap_servers, ["127.0.0.1:2", "localhost:3"]);
        let topics: Vec<&str> = config.tables.iter().map(|table| table.topic.as_str()).collect();
        assert_eq!(topics, ["demo.CUSTOMERS", "demo.ORDERS"]);
    }

    #[test]
    fn a_server_that_is_none_is_refused_by_name() {
        let text = configuration("demo", "http://127.0.0.1:1", &["quo\"te".to_owned()]);
        let problems = Config::parse(&text, "demo.toml", &|_| Some(PASSWORD.to_owned())).unwrap_err().to_string();
        assert!(problems.contains("kafka.bootstrap_servers"), "{problems}");
    }
}
