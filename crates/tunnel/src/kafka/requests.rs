//! Follows the requests of one connection: notes who will be answered, and lets the bytes through in large pieces.
//!
//! Of each frame only the head is looked at, in the buffer it was read into: API key, version, correlation id and, of a
//! `Produce`, as much as it takes to reach `acks`, because a `Produce` with `acks` 0 is the one request that is never
//! answered. No socket is owned here.

use super::apis::{self, API_VERSIONS, API_VERSIONS_NEWEST, PRODUCE};
use super::error::{Damage, Error, Side};
use super::flight::{Asked, Flight};
use super::wire::Cursor;

/// A version no broker will ever know.
const UNKNOWN_VERSION: i16 = i16::MAX;
/// Where a request's version stands.
const VERSION: std::ops::Range<usize> = 6..8;
/// Length, API key, version, correlation id.
const HEAD: usize = 12;
/// The shortest request: a head and a client id of null.
const SHORTEST: i32 = 10;
/// How a TLS connection begins: a handshake record of any version. As a length it is 369 megabytes and more, which no
/// broker takes as its first request (`socket.request.max.bytes` is 100 megabytes), but one would wait for it.
const TLS_HELLO: [u8; 2] = [0x16, 0x03];

/// Why [`Requests::follow`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// All bytes given were let through, or more are needed to read the next head.
    Bytes,
    /// As many requests as allowed are unanswered.
    Room,
    /// Nothing: the rest can be looked at as soon as the bytes let through are sent.
    Again,
}

/// The place within the stream of requests.
#[derive(Default)]
pub(crate) struct Requests {
    /// Bytes of the current frame still to come.
    left: usize,
    followed: u64,
}

impl Requests {
    /// Whether the next byte begins a frame.
    pub(crate) fn between_frames(&self) -> bool {
        self.left == 0
    }

    /// Requests followed so far.
    pub(crate) fn followed(&self) -> u64 {
        self.followed
    }

    /// Looks at the bytes that come next in the stream. Returns how many of them may be sent on, and why not more; the
    /// rest must be given again, with more behind it. `limit` is the size from which on a head is refused.
    ///
    /// A request for `ApiVersions` above what is known gets a version that no broker knows: the broker then says which
    /// ones there are, in a layout that is known, and the client asks again (KIP-511). Nothing else is changed.
    pub(crate) fn follow(
        &mut self,
        bytes: &mut [u8],
        flight: &mut Flight,
        limit: usize,
    ) -> Result<(usize, Stop), Error> {
        let mut at = 0;
        loop {
            let rest = bytes.get_mut(at..).unwrap_or_default();
            let passing = self.left.min(rest.len());
            self.left -= passing;
            at += passing;
            if passing == rest.len() {
                return Ok((at, Stop::Bytes));
            }
            match self.begin(rest.get_mut(passing..).unwrap_or_default(), flight, limit) {
                Ok(None) => {}
                Ok(Some(stop)) => return Ok((at, stop)),
                // What came before the damage is sent on first.
                Err(_) if at > 0 => return Ok((at, Stop::Again)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes the request that begins here; a reason to stop if it cannot be noted yet. Changes nothing then.
    fn begin(&mut self, bytes: &mut [u8], flight: &mut Flight, limit: usize) -> Result<Option<Stop>, Error> {
        if let (0, Some([first, second, third, fourth])) = (self.followed, bytes.first_chunk())
            && [*first, *second] == TLS_HELLO
        {
            let length = i32::from_be_bytes([*first, *second, *third, *fourth]);
            return Err(Error::Length { side: Side::Client, length });
        }
        let Some(Head { mut asked, length }) = head(bytes)? else { return Ok(Some(Stop::Bytes)) };
        let renamed = asked.key == API_VERSIONS && asked.version > API_VERSIONS_NEWEST;
        if !renamed && apis::answer(asked.key, asked.version).is_none() {
            return Err(Error::Refused { key: asked.key, version: asked.version });
        }
        let mut answered = true;
        if asked.key == PRODUCE {
            answered = match asks_for_answer(bytes, length, asked.version) {
                Err(Damage::Short) if bytes.len() >= limit => return Err(Error::Head { limit }),
                Err(Damage::Short) if bytes.len() < length => return Ok(Some(Stop::Bytes)),
                asks => asks.map_err(|damage| Error::Request { key: asked.key, version: asked.version, damage })?,
            };
        }
        if flight.is_full() {
            return Ok(Some(Stop::Room));
        }
        if renamed && let Some(version) = bytes.get_mut(VERSION) {
            asked.version = UNKNOWN_VERSION;
            version.copy_from_slice(&UNKNOWN_VERSION.to_be_bytes());
        }
        if answered {
            flight.ask(asked);
        }
        self.left = length;
        self.followed += 1;
        Ok(None)
    }
}

struct Head {
    asked: Asked,
    /// Bytes of the whole frame, its length field included.
    length: usize,
}

/// The head of the frame that begins here; `None` if not all of it is there. The length is judged as soon as it is,
/// so that a peer that speaks TLS is not waited for.
fn head(bytes: &[u8]) -> Result<Option<Head>, Error> {
    let mut cursor = Cursor::new(bytes);
    let Ok(length) = cursor.i32() else { return Ok(None) };
    if length < SHORTEST {
        return Err(Error::Length { side: Side::Client, length });
    }
    if bytes.len() < HEAD {
        return Ok(None);
    }
    let (Ok(key), Ok(version), Ok(correlation)) = (cursor.i16(), cursor.i16(), cursor.i32()) else { return Ok(None) };
    let length = usize::try_from(length).map_err(|_| Error::Length { side: Side::Client, length })? + 4;
    Ok(Some(Head { asked: Asked { correlation, key, version }, length }))
}

/// Whether a `Produce` request asks to be answered. `Damage::Short` may mean that more bytes have to come.
fn asks_for_answer(bytes: &[u8], length: usize, version: i16) -> Result<bool, Damage> {
    let mut cursor = Cursor::new(bytes.get(..length).unwrap_or(bytes));
    let flexible = version >= 9;
    cursor.take(HEAD)?;
    cursor.string(false)?; // client id: never compact, so that any broker can read it (KIP-482)
    cursor.skip_tags(flexible)?;
    if version >= 3 {
        cursor.string(flexible)?; // transactional id
    }
    Ok(cursor.i16()? != 0)
}

#[cfg(test)]
mod tests;
