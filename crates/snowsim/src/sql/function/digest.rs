//! MD5 (RFC 1321) and the simulator's HASH.
//!
//! Promises: MD5 is MD5; HASH is stable over restarts, and not Snowflake's own (which is undocumented).
//! Leaves to others: anything a secret depends on.

use crate::types::value::Value;

/// The MD5 digest of some bytes.
pub(super) fn md5(bytes: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    let bits = u64::try_from(bytes.len()).unwrap_or(0).wrapping_mul(8);
    message.extend_from_slice(&bits.to_le_bytes());
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in message.chunks_exact(64) {
        let words: Vec<u32> =
            block.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64_usize {
            let (mixed, word) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let sum = a.wrapping_add(mixed).wrapping_add(sine(step)).wrapping_add(words[word]);
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
        }
        for (total, part) in state.iter_mut().zip([a, b, c, d]) {
            *total = total.wrapping_add(part);
        }
    }
    let mut digest = [0; 16];
    for (place, word) in digest.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

/// MD5's table: the integer part of 2^32 × |sin(step + 1)|.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is in 0..2^32")]
fn sine(step: usize) -> u32 {
    let angle = f64::from(u32::try_from(step + 1).unwrap_or(0));
    (angle.sin().abs() * 4_294_967_296.0) as u32
}

/// A signed 64-bit hash of values; equal numbers of different scale hash alike.
pub(super) fn hash(values: &[Option<Value>]) -> i64 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for value in values {
        let text = match value {
            None => "\u{0}".to_owned(),
            Some(Value::Fixed(..)) => value.clone().map(|value| value.into_json().to_string()).unwrap_or_default(),
            Some(other) => other.to_text(9),
        };
        for byte in text.bytes().chain([0xff]) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    i64::from_ne_bytes((z ^ (z >> 31)).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::value::format_hex;

    #[test]
    fn md5_of_the_rfc() {
        assert_eq!(format_hex(&md5(b"")), "D41D8CD98F00B204E9800998ECF8427E");
        assert_eq!(format_hex(&md5(b"message digest")), "F96B697D7CB7938D525A2F31AAF161D0");
    }
}
