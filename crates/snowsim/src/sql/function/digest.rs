//! MD5 (RFC 1321), SHA-256 (FIPS 180-4) and the simulator's HASH.
//!
//! Promises: MD5 and SHA-256 are what they are called; HASH is stable over restarts, and not Snowflake's own (which is undocumented).
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

/// The SHA-256 digest of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let primes = primes();
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    let bits = u64::try_from(bytes.len()).unwrap_or(0).wrapping_mul(8);
    message.extend_from_slice(&bits.to_be_bytes());
    let mut state = [0_u32; 8];
    for (place, prime) in state.iter_mut().zip(&primes) {
        *place = root_fraction(*prime, 2);
    }
    for block in message.chunks_exact(64) {
        let mut words = [0_u32; 64];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        for at in 16..64 {
            let (early, late) = (words[at - 15], words[at - 2]);
            let low = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
            let high = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
            words[at] = words[at - 16].wrapping_add(low).wrapping_add(words[at - 7]).wrapping_add(high);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for (word, prime) in words.iter().zip(&primes) {
            let high = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let one =
                h.wrapping_add(high).wrapping_add(choice).wrapping_add(root_fraction(*prime, 3)).wrapping_add(*word);
            let low = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let two = low.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e) = (g, f, e, d.wrapping_add(one));
            (d, c, b, a) = (c, b, a, one.wrapping_add(two));
        }
        for (total, part) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *total = total.wrapping_add(part);
        }
    }
    let mut digest = [0; 32];
    for (place, word) in digest.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// The first 64 primes, from whose roots SHA-256 takes its constants.
fn primes() -> Vec<u128> {
    (2..312_u128).filter(|number| (2..*number).all(|divisor| number % divisor != 0)).collect()
}

/// The first 32 bits of the fraction of a number's square (2) or cube (3) root, exact: the root of the number times
/// 2^(32 × degree), without its whole part.
fn root_fraction(number: u128, degree: u32) -> u32 {
    let scaled = number << (32 * degree);
    let (mut low, mut high) = (0_u128, 1 << 40);
    while high - low > 1 {
        let middle = u128::midpoint(low, high);
        if middle.pow(degree) <= scaled { low = middle } else { high = middle }
    }
    u32::try_from(low & 0xffff_ffff).unwrap_or(0)
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
    fn digests_of_the_standards() {
        assert_eq!(format_hex(&md5(b"")), "D41D8CD98F00B204E9800998ECF8427E");
        let empty = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
        assert_eq!(format_hex(&sha256(b"")), empty);
        let long = "248D6A61D20638B8E5C026930C3E6039A33CE45964FF2167F6ECEDD419DB06C1";
        assert_eq!(format_hex(&sha256(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")), long);
        assert_eq!(format_hex(&md5(b"message digest")), "F96B697D7CB7938D525A2F31AAF161D0");
    }
}
