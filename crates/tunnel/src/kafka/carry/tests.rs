//! Scripted clients and brokers over in-memory streams.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::kafka::Broker;

/// Every broker is at this host, on a port of its id.
struct Inlet;

impl Addresses for Inlet {
    fn revealed(&self, _: &[Broker], _: bool) {}

    fn local(&self, broker: &Broker) -> Result<Option<(String, u16)>, Error> {
        Ok(Some(("inlet".into(), 7000 + u16::try_from(broker.id).unwrap())))
    }
}

fn request(correlation: i32, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(10 + body.len()).unwrap();
    [
        &length.to_be_bytes()[..],
        &key.to_be_bytes(),
        &version.to_be_bytes(),
        &correlation.to_be_bytes(),
        &[0xff, 0xff],
        body,
    ]
    .concat()
}

/// `Produce` version 3, not to be answered.
fn silent(correlation: i32, records: usize) -> Vec<u8> {
    request(correlation, 0, 3, &[&[0xff, 0xff, 0, 0], vec![7; records].as_slice()].concat())
}

fn response(correlation: i32, body: &[u8]) -> Vec<u8> {
    [&i32::try_from(4 + body.len()).unwrap().to_be_bytes()[..], &correlation.to_be_bytes(), body].concat()
}

/// `Metadata` version 0 that names one broker, with `rest` behind.
fn metadata(correlation: i32, host: &str, port: i32, rest: &[u8]) -> Vec<u8> {
    let length = i16::try_from(host.len()).unwrap();
    let body =
        [&[0, 0, 0, 1, 0, 0, 0, 5], &length.to_be_bytes()[..], host.as_bytes(), &port.to_be_bytes(), rest].concat();
    response(correlation, &body)
}

/// For what takes a moment.
const WAIT: Duration = Duration::from_secs(30);
const FETCH: i16 = 1;
const METADATA: i16 = 3;

struct Line {
    client: DuplexStream,
    broker: DuplexStream,
    carried: JoinHandle<(Result<(), Error>, Counted)>,
}

/// How the connection ended, once it has.
async fn outcome(carried: JoinHandle<(Result<(), Error>, Counted)>) -> (Result<(), Error>, Counted) {
    tokio::time::timeout(WAIT, carried).await.expect("the connection ends").expect("without a panic")
}

fn line(capacity: usize, limits: Limits) -> Line {
    let (client, near) = duplex(capacity);
    let (far, broker) = duplex(capacity);
    let carried = tokio::spawn(async move {
        let traffic = Counted::default();
        // Buffered, so that what is not flushed does not arrive.
        let ended = carry(BufStream::new(near), BufStream::new(far), &Inlet, &limits, &traffic).await;
        (ended, traffic)
    });
    Line { client, broker, carried }
}

async fn read(from: &mut DuplexStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let reading = tokio::time::timeout(WAIT, from.read_exact(&mut bytes));
    reading.await.expect("bytes arrive").expect("the stream goes on");
    bytes
}

async fn expect(from: &mut DuplexStream, bytes: &[u8]) {
    assert!(read(from, bytes.len()).await == bytes, "other bytes arrived");
}

async fn expect_end(from: &mut DuplexStream) {
    let end = tokio::time::timeout(WAIT, from.read(&mut [0])).await.expect("the stream ends");
    assert!(matches!(end, Ok(0)), "{end:?}");
}

#[tokio::test]
async fn pipelined_requests_silent_ones_among_them_are_answered_in_order() {
    let mut line = line(4096, Limits::default());
    let asked =
        [request(1, FETCH, 4, &[1; 90]), silent(2, 100), request(3, METADATA, 0, &[]), request(4, FETCH, 4, &[])]
            .concat();
    line.client.write_all(&asked).await.unwrap();
    expect(&mut line.broker, &asked).await;
    let answers = [response(1, &[9; 50]), metadata(3, "far.example", 9092, &[0; 4]), response(4, &[])].concat();
    line.broker.write_all(&answers).await.unwrap();
    expect(&mut line.client, &[response(1, &[9; 50]), metadata(3, "inlet", 7005, &[0; 4]), response(4, &[])].concat())
        .await;
    drop((line.client, line.broker));
    let (ended, traffic) = outcome(line.carried).await;
    ended.unwrap();
    assert_eq!((traffic.requests.load(Relaxed), traffic.rewritten.load(Relaxed)), (4, 1));
    assert_eq!(traffic.to_broker.load(Relaxed), u64::try_from(asked.len()).unwrap());
    assert_eq!(
        traffic.to_client.load(Relaxed),
        u64::try_from(answers.len() - "far.example".len() + "inlet".len()).unwrap()
    );
}

#[tokio::test]
async fn an_answer_far_larger_than_the_buffer_is_read_whole_and_what_follows_streams() {
    let mut line = line(3000, Limits::default());
    let rest = vec![3; 3_000_000];
    line.client.write_all(&[request(1, METADATA, 0, &[]), request(2, FETCH, 4, &[])].concat()).await.unwrap();
    let answers = [metadata(1, "far", 9092, &rest), response(2, &rest)].concat();
    let mut broker = line.broker;
    let sending = tokio::spawn(async move { broker.write_all(&answers).await.map(|()| broker) });
    expect(&mut line.client, &metadata(1, "inlet", 7005, &rest)).await;
    expect(&mut line.client, &response(2, &rest)).await;
    drop((sending.await.unwrap().unwrap(), line.client));
    outcome(line.carried).await.0.unwrap();
}

#[tokio::test]
async fn an_answer_above_the_limit_ends_the_connection_on_both_sides() {
    let mut line = line(3000, Limits { answer: 1000, ..Limits::default() });
    line.client.write_all(&request(1, METADATA, 0, &[])).await.unwrap();
    line.broker.write_all(&metadata(1, "far", 9092, &[0; 2000])).await.unwrap();
    expect_end(&mut line.client).await;
    let error = outcome(line.carried).await.0.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1000, .. }), "{error}");
}

/// Each peer sends megabytes through pipes of a kilobyte, and reads what comes at the same time.
#[tokio::test]
async fn both_directions_full_do_not_hold_each_other_up() {
    let mut line = line(1024, Limits::default());
    line.client.write_all(&request(1, FETCH, 4, &[])).await.unwrap();
    let (silent, answer) = (silent(2, 4_000_000), response(1, &vec![8; 4_000_000]));
    let (mut from_line, mut to_line) = tokio::io::split(line.client);
    let (mut from_far, mut to_far) = tokio::io::split(line.broker);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let all = async {
        tokio::join!(
            async {
                to_line.write_all(&silent).await.unwrap();
                to_line.shutdown().await.unwrap();
            },
            async {
                to_far.write_all(&answer).await.unwrap();
                to_far.shutdown().await.unwrap();
            },
            async { from_line.read_to_end(&mut down).await.unwrap() },
            async { from_far.read_to_end(&mut up).await.unwrap() },
        )
    };
    tokio::time::timeout(WAIT, all).await.expect("nothing is stuck");
    assert!(down == answer && up == [request(1, FETCH, 4, &[]), silent].concat());
    outcome(line.carried).await.0.unwrap();
}

#[tokio::test]
async fn when_one_half_ends_the_other_goes_on() {
    let mut first = line(4096, Limits::default());
    first.client.write_all(&request(1, FETCH, 4, &[])).await.unwrap();
    first.client.shutdown().await.unwrap();
    expect(&mut first.broker, &request(1, FETCH, 4, &[])).await;
    expect_end(&mut first.broker).await;
    first.broker.write_all(&response(1, &[4; 100])).await.unwrap();
    expect(&mut first.client, &response(1, &[4; 100])).await;
    drop(first.broker);
    expect_end(&mut first.client).await;
    outcome(first.carried).await.0.unwrap();

    let mut second = line(4096, Limits::default());
    second.broker.shutdown().await.unwrap();
    expect_end(&mut second.client).await;
    second.client.write_all(&silent(1, 50)).await.unwrap();
    expect(&mut second.broker, &silent(1, 50)).await;
    drop(second.client);
    expect_end(&mut second.broker).await;
    outcome(second.carried).await.0.unwrap();
}

#[tokio::test]
async fn an_error_in_one_direction_ends_both() {
    let mut line = line(4096, Limits::default());
    line.broker.write_all(&response(1, &[])).await.unwrap();
    expect_end(&mut line.client).await;
    expect_end(&mut line.broker).await;
    assert!(matches!(outcome(line.carried).await.0, Err(Error::Unasked { found: 1 })));
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_an_error() {
    let frame = request(1, METADATA, 0, &[1; 40]);
    for cut in [3, 11, 20] {
        let mut line = line(4096, Limits::default());
        line.client.write_all(&frame[..cut]).await.unwrap();
        drop(line.client);
        assert!(matches!(outcome(line.carried).await.0, Err(Error::Ended { side: Side::Client })), "at {cut}");
    }
    let answer = metadata(1, "far", 9092, &[0; 4]);
    for cut in [3, 7, 12] {
        let mut line = line(4096, Limits::default());
        line.client.write_all(&frame).await.unwrap();
        expect(&mut line.broker, &frame).await;
        line.broker.write_all(&answer[..cut]).await.unwrap();
        drop(line.broker);
        expect_end(&mut line.client).await;
        assert!(matches!(outcome(line.carried).await.0, Err(Error::Ended { side: Side::Broker })), "at {cut}");
    }
}

#[tokio::test]
async fn requests_beyond_the_bound_wait_for_answers() {
    let mut line = line(4096, Limits { in_flight: 2, ..Limits::default() });
    let requests: Vec<_> = (0..6).map(|correlation| request(correlation, FETCH, 4, &[5; 30])).collect();
    line.client.write_all(&requests.concat()).await.unwrap();
    expect(&mut line.broker, &requests[..2].concat()).await;
    for answered in 0..6 {
        // One thread: after so many turns everyone has done what can be done.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let more =
            tokio::select! { biased; read = line.broker.read_u8() => Some(read), () = std::future::ready(()) => None };
        assert!(more.is_none(), "a request came without room");
        let correlation = i32::try_from(answered).unwrap();
        line.broker.write_all(&response(correlation, &[1])).await.unwrap();
        expect(&mut line.client, &response(correlation, &[1])).await;
        if let Some(next) = requests.get(answered + 2) {
            expect(&mut line.broker, next).await;
        }
    }
    drop((line.client, line.broker));
    outcome(line.carried).await.0.unwrap();
}

#[tokio::test]
async fn requests_that_will_never_have_room_end_the_connection() {
    let mut line = line(4096, Limits { in_flight: 1, ..Limits::default() });
    line.client.write_all(&[request(1, FETCH, 4, &[]), request(2, FETCH, 4, &[])].concat()).await.unwrap();
    expect(&mut line.broker, &request(1, FETCH, 4, &[])).await;
    drop(line.broker);
    expect_end(&mut line.client).await;
    assert!(matches!(outcome(line.carried).await.0, Err(Error::Abandoned { unanswered: 1 })));
}
