//! Bytes that both ends can compute: pseudo-random, so that a byte lost, doubled or swapped shows.

/// A stream of bytes that its seed decides (xorshift64*, 8 bytes a step).
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Pattern {
    pub(crate) fn new(seed: u64) -> Self {
        // The generator's only fixed point is 0.
        Self { state: seed | 1, word: [0; 8], used: 8 }
    }

    /// Fills a buffer with the next bytes.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.next());
    }

    /// Whether these are the next bytes; if not, the index of the first that differs.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), usize> {
        bytes.iter().position(|byte| *byte != self.next()).map_or(Ok(()), Err)
    }

    fn next(&mut self) -> u8 {
        if self.used >= self.word.len() {
            self.state ^= self.state >> 12;
            self.state ^= self.state << 25;
            self.state ^= self.state >> 27;
            self.word = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            self.used = 0;
        }
        let byte = self.word.get(self.used).copied().unwrap_or_default();
        self.used = self.used.saturating_add(1);
        byte
    }
}
