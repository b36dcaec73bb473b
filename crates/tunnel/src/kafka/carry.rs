//! Carries one connection: two loops that read, follow and write, and share nothing but what is in flight.
//!
//! Neither loop ever waits for the other's *writes*, so a client and a broker that are both stuck sending are held back
//! exactly as by one another. The one wait between them is for room when very many requests are unanswered; answers
//! make room, and they need nothing from the loop that waits.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::answers;
use super::flight::Flight;
use super::requests::{Requests, Stop};
use super::responses::{Responses, Step};
use super::{Addresses, Error, Side};
use crate::buffer::Buffer;

/// From this size on the head of a request is refused.
const HEAD: usize = 64 * 1024;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests unanswered at a time; more wait (a producer of librdkafka may have a million in flight).
    pub in_flight: usize,
    /// Bytes of an answer that is read whole. `Metadata` of a cluster of 100 000 partitions has about 4 MiB.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 4096, answer: 16 * 1024 * 1024 }
    }
}

/// Is told what goes by, when it was written.
pub trait Traffic: Sync {
    /// Bytes sent to the broker.
    fn to_broker(&self, bytes: u64);
    /// Bytes sent to the client.
    fn to_client(&self, bytes: u64);
    /// Requests of the client.
    fn requests(&self, _number: u64) {}
    /// An answer was written anew.
    fn rewritten(&self) {}
}

/// Counts. One value may serve many connections.
#[derive(Debug, Default)]
pub struct Counted {
    /// Bytes sent to brokers.
    pub to_broker: AtomicU64,
    /// Bytes sent to clients.
    pub to_client: AtomicU64,
    /// Requests.
    pub requests: AtomicU64,
    /// Answers that were written anew.
    pub rewritten: AtomicU64,
}

impl Traffic for Counted {
    fn to_broker(&self, bytes: u64) {
        self.to_broker.fetch_add(bytes, Ordering::Relaxed);
    }

    fn to_client(&self, bytes: u64) {
        self.to_client.fetch_add(bytes, Ordering::Relaxed);
    }

    fn requests(&self, number: u64) {
        self.requests.fetch_add(number, Ordering::Relaxed);
    }

    fn rewritten(&self) {
        self.rewritten.fetch_add(1, Ordering::Relaxed);
    }
}

struct Shared<'a, T> {
    flight: Mutex<Flight>,
    /// Told when an answer came, or when none will come any more.
    room: Notify,
    limits: &'a Limits,
    traffic: &'a T,
}

/// Carries a connection until both peers have ended their halves of it. When one peer ends its half, the other's
/// writing half is shut down and the opposite direction goes on.
///
/// # Errors
/// Any error in one direction ends both: the streams are dropped, so the peers notice. Bytes that were read but not
/// written are then lost, as in any broken connection; without an error none are.
///
/// # Cancellation
/// Dropping the future drops both streams.
pub async fn carry<C, B, A, T>(client: C, broker: B, addresses: &A, limits: &Limits, traffic: &T) -> Result<(), Error>
where
    C: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
    A: Addresses + ?Sized,
    T: Traffic,
{
    let (from_client, to_client) = tokio::io::split(client);
    let (from_broker, to_broker) = tokio::io::split(broker);
    let shared = Shared { flight: Mutex::new(Flight::new(limits.in_flight)), room: Notify::new(), limits, traffic };
    tokio::try_join!(ask(from_client, to_broker, &shared), answer(from_broker, to_client, addresses, &shared))?;
    Ok(())
}

/// From the client to the broker.
async fn ask<T: Traffic>(
    mut client: impl AsyncRead + Unpin,
    mut broker: impl AsyncWrite + Unpin,
    shared: &Shared<'_, T>,
) -> Result<(), Error> {
    let mut requests = Requests::default();
    let mut window = Window::default();
    while window.read(&mut client, Side::Client, HEAD).await? {
        loop {
            let before = requests.followed();
            let (passing, stop) = requests.follow(window.buffer.held_mut(), &mut shared.flight.lock(), HEAD)?;
            shared.traffic.requests(requests.followed() - before);
            shared.traffic.to_broker(send(&mut broker, window.first(passing), Side::Broker).await?);
            window.buffer.done(passing);
            match stop {
                Stop::Bytes => break,
                Stop::Again => {}
                Stop::Room => room(shared).await?,
            }
        }
    }
    if !requests.between_frames() || !window.buffer.is_empty() {
        return Err(Error::Ended { side: Side::Client });
    }
    broker.shutdown().await.map_err(Error::writing(Side::Broker))
}

/// Waits for an answer to make room.
async fn room<T>(shared: &Shared<'_, T>) -> Result<(), Error> {
    loop {
        {
            let flight = shared.flight.lock();
            if !flight.is_full() {
                return Ok(());
            }
            if flight.is_over() {
                return Err(Error::Abandoned { unanswered: flight.unanswered() });
            }
        }
        shared.room.notified().await;
    }
}

/// From the broker to the client.
async fn answer<A: Addresses + ?Sized, T: Traffic>(
    mut broker: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    addresses: &A,
    shared: &Shared<'_, T>,
) -> Result<(), Error> {
    let mut responses = Responses::default();
    let mut window = Window::default();
    let mut needed = 1;
    while window.read(&mut broker, Side::Broker, needed).await? {
        needed = loop {
            let step = responses.follow(window.buffer.held(), &mut shared.flight.lock(), shared.limits.answer)?;
            shared.room.notify_one();
            match step {
                Step::More(needed) => break needed,
                Step::Pass(length) => {
                    shared.traffic.to_client(send(&mut client, window.first(length), Side::Client).await?);
                    window.buffer.done(length);
                }
                Step::Read { length, kind, asked } => {
                    let frame = window.first(length);
                    let anew = answers::rewrite(kind, asked.key, asked.version, frame, addresses)?;
                    if anew.is_some() {
                        shared.traffic.rewritten();
                    }
                    let frame = anew.as_deref().unwrap_or(frame);
                    shared.traffic.to_client(send(&mut client, frame, Side::Client).await?);
                    window.buffer.done(length);
                }
            }
        };
    }
    if !responses.between_frames() || !window.buffer.is_empty() {
        return Err(Error::Ended { side: Side::Broker });
    }
    shared.flight.lock().end();
    shared.room.notify_one();
    client.shutdown().await.map_err(Error::writing(Side::Client))
}

/// Writes and flushes: a stream that encrypts or multiplexes may hold back what was only written. Returns how much.
async fn send(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8], side: Side) -> Result<u64, Error> {
    if bytes.is_empty() {
        return Ok(0);
    }
    to.write_all(bytes).await.map_err(Error::writing(side))?;
    to.flush().await.map_err(Error::writing(side))?;
    Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

/// What was read and is not yet dealt with.
#[derive(Default)]
struct Window {
    buffer: Buffer,
    ended: bool,
}

impl Window {
    fn first(&self, length: usize) -> &[u8] {
        self.buffer.held().get(..length).unwrap_or_default()
    }

    /// Reads what there is, at least something; false at the stream's end. `needed` is how much will have to be held at
    /// a time.
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin), side: Side, needed: usize) -> Result<bool, Error> {
        let Self { buffer, ended } = self;
        buffer.make_room(needed);
        let mut any = false;
        let read = poll_fn(|cx| {
            // Until there is no more, and not once: TLS gives one record at a time, and each piece costs a write.
            while !*ended && !buffer.is_full() {
                match buffer.poll_read(cx, Pin::new(&mut *from)) {
                    Poll::Pending if any => break,
                    read => *ended = ready!(read)? == 0,
                }
                any |= !*ended;
            }
            Poll::Ready(Ok(any))
        });
        read.await.map_err(Error::reading(side))
    }
}

#[cfg(test)]
mod tests;
