//! What the tunnel costs, against plain loopback and TLS over loopback in the same run.
//!
//! ```text
//! this process: client ─▶ [inlet ─▶ relay ─▶ outlet: a process each] ─▶ this process: sink, source or echo
//! ```
//!
//! `forwarded` goes through three processes as well, which copy and do nothing else: what is left of the difference to
//! `tunnel` is what its cryptography and its checks cost.
//!
//! `cargo bench -p tunnel --target-dir target/tunnel -- [GIGABYTES] [ROUNDS]` (default 1 and 5) measures a release build,
//! as users run it. The directory of its own keeps the simulator's SQL engine out of it: one package alone resolves other
//! features. In every round each path is measured once, so that what else the machine does falls on all of them; a figure
//! is the median of the rounds, with the least and the greatest. Nothing is asserted. The threads are named for the
//! process they belong to, for `perf report --sort comm,sym`.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers are small and typed by a person"
)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run has nothing to say")]

mod ends;
mod found;
mod processes;

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::rustls::pki_types::ServerName;

use self::ends::{connect, download, plain_tls, round_trip, server, until_it_passes, upload};
use self::found::{Found, NODES, median, spread};
use self::processes::{Forwarders, ROLE, Tunnel, play};

const CONNECTS: usize = 60;

fn main() {
    let role = std::env::var(ROLE).ok();
    let name = role.as_deref().unwrap_or("ends");
    // As the program itself has it, but for the name.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name(name).build().unwrap();
    match &role {
        Some(role) => runtime.block_on(play(role)),
        None => runtime.block_on(measure()),
    }
}

/// One path in one round. The CPU time of direct and tls is that of both ends, which are this process.
async fn round<S, F>(found: &mut Found, tunnel: &Tunnel, path: &'static str, bytes: u64, open: impl Fn() -> F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = S>,
{
    for way in ["up", "down"] {
        let before = tunnel.cpu();
        let stream = open().await;
        found.note(path, way, if way == "up" { upload(stream, bytes).await } else { download(stream, bytes).await });
        let used: Vec<f64> =
            tunnel.cpu().iter().zip(before).map(|(now, then)| (now - then) / (bytes as f64 / 1e9)).collect();
        let shown = if path == "tunnel" { 4 } else { 1 };
        for (node, used) in NODES.into_iter().zip(&used).take(shown) {
            found.note(path, format!("{way} {node}"), *used);
        }
        if path == "tunnel" {
            found.note(path, format!("{way} nodes"), used.iter().skip(1).sum());
        }
    }
    found.note(path, "rtt", round_trip(open().await).await);
    let mut connects = Vec::new();
    for _ in 0..CONNECTS {
        let began = Instant::now();
        let mut stream = open().await;
        stream.write_all(b"e1").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'1');
        connects.push(began.elapsed().as_secs_f64() * 1e3);
    }
    found.note(path, "connect", median(connects));
}

async fn measure() {
    let numbers: Vec<f64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let bytes = (numbers.first().copied().unwrap_or(1.0) * 1e9) as u64;
    let rounds = numbers.get(1).copied().unwrap_or(5.0) as usize;
    let folder = tempfile::tempdir().unwrap();
    let (acceptor, connector) = plain_tls();
    let (direct, secure) = (server(None).await, server(Some(acceptor)).await);
    let mut tunnel = Tunnel::start(folder.path(), direct);
    let forwarders = Forwarders::start(direct);
    until_it_passes(forwarders.address).await;
    until_it_passes(tunnel.address).await;
    // They are ready before they are quiet: keys are made, tickets used up.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = tunnel.rss();
    let tls = async || {
        let name = ServerName::try_from("localhost").unwrap();
        connector.connect(name, connect(secure).await).await.unwrap()
    };
    let mut found = Found::default();
    for _ in 0..rounds {
        round(&mut found, &tunnel, "direct", bytes, || connect(direct)).await;
        round(&mut found, &tunnel, "tls", bytes, &tls).await;
        round(&mut found, &tunnel, "forwarded", bytes, || connect(forwarders.address)).await;
        round(&mut found, &tunnel, "tunnel", bytes, || connect(tunnel.address)).await;
    }
    found.print();
    println!("memory, inlet/relay/outlet: idle {idle:.1?} MB, after it {:.1?} MB", tunnel.rss());
    let mut healing = Vec::new();
    for _ in 0..5 {
        tunnel.restart_relay();
        healing.push(until_it_passes(tunnel.address).await.as_secs_f64());
    }
    println!("healing after kill -9 and restart of the relay: {} s", spread(&healing, 2));
    println!("load of the machine (1, 5, 15 minutes): {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
}
