//! Whatever strangers may write, in every place where they are read: what is right comes back as it was, what is damaged
//! is an error and nothing else, and what is announced takes no memory. Kafka's frames have the same in `src/kafka`.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tunnel::address::Address;
use tunnel::attribute::{Attribute, Expression, ExpressionError, MOST, Policy, RelayName};
use tunnel::authority::{Project, Settings, TicketTerms};
use tunnel::credential::{Fingerprint, Id, Node};
use tunnel::identity::Identity;
use tunnel::ticket::{RelayTrust, Secret, Ticket};
use tunnel::wire::{
    self, CallId, FromAuthority, FromOutlet, FromRelay, Kind, LARGEST, Reason, Refusal, ToAuthority, ToOutlet, ToRelay,
};

/// Longest text that an error may show of what it was given.
const SHOWN: usize = 1000;

fn names() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._=-]{1,64}"
}

fn addresses() -> impl Strategy<Value = Address> {
    let host = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
        "[A-Za-z0-9_-]{1,20}(\\.[A-Za-z0-9-]{1,20}){0,3}\\.?",
    ];
    (host, any::<u16>()).prop_map(|(host, port)| format!("{host}:{port}").parse().unwrap())
}

fn tickets() -> impl Strategy<Value = Ticket> {
    let name = prop::option::of(names().prop_map(|name| name.parse::<RelayName>().unwrap()));
    (addresses(), addresses(), name, any::<bool>(), any::<[u8; 32]>()).prop_map(
        |(authority_address, relay_address, relay_name, system, key)| Ticket {
            authority: Fingerprint::of(&key),
            authority_address,
            relay_address,
            relay_trust: if system { RelayTrust::System } else { RelayTrust::Project },
            relay_name,
            secret: Secret::random(),
        },
    )
}

fn refusals() -> impl Strategy<Value = Refusal> {
    const REASONS: [Reason; 13] = [
        Reason::TicketUnknown,
        Reason::TicketExpired,
        Reason::TicketUsedUp,
        Reason::NotMember,
        Reason::Revoked,
        Reason::Policy,
        Reason::RelayName,
        Reason::NoOutlet,
        Reason::Target,
        Reason::Unreachable,
        Reason::Busy,
        Reason::Protocol,
        Reason::Expired,
    ];
    (prop::sample::select(&REASONS[..]), ".{0,200}").prop_map(|(code, message)| Refusal::new(code, message))
}

fn ids() -> impl Strategy<Value = Id> {
    any::<[u8; 8]>().prop_map(|key| Id::of(&Fingerprint::of(&key)))
}

/// One message of each kind that has anything in it.
#[derive(Debug, Clone)]
enum Message {
    ToAuthority(ToAuthority),
    FromAuthority(FromAuthority),
    ToRelay(ToRelay),
    FromRelay(FromRelay),
    ToOutlet(ToOutlet),
    FromOutlet(FromOutlet),
}

fn messages() -> impl Strategy<Value = Message> {
    let name = || names().prop_map(|name| name.parse::<RelayName>().unwrap());
    let kind = prop::sample::select(&[Kind::Kafka, Kind::Tcp][..]);
    let open = (kind, prop::option::of(addresses())).prop_map(|(kind, target)| ToOutlet::Open { kind, target });
    prop_oneof![
        Just(Message::ToAuthority(ToAuthority::Enrol { secret: Secret::random() })),
        Just(Message::ToAuthority(ToAuthority::Renew {})),
        Just(Message::ToAuthority(ToAuthority::Watch {})),
        (".{0,200}", ".{0,200}").prop_map(|(certificate, authority)| {
            Message::FromAuthority(FromAuthority::Credential { certificate, authority })
        }),
        vec(ids(), 0..50).prop_map(|nodes| Message::FromAuthority(FromAuthority::Revoked { nodes })),
        refusals().prop_map(|refusal| Message::FromAuthority(FromAuthority::Refused(refusal))),
        name().prop_map(|name| Message::ToRelay(ToRelay::Register { name })),
        name().prop_map(|name| Message::ToRelay(ToRelay::Call { name })),
        Just(Message::ToRelay(ToRelay::Answer { call: CallId::random() })),
        Just(Message::ToRelay(ToRelay::Attend {})),
        Just(Message::ToRelay(ToRelay::Leave {})),
        any::<u64>().prop_map(|number| Message::ToRelay(ToRelay::Ping { number })),
        Just(Message::FromRelay(FromRelay::Welcome {})),
        Just(Message::FromRelay(FromRelay::Call { call: CallId::random() })),
        Just(Message::FromRelay(FromRelay::Joined {})),
        any::<u64>().prop_map(|number| Message::FromRelay(FromRelay::Pong { number })),
        refusals().prop_map(|refusal| Message::FromRelay(FromRelay::Refused(refusal))),
        open.prop_map(Message::ToOutlet),
        refusals().prop_map(|refusal| Message::ToOutlet(ToOutlet::Refused(refusal))),
        Just(Message::FromOutlet(FromOutlet::Opened {})),
        refusals().prop_map(|refusal| Message::FromOutlet(FromOutlet::Refused(refusal))),
    ]
}

/// A peer's bytes, and the largest piece that they were ever asked for: what a reader keeps room for.
struct Peer<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl AsyncRead for Peer<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.most = self.most.max(buf.remaining());
        Pin::new(&mut self.bytes).poll_read(cx, buf)
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Reads it as every reader would; none may take more room than the largest message has.
fn read_as_any(bytes: &[u8]) {
    fn read<M: DeserializeOwned>(bytes: &[u8]) -> Result<(), String> {
        let mut peer = Peer { bytes, most: 0 };
        let read = wait(wire::receive::<_, M>(&mut peer));
        assert!(peer.most <= LARGEST, "room for {} bytes was made", peer.most);
        read.map(|_| ()).map_err(|error| error.to_string())
    }
    for read in [
        read::<ToAuthority>(bytes),
        read::<FromAuthority>(bytes),
        read::<ToRelay>(bytes),
        read::<FromRelay>(bytes),
        read::<ToOutlet>(bytes),
        read::<FromOutlet>(bytes),
    ] {
        let shown = read.err().map_or(0, |words| words.len());
        assert!(shown <= SHOWN, "an error shows {shown} bytes");
    }
}

fn frame(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    wait(wire::send(&mut bytes, message)).unwrap();
    bytes
}

fn back<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &M) -> Vec<u8> {
    let bytes = frame(message);
    let read: M = wait(wire::receive(&mut bytes.as_slice())).unwrap();
    assert_eq!(&read, message);
    bytes
}

impl Message {
    fn back(&self) -> Vec<u8> {
        match self {
            Self::ToAuthority(message) => back(message),
            Self::FromAuthority(message) => back(message),
            Self::ToRelay(message) => back(message),
            Self::FromRelay(message) => back(message),
            Self::ToOutlet(message) => back(message),
            Self::FromOutlet(message) => back(message),
        }
    }
}

/// Some bytes others than they were, and perhaps the end missing.
fn damaged(mut bytes: Vec<u8>, flips: &[(Index, u8)], cut: Option<Index>) -> Vec<u8> {
    for (at, value) in flips {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len() + 1));
    }
    bytes
}

fn damage() -> impl Strategy<Value = (Vec<(Index, u8)>, Option<Index>)> {
    (vec((any::<Index>(), any::<u8>()), 0..6), prop::option::of(any::<Index>()))
}

/// By a project of its own: an authority writes down all that it has issued.
fn credential(attributes: &BTreeSet<String>, relays: &BTreeSet<String>) -> (CertificateDer<'static>, Node) {
    let folder = tempfile::tempdir().unwrap();
    let at: Address = "relay.example.com:443".parse().unwrap();
    let settings = Settings {
        relay: at.clone(),
        authority: at,
        relay_trust: RelayTrust::Project,
        credential_lifetime_seconds: 3600,
    };
    let project = Project::create(&folder.path().join("project"), settings, None).unwrap();
    let terms = TicketTerms {
        uses: 1,
        expires_in: Duration::from_secs(60),
        attributes: attributes.iter().map(|name| name.parse().unwrap()).collect(),
        relays: relays.iter().map(|name| name.parse().unwrap()).collect(),
    };
    let ticket = project.ticket(terms).unwrap();
    let key = Identity::generate().unwrap().public_key();
    let issued = project.enrol(&ticket.secret, &key, SystemTime::now()).unwrap().unwrap();
    (issued.certificate, issued.node)
}

static CREDENTIAL: LazyLock<CertificateDer<'static>> = LazyLock::new(|| {
    let names = |prefix: &str| (0..5).map(|number| format!("{prefix}-{number}")).collect();
    credential(&names("attribute"), &names("relay")).0
});

proptest! {
    #[test]
    fn messages_come_back_and_damaged_ones_are_answered(message in messages(), (flips, cut) in damage()) {
        let bytes = message.back();
        read_as_any(&damaged(bytes, &flips, cut));
    }

    /// The length alone decides how much room is made, and it is the peer's.
    #[test]
    fn an_announced_length_makes_no_room(length in prop_oneof![any::<u32>(), 0..1_u32 << 20], bytes in vec(any::<u8>(), 0..20)) {
        read_as_any(&[&length.to_be_bytes()[..], &bytes].concat());
    }

    /// As deep and as wide as a message can be.
    #[test]
    fn json_of_any_shape_is_answered(piece in "[\\[\\]{}:,\"a-z0-9\\\\]{1,8}", count in 1..8000_usize) {
        let json = piece.repeat(count);
        let length = u32::try_from(json.len()).unwrap().to_be_bytes();
        read_as_any(&[&length[..], json.as_bytes()].concat());
    }

    #[test]
    fn tickets_come_back_and_damaged_ones_are_refused(ticket in tickets(), (flips, cut) in damage()) {
        let line = ticket.to_line();
        prop_assert_eq!(line.parse::<Ticket>().unwrap(), ticket);
        let altered = String::from_utf8_lossy(&damaged(line.clone().into_bytes(), &flips, cut)).into_owned();
        prop_assume!(altered.trim() != line);
        let words = altered.parse::<Ticket>().unwrap_err().to_string();
        prop_assert!(words.len() <= SHOWN && !words.contains(&line[20..60]), "{}", words);
    }

    #[test]
    fn addresses_come_back_and_any_text_is_answered(address in addresses(), text in "[a-z0-9.:\\[\\]é _-]{0,300}", (flips, cut) in damage()) {
        prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address.clone());
        let altered = String::from_utf8_lossy(&damaged(address.to_string().into_bytes(), &flips, cut)).into_owned();
        for text in [text, altered] {
            match text.parse::<Address>() {
                // What is taken is an address: it says the same when it is read again, and dials nothing else.
                Ok(read) => prop_assert_eq!(read.to_string().parse::<Address>().unwrap(), read),
                Err(error) => prop_assert!(error.to_string().len() <= SHOWN),
            }
        }
    }

    #[test]
    fn names_and_policies_are_answered(text in prop_oneof![".{0,100}", "(a |and |or |not |\\(|\\)|=|é){0,700}", "(a or ){0,400}a"]) {
        let errors = [
            text.parse::<Attribute>().err().map(|error| error.to_string()),
            text.parse::<RelayName>().err().map(|error| error.to_string()),
            text.parse::<Expression>().err().map(|error| error.to_string()),
            text.parse::<Id>().err().map(ToOwned::to_owned),
            text.parse::<Fingerprint>().err().map(ToOwned::to_owned),
        ];
        for words in errors.into_iter().flatten() {
            prop_assert!(words.len() <= 5 * SHOWN, "{} bytes", words.len());
        }
        if let Ok(policy) = text.parse::<Policy>() {
            prop_assert!(text.len() <= 1024, "the depth of what is read is bounded by its length");
            match policy.to_string().parse::<Policy>() {
                Ok(again) => prop_assert_eq!(again, policy),
                // It is printed with more parentheses than it may have been written with.
                Err(error) => prop_assert_eq!(error, ExpressionError::TooLarge),
            }
        }
    }

    #[test]
    fn what_is_no_certificate_is_no_credential(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(Node::read(&CertificateDer::from(bytes)).is_err());
    }

    /// Reading proves nothing of who signed; it must only never fail otherwise than by an error, nor find more than fits.
    #[test]
    fn a_damaged_credential_is_answered((flips, cut) in damage()) {
        let bytes = damaged(CREDENTIAL.to_vec(), &flips, cut);
        match Node::read(&CertificateDer::from(bytes)) {
            Ok(node) => prop_assert!(node.attributes.len() <= MOST && node.relays.0.len() <= MOST),
            Err(error) => prop_assert!(error.to_string().len() <= SHOWN, "{}", error),
        }
    }
}

proptest! {
    // Each makes keys and signatures, and writes to the disk.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn credentials_come_back(attributes in btree_set(names(), 0..MOST), relays in btree_set(names(), 0..MOST)) {
        let (certificate, said) = credential(&attributes, &relays);
        let read = Node::read(&certificate).unwrap();
        // A certificate has whole seconds.
        let lost = said.not_after.duration_since(read.not_after).unwrap();
        prop_assert!(lost < Duration::from_secs(1));
        prop_assert_eq!(Node { not_after: read.not_after, ..said }, read);
    }
}
