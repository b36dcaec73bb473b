//! Two streams made one: bytes both ways until both sides have ended, or one has failed.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::poll_proceed;

use crate::buffer::Buffer;
use crate::kafka;
use crate::metrics::Metrics;

/// When a stream ends although nobody ended it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    /// After nothing was carried for this long.
    pub(crate) idle: Option<Duration>,
    /// At this moment: the end of the credential it was opened with.
    pub(crate) until: Option<SystemTime>,
}

/// Copies `near` to `far` and back. An end of one direction is passed on and the other goes on; any failure ends both with
/// an error, after which the caller drops the streams without ending them, so that each side learns of it.
pub(crate) async fn join<A, B>(near: &mut A, far: &mut B, metrics: &Metrics, limits: &Limits) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let carried = AtomicU64::new(0);
    let (mut there, mut back) = (Way::default(), Way::default());
    let both = poll_fn(|cx| {
        let sent = there.poll(cx, Pin::new(&mut *near), Pin::new(&mut *far), |bytes| {
            carried.fetch_add(bytes, Ordering::Relaxed);
            metrics.sent(bytes);
        })?;
        let received = back.poll(cx, Pin::new(&mut *far), Pin::new(&mut *near), |bytes| {
            carried.fetch_add(bytes, Ordering::Relaxed);
            metrics.received(bytes);
        })?;
        if sent.is_ready() && received.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    tokio::select! {
        copied = both => copied,
        ended = watch(&carried, limits) => Err(ended),
    }
}

/// The same between a Kafka client and its broker, with what `addresses` does to the answers.
pub(crate) async fn follow<C, B>(
    client: C,
    broker: B,
    addresses: &impl kafka::Addresses,
    metrics: &Metrics,
    limits: &Limits,
) -> Result<(), String>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (bounds, counted) = (kafka::Limits::default(), Counted { carried: AtomicU64::new(0), metrics });
    tokio::select! {
        ended = kafka::carry(client, broker, addresses, &bounds, &counted) => ended.map_err(|error| error.to_string()),
        ended = watch(&counted.carried, limits) => Err(ended.to_string()),
    }
}

struct Counted<'a> {
    carried: AtomicU64,
    metrics: &'a Metrics,
}

impl kafka::Traffic for Counted<'_> {
    fn to_broker(&self, bytes: u64) {
        self.carried.fetch_add(bytes, Ordering::Relaxed);
        self.metrics.sent(bytes);
    }

    fn to_client(&self, bytes: u64) {
        self.carried.fetch_add(bytes, Ordering::Relaxed);
        self.metrics.received(bytes);
    }
}

/// Ends at the limits.
async fn watch(carried: &AtomicU64, limits: &Limits) -> io::Error {
    let idle = async {
        let Some(idle) = limits.idle else { return std::future::pending().await };
        let mut seen = carried.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(idle).await;
            let now = carried.load(Ordering::Relaxed);
            if now == seen {
                return io::Error::new(io::ErrorKind::TimedOut, format!("nothing was carried for {idle:?}"));
            }
            seen = now;
        }
    };
    let until = async {
        let Some(until) = limits.until else { return std::future::pending().await };
        tokio::time::sleep(until.duration_since(SystemTime::now()).unwrap_or_default()).await;
        io::Error::new(io::ErrorKind::PermissionDenied, "the credential it was opened with has ended")
    };
    tokio::select! {
        error = idle => error,
        error = until => error,
    }
}

/// One direction. It reads what there is before it writes, and not as tokio's copy only once: TLS gives one record of
/// 16 KiB at a time.
#[derive(Default)]
struct Way {
    buffer: Buffer,
    /// How much of what is held was written. It stays in the buffer until it is flushed, so that what TLS keeps back of
    /// it is bounded by the room there is.
    written: usize,
    ended: bool,
    over: bool,
}

impl Way {
    /// Ready when the end was passed on.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut from: Pin<&mut R>,
        mut to: Pin<&mut W>,
        count: impl Fn(u64),
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        while !self.over {
            // Also while nothing can be written: a side that is lost meanwhile shows here.
            let read = self.read(cx, from.as_mut(), &count);
            let written = self.write(cx, to.as_mut());
            // What came before a failure was offered.
            if let Poll::Ready(Err(error)) = read {
                return Poll::Ready(Err(error));
            }
            ready!(written)?;
            if self.ended {
                ready!(to.as_mut().poll_shutdown(cx))?;
                self.over = true;
            } else {
                ready!(read)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads until there is no more room, the end has come, or nothing is there.
    fn read<R>(&mut self, cx: &mut Context<'_>, mut from: Pin<&mut R>, count: &impl Fn(u64)) -> Poll<io::Result<()>>
    where
        R: AsyncRead + ?Sized,
    {
        while !self.ended && !self.buffer.is_full() {
            // Of what is at hand already tokio takes no account: the other direction would never have its turn.
            let turn = ready!(poll_proceed(cx));
            let length = ready!(self.buffer.poll_read(cx, from.as_mut()))?;
            turn.made_progress();
            count(length as u64);
            self.ended = length == 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is held, and flushes it: what would answer it may be waiting for the part that was kept back.
    fn write<W>(&mut self, cx: &mut Context<'_>, mut to: Pin<&mut W>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + ?Sized,
    {
        while let Some(rest) = self.buffer.held().get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(to.as_mut().poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                length => self.written += length,
            }
        }
        if self.written > 0 {
            ready!(to.as_mut().poll_flush(cx))?;
            self.buffer.done(std::mem::take(&mut self.written));
        }
        Poll::Ready(Ok(()))
    }
}
