//! A cursor over Kafka's primitive types (the protocol guide's "Protocol Primitive Types"). It borrows, it allocates
//! nothing, and no count is believed beyond the bytes that are there.
//!
//! *Flexible* versions of a message (KIP-482) write lengths as unsigned varints, one more than the length, and end each
//! structure with tagged fields.

use super::error::Damage;

pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(length).ok_or(Damage::Length)?;
        let taken = self.bytes.get(self.at..end).ok_or(Damage::Short)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Damage::Short)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Damage> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Damage> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Damage> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, Damage> {
        let mut value: u64 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Damage::Length);
            }
        }
        Err(Damage::Length)
    }

    /// A length of a string or array; `None` is null.
    fn length(
        &mut self,
        flexible: bool,
        fixed: impl FnOnce(&mut Self) -> Result<i32, Damage>,
    ) -> Result<Option<usize>, Damage> {
        let length = if flexible { i64::from(self.unsigned_varint()?) - 1 } else { i64::from(fixed(self)?) };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| Damage::Length),
        }
    }

    /// The bytes of a string, nullable or not; `None` is null.
    pub(crate) fn string(&mut self, flexible: bool) -> Result<Option<&'a [u8]>, Damage> {
        match self.length(flexible, |cursor| cursor.i16().map(i32::from))? {
            None => Ok(None),
            Some(length) => self.take(length).map(Some),
        }
    }

    /// The number of elements of an array; null counts as none. Every element has at least one byte, so a larger count
    /// than there are bytes is damage found at once.
    pub(crate) fn count(&mut self, flexible: bool) -> Result<usize, Damage> {
        let count = self.length(flexible, Self::i32)?.unwrap_or(0);
        if count > self.rest() { Err(Damage::Short) } else { Ok(count) }
    }

    /// Passes over the tagged fields that end a structure of a flexible version.
    pub(crate) fn skip_tags(&mut self, flexible: bool) -> Result<(), Damage> {
        if flexible {
            for _ in 0..self.unsigned_varint()? {
                self.unsigned_varint()?;
                let size = self.unsigned_varint()?;
                self.skip(size)?;
            }
        }
        Ok(())
    }

    pub(crate) fn skip(&mut self, length: u32) -> Result<(), Damage> {
        self.take(usize::try_from(length).map_err(|_| Damage::Length)?).map(|_| ())
    }
}

pub(crate) fn put_unsigned_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f).to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// # Errors
/// The text is longer than a Kafka string may be (32767 bytes).
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str, flexible: bool) -> Result<(), Damage> {
    let length = i16::try_from(text.len()).map_err(|_| Damage::Length)?;
    if flexible {
        put_unsigned_varint(out, u32::from(length.unsigned_abs()) + 1);
    } else {
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u32) {
            let mut bytes = Vec::new();
            put_unsigned_varint(&mut bytes, value);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.unsigned_varint(), Ok(value));
            prop_assert_eq!(cursor.at(), bytes.len());
        }

        #[test]
        fn strings_come_back(text in ".{0,40}", flexible: bool) {
            let mut bytes = Vec::new();
            put_string(&mut bytes, &text, flexible).unwrap();
            prop_assert_eq!(Cursor::new(&bytes).string(flexible), Ok(Some(text.as_bytes())));
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_damage() {
        assert_eq!(Cursor::new(&[0xff; 5]).unsigned_varint(), Err(Damage::Length));
        assert_eq!(Cursor::new(&[0xff, 0xfe]).string(false), Err(Damage::Length), "-2");
        assert_eq!(Cursor::new(&[0xff, 0xff]).string(false), Ok(None));
        assert_eq!(Cursor::new(&[0]).string(true), Ok(None));
        assert_eq!(Cursor::new(&[0x7f, 0xff, 0xff, 0xff]).count(false), Err(Damage::Short));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).count(true), Err(Damage::Short));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff]).count(false), Ok(0), "null");
    }
}
