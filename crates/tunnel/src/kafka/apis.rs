//! Which questions may pass, up to which version, and whose answers must be read.
//!
//! A version is listed here once its *response* has been read in Kafka's message definitions
//! (`clients/src/main/resources/common/message/*.json`, as of Kafka 4.1) and found free of broker addresses, or once
//! [`answers`](super::answers) knows where they are. What is not listed is taken out of `ApiVersions` and refused, so
//! that an address which a later Kafka puts into some answer cannot pass unseen: `Produce` 10, `Fetch` 16 (KIP-951),
//! `DescribeQuorum` 2 and `Vote` 1 (KIP-853) all gained one.
//!
//! Hosts that are *not* brokers' stay: client hosts in group descriptions, ACLs' hosts, the applications' own end
//! points of Kafka Streams, and `advertised.listeners` as text among a broker's configuration.

/// What is done with the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It streams through.
    Passes,
    /// It is read whole, and perhaps written anew.
    Read(Kind),
}

/// The answers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Names versions, not brokers.
    ApiVersions,
    /// All brokers.
    Metadata,
    /// One broker, or one per key from version 4 (KIP-699).
    FindCoordinator,
    /// All brokers (KIP-700).
    DescribeCluster,
    /// From version 10, the new leaders of partitions that moved (KIP-951).
    Produce,
}

pub(crate) const PRODUCE: i16 = 0;
pub(crate) const API_VERSIONS: i16 = 18;
/// The newest `ApiVersions` whose layout is known.
pub(crate) const API_VERSIONS_NEWEST: i16 = 4;
/// Before this version `Produce` answers name no brokers (KIP-951).
const PRODUCE_NAMES_LEADERS: i16 = 10;
/// Before this version `SaslHandshake` is followed by tokens that are no Kafka frames (KIP-152).
const SASL_HANDSHAKE_FRAMED: i16 = 1;

/// One carried API: its key, its name, and its oldest and newest carried version.
struct Api(i16, &'static str, i16, i16);

/// Sorted by key. Absent on purpose: 4–7 (removed in Kafka 4), 52–54, 56, 58, 59, 62, 63, 67, 70, 73, 82–87 and 93
/// (between brokers and controllers), 76, 78, 79 (share groups).
const CARRIED: &[Api] = &[
    Api(PRODUCE, "Produce", 0, 13),
    Api(1, "Fetch", 0, 15),
    Api(2, "ListOffsets", 0, 11),
    Api(3, "Metadata", 0, 13),
    Api(8, "OffsetCommit", 0, 10),
    Api(9, "OffsetFetch", 0, 10),
    Api(10, "FindCoordinator", 0, 6),
    Api(11, "JoinGroup", 0, 9),
    Api(12, "Heartbeat", 0, 4),
    Api(13, "LeaveGroup", 0, 5),
    Api(14, "SyncGroup", 0, 5),
    Api(15, "DescribeGroups", 0, 6),
    Api(16, "ListGroups", 0, 5),
    Api(17, "SaslHandshake", SASL_HANDSHAKE_FRAMED, 1),
    Api(API_VERSIONS, "ApiVersions", 0, API_VERSIONS_NEWEST),
    Api(19, "CreateTopics", 0, 7),
    Api(20, "DeleteTopics", 0, 6),
    Api(21, "DeleteRecords", 0, 2),
    Api(22, "InitProducerId", 0, 6),
    Api(23, "OffsetForLeaderEpoch", 0, 4),
    Api(24, "AddPartitionsToTxn", 0, 5),
    Api(25, "AddOffsetsToTxn", 0, 4),
    Api(26, "EndTxn", 0, 5),
    Api(27, "WriteTxnMarkers", 0, 1),
    Api(28, "TxnOffsetCommit", 0, 5),
    Api(29, "DescribeAcls", 0, 3),
    Api(30, "CreateAcls", 0, 3),
    Api(31, "DeleteAcls", 0, 3),
    Api(32, "DescribeConfigs", 0, 4),
    Api(33, "AlterConfigs", 0, 2),
    Api(34, "AlterReplicaLogDirs", 0, 2),
    Api(35, "DescribeLogDirs", 0, 4),
    Api(36, "SaslAuthenticate", 0, 2),
    Api(37, "CreatePartitions", 0, 3),
    Api(38, "CreateDelegationToken", 0, 3),
    Api(39, "RenewDelegationToken", 0, 2),
    Api(40, "ExpireDelegationToken", 0, 2),
    Api(41, "DescribeDelegationToken", 0, 3),
    Api(42, "DeleteGroups", 0, 2),
    Api(43, "ElectLeaders", 0, 2),
    Api(44, "IncrementalAlterConfigs", 0, 1),
    Api(45, "AlterPartitionReassignments", 0, 1),
    Api(46, "ListPartitionReassignments", 0, 0),
    Api(47, "OffsetDelete", 0, 0),
    Api(48, "DescribeClientQuotas", 0, 1),
    Api(49, "AlterClientQuotas", 0, 1),
    Api(50, "DescribeUserScramCredentials", 0, 0),
    Api(51, "AlterUserScramCredentials", 0, 0),
    // Version 2 adds the controllers' addresses.
    Api(55, "DescribeQuorum", 0, 1),
    Api(57, "UpdateFeatures", 0, 2),
    Api(60, "DescribeCluster", 0, 2),
    Api(61, "DescribeProducers", 0, 0),
    Api(64, "UnregisterBroker", 0, 0),
    Api(65, "DescribeTransactions", 0, 0),
    Api(66, "ListTransactions", 0, 2),
    Api(68, "ConsumerGroupHeartbeat", 0, 1),
    Api(69, "ConsumerGroupDescribe", 0, 1),
    Api(71, "GetTelemetrySubscriptions", 0, 0),
    Api(72, "PushTelemetry", 0, 0),
    Api(74, "ListConfigResources", 0, 1),
    Api(75, "DescribeTopicPartitions", 0, 0),
    Api(77, "ShareGroupDescribe", 0, 1),
    Api(80, "AddRaftVoter", 0, 0),
    Api(81, "RemoveRaftVoter", 0, 0),
    Api(88, "StreamsGroupHeartbeat", 0, 0),
    Api(89, "StreamsGroupDescribe", 0, 0),
    Api(90, "DescribeShareGroupOffsets", 0, 0),
    Api(91, "AlterShareGroupOffsets", 0, 0),
    Api(92, "DeleteShareGroupOffsets", 0, 0),
];

fn carried(key: i16) -> Option<&'static Api> {
    CARRIED.binary_search_by_key(&key, |api| api.0).ok().and_then(|at| CARRIED.get(at))
}

/// What is done with the answer to this request; `None` if it must not be asked.
pub(crate) fn answer(key: i16, version: i16) -> Option<Answer> {
    let (oldest, newest) = versions(key)?;
    if version < oldest || version > newest {
        return None;
    }
    Some(match key {
        PRODUCE if version >= PRODUCE_NAMES_LEADERS => Answer::Read(Kind::Produce),
        3 => Answer::Read(Kind::Metadata),
        10 => Answer::Read(Kind::FindCoordinator),
        API_VERSIONS => Answer::Read(Kind::ApiVersions),
        60 => Answer::Read(Kind::DescribeCluster),
        _ => Answer::Passes,
    })
}

/// The oldest and the newest carried version of an API; `None` if it is not carried at all.
pub(crate) fn versions(key: i16) -> Option<(i16, i16)> {
    carried(key).map(|api| (api.2, api.3))
}

/// The API's name for messages.
pub(crate) fn name(key: i16) -> String {
    carried(key).map_or_else(|| format!("API {key}"), |api| api.1.to_owned())
}

/// Why some version of this API is refused, for messages.
pub(crate) fn reason(key: i16) -> &'static str {
    match key {
        1 => "from version 16 its answers may name brokers behind the records",
        17 => "version 0 is followed by tokens that are no Kafka frames",
        55 => "from version 2 its answers name controllers",
        76 | 78 | 79 => "share groups name brokers behind the records",
        _ if !(0..=1000).contains(&key) => "no Kafka API has this number: does the client speak another protocol?",
        _ => "its answers are not known to be free of broker addresses",
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::*;

    #[test]
    fn sorted_by_key_and_none_twice() {
        assert!(CARRIED.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(CARRIED.iter().all(|api| api.2 <= api.3));
    }

    /// The codec's definitions are Kafka 4.1's; a version above them would be one nobody has read.
    #[test]
    fn no_version_is_carried_that_kafka_does_not_define() {
        for api in CARRIED {
            let Ok(known) = ApiKey::try_from(api.0) else {
                assert!(matches!(api.0, 88 | 89), "{} is newer than the codec", api.1);
                continue;
            };
            assert_eq!(format!("{known:?}"), api.1);
            // Responses of a version that a test feature of the broker enables are in the definitions already.
            let ahead = matches!(api.0, 2 | 8 | 9 | 22);
            assert!(api.3 <= known.valid_versions().max + i16::from(ahead), "{}", api.1);
        }
    }

    #[test]
    fn what_brokers_announce_and_nobody_here_can_read_is_refused() {
        for (key, version) in
            [(1, 16), (1, 18), (78, 1), (79, 2), (76, 1), (52, 0), (55, 2), (17, 0), (93, 0), (3, 14), (3, -1), (-1, 0)]
        {
            assert_eq!(answer(key, version), None, "{key} version {version}");
        }
        assert_eq!(answer(0, 9), Some(Answer::Passes));
        assert_eq!(answer(0, 10), Some(Answer::Read(Kind::Produce)));
        assert_eq!(answer(0, 12), Some(Answer::Read(Kind::Produce)), "transactions version 2 need it (KIP-890)");
        assert_eq!(answer(1, 15), Some(Answer::Passes));
        assert_eq!(answer(17, 1), Some(Answer::Passes));
    }
}
