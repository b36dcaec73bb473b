//! The sink against the embedded cluster over real sockets: what a publisher must find after any end of another.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use bytes::Bytes;
use krafka::testing::{ApiKey, Control, FakeBroker};

use super::{Cluster, Sink, SinkError, transactional_id};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::encode::Encoded;
use crate::error::Next;

const CAPTURE: &str = "lab/DB.PUBLIC.T";
const TOPIC: &str = "DB.PUBLIC.T";

async fn lab() -> (FakeBroker, Config, Cluster) {
    let broker = crate::embedded::start(2).await.unwrap();
    let text = format!(
        "name = \"lab\"\n[snowflake]\naccount = \"a\"\nurl = \"http://127.0.0.1:1\"\nuser = \"u\"\n\
         password = {{ env = \"P\" }}\nstate_schema = \"DB.STATE\"\n\
         [kafka]\nbootstrap_servers = [\"{}\"]\nrequest_timeout = \"2s\"\ndelivery_timeout = \"4s\"\n\
         [[tables]]\nname = \"DB.PUBLIC.T\"\n",
        broker.bootstrap_servers().replace(',', "\", \"")
    );
    let config = Config::parse(&text, "lab.toml", &|_| Some("secret".to_owned())).unwrap();
    let cluster = Cluster::connect(&config.kafka).await.unwrap();
    (broker, config, cluster)
}

fn records(count: usize) -> Vec<Encoded> {
    (0..count)
        .map(|n| Encoded {
            key: Bytes::from(format!("k{n}")),
            value: Some(Bytes::from_static(b"v")),
            headers: Vec::new(),
            topic: None,
        })
        .collect()
}

fn start() -> Checkpoint {
    Checkpoint::start(CAPTURE, "0A1B2C3D".to_owned()).claimed()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_found_again() {
    let (broker, config, cluster) = lab().await;
    let (mut sink, found) = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.unwrap();
    assert_eq!(found, None);
    let first = start();
    let second = first.advanced(1, 10, 20, "f");
    sink.commit(Vec::new(), &first).await.unwrap();
    sink.commit(records(10), &second).await.unwrap();
    sink.close().await;
    let (_sink, found) = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.unwrap();
    assert_eq!(found, Some(second));
    assert_eq!(broker.committed_records(TOPIC).unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_sink_is_fenced_and_leaves_nothing() {
    let (broker, config, cluster) = lab().await;
    let (mut old, _) = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.unwrap();
    old.commit(Vec::new(), &start()).await.unwrap();
    let (mut new, found) = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.unwrap();
    assert_eq!(found, Some(start()));
    new.commit(Vec::new(), &start().claimed()).await.unwrap();
    let error = old.commit(records(3), &start().advanced(1, 3, 3, "f")).await.unwrap_err();
    // In transaction version 2 the coordinator may call the old epoch a wrong state instead of fenced: then the newer
    // claim is what tells, which is looked for before an id is claimed again.
    let error = match error {
        SinkError::Kafka { .. } => Sink::require_newest(&cluster, &config, CAPTURE, start().claim).await.unwrap_err(),
        error => error,
    };
    assert!(
        matches!(&error, SinkError::Fenced { transactional_id: id } if *id == transactional_id(CAPTURE)),
        "{error}"
    );
    assert_eq!(error.next(), Next::Yield);
    new.commit(records(2), &start().claimed().advanced(1, 2, 2, "f")).await.unwrap();
    assert_eq!(broker.committed_records(TOPIC).unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_by_the_next_resume_and_not_repeated() {
    let (broker, config, cluster) = lab().await;
    let (mut sink, _) = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.unwrap();
    sink.commit(Vec::new(), &start()).await.unwrap();
    let next = start().advanced(1, 5, 5, "f");
    broker.on_once(ApiKey::EndTxn, |_| Control::ApplyThen(Box::new(Control::Disconnect)));
    // Whether the client learns the outcome by itself or not, the log is the judge.
    let outcome = sink.commit(records(5), &next).await;
    drop(sink);
    let (_sink, found) = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.unwrap();
    assert_eq!(found, Some(next), "commit said {outcome:?}");
    assert_eq!(broker.committed_records(TOPIC).unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_behind_another_captures_open_transaction_is_not_overlooked() {
    let (_broker, config, cluster) = lab().await;
    let (mut sink, _) = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.unwrap();
    // Somebody else's transaction opens first and holds the last stable offset back.
    let other = cluster.producer("somebody").await.unwrap();
    other.begin().unwrap();
    let _ = other.send(krafka::Record::new("snowmelt-checkpoints", "{}").key("somebody")).await.unwrap();
    let mine = start().advanced(1, 1, 1, "f");
    sink.commit(records(1), &mine).await.unwrap();
    drop(sink);
    let resume = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]);
    tokio::pin!(resume);
    let early = tokio::time::timeout(std::time::Duration::from_millis(700), resume.as_mut()).await;
    assert!(early.is_err(), "resume must wait for the open transaction, not read past it");
    other.abort().await.unwrap();
    let (_sink, found) = resume.await.unwrap();
    assert_eq!(found, Some(mine));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_made_is_named() {
    let (broker, mut config, cluster) = lab().await;
    config.topics.create = false;
    let error = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.err().unwrap();
    assert!(matches!(&error, SinkError::TopicMissing { topic, .. } if topic == TOPIC), "{error}");
    assert_eq!(error.next(), Next::Halt);
    config.topics.create = true;
    broker.on(ApiKey::CreateTopics, |_| Control::Error(krafka::error::ErrorCode::PolicyViolation));
    let error = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.err().unwrap();
    assert!(matches!(&error, SinkError::TopicRefused { topic, .. } if topic == TOPIC), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_programs_checkpoint_halts_instead_of_starting_over() {
    let (_broker, config, cluster) = lab().await;
    let (mut sink, _) = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.unwrap();
    let newer = Checkpoint { version: crate::checkpoint::VERSION + 1, ..start() };
    sink.commit(Vec::new(), &newer).await.unwrap();
    drop(sink);
    let error = Sink::resume(&cluster, &config, CAPTURE, &config.tables[0]).await.err().unwrap();
    assert_eq!(error.next(), Next::Halt, "{error}");
}
