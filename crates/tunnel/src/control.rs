//! A node's standing connection to the relay: made again whenever it is lost, and asked every few seconds whether it is
//! still there, because a path can die without a word.
//!
//! A renewed credential takes a new connection before the old one is left, so that an outlet is registered all the
//! while: the relay lets nobody stay whose credential has ended. Calls that are on their way through the old one are
//! still taken.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::node::{Held, Node, NodeError, RelayStream, backoff};
use crate::socket::{DEAD, HANDSHAKE};
use crate::tls;
use crate::wire::{self, CallId, FromRelay, Reason, Refusal, ToRelay, WireError};

/// How a node finds out that the path to the relay is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// The relay is asked this often.
    pub ping: Duration,
    /// A relay that says nothing for this long is gone.
    pub dead: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { ping: PING, dead: DEAD }
    }
}

/// Why a stream ends whose [`Path`] has died.
pub(crate) const SILENT: &str = "the relay is silent, and the stream was on the same path";

/// The path to the relay. When the relay is silent on the standing connection, the streams beside it are dead too, and
/// nothing says so to them: something in between may hold their sockets open and acknowledge what it throws away, so
/// that neither probes nor time limits of TCP find out.
#[derive(Debug, Default)]
pub(crate) struct Path(Mutex<CancellationToken>);

impl Path {
    /// Is cancelled when the path that is there now has died. A stream is begun by asking for it.
    pub(crate) fn died(&self) -> CancellationToken {
        self.0.lock().clone()
    }

    fn dies(&self) {
        std::mem::take(&mut *self.0.lock()).cancel();
    }
}

const PING: Duration = Duration::from_secs(3);
/// First and longest wait before the relay is dialled again. Short: a dial costs it little, and a relay that is back
/// should be used within a second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(600));

/// Keeps the connection until the relay refuses for good. `calls` gets every call; `greeting` is what is asked for.
pub(crate) async fn keep(
    node: &Node,
    greeting: &ToRelay,
    metrics: &Metrics,
    path: &Path,
    calls: impl Fn(CallId),
) -> Refusal {
    let mut failures = 0_u32;
    let mut connected = false;
    loop {
        let mut renewals = node.renewals();
        let ended = match greet(node, greeting).await {
            Ok(mut stream) => {
                if connected {
                    metrics.reconnected();
                }
                connected = true;
                failures = 0;
                metrics.set_ready(true);
                tracing::info!(relay = %node.relay(), "connected to the relay");
                let mut before = None;
                let ended = loop {
                    let leave = CancellationToken::new();
                    let mut attending = Box::pin(attend(stream, node.keepalive(), metrics, &calls, leave.clone()));
                    let next = renewed(node, greeting, &mut renewals);
                    tokio::pin!(next);
                    stream = tokio::select! {
                        ended = &mut attending => break ended,
                        next = &mut next => next,
                        never = until_left(&mut before) => match never {},
                    };
                    leave.cancel();
                    before = Some(attending);
                    tracing::debug!(relay = %node.relay(), "connected to the relay with the renewed credential");
                };
                metrics.set_ready(false);
                ended
            }
            Err(ended) => ended,
        };
        if matches!(ended, Ended::Silent(_)) {
            path.dies();
        }
        match ended {
            Ended::Refused(refusal) if is_final(refusal.code) => return refusal,
            Ended::Refused(refusal) => tracing::warn!(reason = refusal.code.as_str(), "the relay refuses: {refusal}"),
            Ended::Lost(reason) | Ended::Silent(reason) if failures == 0 => {
                tracing::warn!(relay = %node.relay(), reason, "the relay was lost; trying again")
            }
            Ended::Lost(reason) | Ended::Silent(reason) => {
                tracing::debug!(relay = %node.relay(), reason, "the relay is not there; trying again")
            }
        }
        failures = failures.saturating_add(1);
        tokio::time::sleep(backoff(failures, AGAIN.0, AGAIN.1)).await;
    }
}

/// What trying again does not change.
fn is_final(reason: Reason) -> bool {
    matches!(reason, Reason::Revoked | Reason::RelayName | Reason::NotMember)
}

enum Ended {
    Refused(Refusal),
    Lost(String),
    /// Connected still, as far as TCP knows.
    Silent(String),
}

impl From<WireError> for Ended {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(error) => Self::Lost(tls::explain(&error)),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<NodeError> for Ended {
    fn from(error: NodeError) -> Self {
        Self::Lost(error.to_string())
    }
}

async fn greet(node: &Node, greeting: &ToRelay) -> Result<RelayStream, Ended> {
    let mut stream = node.dial().await?;
    let answered = wire::ask::<_, FromRelay>(&mut stream, greeting);
    match timeout(HANDSHAKE, answered).await {
        Err(_) => Err(Ended::Lost(format!("the relay did not answer within {HANDSHAKE:?}"))),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(FromRelay::Welcome {})) => Ok(stream),
        Ok(Ok(FromRelay::Refused(refusal))) => Err(Ended::Refused(refusal)),
        Ok(Ok(_)) => Err(Ended::Lost("the relay answered another question".to_owned())),
    }
}

/// A connection that the relay welcomed with the next credential.
async fn renewed(node: &Node, greeting: &ToRelay, renewals: &mut watch::Receiver<Arc<Held>>) -> RelayStream {
    // The node has the sender.
    let _ = renewals.changed().await;
    let mut failures = 0_u32;
    loop {
        // Whatever is wrong, the connection that is there shows it too, or does without until its credential ends.
        match greet(node, greeting).await {
            Ok(stream) => return stream,
            Err(_) => failures = failures.saturating_add(1),
        }
        tokio::time::sleep(backoff(failures, AGAIN.0, AGAIN.1)).await;
    }
}

/// Attends to a connection that was left until the relay has closed it.
async fn until_left<F: Future<Output = Ended> + Unpin>(before: &mut Option<F>) -> Infallible {
    if let Some(left) = before {
        left.await;
        *before = None;
    }
    std::future::pending().await
}

/// Asks and listens until the connection ends. After `leave` it takes what calls still come.
async fn attend(
    stream: RelayStream,
    keepalive: Keepalive,
    metrics: &Metrics,
    calls: &impl Fn(CallId),
    leave: CancellationToken,
) -> Ended {
    let Keepalive { ping, dead } = keepalive;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let asked = Arc::new(parking_lot::Mutex::new((0_u64, Instant::now())));
    let ask = async {
        let mut interval = tokio::time::interval(ping);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = leave.cancelled() => break,
            }
            let number = {
                let mut asked = asked.lock();
                *asked = (asked.0 + 1, Instant::now());
                asked.0
            };
            // A path that takes no bytes any more must not hold this up for ever.
            match timeout(dead, wire::send(&mut writing, &ToRelay::Ping { number })).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ended::from(error),
                Err(_) => return Ended::Silent("the relay takes nothing".to_owned()),
            }
        }
        match timeout(dead, wire::send(&mut writing, &ToRelay::Leave {})).await {
            Ok(Ok(())) => std::future::pending().await,
            Ok(Err(error)) => Ended::from(error),
            Err(_) => Ended::Silent("the relay takes nothing".to_owned()),
        }
    };
    let listen = async {
        loop {
            match timeout(dead, wire::receive::<_, FromRelay>(&mut reading)).await {
                Err(_) => return Ended::Silent(format!("the relay was silent for {dead:?}")),
                Ok(Err(error)) => return error.into(),
                Ok(Ok(FromRelay::Pong { number })) => {
                    let (last, at) = *asked.lock();
                    if number == last {
                        metrics.round_trip(at.elapsed());
                    }
                }
                Ok(Ok(FromRelay::Call { call })) => calls(call),
                Ok(Ok(FromRelay::Refused(refusal))) => return Ended::Refused(refusal),
                Ok(Ok(FromRelay::Welcome {} | FromRelay::Joined {})) => {}
            }
        }
    };
    tokio::select! {
        ended = ask => ended,
        ended = listen => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What docs promise of a dead path; `tests/tunnel/half_open.rs` proves the rest with shorter times.
    #[test]
    fn a_dead_path_is_found_within_ten_seconds_and_a_slow_one_is_not_taken_for_dead() {
        let Keepalive { ping, dead } = Keepalive::default();
        assert!(dead <= Duration::from_secs(10));
        assert!(dead >= 3 * ping, "two pings in a row may be late");
        assert_eq!(crate::relay::Limits::default().silent, dead, "both ends judge alike");
    }
}
