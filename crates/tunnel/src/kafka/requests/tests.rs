use bytes::BytesMut;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::{MetadataRequest, ProduceRequest, RequestHeader, TransactionalId};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64 * 1024;

fn frame<R: Encodable + HeaderVersion>(asked: Asked, client: Option<&str>, request: &R) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(asked.key)
        .with_request_api_version(asked.version)
        .with_correlation_id(asked.correlation)
        .with_client_id(client.map(|client| StrBytes::from_string(client.to_owned())));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(asked.version)).unwrap();
    request.encode(&mut body, asked.version).unwrap();
    [&i32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

/// A request with nothing behind its head but bytes of no meaning.
fn bare(asked: Asked, body: usize) -> Vec<u8> {
    let mut out = i32::try_from(10 + body).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(&asked.key.to_be_bytes());
    out.extend_from_slice(&asked.version.to_be_bytes());
    out.extend_from_slice(&asked.correlation.to_be_bytes());
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out.extend(std::iter::repeat_n(0xa5, body));
    out
}

fn produce(correlation: i32, version: i16, acks: i16, client: Option<&str>, transaction: Option<&str>) -> Vec<u8> {
    let id = transaction.map(|id| TransactionalId(StrBytes::from_string(id.to_owned())));
    let request = ProduceRequest::default().with_transactional_id(id).with_acks(acks);
    frame(Asked { correlation, key: 0, version }, client, &request.with_topic_data(vec![TopicProduceData::default()]))
}

/// Feeds the stream in pieces, as a window does; returns what passed and what was noted.
fn feed(stream: &[u8], pieces: &[usize], most: usize) -> Result<(Vec<u8>, Vec<Asked>), Error> {
    let (mut requests, mut flight) = (Requests::default(), Flight::new(most));
    let (mut window, mut passed, mut noted) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut pieces) = (0, pieces.iter().cycle());
    while at < stream.len() {
        let piece = (*pieces.next().unwrap()).min(stream.len() - at);
        window.extend_from_slice(&stream[at..at + piece]);
        at += piece;
        loop {
            let (passing, stop) = requests.follow(&mut window, &mut flight, LIMIT)?;
            passed.extend(window.drain(..passing));
            if stop == Stop::Bytes {
                break;
            }
            while let Some(asked) = flight.oldest() {
                noted.push(asked);
                flight.answered();
            }
        }
    }
    while let Some(asked) = flight.oldest() {
        noted.push(asked);
        flight.answered();
    }
    assert!(requests.between_frames() && window.is_empty());
    Ok((passed, noted))
}

#[test]
fn a_produce_without_acks_is_not_waited_for_in_any_version() {
    for version in 3..=13 {
        for (client, transaction) in [(None, None), (Some("client"), Some("transaction")), (Some(""), Some(""))] {
            for acks in [0, 1, -1] {
                let stream = produce(1, version, acks, client, transaction);
                let (passed, noted) = feed(&stream, &[1], 9).unwrap();
                assert_eq!(passed, stream);
                assert_eq!(noted.len(), usize::from(acks != 0), "version {version}, acks {acks}, {client:?}");
            }
        }
    }
    // Versions before 3 have no transactional id; the codec does not know them any more.
    for (acks, waited) in [(0_i16, 0), (1, 1)] {
        let mut stream = bare(Asked { correlation: 1, key: 0, version: 2 }, 6);
        stream[14..16].copy_from_slice(&acks.to_be_bytes());
        assert_eq!(feed(&stream, &[64], 9).unwrap().1.len(), waited);
    }
}

#[test]
fn a_head_that_never_ends_is_refused() {
    let id = "x".repeat(2 * LIMIT);
    let request = ProduceRequest::default().with_transactional_id(Some(TransactionalId(StrBytes::from_string(id))));
    let stream = frame(Asked { correlation: 1, key: 0, version: 9 }, None, &request);
    assert!(matches!(feed(&stream, &[5000], 9), Err(Error::Head { limit: LIMIT })));
    // Within the limit, however long, it passes.
    let stream = produce(1, 9, 0, Some(&"c".repeat(20_000)), Some(&"t".repeat(30_000)));
    assert_eq!(feed(&stream, &[777], 9).unwrap(), (stream, vec![]));
}

#[test]
fn api_versions_of_the_future_is_asked_in_a_version_that_no_broker_knows() {
    let asked = |version| Asked { correlation: 3, key: API_VERSIONS, version };
    for version in 0..=4 {
        let stream = bare(asked(version), 5);
        assert_eq!(feed(&stream, &[3], 9).unwrap(), (stream, vec![asked(version)]));
    }
    let (passed, noted) = feed(&bare(asked(5), 5), &[3], 9).unwrap();
    assert_eq!((passed, noted), (bare(asked(i16::MAX), 5), vec![asked(i16::MAX)]));
}

#[test]
fn what_cannot_be_followed_is_refused_with_its_name() {
    let refused =
        |key, version| feed(&bare(Asked { correlation: 1, key, version }, 0), &[64], 9).unwrap_err().to_string();
    assert!(refused(17, 0).contains("SaslHandshake version 0"), "{}", refused(17, 0));
    assert!(refused(1, 16).contains("Fetch version 16"), "{}", refused(1, 16));
    assert!(refused(78, 1).contains("share groups"), "{}", refused(78, 1));
    let http = feed(b"GET / HTTP/1.1\r\n\r\n", &[64], 9).unwrap_err().to_string();
    assert!(http.contains("another protocol"), "{http}");
    // The first bytes of a TLS hello of 512 bytes are a well-formed head: 369 megabytes of `Fetch` version 1.
    for hello in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"[..], b"\x16\x03\x03\x00"] {
        let tls = feed(hello, &[64], 9).unwrap_err().to_string();
        assert!(tls.contains("does it speak TLS"), "{tls}");
    }
    for length in [0, 9, -1, i32::MIN] {
        assert!(matches!(feed(&length.to_be_bytes(), &[4], 9), Err(Error::Length { side: Side::Client, .. })));
    }
}

#[test]
fn the_largest_frame_is_legal_and_not_waited_for() {
    let mut head = bare(Asked { correlation: 1, key: 1, version: 11 }, 0);
    head[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    let (mut requests, mut flight) = (Requests::default(), Flight::new(1));
    assert_eq!(requests.follow(&mut head, &mut flight, LIMIT).unwrap(), (14, Stop::Bytes));
    assert!(!requests.between_frames());
}

#[test]
fn what_came_before_damage_is_sent_on_first() {
    let good = bare(Asked { correlation: 1, key: 3, version: 1 }, 4);
    let mut bytes = [good.as_slice(), &[0; 12]].concat();
    let (mut requests, mut flight) = (Requests::default(), Flight::new(9));
    assert_eq!(requests.follow(&mut bytes, &mut flight, LIMIT).unwrap(), (good.len(), Stop::Again));
    assert!(requests.follow(&mut bytes[good.len()..], &mut flight, LIMIT).is_err());
}

proptest! {
    /// However the stream is cut, and however few may be in flight, the same bytes pass and the same requests are noted.
    #[test]
    fn any_stream_in_any_pieces(
        requests in prop::collection::vec((0..4_usize, 0..300_usize, -1..2_i16), 1..30),
        pieces in prop::collection::vec(1..500_usize, 1..10),
        most in 1..5_usize,
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (correlation, (what, size, acks)) in (0..).zip(requests) {
            let (asked, bytes) = match what {
                0 => {
                    let asked = Asked { correlation, key: 0, version: 9 };
                    (asked, produce(correlation, 9, acks, Some("client"), Some(&"t".repeat(size))))
                }
                1 => {
                    let asked = Asked { correlation, key: 3, version: 9 };
                    (asked, frame(asked, Some("client"), &MetadataRequest::default()))
                }
                _ => {
                    let asked = Asked { correlation, key: 1, version: 11 };
                    (asked, bare(asked, size))
                }
            };
            stream.extend(bytes);
            if asked.key != 0 || acks != 0 {
                expected.push(asked);
            }
        }
        prop_assert_eq!(feed(&stream, &pieces, most).unwrap(), (stream, expected));
    }

    #[test]
    fn noise_is_never_more_than_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), key in prop::option::of(0..20_i16)) {
        let mut bytes = bytes;
        if let (Some(key), true) = (key, bytes.len() > 8) {
            bytes[..4].copy_from_slice(&200_i32.to_be_bytes());
            bytes[4..6].copy_from_slice(&key.to_be_bytes());
            bytes[6] = 0;
        }
        let mut requests = Requests::default();
        if let Ok((passing, _)) = requests.follow(&mut bytes, &mut Flight::new(100), LIMIT) {
            prop_assert!(passing <= bytes.len());
        }
    }
}
