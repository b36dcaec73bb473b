//! Bytes between a read and a write, in large pieces while few streams are busy and in small ones while many are.
//!
//! What a byte costs in the tunnel is to a good part what a *piece* costs: each write goes through the kernel's network
//! code and wakes the next process. Pieces of half a megabyte took a sixth less processor time than those of 64 KiB
//! (docs/performance.md). No relay can have that much for each of ten thousand streams, and none needs to: a stream that
//! waits for bytes holds nothing. Room is lent from a common stock when there is something to read into it, and
//! goes back when it is empty. Only so many large rooms are lent at a time; whoever comes then gets a small one, so that
//! peers who take nothing cannot make a process hold much more than that.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of a large room.
pub(crate) const LARGE: usize = 512 << 10;
/// What a TLS session may hold of bytes that were enciphered and not yet written: one large room through both layers,
/// with 22 bytes a record, so that it goes out in one write. With less, the last hundred bytes went out in a write of
/// their own.
pub(crate) const ENCIPHERED: usize = LARGE + LARGE / 128;
const SMALL: usize = 64 << 10;
/// Large rooms that are lent at a time: 32 MiB.
const LENT: usize = 64;
/// Large rooms that are kept for the next who asks; it gets the one used last, which the processor still has at hand.
const KEPT: usize = 8;

/// What rustls allocates while a large room goes through both layers, and again as much.
const RECORDS: usize = 4 * LARGE;

static STOCK: Stock = Stock { kept: Mutex::new(Vec::new()), lent: AtomicUsize::new(0) };

struct Stock {
    kept: Mutex<Vec<Box<[u8]>>>,
    lent: AtomicUsize,
}

impl Stock {
    fn lend(&'static self) -> Room {
        let lent =
            self.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lent| (lent < LENT).then_some(lent + 1));
        if lent.is_err() {
            return Room { bytes: new(SMALL), of: None };
        }
        let kept = self.kept.lock().pop();
        Room { bytes: kept.unwrap_or_else(large), of: Some(self) }
    }

    fn take_back(&self, bytes: Box<[u8]>) {
        self.lent.fetch_sub(1, Ordering::Relaxed);
        let mut kept = self.kept.lock();
        if kept.len() < KEPT {
            kept.push(bytes);
        }
    }
}

/// A large room, and before the first of all a word to the allocator. rustls allocates every record; glibc gives the end
/// of its heap back to the system when more than 128 KiB of it are free, so that every piece was paid for with page
/// faults: half as much processor time again. It learns from freed blocks what is worth keeping (mallopt(3),
/// `M_MMAP_THRESHOLD`); other allocators take no notice.
fn large() -> Box<[u8]> {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| drop(std::hint::black_box(new(RECORDS))));
    new(LARGE)
}

fn new(length: usize) -> Box<[u8]> {
    vec![0; length].into_boxed_slice()
}

#[derive(Default)]
struct Room {
    bytes: Box<[u8]>,
    /// Where it goes back to.
    of: Option<&'static Stock>,
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(stock) = self.of {
            stock.take_back(std::mem::take(&mut self.bytes));
        }
    }
}

/// Bytes that were read and are not yet dealt with. It has room only while it holds some.
#[derive(Default)]
pub(crate) struct Buffer {
    room: Room,
    held: Range<usize>,
}

impl Buffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Nothing more can be read before something is done with what is held.
    pub(crate) fn is_full(&self) -> bool {
        !self.is_empty() && self.held.end == self.room.bytes.len()
    }

    pub(crate) fn held(&self) -> &[u8] {
        self.room.bytes.get(self.held.clone()).unwrap_or_default()
    }

    pub(crate) fn held_mut(&mut self) -> &mut [u8] {
        self.room.bytes.get_mut(self.held.clone()).unwrap_or_default()
    }

    /// The first `length` bytes are dealt with.
    pub(crate) fn done(&mut self, length: usize) {
        self.held.start += length.min(self.held.len());
        self.leave();
    }

    fn leave(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Makes room to hold `needed` bytes at a time: moves what is held to the front, or gets twice as much room, but not
    /// more than is needed. It grows by what has arrived, never by what is announced.
    pub(crate) fn make_room(&mut self, needed: usize) {
        if self.is_empty() {
            return;
        }
        if self.held.start > 0 && (self.is_full() || self.held.start + needed > self.room.bytes.len()) {
            self.room.bytes.copy_within(self.held.clone(), 0);
            self.held = 0..self.held.len();
        }
        if self.is_full() {
            let length = self.held.len();
            let mut larger = new((length * 2).min(needed.max(length + 1)));
            if let Some(front) = larger.get_mut(..length) {
                front.copy_from_slice(self.held());
            }
            self.room = Room { bytes: larger, of: None };
        }
    }

    /// Reads once, behind what is held; nothing is the end. It must not be full.
    pub(crate) fn poll_read<R>(&mut self, cx: &mut Context<'_>, from: Pin<&mut R>) -> Poll<io::Result<usize>>
    where
        R: AsyncRead + ?Sized,
    {
        if self.room.bytes.is_empty() {
            self.room = STOCK.lend();
        }
        let mut free = ReadBuf::new(self.room.bytes.get_mut(self.held.end..).unwrap_or_default());
        let read = from.poll_read(cx, &mut free).map_ok(|()| free.filled().len());
        if let Poll::Ready(Ok(length)) = read {
            self.held.end += length;
        }
        self.leave();
        read
    }
}

/// A socket that is read in large pieces, whatever is asked for: rustls asks for 4 KiB, and would ask the kernel each time.
pub(crate) struct Ahead {
    socket: TcpStream,
    buffer: Buffer,
}

impl Ahead {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, buffer: Buffer::default() }
    }
}

impl AsyncRead for Ahead {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { socket, buffer } = &mut *self;
        if buffer.is_empty() {
            ready!(buffer.poll_read(cx, Pin::new(socket)))?;
        }
        let held = buffer.held();
        let length = held.len().min(to.remaining());
        to.put_slice(held.get(..length).unwrap_or_default());
        buffer.done(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ahead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn room_is_held_only_with_bytes_in_it() {
        let mut buffer = Buffer::default();
        let (near, mut far) = tokio::io::duplex(64);
        tokio::pin!(near);
        let nothing = poll_fn(|cx| Poll::Ready(buffer.poll_read(cx, near.as_mut()).is_pending())).await;
        assert!(nothing && buffer.room.bytes.is_empty());
        tokio::io::AsyncWriteExt::write_all(&mut far, b"hello").await.unwrap();
        assert_eq!(poll_fn(|cx| buffer.poll_read(cx, near.as_mut())).await.unwrap(), 5);
        buffer.done(2);
        assert_eq!((buffer.held(), buffer.room.bytes.len()), (&b"llo"[..], LARGE));
        buffer.done(3);
        assert!(buffer.is_empty() && buffer.room.bytes.is_empty());
        drop(far);
        assert_eq!(poll_fn(|cx| buffer.poll_read(cx, near.as_mut())).await.unwrap(), 0);
        assert!(buffer.room.bytes.is_empty());
    }

    #[test]
    fn who_comes_when_many_large_rooms_are_lent_gets_a_small_one() {
        let stock: &Stock =
            Box::leak(Box::new(Stock { kept: Mutex::new(Vec::new()), lent: AtomicUsize::new(LENT - 1) }));
        let (last, next) = (stock.lend(), stock.lend());
        assert_eq!((last.bytes.len(), next.bytes.len()), (LARGE, SMALL));
        drop((last, next));
        assert_eq!(stock.kept.lock().len(), 1);
        assert_eq!((stock.lend().bytes.len(), stock.lent.load(Ordering::Relaxed)), (LARGE, LENT));
    }

    #[tokio::test]
    async fn what_is_held_moves_and_grows_as_needed() {
        let mut buffer = Buffer { room: Room { bytes: new(8), of: None }, held: 0..0 };
        let mut from = &b"0123456789abcdefghijklmnopqrstuv"[..];
        assert_eq!(poll_fn(|cx| buffer.poll_read(cx, Pin::new(&mut from))).await.unwrap(), 8);
        buffer.done(3);
        assert!(buffer.is_full());
        buffer.make_room(1);
        assert_eq!((buffer.held(), buffer.room.bytes.len(), buffer.is_full()), (&b"34567"[..], 8, false));
        assert_eq!(poll_fn(|cx| buffer.poll_read(cx, Pin::new(&mut from))).await.unwrap(), 3);
        buffer.make_room(100);
        assert_eq!((buffer.held(), buffer.room.bytes.len()), (&b"3456789a"[..], 16));
        buffer.make_room(100);
        assert_eq!(poll_fn(|cx| buffer.poll_read(cx, Pin::new(&mut from))).await.unwrap(), 8);
        buffer.make_room(20);
        assert_eq!((buffer.held(), buffer.room.bytes.len()), (&b"3456789abcdefghi"[..], 20));
    }

    #[tokio::test]
    async fn a_socket_is_read_in_large_pieces_and_given_out_in_small_ones() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut client, b"0123456789").await.unwrap();
        drop(client);
        let mut ahead = Ahead::new(listener.accept().await.unwrap().0);
        let mut first = [0; 4];
        ahead.read_exact(&mut first).await.unwrap();
        assert_eq!((&first, ahead.buffer.held()), (b"0123", &b"456789"[..]));
        let mut rest = Vec::new();
        ahead.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"456789");
    }
}
