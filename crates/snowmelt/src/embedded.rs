//! The Kafka cluster inside the process: what the demo, the playground and the tests write to when there is no Kafka.
//!
//! It is `krafka`'s test broker: real sockets, the wire protocol, and a broker's rules for transactions, with its logs in
//! memory. Not built for size: it answers a fetch with everything from the offset on, whatever limit the client gave, so
//! that a client meets its own largest response (100 MiB by default) when it starts reading far behind.

use krafka::testing::FakeBroker;

/// The transaction version of Kafka 4 (KIP-890).
pub const TRANSACTION_VERSION: i16 = 2;

/// Starts `brokers` brokers on ports of their own, which speak transaction version 2.
///
/// # Errors
/// When a port cannot be listened on.
pub async fn start(brokers: usize) -> krafka::Result<FakeBroker> {
    let cluster = FakeBroker::start_cluster(brokers).await?;
    cluster.set_transaction_version(TRANSACTION_VERSION);
    #[cfg(target_os = "linux")]
    if let Err(error) = no_delay() {
        tracing::debug!(%error, "the embedded Kafka's answers may wait up to 40 ms for an acknowledgement");
    }
    Ok(cluster)
}

/// Sets `TCP_NODELAY` on the listening sockets of this process, from which Linux hands it down to what they accept.
///
/// A Kafka broker sets it and this one does not, so that of two answers in a row the second waits for the client's
/// delayed acknowledgement (40 ms), which made four fifths of a transaction's time. The cluster keeps its sockets to
/// itself; a process may take copies of its own descriptors.
#[cfg(target_os = "linux")]
fn no_delay() -> std::io::Result<()> {
    use rustix::net::sockopt;
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // The folder's own descriptor is among those listed and may be closed by now.
        let Ok(copy) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        if sockopt::socket_acceptconn(&copy).unwrap_or(false) {
            // Refused by listening sockets that are not TCP's, which need none.
            let _ = sockopt::set_tcp_nodelay(&copy, true);
        }
    }
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    #[tokio::test]
    async fn what_a_listening_socket_accepts_inherits_no_delay() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        super::no_delay().unwrap();
        let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap());
        assert!(!client.nodelay().unwrap());
    }
}
