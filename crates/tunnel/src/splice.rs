//! Two streams made one: bytes both ways until both sides have ended, or one has failed.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use crate::kafka;
use crate::metrics::Metrics;
use crate::socket::BUFFER;

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
    let mut near = Counted { inner: near, carried: &carried, count: &|bytes| metrics.sent(bytes) };
    let mut far = Counted { inner: far, carried: &carried, count: &|bytes| metrics.received(bytes) };
    tokio::select! {
        copied = copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER) => copied.map(drop),
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
    let (traffic, bounds, carried) = (kafka::Traffic::default(), kafka::Limits::default(), AtomicU64::new(0));
    let ended = tokio::select! {
        ended = kafka::carry(client, broker, addresses, &bounds, &traffic) => ended.map_err(|error| error.to_string()),
        ended = watch(&carried, limits) => Err(ended.to_string()),
    };
    metrics.sent(traffic.to_broker.load(Ordering::Relaxed));
    metrics.received(traffic.to_client.load(Ordering::Relaxed));
    ended
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

/// Counts what is read.
struct Counted<'a, S: ?Sized> {
    inner: &'a mut S,
    carried: &'a AtomicU64,
    count: &'a (dyn Fn(u64) + Sync),
}

impl<S: AsyncRead + Unpin + ?Sized> AsyncRead for Counted<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut *self.inner).poll_read(cx, buf))?;
        let bytes = (buf.filled().len() - before) as u64;
        self.carried.fetch_add(bytes, Ordering::Relaxed);
        (self.count)(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin + ?Sized> AsyncWrite for Counted<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_shutdown(cx)
    }
}
