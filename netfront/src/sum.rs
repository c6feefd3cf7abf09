//! The Internet checksum's sum (RFC 1071), by words of 64 bits.

/// Words that are added in one turn of the loop.
const WORDS: usize = 4;

/// The sum of big-endian words of 16 bits in one's complement, not inverted; an odd byte at the end counts as the upper
/// half of a word.
///
/// One's complement does not care about the width: words of 64 bits are added, each carry goes back in at the bottom, and
/// the halves are added to each other at the end. Nor does it care about the order of bytes, if the sum is written in the
/// same (RFC 1071, section 2 B): this adds in memory's.
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    let (turns, rest) = bytes.as_chunks::<{ 8 * WORDS }>();
    let mut sum = 0;
    for turn in turns {
        for word in turn.as_chunks().0 {
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

/// Adds a word in memory's order; what is carried goes in again at the bottom.
#[inline]
const fn add(sum: u64, word: [u8; 8]) -> u64 {
    let (sum, carried) = sum.overflowing_add(u64::from_ne_bytes(word));
    // Cannot overflow: a sum that was carried is not all ones.
    if carried { sum.wrapping_add(1) } else { sum }
}

/// A sum of words, folded to 16 bits: each half is added to the other, with what is carried.
#[inline]
#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "halves of numbers, on purpose")]
pub(crate) const fn fold(sum: u64) -> u16 {
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::sum;
    use smoltcp::wire::checksum;
    use std::vec::Vec;

    #[test]
    fn the_sum_is_smoltcps() {
        let mut random = 1_u64;
        for len in 0..700 {
            // Bytes of chance, and such as make the carries that chance seldom makes.
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
    fn zero_is_only_the_sum_of_nothing() {
        assert_eq!(sum(&[]), 0);
        assert_eq!(sum(&[0; 77]), 0);
        assert_eq!(sum(&[0xff; 64]), 0xffff);
        assert_eq!(sum(&[0xff; 8]), checksum::data(&[0xff; 8]));
        assert_eq!(sum(&[1]), 0x100);
    }
}
