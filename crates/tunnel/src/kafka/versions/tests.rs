use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::{ApiVersion, SupportedFeatureKey};
use kafka_protocol::messages::{ApiVersionsResponse, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;

use super::*;

/// An answer in the layout of `version`, its header always without tags.
fn frame(version: i16, error: i16, apis: &[(i16, i16, i16)]) -> Vec<u8> {
    let keys = apis.iter().map(|(key, oldest, newest)| {
        let api = ApiVersion::default().with_api_key(*key).with_min_version(*oldest).with_max_version(*newest);
        if version >= 3 { api.with_unknown_tagged_field(7, Bytes::from_static(b"kept")) } else { api }
    });
    let mut response = ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys.collect());
    if version >= 1 {
        response = response.with_throttle_time_ms(11);
    }
    if version >= 3 {
        let feature = SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str("transaction.version"))
            .with_max_version(2);
        response = response
            .with_supported_features(vec![feature])
            .with_unknown_tagged_field(99, Bytes::from_static(b"kept too"));
    }
    let mut out = BytesMut::from(&[0; 4][..]);
    ResponseHeader::default().with_correlation_id(5).encode(&mut out, 0).unwrap();
    response.encode(&mut out, version).unwrap();
    let mut out = out.to_vec();
    set_length(&mut out).unwrap();
    out
}

fn parse(version: i16, frame: &[u8]) -> ApiVersionsResponse {
    let mut bytes = Bytes::copy_from_slice(frame);
    assert_eq!(usize::try_from(bytes.get_i32()).unwrap(), frame.len() - 4);
    assert_eq!(bytes.get_i32(), 5);
    let response = ApiVersionsResponse::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty());
    response
}

/// What a broker of Kafka 4.x says that matters here, and keys from after it.
const ANNOUNCED: [(i16, i16, i16); 14] = [
    (0, 0, 13),
    (1, 4, 18),
    (3, 0, 14),
    (17, 0, 1),
    (18, 0, 5),
    (55, 0, 2),
    (60, 0, 2),
    (68, 0, 1),
    (76, 1, 1),
    (78, 1, 2),
    (88, 0, 3),
    (93, 0, 0),
    (120, 0, 7),
    (2, 12, 14),
];
const CARRIED: [(i16, i16, i16); 9] =
    [(0, 0, 13), (1, 4, 15), (3, 0, 13), (17, 1, 1), (18, 0, 4), (55, 0, 1), (60, 0, 2), (68, 0, 1), (88, 0, 0)];

#[test]
fn what_is_not_carried_is_taken_out_of_every_version_and_the_rest_is_kept() {
    for version in 0..=4 {
        let narrowed = rewrite(version, &frame(version, 0, &ANNOUNCED)).unwrap().expect("something is taken out");
        assert_eq!(parse(version, &narrowed), parse(version, &frame(version, 0, &CARRIED)), "version {version}");
        assert_eq!(rewrite(version, &narrowed), Ok(None), "the other end of the tunnel has nothing left to do");
    }
}

#[test]
fn a_broker_that_does_not_know_the_version_answers_in_version_0() {
    for asked in [3, 4, i16::MAX] {
        let answer = frame(0, UNSUPPORTED_VERSION, &[(18, 0, 9), (200, 0, 0)]);
        let narrowed = rewrite(asked, &answer).unwrap().expect("narrowed");
        assert_eq!(narrowed, frame(0, UNSUPPORTED_VERSION, &[(18, 0, 4)]));
        // Old brokers leave the list empty.
        assert_eq!(rewrite(asked, &frame(0, UNSUPPORTED_VERSION, &[])), Ok(None));
    }
    assert_eq!(rewrite(i16::MAX, &frame(0, 0, &[])), Err(Damage::Unexpected(0)), "the layout would be unknown");
}

proptest! {
    #[test]
    fn any_list_is_narrowed_to_what_is_carried(apis in prop::collection::vec((-5..130_i16, 0..20_i16, 0..20_i16), 0..150), version in 0..=4_i16) {
        let before = frame(version, 0, &apis);
        let after = rewrite(version, &before).unwrap().unwrap_or(before);
        for api in parse(version, &after).api_keys {
            let (least, most) = apis::versions(api.api_key).expect("only what is carried");
            prop_assert!(least <= api.min_version && api.min_version <= api.max_version && api.max_version <= most);
            let (key, low, high) = (api.api_key, api.min_version, api.max_version);
            prop_assert!(apis.iter().any(|(k, oldest, newest)| *k == key && *oldest <= low && high <= *newest));
        }
        prop_assert_eq!(rewrite(version, &after), Ok(None));
    }

    #[test]
    fn damage_is_never_more_than_an_error(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), version in 0..=4_i16) {
        let mut bytes = frame(version, 0, &ANNOUNCED);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = rewrite(version, &bytes);
    }
}
