//! Finds the broker addresses in an answer and writes the answer anew with others in their place.
//!
//! In every answer that names brokers the fields `node id, host, port` stand next to each other, so an address is one
//! span of bytes ([`Site`]), and a new answer is the old one with some spans exchanged, its length set anew and, where
//! the addresses stand inside a tagged field, that field's size as well. Nothing else is decoded, so nothing else can be
//! lost. Layouts: Kafka's message definitions, `<Name>Response.json`.

use std::collections::HashMap;
use std::ops::Range;

use super::apis::Kind;
use super::error::Damage;
use super::wire::{Cursor, put_string, put_unsigned_varint};
use super::{Addresses, Broker, Error};

/// Bytes before the response header: the frame's length.
const LENGTH: usize = 4;
/// Distinct brokers of one answer. Clusters have hundreds at most; the bound is for damaged bytes.
const MOST_BROKERS: usize = 10_000;
/// `endpoint_type` of `DescribeCluster`: brokers (KIP-919).
const BROKERS: i8 = 1;
/// The tag of `node_endpoints` in `ProduceResponse` (KIP-951).
const NODE_ENDPOINTS: u32 = 0;

/// Where one address stands: host and port, `bytes` within the frame.
struct Site {
    bytes: Range<usize>,
    /// Index into [`Found::brokers`].
    broker: usize,
}

/// The tagged field around all sites.
struct Tagged {
    /// Where its size is written.
    size: Range<usize>,
    content: usize,
}

/// What an answer says about brokers.
#[derive(Default)]
struct Found<'a> {
    brokers: Vec<Broker>,
    known: HashMap<(i32, &'a [u8], u16), usize>,
    sites: Vec<Site>,
    tagged: Option<Tagged>,
    flexible: bool,
    complete: bool,
}

impl<'a> Found<'a> {
    /// Reads `node id, host, port`. What no client could dial is left alone: `FindCoordinator` answers "none available"
    /// with id −1, an empty host and port −1.
    fn address(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Damage> {
        let id = cursor.i32()?;
        let start = cursor.at();
        let host = cursor.string(self.flexible)?.unwrap_or_default();
        let port = cursor.i32()?;
        let bytes = start..cursor.at();
        let (Ok(port), false, false) = (u16::try_from(port), host.is_empty(), id < 0) else { return Ok(()) };
        if port == 0 {
            return Ok(());
        }
        let broker = match self.known.get(&(id, host, port)) {
            Some(known) => *known,
            None if self.brokers.len() == MOST_BROKERS => return Err(Damage::Brokers),
            None => {
                let text = std::str::from_utf8(host).map_err(|_| Damage::Text)?;
                self.brokers.push(Broker { id, host: text.to_owned(), port });
                self.known.insert((id, host, port), self.brokers.len() - 1);
                self.brokers.len() - 1
            }
        };
        self.sites.push(Site { bytes, broker });
        Ok(())
    }
}

/// Reads one answer: tells `addresses` of its brokers and returns the frame to send on instead, `None` if it is to be
/// sent on as it is. `frame` is whole, its length field included.
pub(crate) fn rewrite<A: Addresses + ?Sized>(
    kind: Kind,
    key: i16,
    version: i16,
    frame: &[u8],
    addresses: &A,
) -> Result<Option<Vec<u8>>, Error> {
    let damaged = |damage| Error::Answer { key, version, damage };
    let mut cursor = Cursor::new(frame);
    cursor.take(LENGTH + size_of::<i32>()).map_err(damaged)?;
    let found = match kind {
        Kind::ApiVersions => return super::versions::rewrite(version, frame).map_err(damaged),
        Kind::Metadata => metadata(&mut cursor, version).map_err(damaged)?,
        Kind::FindCoordinator => find_coordinator(&mut cursor, version).map_err(damaged)?,
        Kind::Produce => produce(&mut cursor, version).map_err(damaged)?,
        Kind::DescribeCluster => {
            let (found, endpoints) = describe_cluster(&mut cursor, version).map_err(damaged)?;
            // A broker refuses to name controllers, so these come from a controller's own listener. They share the
            // brokers' ids, but not their addresses: one local port would lead to two places.
            if endpoints != BROKERS && !found.sites.is_empty() {
                return Err(Error::Controllers);
            }
            found
        }
    };
    if found.brokers.is_empty() {
        return Ok(None);
    }
    addresses.revealed(&found.brokers, found.complete);
    let mut instead = Vec::with_capacity(found.brokers.len());
    for broker in &found.brokers {
        instead.push(match addresses.local(broker)? {
            None => None,
            Some((host, port)) => {
                let mut bytes = Vec::with_capacity(host.len() + 8);
                put_string(&mut bytes, &host, found.flexible).map_err(damaged)?;
                bytes.extend_from_slice(&i32::from(port).to_be_bytes());
                Some(bytes)
            }
        });
    }
    splice(frame, &found, &instead).map_err(damaged)
}

/// The frame with every site replaced whose broker has something `instead`; `None` if none has.
fn splice(frame: &[u8], found: &Found<'_>, instead: &[Option<Vec<u8>>]) -> Result<Option<Vec<u8>>, Damage> {
    let edits: Vec<(&Range<usize>, &[u8])> =
        found.sites.iter().filter_map(|site| Some((&site.bytes, instead.get(site.broker)?.as_deref()?))).collect();
    if edits.is_empty() {
        return Ok(None);
    }
    let (old, new) = edits.iter().fold((0, 0), |(old, new), (span, bytes)| (old + span.len(), new + bytes.len()));
    let mut size = Vec::new();
    let resized = found.tagged.as_ref().map(|tagged| {
        let content = u32::try_from(tagged.content + new - old).map_err(|_| Damage::Length)?;
        put_unsigned_varint(&mut size, content);
        Ok(&tagged.size)
    });
    let resized = resized.transpose()?;

    let mut out = Vec::with_capacity(frame.len() + new + size.len());
    let mut at = 0;
    for (span, bytes) in resized.into_iter().map(|span| (span, size.as_slice())).chain(edits) {
        out.extend_from_slice(frame.get(at..span.start).ok_or(Damage::Short)?);
        out.extend_from_slice(bytes);
        at = span.end;
    }
    out.extend_from_slice(frame.get(at..).ok_or(Damage::Short)?);
    set_length(&mut out)?;
    Ok(Some(out))
}

/// Writes a frame's length, which counts what follows it.
pub(crate) fn set_length(frame: &mut [u8]) -> Result<(), Damage> {
    let length = frame.len().checked_sub(LENGTH).and_then(|length| i32::try_from(length).ok()).ok_or(Damage::Length)?;
    frame.get_mut(..LENGTH).ok_or(Damage::Short)?.copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn metadata<'a>(cursor: &mut Cursor<'a>, version: i16) -> Result<Found<'a>, Damage> {
    let flexible = version >= 9;
    let mut found = Found { flexible, complete: true, ..Found::default() };
    cursor.skip_tags(flexible)?;
    if version >= 3 {
        cursor.i32()?; // throttle time
    }
    for _ in 0..cursor.count(flexible)? {
        found.address(cursor)?;
        if version >= 1 {
            cursor.string(flexible)?; // rack
        }
        cursor.skip_tags(flexible)?;
    }
    Ok(found)
}

fn find_coordinator<'a>(cursor: &mut Cursor<'a>, version: i16) -> Result<Found<'a>, Damage> {
    let flexible = version >= 3;
    let mut found = Found { flexible, ..Found::default() };
    cursor.skip_tags(flexible)?;
    if version >= 1 {
        cursor.i32()?; // throttle time
    }
    if version >= 4 {
        for _ in 0..cursor.count(flexible)? {
            cursor.string(flexible)?; // key
            found.address(cursor)?;
            cursor.i16()?; // error code
            cursor.string(flexible)?; // error message
            cursor.skip_tags(flexible)?;
        }
    } else {
        cursor.i16()?; // error code
        if version >= 1 {
            cursor.string(flexible)?; // error message
        }
        found.address(cursor)?;
    }
    Ok(found)
}

fn describe_cluster<'a>(cursor: &mut Cursor<'a>, version: i16) -> Result<(Found<'a>, i8), Damage> {
    let mut found = Found { flexible: true, ..Found::default() };
    cursor.skip_tags(true)?;
    cursor.i32()?; // throttle time
    cursor.i16()?; // error code
    cursor.string(true)?; // error message
    let endpoints = if version >= 1 { cursor.i8()? } else { BROKERS };
    cursor.string(true)?; // cluster id
    cursor.i32()?; // controller id
    for _ in 0..cursor.count(true)? {
        found.address(cursor)?;
        cursor.string(true)?; // rack
        if version >= 2 {
            cursor.i8()?; // fenced
        }
        cursor.skip_tags(true)?;
    }
    Ok((found, endpoints))
}

/// Versions 10 and later only: before, there is nothing to find.
fn produce<'a>(cursor: &mut Cursor<'a>, version: i16) -> Result<Found<'a>, Damage> {
    let mut found = Found { flexible: true, ..Found::default() };
    cursor.skip_tags(true)?;
    for _ in 0..cursor.count(true)? {
        if version >= 13 {
            cursor.skip(16)?; // topic id
        } else {
            cursor.string(true)?; // topic name
        }
        for _ in 0..cursor.count(true)? {
            cursor.skip(4 + 2 + 8 + 8 + 8)?; // partition, error code, base offset, append time, log start offset
            for _ in 0..cursor.count(true)? {
                cursor.i32()?; // index within the batch
                cursor.string(true)?; // error message
                cursor.skip_tags(true)?;
            }
            cursor.string(true)?; // error message
            cursor.skip_tags(true)?; // among them the new leader's id and epoch
        }
        cursor.skip_tags(true)?;
    }
    cursor.i32()?; // throttle time
    for _ in 0..cursor.unsigned_varint()? {
        let tag = cursor.unsigned_varint()?;
        let start = cursor.at();
        let size = cursor.unsigned_varint()?;
        let content = usize::try_from(size).map_err(|_| Damage::Length)?;
        if tag != NODE_ENDPOINTS {
            cursor.skip(size)?;
            continue;
        }
        // A second field with this tag would leave sites outside the one whose size is set anew.
        if found.tagged.is_some() {
            return Err(Damage::Length);
        }
        let size = start..cursor.at();
        let end = cursor.at().checked_add(content).ok_or(Damage::Length)?;
        for _ in 0..cursor.count(true)? {
            found.address(cursor)?;
            cursor.string(true)?; // rack
            cursor.skip_tags(true)?;
        }
        if cursor.at() != end {
            return Err(Damage::Length);
        }
        found.tagged = Some(Tagged { size, content });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
