//! The sum of the Internet checksum (RFC 1071), computed by words of 64 bits.
//!
//! ```text
//!   | 8 bytes | 8 bytes | 8 bytes | 8 bytes |  each pass adds four words, each carry goes back in at bit 0
//!   sum of 64 bits ──fold──► 32 ──fold──► 16
//! ```

/// Words that the loop adds at a time.
const WORDS: usize = 4;

/// The one's complement sum of big-endian 16-bit words, not inverted. An odd byte at the end is the upper half of a word.
///
/// The width of the words does not matter in one's complement: this adds words of 64 bits, and folds the sum at the end.
/// Nor does the byte order, if the sum is written in the same order (RFC 1071, section 2 B): this adds in native order.
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    let (blocks, rest) = bytes.as_chunks::<{ 8 * WORDS }>();
    let mut sum = 0;
    for block in blocks {
        for word in block.as_chunks().0 {
            sum = add(sum, *word);
        }
    }
    let (words, rest) = rest.as_chunks();
    for word in words {
        sum = add(sum, *word);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    u16::from_be(fold(add(sum, last)))
}

/// Adds a word in native byte order. The carry goes back in at bit 0.
#[inline]
const fn add(sum: u64, word: [u8; 8]) -> u64 {
    let (sum, carried) = sum.overflowing_add(u64::from_ne_bytes(word));
    // This cannot overflow: after a carry the sum is not all ones.
    if carried { sum.wrapping_add(1) } else { sum }
}

/// Folds a sum of words to 16 bits: adds its halves, carries included, twice.
#[inline]
#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "halves of numbers, on purpose")]
#[must_use]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::sum;
    use smoltcp::wire::checksum;
    use std::vec::Vec;

    #[test]
    fn the_sum_equals_smoltcps() {
        let mut random = 1_u64;
        for len in 0..700 {
            // Random bytes, and bytes that cause the carries that random ones seldom cause.
            for ones in [0, 0xfe] {
                let byte = |_| {
                    random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    random.to_be_bytes()[0] | ones
                };
                let bytes: Vec<u8> = (0..len).map(byte).collect();
                assert_eq!(sum(&bytes), checksum::data(&bytes), "{len} bytes");
            }
        }
    }

    #[test]
    fn only_zeros_have_the_sum_zero() {
        assert_eq!(sum(&[]), 0);
        assert_eq!(sum(&[0; 77]), 0);
        assert_eq!(sum(&[0xff; 64]), 0xffff);
        assert_eq!(sum(&[0xff; 8]), checksum::data(&[0xff; 8]));
        assert_eq!(sum(&[1]), 0x100);
    }
}
