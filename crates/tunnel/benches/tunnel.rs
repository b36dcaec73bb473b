//! What the tunnel costs, against plain loopback and TLS over loopback in the same run.
//!
//! ```text
//! this process: client ─▶ [inlet ─▶ relay ─▶ outlet: a process each] ─▶ this process: sink, source or echo
//! ```
//!
//! `cargo bench --bench tunnel -- [GIGABYTES] [ROUNDS]` (default 2 and 3). Rounds are interleaved; nothing is asserted.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers are small and typed by a person"
)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run has nothing to say")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tunnel::address::Address;
use tunnel::authority::{Authority, Project, Settings, TicketTerms};
use tunnel::inlet::{Inlet, InletOptions};
use tunnel::metrics::Metrics;
use tunnel::node::{KeySource, Node, NodeOptions};
use tunnel::outlet::{Outlet, OutletOptions, Target};
use tunnel::relay::{Front, Limits, Relay, RelayCertificate};
use tunnel::ticket::RelayTrust;
use tunnel::wire::Kind;

const PIECE: usize = 256 << 10;
const ROUND_TRIPS: usize = 4000;
const CONNECTS: usize = 60;
const ROLE: &str = "SNOWMELT_BENCH_ROLE";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match std::env::var(ROLE) {
        Ok(role) => runtime.block_on(play(&role)),
        Err(_) => runtime.block_on(measure()),
    }
}

fn argument(name: &str) -> String {
    std::env::var(format!("SNOWMELT_BENCH_{name}")).unwrap_or_else(|_| panic!("{name} is not given"))
}

/// One of the three processes.
async fn play(role: &str) {
    let metrics = Arc::new(Metrics::default());
    let directory = PathBuf::from(argument("DIRECTORY"));
    if role == "relay" {
        let project = Arc::new(Project::open(&directory, None).unwrap());
        let address: SocketAddr = project.settings().relay.to_string().parse().unwrap();
        let authority = Arc::new(Authority::new(project, Arc::clone(&metrics)).unwrap());
        let limits = Limits::default();
        let relay = Arc::new(Relay::new(limits.clone(), authority.revoked(), Arc::clone(&metrics)));
        let relay = Some((relay, RelayCertificate::Authority(Arc::clone(&authority))));
        match Front::listen(address, Some(authority), relay, limits.half_open, metrics).await.unwrap().run().await {}
    }
    let ticket = Some(argument("TICKET").parse().unwrap());
    let options =
        NodeOptions { state: Some(directory), key: KeySource::State, passphrase: None, ticket, relay_ca: None };
    let node = loop {
        match Node::join(options.clone()).await {
            Ok(node) => break Arc::new(node),
            Err(error) if error.is_passing() => {}
            Err(error) => panic!("{error}"),
        }
    };
    let address = argument("ADDRESS");
    if role == "outlet" {
        let target = Target::Tcp(address.parse().unwrap());
        let options = OutletOptions { relay: "bench".parse().unwrap(), allow: "inlet".parse().unwrap(), target };
        let _ = Outlet::new(node, options, metrics).unwrap().run().await;
    } else {
        let options = InletOptions {
            from: address.parse().unwrap(),
            to: "bench".parse().unwrap(),
            allow: "outlet".parse().unwrap(),
            kind: Kind::Tcp,
            broker_ports: None,
            advertise: None,
        };
        let _ = Inlet::listen(node, options, metrics).await.unwrap().run().await;
    }
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(role: &str, arguments: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(ROLE, role).stdin(Stdio::null());
        for (name, value) in arguments {
            command.env(format!("SNOWMELT_BENCH_{name}"), value);
        }
        Self(command.spawn().unwrap())
    }

    /// CPU seconds used so far (utime and stime of proc(5), in ticks of 10 ms).
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// Resident memory now, in MB.
    fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

/// Three processes between two ports.
struct Tunnel {
    inlet: Process,
    relay: Option<Process>,
    outlet: Process,
    project: PathBuf,
    address: SocketAddr,
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Tunnel {
    fn start(folder: &Path, target: SocketAddr) -> Self {
        let project = folder.join("project");
        let relay: Address = free_port().to_string().parse().unwrap();
        let settings = Settings {
            relay: relay.clone(),
            authority: relay,
            relay_trust: RelayTrust::Project,
            credential_lifetime_seconds: 24 * 3600,
        };
        let made = Project::create(&project, settings, None).unwrap();
        let ticket = |attribute: &str| {
            let terms = TicketTerms {
                uses: 1,
                expires_in: Duration::from_secs(3600),
                attributes: [attribute.parse().unwrap()].into(),
                relays: ["bench".parse().unwrap()].into(),
            };
            made.ticket(terms).unwrap().to_line()
        };
        let address = free_port();
        let start = |role: &str, address: SocketAddr| {
            let directory = folder.join(role);
            let (ticket, address) = (ticket(role), address.to_string());
            Process::start(
                role,
                &[("DIRECTORY", directory.to_str().unwrap()), ("TICKET", &ticket), ("ADDRESS", &address)],
            )
        };
        let relay = Process::start("relay", &[("DIRECTORY", project.to_str().unwrap())]);
        let (outlet, inlet) = (start("outlet", target), start("inlet", address));
        Self { inlet, relay: Some(relay), outlet, project, address }
    }

    fn processes(&self) -> [&Process; 3] {
        [&self.inlet, self.relay.as_ref().unwrap(), &self.outlet]
    }

    fn cpu(&self) -> f64 {
        self.processes().iter().map(|process| process.cpu()).sum()
    }
}

/// Serves one conversation by its first byte: `u` takes all in and answers with eight bytes, `d` sends as many bytes as
/// it is told, `e` sends back.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> std::io::Result<()> {
    let mut buffer = vec![0; PIECE];
    match stream.read_u8().await? {
        b'u' => {
            let mut total = 0_u64;
            loop {
                match stream.read(&mut buffer).await? {
                    0 => break,
                    length => total += length as u64,
                }
            }
            stream.write_u64(total).await?;
        }
        b'd' => {
            let mut left = stream.read_u64().await?;
            while left > 0 {
                let length = left.min(PIECE as u64) as usize;
                stream.write_all(&buffer[..length]).await?;
                left -= length as u64;
            }
        }
        _ => loop {
            let length = stream.read(&mut buffer[..64]).await?;
            if length == 0 {
                break;
            }
            stream.write_all(&buffer[..length]).await?;
            stream.flush().await?;
        },
    }
    stream.flush().await?;
    stream.shutdown().await
}

async fn upload<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: u64) -> f64 {
    let piece = vec![7; PIECE];
    let began = Instant::now();
    stream.write_u8(b'u').await.unwrap();
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE as u64) as usize;
        stream.write_all(&piece[..length]).await.unwrap();
        left -= length as u64;
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read_u64().await.unwrap(), bytes);
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

async fn download<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: u64) -> f64 {
    let mut buffer = vec![0; PIECE];
    let began = Instant::now();
    stream.write_u8(b'd').await.unwrap();
    stream.write_u64(bytes).await.unwrap();
    stream.flush().await.unwrap();
    let mut left = bytes;
    while left > 0 {
        match stream.read(&mut buffer).await.unwrap() {
            0 => panic!("{left} bytes are missing"),
            length => left -= length as u64,
        }
    }
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

/// The median of many round trips of 32 bytes, in microseconds.
async fn round_trip<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> f64 {
    stream.write_u8(b'e').await.unwrap();
    let mut bytes = [1; 32];
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut bytes).await.unwrap();
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    median(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A server, with TLS or without.
async fn server(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => serve(stream).await,
                    Some(tls) => serve(tls.accept(stream).await?).await,
                }
            });
        }
    });
    address
}

fn plain_tls() -> (TlsAcceptor, TlsConnector) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = pair.cert.into();
    let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

/// A round trip on a new connection, in milliseconds; none when it is refused.
async fn first_round_trip(address: SocketAddr) -> Option<f64> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"e1").await.ok()?;
    let answer = stream.read_u8().await.ok()?;
    (answer == b'1').then(|| began.elapsed().as_secs_f64() * 1e3)
}

async fn until_it_passes(address: SocketAddr) -> Duration {
    let began = Instant::now();
    while first_round_trip(address).await.is_none() {
        tokio::task::yield_now().await;
    }
    began.elapsed()
}

async fn measure() {
    let numbers: Vec<f64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let bytes = (numbers.first().copied().unwrap_or(2.0) * 1e9) as u64;
    let rounds = numbers.get(1).copied().unwrap_or(3.0) as usize;
    let folder = tempfile::tempdir().unwrap();
    let (acceptor, connector) = plain_tls();
    let (direct, secure) = (server(None).await, server(Some(acceptor)).await);
    let mut tunnel = Tunnel::start(folder.path(), direct);
    until_it_passes(tunnel.address).await;
    let idle: Vec<f64> = tunnel.processes().iter().map(|process| process.rss()).collect();
    let name = || ServerName::try_from("localhost").unwrap();
    let tls = async || connector.connect(name(), connect(secure).await).await.unwrap();
    let mut found: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        let mut note = |path, what, value| found.entry((path, what)).or_default().push(value);
        note("1 direct", "up", upload(connect(direct).await, bytes).await);
        note("1 direct", "down", download(connect(direct).await, bytes).await);
        note("1 direct", "rtt", round_trip(connect(direct).await).await);
        note("2 tls", "up", upload(tls().await, bytes).await);
        note("2 tls", "down", download(tls().await, bytes).await);
        note("2 tls", "rtt", round_trip(tls().await).await);
        for (what, cpu) in [("up", "cpu up"), ("down", "cpu down")] {
            let before = tunnel.cpu();
            let stream = connect(tunnel.address).await;
            let rate = if what == "up" { upload(stream, bytes).await } else { download(stream, bytes).await };
            note("3 tunnel", what, rate);
            note("3 tunnel", cpu, (tunnel.cpu() - before) / (bytes as f64 / 1e9));
        }
        note("3 tunnel", "rtt", round_trip(connect(tunnel.address).await).await);
        for (path, address) in [("1 direct", direct), ("3 tunnel", tunnel.address)] {
            for _ in 0..CONNECTS {
                note(path, "connect", first_round_trip(address).await.unwrap());
            }
        }
    }
    println!(
        "| path | up MB/s | down MB/s | CPU-s/GB up | CPU-s/GB down | round trip µs | connect and first round trip ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    for path in ["1 direct", "2 tls", "3 tunnel"] {
        let cell =
            |what| found.get(&(path, what)).map_or("–".to_owned(), |values| format!("{:.2}", median(values.clone())));
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            &path[2..],
            cell("up"),
            cell("down"),
            cell("cpu up"),
            cell("cpu down"),
            cell("rtt"),
            cell("connect")
        );
    }
    let ratio = |what| median(found[&("3 tunnel", what)].clone()) / median(found[&("1 direct", what)].clone());
    println!("\ntunnel / direct: up {:.2}, down {:.2}", ratio("up"), ratio("down"));
    println!("RSS idle, inlet/relay/outlet: {idle:.1?} MB");
    let loaded: Vec<f64> = tunnel.processes().iter().map(|process| process.rss()).collect();
    println!("RSS after, inlet/relay/outlet: {loaded:.1?} MB");
    let mut healing = Vec::new();
    for _ in 0..5 {
        drop(tunnel.relay.take());
        let project = tunnel.project.to_str().unwrap().to_owned();
        tunnel.relay = Some(Process::start("relay", &[("DIRECTORY", &project)]));
        healing.push(until_it_passes(tunnel.address).await.as_secs_f64());
    }
    println!("healing after kill -9 and restart of the relay: {healing:.2?} s");
}
