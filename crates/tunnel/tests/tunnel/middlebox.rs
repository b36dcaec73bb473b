//! Something between a node and the relay that goes wrong as such things do: it stops carrying and closes nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What it does from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Carries,
    /// Takes what comes from the node and throws it away.
    DeafToNode,
    /// The same with what comes from the relay.
    DeafToRelay,
    /// The same with both.
    Deaf,
    /// Takes nobody in; whoever is in stays.
    Closed,
}

/// See the module.
pub(crate) struct Middlebox {
    pub(crate) address: SocketAddr,
    mood: watch::Sender<Mood>,
    turned_away: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Middlebox {
    pub(crate) async fn before(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mood = watch::Sender::new(Mood::Carries);
        let turned_away = Arc::new(AtomicUsize::new(0));
        let (seen, counter) = (mood.subscribe(), Arc::clone(&turned_away));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (node, _) = listener.accept().await.unwrap();
                if *seen.borrow() == Mood::Closed {
                    counter.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let seen = seen.clone();
                connections.spawn(async move {
                    let Ok(relay) = TcpStream::connect(to).await else { return };
                    let (from_node, to_node) = node.into_split();
                    let (from_relay, to_relay) = relay.into_split();
                    let deaf_to_node = |mood: Mood| matches!(mood, Mood::DeafToNode | Mood::Deaf);
                    let deaf_to_relay = |mood: Mood| matches!(mood, Mood::DeafToRelay | Mood::Deaf);
                    tokio::join!(
                        pump(from_node, to_relay, seen.clone(), deaf_to_node),
                        pump(from_relay, to_node, seen, deaf_to_relay),
                    );
                });
            }
        });
        Self { address, mood, turned_away, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn turn(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Connections that it did not take in.
    pub(crate) fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// Carries until it is deaf. Then what comes is taken and acknowledged, and its end is passed on to nobody. When it
/// carries again it has forgotten this connection, and closes it.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mood: watch::Receiver<Mood>,
    deaf: impl Fn(Mood) -> bool,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = tokio::select! {
            biased;
            () = async { drop(mood.wait_for(|mood| deaf(*mood)).await) } => break,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
    let swallow = async {
        while let Ok(1..) = from.read(&mut buffer).await {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = swallow => {}
        () = async { drop(mood.wait_for(|mood| *mood == Mood::Carries).await) } => {}
    }
}
