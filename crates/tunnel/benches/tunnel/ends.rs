//! Both ends of a stream, which are in this process: what is sent through a path, and who takes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::found::median;

const PIECE: usize = 256 << 10;
const ROUND_TRIPS: usize = 4000;

/// Serves one conversation by its first byte: `u` takes all in and answers with eight bytes, `d` sends as many bytes as
/// it is told, `e` sends back.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> std::io::Result<()> {
    // Not zeros: those would be read from the one page that the system shows for all memory never written to, out of the
    // nearest cache, and make a download look faster than it is.
    let mut buffer = vec![7; PIECE];
    match stream.read_u8().await? {
        b'u' => {
            let mut total = 0_u64;
            loop {
                match stream.read(&mut buffer).await? {
                    0 => break,
                    length => total += length as u64,
                }
            }
            stream.write_u64(total).await?;
        }
        b'd' => {
            let mut left = stream.read_u64().await?;
            while left > 0 {
                let length = left.min(PIECE as u64) as usize;
                stream.write_all(&buffer[..length]).await?;
                left -= length as u64;
            }
        }
        _ => loop {
            let length = stream.read(&mut buffer[..64]).await?;
            if length == 0 {
                break;
            }
            stream.write_all(&buffer[..length]).await?;
            stream.flush().await?;
        },
    }
    stream.flush().await?;
    stream.shutdown().await
}

pub(crate) async fn upload<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: u64) -> f64 {
    let piece = vec![7; PIECE];
    let began = Instant::now();
    stream.write_u8(b'u').await.unwrap();
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE as u64) as usize;
        stream.write_all(&piece[..length]).await.unwrap();
        left -= length as u64;
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read_u64().await.unwrap(), bytes);
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

pub(crate) async fn download<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: u64) -> f64 {
    let mut buffer = vec![0; PIECE];
    let began = Instant::now();
    stream.write_u8(b'd').await.unwrap();
    stream.write_u64(bytes).await.unwrap();
    stream.flush().await.unwrap();
    let mut left = bytes;
    while left > 0 {
        match stream.read(&mut buffer).await.unwrap() {
            0 => panic!("{left} bytes are missing"),
            length => left -= length as u64,
        }
    }
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

/// The median of many round trips of 32 bytes, in microseconds.
pub(crate) async fn round_trip<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> f64 {
    stream.write_u8(b'e').await.unwrap();
    let mut bytes = [1; 32];
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut bytes).await.unwrap();
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    median(times)
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A server, with TLS or without.
pub(crate) async fn server(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => serve(stream).await,
                    Some(tls) => serve(tls.accept(stream).await?).await,
                }
            });
        }
    });
    address
}

pub(crate) fn plain_tls() -> (TlsAcceptor, TlsConnector) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = pair.cert.into();
    let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

/// Whether a new connection carries a byte there and back.
async fn passes(address: SocketAddr) -> bool {
    let there_and_back = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"e1").await?;
        stream.read_u8().await
    };
    there_and_back.await.is_ok_and(|answer| answer == b'1')
}

pub(crate) async fn until_it_passes(address: SocketAddr) -> Duration {
    let began = Instant::now();
    while !passes(address).await {
        tokio::task::yield_now().await;
    }
    began.elapsed()
}
