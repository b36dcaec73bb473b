//! The codec of another author is the witness: what it encodes in every version must come back from it, after our
//! rewriting, with other addresses and nothing else changed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterResponse, FindCoordinatorResponse, MetadataResponse, ProduceResponse, ResponseHeader,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use proptest::prelude::*;

use super::*;

/// Notes what is revealed; gives local addresses if it has a host.
struct Table {
    host: Option<String>,
    revealed: Mutex<Vec<(Vec<Broker>, bool)>>,
}

impl Table {
    fn new(host: Option<&str>) -> Self {
        Self { host: host.map(str::to_owned), revealed: Mutex::default() }
    }
}

impl Addresses for Table {
    fn revealed(&self, brokers: &[Broker], complete: bool) {
        self.revealed.lock().unwrap().push((brokers.to_vec(), complete));
    }

    fn local(&self, broker: &Broker) -> Result<Option<(String, u16)>, Error> {
        Ok(self.host.clone().map(|host| (host, local_port(broker.id))))
    }
}

fn local_port(id: i32) -> u16 {
    30_000 + u16::try_from(id % 1000).unwrap()
}

const LOCAL: &str = "inlet.local";
const CORRELATION: i32 = 0x0102_0304;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn frame<R: Encodable + HeaderVersion>(version: i16, response: &R) -> Vec<u8> {
    let mut out = BytesMut::from(&[0; LENGTH][..]);
    ResponseHeader::default().with_correlation_id(CORRELATION).encode(&mut out, R::header_version(version)).unwrap();
    response.encode(&mut out, version).unwrap();
    let mut out = out.to_vec();
    set_length(&mut out).unwrap();
    out
}

fn parse<R: Decodable + HeaderVersion>(version: i16, frame: &[u8]) -> R {
    let mut bytes = Bytes::copy_from_slice(frame);
    assert_eq!(usize::try_from(bytes.get_i32()).unwrap(), frame.len() - LENGTH);
    let header = ResponseHeader::decode(&mut bytes, R::header_version(version)).unwrap();
    assert_eq!(header.correlation_id, CORRELATION);
    let response = R::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "bytes are left");
    response
}

/// A broker of an answer: real, or "none available".
#[derive(Debug, Clone)]
struct Named {
    id: i32,
    host: String,
    port: i32,
}

impl Named {
    fn local(&self) -> Self {
        if self.real().is_none() {
            return self.clone();
        }
        Self { id: self.id, host: LOCAL.into(), port: local_port(self.id).into() }
    }

    fn real(&self) -> Option<Broker> {
        (self.port > 0).then(|| Broker { id: self.id, host: self.host.clone(), port: self.port.try_into().unwrap() })
    }
}

fn named() -> impl Strategy<Value = Named> {
    prop_oneof![
        9 => (0..i32::MAX, "[a-zé.-]{1,60}", 1..=65535).prop_map(|(id, host, port)| Named { id, host, port }),
        1 => Just(Named { id: -1, host: String::new(), port: -1 }),
    ]
}

/// Tagged fields of the future.
fn tags() -> impl Strategy<Value = BTreeMap<i32, Bytes>> {
    prop::collection::btree_map(100..20_000_i32, prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from), 0..3)
}

fn optional() -> impl Strategy<Value = Option<StrBytes>> {
    prop::option::of("[a-z]{0,9}".prop_map(|rack| text(&rack)))
}

/// What all four kinds are made from.
#[derive(Debug, Clone)]
struct Content {
    brokers: Vec<Named>,
    tags: BTreeMap<i32, Bytes>,
    rack: Option<StrBytes>,
    topics: usize,
}

fn content() -> impl Strategy<Value = Content> {
    (prop::collection::vec(named(), 0..12), tags(), optional(), 0..4_usize)
        .prop_map(|(brokers, tags, rack, topics)| Content { brokers, tags, rack, topics })
}

impl Content {
    fn tags(&self, flexible: bool) -> BTreeMap<i32, Bytes> {
        if flexible { self.tags.clone() } else { BTreeMap::new() }
    }

    fn metadata(&self, version: i16, name: impl Fn(&Named) -> Named) -> MetadataResponse {
        let tags = self.tags(version >= 9);
        let brokers = self.brokers.iter().map(name).map(|broker| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(broker.id))
                .with_host(text(&broker.host))
                .with_port(broker.port)
                .with_rack(self.rack.clone().filter(|_| version >= 1))
                .with_unknown_tagged_fields(tags.clone())
        });
        let topics = (0..self.topics).map(|topic| {
            let partition = MetadataResponsePartition::default()
                .with_leader_id(BrokerId(3))
                .with_replica_nodes(vec![BrokerId(1), BrokerId(2)])
                .with_unknown_tagged_fields(tags.clone());
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(text(&format!("topic{topic}")))))
                .with_partitions(vec![partition; 3])
        });
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(self.rack.clone().filter(|_| version >= 2))
            .with_controller_id(BrokerId(if version >= 1 { 2 } else { -1 }))
            .with_topics(topics.collect())
            .with_error_code(if version >= 13 { 129 } else { 0 })
            .with_unknown_tagged_fields(tags.clone())
    }

    fn coordinators(&self, version: i16, name: impl Fn(&Named) -> Named) -> FindCoordinatorResponse {
        let tags = self.tags(version >= 3);
        let response = FindCoordinatorResponse::default()
            .with_throttle_time_ms(if version >= 1 { 7 } else { 0 })
            .with_unknown_tagged_fields(tags.clone());
        let message = if version >= 1 { self.rack.clone() } else { Some(text("")) };
        if version >= 4 {
            let coordinators = self.brokers.iter().map(name).map(|broker| {
                Coordinator::default()
                    .with_key(text("group"))
                    .with_node_id(BrokerId(broker.id))
                    .with_host(text(&broker.host))
                    .with_port(broker.port)
                    .with_error_message(message.clone())
                    .with_unknown_tagged_fields(tags.clone())
            });
            return response.with_coordinators(coordinators.collect());
        }
        let none = Named { id: -1, host: String::new(), port: -1 };
        let broker = name(self.brokers.first().unwrap_or(&none));
        response
            .with_error_message(message)
            .with_node_id(BrokerId(broker.id))
            .with_host(text(&broker.host))
            .with_port(broker.port)
    }

    fn cluster(&self, version: i16, endpoints: i8, name: impl Fn(&Named) -> Named) -> DescribeClusterResponse {
        let brokers = self.brokers.iter().map(name).map(|broker| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(broker.id))
                .with_host(text(&broker.host))
                .with_port(broker.port)
                .with_rack(self.rack.clone())
                .with_is_fenced(version >= 2)
                .with_unknown_tagged_fields(self.tags.clone())
        });
        DescribeClusterResponse::default()
            .with_endpoint_type(endpoints)
            .with_error_message(self.rack.clone())
            .with_cluster_id(text("cluster"))
            .with_controller_id(BrokerId(1))
            .with_brokers(brokers.collect())
            .with_unknown_tagged_fields(self.tags.clone())
    }

    fn produce(&self, version: i16, name: impl Fn(&Named) -> Named) -> ProduceResponse {
        let endpoints = self.brokers.iter().map(name).map(|broker| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(broker.id))
                .with_host(text(&broker.host))
                .with_port(broker.port)
                .with_rack(self.rack.clone())
                .with_unknown_tagged_fields(self.tags.clone())
        });
        let topics = (0..self.topics).map(|topic| {
            let wrong = BatchIndexAndErrorMessage::default()
                .with_batch_index(1)
                .with_batch_index_error_message(self.rack.clone())
                .with_unknown_tagged_fields(self.tags.clone());
            let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(4)).with_leader_epoch(9);
            let partition = PartitionProduceResponse::default()
                .with_index(2)
                .with_error_code(6)
                .with_base_offset(77)
                .with_record_errors(vec![wrong; topic])
                .with_error_message(self.rack.clone())
                .with_current_leader(leader)
                .with_unknown_tagged_fields(self.tags.clone());
            let response = TopicProduceResponse::default()
                .with_partition_responses(vec![partition; 2])
                .with_unknown_tagged_fields(self.tags.clone());
            if version >= 13 {
                response.with_topic_id(uuid::Uuid::from_bytes([u8::try_from(topic).unwrap() + 1; 16]))
            } else {
                response.with_name(TopicName(text("topic")))
            }
        });
        ProduceResponse::default()
            .with_responses(topics.collect())
            .with_throttle_time_ms(5)
            .with_node_endpoints(endpoints.collect())
            .with_unknown_tagged_fields(self.tags.clone())
    }
}

/// Rewrites as an inlet does and as an outlet does, and compares.
fn check<R>(kind: Kind, key: i16, version: i16, before: &R, after: &R, brokers: &[Named], complete: bool)
where
    R: Encodable + Decodable + HeaderVersion + PartialEq + std::fmt::Debug,
{
    let original = frame(version, before);
    let mut distinct: Vec<Broker> = Vec::new();
    for broker in brokers.iter().filter_map(Named::real) {
        if !distinct.contains(&broker) {
            distinct.push(broker);
        }
    }
    let told: Vec<_> = if distinct.is_empty() { vec![] } else { vec![(distinct, complete)] };

    let outlet = Table::new(None);
    assert_eq!(
        rewrite(kind, key, version, &original, &outlet).unwrap(),
        None,
        "nothing replaced, nothing written anew"
    );
    assert_eq!(*outlet.revealed.lock().unwrap(), told);

    let inlet = Table::new(Some(LOCAL));
    let anew = rewrite(kind, key, version, &original, &inlet).unwrap();
    assert_eq!(*inlet.revealed.lock().unwrap(), told);
    assert_eq!(anew.is_none(), told.is_empty());
    let anew = anew.unwrap_or(original);
    assert_eq!(&parse::<R>(version, &anew), after);
    // The codec does not look at the sizes of tagged fields that it knows; other clients do.
    assert_eq!(anew, frame(version, after));
}

proptest! {
    #[test]
    fn metadata_of_every_version(content in content()) {
        for version in 0..=13 {
            let (before, after) = (content.metadata(version, Named::clone), content.metadata(version, Named::local));
            check(Kind::Metadata, 3, version, &before, &after, &content.brokers, true);
        }
    }

    #[test]
    fn coordinators_of_every_version_single_and_batched(content in content()) {
        for version in 0..=6 {
            let brokers = if version >= 4 { &content.brokers[..] } else { &content.brokers[..content.brokers.len().min(1)] };
            let (before, after) = (content.coordinators(version, Named::clone), content.coordinators(version, Named::local));
            check(Kind::FindCoordinator, 10, version, &before, &after, brokers, false);
        }
    }

    #[test]
    fn clusters_of_every_version(content in content()) {
        for version in 0..=2 {
            let (before, after) = (content.cluster(version, 1, Named::clone), content.cluster(version, 1, Named::local));
            check(Kind::DescribeCluster, 60, version, &before, &after, &content.brokers, false);
        }
    }

    #[test]
    fn new_leaders_of_every_version_that_names_them(content in content()) {
        for version in 10..=13 {
            let (before, after) = (content.produce(version, Named::clone), content.produce(version, Named::local));
            check(Kind::Produce, 0, version, &before, &after, &content.brokers, false);
        }
    }

    /// Cut short, changed in a few bits, or with any byte set to the largest: an error or a frame, never a panic, and
    /// never more brokers than the bytes can hold.
    #[test]
    fn damage_is_never_more_than_an_error(content in content(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>(), short: bool) {
        for (kind, key, version, mut bytes) in frames(&content) {
            for (at, value) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if short {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            let table = Table::new(Some(LOCAL));
            let length = bytes.len();
            if let Ok(Some(anew)) = rewrite(kind, key, version, &bytes, &table) {
                prop_assert_eq!(usize::try_from(i32::from_be_bytes(anew[..4].try_into().unwrap())).unwrap(), anew.len() - 4);
            }
            // An id, an empty-but-one host and a port take ten bytes at least.
            prop_assert!(table.revealed.lock().unwrap().iter().all(|(brokers, _)| brokers.len() <= length / 10));
        }
    }

    #[test]
    fn noise_is_never_more_than_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for (kind, key, versions) in [(Kind::Metadata, 3, 0..=13), (Kind::FindCoordinator, 10, 0..=6), (Kind::DescribeCluster, 60, 0..=2), (Kind::Produce, 0, 10..=13), (Kind::ApiVersions, 18, 0..=5)] {
            for version in versions {
                let _ = rewrite(kind, key, version, &bytes, &Table::new(Some(LOCAL)));
            }
        }
    }
}

fn frames(content: &Content) -> Vec<(Kind, i16, i16, Vec<u8>)> {
    let mut frames = Vec::new();
    for version in 0..=13 {
        frames.push((Kind::Metadata, 3, version, frame(version, &content.metadata(version, Named::clone))));
    }
    for version in 0..=6 {
        frames.push((Kind::FindCoordinator, 10, version, frame(version, &content.coordinators(version, Named::clone))));
    }
    for version in 0..=2 {
        frames.push((Kind::DescribeCluster, 60, version, frame(version, &content.cluster(version, 1, Named::clone))));
    }
    for version in 10..=13 {
        frames.push((Kind::Produce, 0, version, frame(version, &content.produce(version, Named::clone))));
    }
    frames
}

/// A count of two thousand millions in a frame of a few bytes: refused at the count, not after it.
#[test]
fn a_count_beyond_the_bytes_is_refused_at_once() {
    let mut head = vec![0; LENGTH];
    head.extend_from_slice(&CORRELATION.to_be_bytes());
    for (kind, key, version, before) in [
        (Kind::Metadata, 3, 0, vec![]),
        (Kind::Metadata, 3, 12, vec![0, 0, 0, 0, 0]),
        (Kind::FindCoordinator, 10, 4, vec![0, 0, 0, 0, 0]),
        (Kind::Produce, 0, 12, vec![0]),
    ] {
        let compact = version >= 4;
        let count: &[u8] = if compact { &[0xff, 0xff, 0xff, 0xff, 0x0f] } else { &[0x7f, 0xff, 0xff, 0xff] };
        let bytes = [head.as_slice(), &before, count, &[0; 64]].concat();
        let error = rewrite(kind, key, version, &bytes, &Table::new(Some(LOCAL))).unwrap_err();
        assert!(matches!(error, Error::Answer { damage: Damage::Short, .. }), "{kind:?} {version}: {error}");
    }
}

#[test]
fn controllers_are_not_mistaken_for_brokers() {
    let brokers = vec![Named { id: 1, host: "controller".into(), port: 9093 }];
    let content = Content { brokers, tags: BTreeMap::new(), rack: None, topics: 0 };
    for version in [1, 2] {
        let frame = frame(version, &content.cluster(version, 2, Named::clone));
        let table = Table::new(None);
        assert!(matches!(rewrite(Kind::DescribeCluster, 60, version, &frame, &table), Err(Error::Controllers)));
        assert!(table.revealed.lock().unwrap().is_empty());
    }
}

#[test]
fn an_address_that_cannot_be_given_ends_the_answer_with_the_brokers_name() {
    struct Full;
    impl Addresses for Full {
        fn revealed(&self, _: &[Broker], _: bool) {}
        fn local(&self, broker: &Broker) -> Result<Option<(String, u16)>, Error> {
            Err(Error::address(broker, "no port is left"))
        }
    }
    let brokers = vec![Named { id: 5, host: "five".into(), port: 9092 }];
    let content = Content { brokers, tags: BTreeMap::new(), rack: None, topics: 0 };
    let frame = frame(9, &content.metadata(9, Named::clone));
    let error = rewrite(Kind::Metadata, 3, 9, &frame, &Full).unwrap_err();
    assert_eq!(error.to_string(), "no local address for broker 5 at five:9092: no port is left");
}

/// A group's coordinators are often one broker: it is told once, asked for once, and replaced everywhere.
#[test]
fn a_broker_named_many_times_is_told_once() {
    let broker = Named { id: 5, host: "five".into(), port: 9092 };
    let content = Content { brokers: vec![broker; 50], tags: BTreeMap::new(), rack: None, topics: 0 };
    let (before, after) = (content.coordinators(4, Named::clone), content.coordinators(4, Named::local));
    check(Kind::FindCoordinator, 10, 4, &before, &after, &content.brokers, false);
}

#[test]
fn more_brokers_than_any_cluster_has_are_damage() {
    let named = |count: i32| {
        let brokers = (0..count).map(|id| Named { id, host: "b".into(), port: 9092 }).collect();
        let content = Content { brokers, tags: BTreeMap::new(), rack: None, topics: 0 };
        rewrite(Kind::Metadata, 3, 9, &frame(9, &content.metadata(9, Named::clone)), &Table::new(Some(LOCAL)))
    };
    assert!(named(10_000).unwrap().is_some());
    assert!(matches!(named(10_001), Err(Error::Answer { damage: Damage::Brokers, .. })));
}

/// Two fields of the same tag, or a size that does not fit the content, cannot be written anew faithfully.
#[test]
fn a_tagged_field_of_another_size_than_it_says_is_damage() {
    let brokers = vec![Named { id: 5, host: "five".into(), port: 9092 }];
    let content = Content { brokers, tags: BTreeMap::new(), rack: None, topics: 0 };
    let good = frame(12, &content.produce(12, Named::clone));
    let tag =
        good.windows(4).position(|bytes| bytes[..2] == [1, 0] && bytes[3] == 2).expect("one field, tag 0, one broker");
    let mut other = good.clone();
    other[tag + 2] -= 1;
    let twice = [&good[..tag], &[2], &good[tag + 1..], &good[tag + 1..]].concat();
    for bytes in [other, twice] {
        let error = rewrite(Kind::Produce, 0, 12, &bytes, &Table::new(Some(LOCAL))).unwrap_err();
        assert!(matches!(error, Error::Answer { damage: Damage::Length, .. }), "{error}");
    }
}
