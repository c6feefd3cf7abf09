//! Unpredictable random numbers: first ports, hash keys, seeds. The generator is ChaCha20, seeded by the kernel. The
//! kernel uses this generator too, since each inlined copy of the cipher is 7 KB of code.
//!
//! Initial sequence numbers are in [`crate::tcp::isn`].

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// The generator: ChaCha20.
pub struct Rng(ChaCha20Rng);

impl core::fmt::Debug for Rng {
    /// Does not show the state: a log line must not reveal the sequence.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}

impl Rng {
    /// A generator with a secret seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// The next bytes.
    #[inline(never)]
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        let count = most.saturating_sub(least).saturating_add(1);
        least.saturating_add(self.next_u64().checked_rem(count).unwrap_or(0))
    }

    /// All ephemeral ports (RFC 6335: 49152 to 65535), each once, from a random one on.
    pub(crate) fn ephemeral_ports(&mut self) -> impl Iterator<Item = u16> + use<> {
        const FIRST: u16 = 49152;
        const COUNT: u16 = 16384;
        let start = u16::try_from(self.next_u64() >> 48).unwrap_or(0) % COUNT;
        (0..COUNT).map(move |step| FIRST.wrapping_add(start.wrapping_add(step) % COUNT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn each_ephemeral_port_comes_once() {
        let ports: BTreeSet<u16> = Rng::new([7; 32]).ephemeral_ports().collect();
        assert_eq!((ports.len(), ports.first(), ports.last()), (16384, Some(&49152), Some(&65535)));
    }
}
