//! A broker's half of SCRAM (RFC 5802, RFC 7677) before brokers that know only PLAIN.

use std::io;
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::Heard;

const ITERATIONS: u32 = 4096;
const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;
const ILLEGAL_STATE: i16 = 34;
const AUTHENTICATION_FAILED: i16 = 58;

/// One user.
pub(crate) struct Scram {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

struct Frame {
    key: i16,
    correlation: i32,
    whole: Vec<u8>,
    /// Where the body begins.
    body: usize,
}

fn wrong(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_i32().await?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.resize(4 + usize::try_from(length).unwrap(), 0);
    stream.read_exact(&mut whole[4..]).await?;
    Ok(whole)
}

async fn request(stream: &mut TcpStream, heard: &Heard) -> io::Result<Frame> {
    let whole = read(stream).await?;
    heard.lock().unwrap().extend_from_slice(&whole);
    let i16_at = |at: usize| i16::from_be_bytes([whole[at], whole[at + 1]]);
    let correlation = i32::from_be_bytes([whole[8], whole[9], whole[10], whole[11]]);
    let client = usize::try_from(i16_at(12)).unwrap_or(0);
    Ok(Frame { key: i16_at(4), correlation, body: 14 + client, whole })
}

async fn answer(stream: &mut TcpStream, correlation: i32, body: &[u8]) -> io::Result<()> {
    let mut frame = i32::try_from(4 + body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&correlation.to_be_bytes());
    frame.extend_from_slice(body);
    stream.write_all(&frame).await
}

fn string(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// The body of a `SaslAuthenticate` answer, version 1.
fn authenticated(error: i16, bytes: &str) -> Vec<u8> {
    let message = if error == 0 { (-1_i16).to_be_bytes().to_vec() } else { string("invalid credentials") };
    let length = i32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&error.to_be_bytes()[..], &message, &length, bytes.as_bytes(), &0_i64.to_be_bytes()].concat()
}

impl Scram {
    /// Talks SCRAM with the client until it is in, and PLAIN with the broker. Whatever else the client asks before
    /// (`ApiVersions`) the broker answers.
    pub(crate) async fn admit(
        &self,
        mut client: TcpStream,
        mut broker: TcpStream,
        heard: &Heard,
    ) -> io::Result<(TcpStream, TcpStream)> {
        loop {
            let frame = request(&mut client, heard).await?;
            if frame.key == HANDSHAKE {
                let mechanism = string("SCRAM-SHA-256");
                let known = frame.whole[frame.body..] == mechanism;
                let body =
                    [&(if known { 0 } else { ILLEGAL_STATE }).to_be_bytes()[..], &1_i32.to_be_bytes(), &mechanism];
                answer(&mut client, frame.correlation, &body.concat()).await?;
                break;
            }
            broker.write_all(&frame.whole).await?;
            client.write_all(&read(&mut broker).await?).await?;
        }
        let (correlation, first) = self.message(&mut client, heard).await?;
        let bare = first.strip_prefix("n,,").ok_or_else(|| wrong("no client-first message"))?;
        let nonce = bare.strip_prefix(&format!("n={},r=", self.user)).ok_or_else(|| wrong("another user"))?;
        let salt: [u8; 16] = rand::random();
        let nonce = format!("{nonce}{:032x}", rand::random::<u128>());
        let server_first = format!("r={nonce},s={},i={ITERATIONS}", BASE64.encode(salt));
        answer(&mut client, correlation, &authenticated(0, &server_first)).await?;

        let (correlation, last) = self.message(&mut client, heard).await?;
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or_else(|| wrong("no proof"))?;
        assert!(without_proof.ends_with(&format!(",r={nonce}")), "the nonce was changed on the way");
        let signed = format!("{bare},{server_first},{without_proof}");
        let (expected, signature) = self.proof(&salt, &signed);
        if BASE64.decode(proof).ok().as_deref() != Some(&expected) {
            answer(&mut client, correlation, &authenticated(AUTHENTICATION_FAILED, "")).await?;
            return Err(wrong("the proof is wrong"));
        }
        self.plain(&mut broker).await?;
        answer(&mut client, correlation, &authenticated(0, &format!("v={}", BASE64.encode(signature)))).await?;
        Ok((client, broker))
    }

    async fn message(&self, client: &mut TcpStream, heard: &Heard) -> io::Result<(i32, String)> {
        let frame = request(client, heard).await?;
        if frame.key != AUTHENTICATE {
            return Err(wrong(format!("API {} during authentication", frame.key)));
        }
        let bytes = frame.whole[frame.body + 4..].to_vec();
        Ok((frame.correlation, String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?))
    }

    /// The client's proof and the server's signature (RFC 5802 §3).
    fn proof(&self, salt: &[u8], signed: &str) -> (Vec<u8>, Vec<u8>) {
        let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
        let mut salted = [0; 32];
        let iterations = NonZeroU32::new(ITERATIONS).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, self.password.as_bytes(), &mut salted);
        let client_key = mac(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        let signature = mac(stored.as_ref(), signed.as_bytes());
        let proof = client_key.iter().zip(&signature).map(|(left, right)| left ^ right).collect();
        (proof, mac(&mac(&salted, b"Server Key"), signed.as_bytes()))
    }

    /// The broker behind the door has the same user with PLAIN.
    async fn plain(&self, broker: &mut TcpStream) -> io::Result<()> {
        let token = format!("\0{}\0{}", self.user, self.password);
        let token = [&i32::try_from(token.len()).unwrap().to_be_bytes(), token.as_bytes()].concat();
        for (key, body) in [(HANDSHAKE, string("PLAIN")), (AUTHENTICATE, token)] {
            let head = [&key.to_be_bytes()[..], &1_i16.to_be_bytes(), &7_i32.to_be_bytes(), &string("door")].concat();
            let length = i32::try_from(head.len() + body.len()).unwrap().to_be_bytes();
            broker.write_all(&[&length[..], &head, &body].concat()).await?;
            let answered = read(broker).await?;
            assert_eq!(answered[8..10], [0, 0], "the broker takes the same user");
        }
        Ok(())
    }
}
