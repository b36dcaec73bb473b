//! Kafka's side: brokers, transactions, the checkpoint topic, every events topic and its settings.

use super::Findings;
use crate::config::Config;
use crate::sink::topics::{self, Wanted};
use crate::sink::{Cluster, SinkError, transactional_id};

pub(super) async fn check(config: &Config, findings: &mut Findings) {
    let cluster = match Cluster::connect(&config.kafka).await {
        Ok(cluster) => cluster,
        Err(error) => {
            return findings.problem("kafka", error, "check kafka.bootstrap_servers, [kafka.tls] and [kafka.sasl]");
        }
    };
    findings.ok("kafka", format!("connected to {}", config.kafka.bootstrap_servers.join(", ")));
    check_transactions(config, &cluster, findings).await;
    let checkpoints = Wanted::checkpoint(config);
    if check_topic(&cluster, &checkpoints, findings).await {
        check_setting(&cluster, &checkpoints.name, "cleanup.policy", findings, judge_cleanup).await;
    }
    let events = config.tables.iter().map(|table| Wanted::events(config, &table.topic));
    let dead_letters = config.tables.iter().filter_map(|table| table.dead_letters.as_deref());
    let mut topics: Vec<Wanted> = events.chain(dead_letters.map(|topic| Wanted::dead_letters(config, topic))).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics.dedup_by(|a, b| a.name == b.name);
    for wanted in topics {
        if check_topic(&cluster, &wanted, findings).await {
            let (topic, needed) = (&wanted.name, config.kafka.max_message_bytes);
            check_setting(&cluster, topic, "max.message.bytes", findings, |value| judge_size(value, needed)).await;
        }
    }
}

/// The remedy for a checkpoint topic with another `cleanup.policy` than it needs.
fn judge_cleanup(value: &str) -> Result<(), String> {
    let kept = value == "compact";
    kept.then_some(()).ok_or_else(|| "set it to compact: a deleted checkpoint would repeat the whole table".to_owned())
}

/// The remedy for a topic whose `max.message.bytes` is below what the publisher may send.
fn judge_size(value: &str, needed: usize) -> Result<(), String> {
    match value.parse::<usize>() {
        Ok(bytes) if bytes >= needed => Ok(()),
        _ => Err(format!("kafka.max_message_bytes is {needed}; raise the topic's, or lower that")),
    }
}

/// Claims an id that no capture uses, which needs the same rights as theirs.
async fn check_transactions(config: &Config, cluster: &Cluster, findings: &mut Findings) {
    match cluster.producer(&transactional_id(&format!("{}/check", config.name))).await {
        Ok(producer) => {
            let version = producer.transaction_version();
            let found = format!("transactional producers are served, protocol {version}");
            if version.is_v2() {
                findings.ok("transactions", found);
            } else {
                findings.warning(
                    "transactions",
                    found,
                    "set the cluster's feature transaction.version to 2 (Kafka 4): it closes the gap that a delayed \
                     EndTxn can end a later transaction (KIP-890)",
                );
            }
            if let Err(error) = producer.close().await {
                tracing::debug!(%error, "the producer of the check did not close cleanly");
            }
        }
        Err(error) => findings.failure("transactions", error),
    }
}

/// True when the topic exists.
async fn check_topic(cluster: &Cluster, wanted: &Wanted, findings: &mut Findings) -> bool {
    let subject = format!("topic {}", wanted.name);
    match topics::partitions(cluster, &wanted.name).await {
        Ok(Some(count)) => {
            findings.ok(subject, format!("there, {count} partitions"));
            return true;
        }
        Ok(None) if !wanted.create => {
            findings.problem(
                subject,
                "it does not exist and topics.create is false",
                "create it, or set topics.create = true",
            );
        }
        Ok(None) => match topics::try_create(cluster, wanted).await {
            Ok(()) => findings.ok(subject, "not there yet; the publisher will create it"),
            Err(error) => findings.failure(subject, error),
        },
        Err(error) => findings.failure(subject, error),
    }
    false
}

async fn check_setting(
    cluster: &Cluster,
    topic: &str,
    name: &str,
    findings: &mut Findings,
    judge: impl Fn(&str) -> Result<(), String>,
) {
    let subject = format!("topic {topic}, {name}");
    match topics::setting(cluster, topic, name).await {
        Ok(Some(value)) => match judge(&value) {
            Ok(()) => findings.ok(subject, value),
            Err(remedy) => findings.problem(subject, value, remedy),
        },
        Ok(None) => findings.warning(subject, "the broker does not tell", "look it up yourself"),
        Err(error @ SinkError::Kafka { .. }) => {
            findings.warning(
                subject,
                format!("not known: {error}"),
                "grant DESCRIBE_CONFIGS on the topic, or look it up yourself",
            );
        }
        Err(error) => findings.failure(subject, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The embedded cluster does not answer DescribeConfigs, so that only these see the judgement without a real Kafka.
    #[test]
    fn settings_are_judged() {
        assert_eq!(judge_cleanup("compact"), Ok(()));
        assert!(judge_cleanup("delete").unwrap_err().contains("repeat the whole table"));
        assert!(judge_cleanup("compact,delete").is_err(), "what is compacted and deleted is lost as well");
        assert_eq!(judge_size("1048588", 1_048_576), Ok(()));
        assert!(judge_size("1000", 1_048_576).unwrap_err().contains("raise the topic's"));
        assert!(judge_size("", 1).is_err());
    }
}
