//! Whatever dies comes back, all heals by itself, and nothing is swallowed meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tunnel::outlet::Target;
use tunnel::wire::Kind;

use crate::world::{INLET, LIMIT, OUTLET, World, echo, eventually, exchange};

async fn until_it_passes(address: std::net::SocketAddr) {
    let passes = async {
        while exchange(address, b"again").await.ok().as_deref() != Some(b"again") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, passes).await.expect("it passes again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_comes_back_is_used_again() {
    let mut world = World::start().await;
    let (target, _echo) = echo().await;
    let outlet = world.outlet(Target::Tcp(target)).await;
    let (inlet, address) = world.inlet(Kind::Tcp).await;
    for round in 1..4 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut hello = [0; 5];
        client.read_exact(&mut hello).await.unwrap();
        world.stop().await;
        let cut = tokio::time::timeout(LIMIT, client.read(&mut hello)).await.unwrap();
        assert_eq!(cut.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "an open stream is reset, not ended");
        eventually("both notice", || !outlet.metrics.is_ready() && !inlet.metrics.is_ready()).await;
        assert!(exchange(address, b"x").await.is_err(), "a new client is reset while the relay is away");
        world.restart().await;
        until_it_passes(address).await;
        let text = outlet.metrics.text();
        assert!(text.contains(&format!("snowmelt_tunnel_reconnects_total {round}\n")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outlet_or_inlet_that_comes_back_is_used_again() {
    let world = World::start().await;
    let (target, _echo) = echo().await;
    let outlet = world.outlet(Target::Tcp(target.clone())).await;
    let (inlet, address) = world.inlet(Kind::Tcp).await;
    assert_eq!(exchange(address, b"x").await.unwrap(), b"x");
    drop(outlet);
    let node = Arc::new(world.join("outlet", None).await.unwrap());
    let _outlet = world.run_outlet(node, "kafka", INLET, Target::Tcp(target)).await;
    until_it_passes(address).await;
    drop(inlet);
    let node = Arc::new(world.join("inlet", None).await.unwrap());
    let (_inlet, address) = world.run_inlet(node, "kafka", OUTLET, Kind::Tcp).await;
    until_it_passes(address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inlet_or_outlet_that_stops_resets_what_is_open() {
    let world = World::start().await;
    for stop_inlet in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string().parse().unwrap();
        let node =
            world.join(&format!("outlet-{stop_inlet}"), Some(world.ticket(&[OUTLET], &["kafka"]))).await.unwrap();
        let outlet = world.run_outlet(Arc::new(node), "kafka", INLET, Target::Tcp(target)).await;
        let node = world.join(&format!("inlet-{stop_inlet}"), Some(world.ticket(&[INLET], &[]))).await.unwrap();
        let (inlet, address) = world.run_inlet(Arc::new(node), "kafka", OUTLET, Kind::Tcp).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut hello = [0; 5];
        server.read_exact(&mut hello).await.unwrap();
        if stop_inlet {
            drop(inlet);
        } else {
            drop(outlet);
        }
        for (who, end) in [("client", &mut client), ("server", &mut server)] {
            let seen = tokio::time::timeout(LIMIT, end.read(&mut hello)).await.unwrap();
            let kind = seen.expect_err("a stop looks like an end").kind();
            assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "{who}, the inlet was stopped: {stop_inlet}");
        }
        eventually("the outlet is gone", || stop_inlet || world.metrics.text().contains("snowmelt_tunnel_outlets 0\n"))
            .await;
    }
}

/// The failure of the only comparable product: after its relay died its inlet went on taking bytes and threw them away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_cut_with_the_relay_and_takes_in_no_more_than_buffers_hold() {
    const BUFFERS: usize = 32 << 20;
    for kill_relay in [true, false] {
        let mut world = World::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string().parse().unwrap();
        let received = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&received);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                counter.fetch_add(length, Ordering::Relaxed);
            }
        });
        let outlet = world.outlet(Target::Tcp(target)).await;
        let (_inlet, address) = world.inlet(Kind::Tcp).await;
        let upload = tokio::spawn(async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            let (piece, mut sent) = (vec![7; 1 << 16], 0);
            loop {
                match client.write_all(&piece).await {
                    Ok(()) => sent += piece.len(),
                    Err(error) => return (sent, error.kind()),
                }
            }
        });
        eventually("bytes flow", || received.load(Ordering::Relaxed) > 10_000_000).await;
        if kill_relay {
            world.stop().await;
        } else {
            drop(outlet);
        }
        let (sent, error) = tokio::time::timeout(LIMIT, upload).await.expect("the upload is cut").unwrap();
        assert!(matches!(error, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{error}");
        let lost = sent - received.load(Ordering::Relaxed);
        assert!(lost < BUFFERS, "{lost} bytes were taken in and never arrived");
    }
}
