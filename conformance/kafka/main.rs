//! Three brokers of krafka's test cluster, in front of which stands what librdkafka lacks for its transactions.
//!
//! The cluster speaks `EndTxn` from version 3 on, librdkafka up to version 1, so that alone would keep its transactional
//! producers out. The ports that clients see pass every frame on as it is, and an older `EndTxn` as version 3, which says
//! the same in another layout. All else (sequence numbers, fencing, markers, groups, SASL) is the cluster's.
//!
//! usage: kafka [--sasl USER:PASSWORD] [--topic NAME]…   Prints the bootstrap servers as a line, and goes on until killed.

use std::collections::HashSet;
use std::error::Error;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use krafka::testing::ApiKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// `EndTxn`, and the oldest version of it that the cluster reads.
const END_TXN: (i16, i16) = (26, 3);
const PARTITIONS: i32 = 3;
const LARGEST: usize = 64 << 20;

/// Requests whose answers have to be made older again, by correlation id.
type Translated = Arc<Mutex<HashSet<i32>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let cluster = snowmelt::embedded::start(3).await?;
    cluster.set_api_versions(ApiKey::EndTxn, 0, 5);
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--sasl" => {
                let (user, password) = value.split_once(':').ok_or("write it as USER:PASSWORD")?;
                cluster.require_sasl_plain(user, password);
                // What librdkafka looks for. It then sends version 1 of the one, and 0 of the other, which reads as 1.
                cluster.set_api_versions(ApiKey::SaslHandshake, 0, 1);
                cluster.set_api_versions(ApiKey::SaslAuthenticate, 0, 1);
            }
            "--topic" => drop(cluster.create_topic(&value, PARTITIONS)),
            _ => return Err(format!("{option} is no option").into()),
        }
    }
    for place in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = i32::from(listener.local_addr()?.port());
        let broker = cluster.with_state(|state| {
            let node = state.brokers.get_mut(place).ok_or("a broker is missing")?;
            let broker = format!("{}:{}", node.host, node.port);
            node.port = port;
            Ok::<_, &str>(broker)
        })?;
        tokio::spawn(accept(listener, broker));
    }
    let named = cluster.with_state(|state| {
        let addresses: Vec<String> = state.brokers.iter().map(|node| format!("{}:{}", node.host, node.port)).collect();
        addresses.join(",")
    });
    let mut out = std::io::stdout();
    writeln!(out, "{named}")?;
    out.flush()?;
    std::future::pending().await
}

async fn accept(listener: TcpListener, broker: String) {
    while let Ok((client, _)) = listener.accept().await {
        let broker = broker.clone();
        tokio::spawn(async move {
            // Either side's end ends both, as a broker's would.
            if let Err(error) = serve(client, &broker).await {
                let _ = writeln!(std::io::stderr(), "a connection to {broker} ended: {error}");
            }
        });
    }
}

async fn serve(client: TcpStream, broker: &str) -> std::io::Result<()> {
    let broker = TcpStream::connect(broker).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let translated = Translated::default();
    let there = pass(from_client, to_broker, |frame| request(frame, &translated));
    let back = pass(from_broker, to_client, |frame| answer(frame, &translated));
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}

/// Frame by frame until the end; `change` may give another frame in one's place.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    change: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        match from.read_exact(&mut length).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > LARGEST {
            return Err(std::io::Error::other(format!("a frame of {length} bytes")));
        }
        let mut frame = vec![0; length];
        from.read_exact(&mut frame).await?;
        let frame = change(&frame).unwrap_or(frame);
        let mut whole = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        whole.extend(frame);
        to.write_all(&whole).await?;
    }
}

/// An `EndTxn` of version 0 to 2 in the words of version 3: a header with tags, a string whose length is a varint and one
/// more, tags at the end.
fn request(frame: &[u8], translated: &Translated) -> Option<Vec<u8>> {
    let mut rest = frame;
    let (api, version) = (short(&mut rest)?, short(&mut rest)?);
    if api != END_TXN.0 || version >= END_TXN.1 {
        return None;
    }
    let id: [u8; 4] = take(&mut rest, 4)?.try_into().ok()?;
    let before = rest;
    // A length of -1 is no name.
    let client = short(&mut rest)?;
    let client = before.get(..2 + take(&mut rest, usize::try_from(client).unwrap_or(0))?.len())?;
    let name = short(&mut rest)?;
    let name = take(&mut rest, usize::try_from(name).ok()?)?;
    let mut changed = Vec::new();
    changed.extend(END_TXN.0.to_be_bytes());
    changed.extend(END_TXN.1.to_be_bytes());
    changed.extend(id);
    changed.extend(client);
    changed.push(0);
    // One byte is enough for a name of up to 126.
    changed.push(u8::try_from(name.len() + 1).ok().filter(|length| *length < 0x80)?);
    changed.extend(name);
    changed.extend(rest);
    changed.push(0);
    translated.lock().ok()?.insert(i32::from_be_bytes(id));
    Some(changed)
}

/// Its answer without the tags: correlation id, throttle time, error.
fn answer(frame: &[u8], translated: &Translated) -> Option<Vec<u8>> {
    let id = i32::from_be_bytes(frame.get(..4)?.try_into().ok()?);
    if !translated.lock().ok()?.remove(&id) {
        return None;
    }
    Some([frame.get(..4)?, frame.get(5..11)?].concat())
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

fn short(from: &mut &[u8]) -> Option<i16> {
    Some(i16::from_be_bytes(take(from, 2)?.try_into().ok()?))
}
