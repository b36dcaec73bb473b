//! Why a Kafka connection was ended. Every variant ends it: a follower that has lost its place cannot find it again.

use std::io;

use super::Broker;
use super::apis;

/// Which peer of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that asks.
    Client,
    /// The one that answers.
    Broker,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Client => "the client",
            Self::Broker => "the broker",
        })
    }
}

/// What is wrong inside a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A field reaches beyond the frame.
    #[error("a field reaches beyond the end of the frame")]
    Short,
    /// A length or count is negative, or a varint is longer than five bytes.
    #[error("a length is out of range")]
    Length,
    /// A host that is not text.
    #[error("a host name is not UTF-8")]
    Text,
    /// More distinct brokers than any cluster has.
    #[error("more than 10000 different brokers are named")]
    Brokers,
    /// `ApiVersions` was asked in a version the broker cannot know, and it did not say so.
    #[error("UNSUPPORTED_VERSION (35) was expected and error {0} came")]
    Unexpected(i16),
}

/// Why a connection was ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading from or writing to a peer failed.
    #[error("{doing} {side} failed: {source}")]
    Io {
        /// Which peer.
        side: Side,
        /// "reading from" or "writing to".
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A peer went away inside a frame.
    #[error("{side} ended the connection in the middle of a frame")]
    Ended {
        /// Which peer.
        side: Side,
    },
    /// A frame's length field holds nonsense.
    #[error("{side} sent a frame length of {length}, which no Kafka frame has; does it speak TLS or another protocol?")]
    Length {
        /// Which peer.
        side: Side,
        /// The length claimed, in bytes.
        length: i32,
    },
    /// A request whose answer could not be read, so it must not be asked.
    #[error(
        "the client asked for {} version {version}, which this tunnel does not carry ({}); it must follow the versions \
         that ApiVersions offers", apis::name(*key), apis::reason(*key)
    )]
    Refused {
        /// The API key.
        key: i16,
        /// The version asked for.
        version: i16,
    },
    /// A `Produce` request whose first fields are larger than a whole buffer.
    #[error("the head of a Produce request (client id, tags, transactional id) is larger than {limit} bytes")]
    Head {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The first fields of a request make no sense.
    #[error("the head of a {} request (version {version}) is damaged: {damage}", apis::name(*key))]
    Request {
        /// The API key.
        key: i16,
        /// The request's version.
        version: i16,
        /// What is wrong.
        damage: Damage,
    },
    /// A response that answers another request than the oldest.
    #[error("the broker answered request {found}, but {expected} is the oldest unanswered; Kafka answers in order")]
    OutOfOrder {
        /// The oldest request's correlation id.
        expected: i32,
        /// The response's.
        found: i32,
    },
    /// A response when nothing was asked.
    #[error("the broker answered request {found}, but no request is unanswered")]
    Unasked {
        /// The response's correlation id.
        found: i32,
    },
    /// A response to be read whole that is larger than the bound.
    #[error("the broker's {} answer has {length} bytes, more than the {limit} allowed; raise the limit", apis::name(*key))]
    TooLarge {
        /// The API key.
        key: i16,
        /// The answer's length, in bytes.
        length: usize,
        /// The bound, in bytes.
        limit: usize,
    },
    /// A response that cannot be read.
    #[error("the broker's {} answer (version {version}) is damaged: {damage}", apis::name(*key))]
    Answer {
        /// The API key.
        key: i16,
        /// The response's version.
        version: i16,
        /// What is wrong.
        damage: Damage,
    },
    /// The cluster's controllers answered, not its brokers (KIP-919).
    #[error("the cluster named its controllers, not its brokers: bootstrap from a broker's listener")]
    Controllers,
    /// The broker stopped answering while as many requests as allowed were unanswered.
    #[error("the broker ended the connection with {unanswered} requests unanswered")]
    Abandoned {
        /// How many.
        unanswered: usize,
    },
    /// A broker could get no local address.
    #[error("no local address for {broker}: {source}")]
    Address {
        /// The broker.
        broker: Broker,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// For [`Addresses::local`](super::Addresses::local): this broker can get no local address.
    pub fn address(broker: &Broker, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Address { broker: broker.clone(), source: source.into() }
    }

    pub(crate) fn reading(side: Side) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { side, doing: "reading from", source }
    }

    pub(crate) fn writing(side: Side) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { side, doing: "writing to", source }
    }
}
