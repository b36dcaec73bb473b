use proptest::prelude::*;

use super::*;

const LIMIT: usize = 4096;

fn asked(correlation: i32, key: i16) -> Asked {
    Asked { correlation, key, version: 1 }
}

fn frame(correlation: i32, body: usize) -> Vec<u8> {
    let mut out = i32::try_from(4 + body).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(&correlation.to_be_bytes());
    out.extend(std::iter::repeat_n(0x5a, body));
    out
}

fn flight(asked: impl IntoIterator<Item = Asked>) -> Flight {
    let mut flight = Flight::new(usize::MAX);
    asked.into_iter().for_each(|asked| flight.ask(asked));
    flight
}

/// Frames that were to be read.
type Read = Vec<(Kind, Vec<u8>)>;

/// Feeds the stream in pieces; returns what passed and, apart, the frames that were to be read.
fn feed(stream: &[u8], pieces: &[usize], flight: &mut Flight) -> Result<(Vec<u8>, Read), Error> {
    let mut responses = Responses::default();
    let (mut window, mut passed, mut read) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut pieces) = (0, pieces.iter().cycle());
    while at < stream.len() {
        let piece = (*pieces.next().unwrap()).min(stream.len() - at);
        window.extend_from_slice(&stream[at..at + piece]);
        at += piece;
        loop {
            match responses.follow(&window, flight, LIMIT)? {
                Step::More(_) => break,
                Step::Pass(length) => passed.extend(window.drain(..length)),
                Step::Read { length, kind, .. } => read.push((kind, window.drain(..length).collect())),
            }
        }
    }
    assert!(responses.between_frames() && window.is_empty());
    Ok((passed, read))
}

#[test]
fn a_response_out_of_order_or_unasked_is_an_error() {
    let order = feed(&frame(8, 3), &[64], &mut flight([asked(7, 1), asked(8, 1)])).unwrap_err();
    assert!(matches!(order, Error::OutOfOrder { expected: 7, found: 8 }));
    let unasked = feed(&[frame(7, 3), frame(8, 3)].concat(), &[5], &mut flight([asked(7, 1)])).unwrap_err();
    assert!(matches!(unasked, Error::Unasked { found: 8 }));
}

#[test]
fn lengths_that_no_response_has_are_errors() {
    for length in [0, 3, -1, i32::MIN] {
        let error = feed(&length.to_be_bytes(), &[4], &mut flight([asked(1, 1)])).unwrap_err();
        assert!(matches!(error, Error::Length { side: Side::Broker, .. }), "{length}: {error}");
    }
}

#[test]
fn only_an_answer_to_be_read_is_bounded_and_before_it_arrives() {
    let head = |correlation: i32, length: i32| [length.to_be_bytes(), correlation.to_be_bytes()].concat();
    let mut responses = Responses::default();
    let passes = responses.follow(&head(1, i32::MAX), &mut flight([asked(1, 1)]), LIMIT).unwrap();
    assert_eq!(passes, Step::Pass(8));
    let error = Responses::default().follow(&head(1, 4093), &mut flight([asked(1, 3)]), LIMIT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the broker's Metadata answer has 4097 bytes, more than the 4096 allowed; raise the limit"
    );
    let fits = Responses::default().follow(&head(1, 4092), &mut flight([asked(1, 3)]), LIMIT).unwrap();
    assert_eq!(fits, Step::More(4096));
}

#[test]
fn what_came_before_an_error_is_sent_on_first() {
    let bytes = [frame(1, 5), frame(9, 5)].concat();
    let (mut responses, mut flight) = (Responses::default(), flight([asked(1, 1), asked(2, 1)]));
    assert_eq!(responses.follow(&bytes, &mut flight, LIMIT).unwrap(), Step::Pass(13));
    assert!(matches!(responses.follow(&bytes[13..], &mut flight, LIMIT), Err(Error::OutOfOrder { .. })));
}

#[test]
fn an_answer_about_versions_is_read_whatever_was_asked() {
    let asked = Asked { correlation: 1, key: apis::API_VERSIONS, version: i16::MAX };
    let (_, read) = feed(&frame(1, 6), &[2], &mut flight([asked])).unwrap();
    assert_eq!(read, [(Kind::ApiVersions, frame(1, 6))]);
}

proptest! {
    #[test]
    fn any_stream_in_any_pieces(
        answers in prop::collection::vec((any::<bool>(), 0..300_usize), 1..40),
        pieces in prop::collection::vec(1..700_usize, 1..10),
    ) {
        let (mut stream, mut passing, mut reading, mut questions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (correlation, (read, size)) in (0..).zip(answers) {
            let bytes = frame(correlation, size);
            stream.extend_from_slice(&bytes);
            questions.push(asked(correlation, if read { 3 } else { 1 }));
            if read {
                reading.push((Kind::Metadata, bytes));
            } else {
                passing.extend(bytes);
            }
        }
        let mut flight = flight(questions);
        prop_assert_eq!(feed(&stream, &pieces, &mut flight).unwrap(), (passing, reading));
        prop_assert_eq!(flight.unanswered(), 0);
    }
}
