//! How every TCP connection of the tunnel is set up, and how one is broken off.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::Address;

/// How long a connection may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// How long a TLS handshake and the messages before the bytes may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// A path that answers nothing for this long is dead.
pub(crate) const DEAD: Duration = Duration::from_secs(9);
const PROBE: Duration = Duration::from_secs(3);
const PROBES: u32 = 2;

/// Connects, and finds out on its own when the other side is gone.
pub(crate) async fn connect(address: &Address) -> io::Result<TcpStream> {
    let error = |reason: String, kind| io::Error::new(kind, format!("{address} cannot be connected to: {reason}"));
    match timeout(CONNECT, TcpStream::connect(address.pair())).await {
        Ok(Ok(stream)) => {
            tune(&stream)?;
            Ok(stream)
        }
        Ok(Err(source)) => Err(error(source.to_string(), source.kind())),
        Err(_) => Err(error(format!("no answer within {CONNECT:?}"), io::ErrorKind::TimedOut)),
    }
}

/// No delay for small writes, and an end to connections whose other side has gone without a word: probes when idle,
/// and a limit for what is sent and never acknowledged (RFC 5482), which probes do not cover.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE).with_interval(PROBE).with_retries(PROBES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(DEAD))?;
    Ok(())
}

/// From here on the connection closes with a reset, whoever closes it: this code, a stop, or the system after a kill.
/// Its peer then knows that bytes may be missing; a plain close would look like an end.
pub(crate) fn unfinished<'s>(socket: impl Into<SockRef<'s>>) {
    // Fails when the connection is gone already, which says the same.
    let _ = socket.into().set_linger(Some(Duration::ZERO));
}

/// Both sides have ended: it closes as connections do, and what was sent is delivered.
pub(crate) fn finished<'s>(socket: impl Into<SockRef<'s>>) {
    let _ = socket.into().set_linger(None);
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn tcp_itself_finds_a_dead_path_within_ten_seconds() {
        let found = PROBE + PROBES * PROBE;
        assert!(found <= Duration::from_secs(10) && DEAD <= Duration::from_secs(10));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let stream = connect(&address).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(DEAD));
        }
    }
}
