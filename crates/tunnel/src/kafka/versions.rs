//! Takes out of a broker's `ApiVersions` answer what the tunnel does not carry.
//!
//! The answer's header never has tagged fields, whatever its version, and a broker that does not know the version of
//! the *request* answers in the layout of version 0 with error 35, so that the client can read it and ask again
//! (KIP-511). Both ends of the tunnel narrow the list: it does no harm twice, and so each end may be the older one.

use super::answers::set_length;
use super::apis;
use super::error::Damage;
use super::wire::{Cursor, put_unsigned_varint};

/// `UNSUPPORTED_VERSION`.
const UNSUPPORTED_VERSION: i16 = 35;

/// The frame to send on instead of `frame`; `None` if nothing has to be taken out.
pub(crate) fn rewrite(version: i16, frame: &[u8]) -> Result<Option<Vec<u8>>, Damage> {
    let mut cursor = Cursor::new(frame);
    cursor.skip(8)?; // length, correlation id
    let error = cursor.i16()?;
    if version > apis::API_VERSIONS_NEWEST && error != UNSUPPORTED_VERSION {
        return Err(Damage::Unexpected(error));
    }
    let flexible = version >= 3 && error != UNSUPPORTED_VERSION;
    let before = cursor.at();
    let count = cursor.count(flexible)?;
    let mut kept = 0_u32;
    let mut changed = false;
    let mut entries = Vec::new();
    for _ in 0..count {
        let key = cursor.i16()?;
        let (oldest, newest) = (cursor.i16()?, cursor.i16()?);
        let start = cursor.at();
        cursor.skip_tags(flexible)?;
        let tags = frame.get(start..cursor.at()).ok_or(Damage::Short)?;
        let offered = apis::versions(key)
            .map(|(least, most)| (oldest.max(least), newest.min(most)))
            .filter(|(oldest, newest)| oldest <= newest);
        changed |= offered != Some((oldest, newest));
        if let Some((oldest, newest)) = offered {
            for number in [key, oldest, newest] {
                entries.extend_from_slice(&number.to_be_bytes());
            }
            entries.extend_from_slice(tags);
            kept += 1;
        }
    }
    if !changed {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(frame.len());
    out.extend_from_slice(frame.get(..before).ok_or(Damage::Short)?);
    if flexible {
        put_unsigned_varint(&mut out, kept + 1);
    } else {
        out.extend_from_slice(&kept.to_be_bytes());
    }
    out.extend_from_slice(&entries);
    out.extend_from_slice(frame.get(cursor.at()..).ok_or(Damage::Short)?);
    set_length(&mut out)?;
    Ok(Some(out))
}

#[cfg(test)]
mod tests;
