//! A node's standing connection to the relay: made again whenever it is lost, and asked every few seconds whether it is
//! still there, because a path can die without a word.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, timeout};

use crate::metrics::Metrics;
use crate::node::{Node, NodeError, RelayStream, backoff};
use crate::socket::{DEAD, HANDSHAKE};
use crate::tls;
use crate::wire::{self, CallId, FromRelay, Reason, Refusal, ToRelay, WireError};

const PING: Duration = Duration::from_secs(3);
/// First and longest wait before the relay is dialled again. Short: a dial costs it little, and a relay that is back
/// should be used within a second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(600));

/// Keeps the connection until the relay refuses for good. `calls` gets every call; `greeting` is what is asked for.
pub(crate) async fn keep(node: &Node, greeting: &ToRelay, metrics: &Metrics, mut calls: impl FnMut(CallId)) -> Refusal {
    let mut failures = 0_u32;
    let mut connected = false;
    loop {
        let ended = match greet(node, greeting).await {
            Ok(stream) => {
                if connected {
                    metrics.reconnected();
                }
                connected = true;
                failures = 0;
                metrics.set_ready(true);
                tracing::info!(relay = %node.relay(), "connected to the relay");
                let ended = attend(stream, metrics, &mut calls).await;
                metrics.set_ready(false);
                ended
            }
            Err(ended) => ended,
        };
        match ended {
            Ended::Refused(refusal) if is_final(refusal.code) => return refusal,
            Ended::Refused(refusal) => tracing::warn!(reason = refusal.code.as_str(), "the relay refuses: {refusal}"),
            Ended::Lost(reason) if failures == 0 => {
                tracing::warn!(relay = %node.relay(), reason, "the relay was lost; trying again")
            }
            Ended::Lost(reason) => {
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

async fn attend(stream: RelayStream, metrics: &Metrics, calls: &mut impl FnMut(CallId)) -> Ended {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let asked = Arc::new(parking_lot::Mutex::new((0_u64, Instant::now())));
    let ask = async {
        let mut interval = tokio::time::interval(PING);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let number = {
                let mut asked = asked.lock();
                *asked = (asked.0 + 1, Instant::now());
                asked.0
            };
            // A path that takes no bytes any more must not hold this up for ever.
            match timeout(DEAD, wire::send(&mut writing, &ToRelay::Ping { number })).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ended::from(error),
                Err(_) => return Ended::Lost("the relay takes nothing".to_owned()),
            }
        }
    };
    let listen = async {
        loop {
            match timeout(DEAD, wire::receive::<_, FromRelay>(&mut reading)).await {
                Err(_) => return Ended::Lost(format!("the relay was silent for {DEAD:?}")),
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
