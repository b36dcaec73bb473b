//! Kafka's side: brokers, transactions, the publisher's own topics, every events topic, and their settings.

use super::{Findings, Level};
use crate::config::Config;
use crate::sink::topics::{self, Wanted};
use crate::sink::{Cluster, SinkError, commands, transactional_id};

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
    let notifications = Wanted::notifications(config);
    if check_topic(&cluster, &notifications, findings).await {
        for setting in ["cleanup.policy", "retention.ms"] {
            check_advised(&cluster, &notifications.name, setting, findings, |value| judge_kept(setting, value)).await;
        }
    }
    let orders = Wanted::commands(config);
    if check_topic(&cluster, &orders, findings).await {
        check_advised(&cluster, &orders.name, "cleanup.policy", findings, judge_commands).await;
        let subject = format!("topic {}, reading", orders.name);
        match commands::read(&cluster, config, &format!("{}/check", config.name)).await {
            Ok(_) => findings.ok(subject, "commands can be read"),
            Err(error) => findings.failure(subject, error),
        }
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

/// The same for the topic of notifications.
fn judge_kept(setting: &str, value: &str) -> Result<(), String> {
    let kept = if setting == "retention.ms" { "-1" } else { "delete" };
    let advice = || format!("set it to {kept}: the shape of old events is told there and nowhere else");
    (value == kept).then_some(()).ok_or_else(advice)
}

/// The same for the topic of commands.
fn judge_commands(value: &str) -> Result<(), String> {
    let kept = value == "compact";
    kept.then_some(())
        .ok_or_else(|| "set it to compact: a command that is deleted before it is obeyed is lost".to_owned())
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

/// A setting without which the publisher cannot do its work.
async fn check_setting(
    cluster: &Cluster,
    topic: &str,
    name: &str,
    findings: &mut Findings,
    judge: impl Fn(&str) -> Result<(), String>,
) {
    look_at_setting(cluster, topic, name, Level::Problem, findings, judge).await;
}

/// A setting without which something else suffers.
async fn check_advised(
    cluster: &Cluster,
    topic: &str,
    name: &str,
    findings: &mut Findings,
    judge: impl Fn(&str) -> Result<(), String>,
) {
    look_at_setting(cluster, topic, name, Level::Warning, findings, judge).await;
}

async fn look_at_setting(
    cluster: &Cluster,
    topic: &str,
    name: &str,
    otherwise: Level,
    findings: &mut Findings,
    judge: impl Fn(&str) -> Result<(), String>,
) {
    let subject = format!("topic {topic}, {name}");
    match topics::setting(cluster, topic, name).await {
        Ok(Some(value)) => match judge(&value) {
            Ok(()) => findings.ok(subject, value),
            Err(remedy) => findings.add(otherwise, subject, value, Some(remedy)),
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
        assert_eq!(judge_commands("compact"), Ok(()));
        assert!(judge_commands("delete").unwrap_err().contains("is lost"));
        assert_eq!(judge_kept("cleanup.policy", "delete"), Ok(()));
        assert_eq!(judge_kept("retention.ms", "-1"), Ok(()));
        assert!(judge_kept("retention.ms", "604800000").unwrap_err().contains("set it to -1"));
        assert!(judge_kept("cleanup.policy", "compact").unwrap_err().contains("set it to delete"));
        assert_eq!(judge_size("1048588", 1_048_576), Ok(()));
        assert!(judge_size("1000", 1_048_576).unwrap_err().contains("raise the topic's"));
        assert!(judge_size("", 1).is_err());
    }
}
