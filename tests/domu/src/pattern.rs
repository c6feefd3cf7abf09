//! Bytes that both ends can compute: pseudo-random, so that a byte lost, doubled or swapped shows.

/// Fills a buffer with the bytes that a seed decides, from the stream's byte `at` on; `at` is a multiple of 8.
pub fn fill(seed: u64, at: u64, buffer: &mut [u8]) {
    for (word, chunk) in (at / 8..).zip(buffer.chunks_mut(8)) {
        let bytes = mix(seed ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes();
        for (to, from) in chunk.iter_mut().zip(bytes) {
            *to = from;
        }
    }
}

/// As [`fill`], into a new buffer from the stream's start.
#[must_use]
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len];
    fill(seed, 0, &mut buffer);
    buffer
}

/// The finalizer of splitmix64.
const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_same_stream_as_the_whole() {
        let whole = bytes(7, 64);
        let mut piece = [0; 21];
        fill(7, 24, &mut piece);
        assert_eq!(whole[24..45], piece);
        assert_ne!(bytes(8, 64), whole);
        let mut sorted = whole;
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() > 48, "random enough to show a swap");
    }
}
