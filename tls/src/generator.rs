//! Random numbers: ChaCha20, from a seed of the caller.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use rustls::crypto::{GetRandomFailed, SecureRandom};
use spin::Mutex;

/// The generator. One domain has one thread, so the lock is never waited for.
pub(crate) struct Generator(Mutex<ChaCha20Rng>);

impl core::fmt::Debug for Generator {
    /// Without its state, from which past and future numbers follow.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Generator").finish_non_exhaustive()
    }
}

impl Generator {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(Mutex::new(ChaCha20Rng::from_seed(seed)))
    }

    /// Continues from another seed.
    pub(crate) fn reseed(&self, seed: [u8; 32]) {
        *self.0.lock() = ChaCha20Rng::from_seed(seed);
    }

    /// The next bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// Calls `with` with the generator itself.
    pub(crate) fn with<T>(&self, with: impl FnOnce(&mut ChaCha20Rng) -> T) -> T {
        with(&mut self.0.lock())
    }
}

impl SecureRandom for Generator {
    fn fill(&self, buf: &mut [u8]) -> Result<(), GetRandomFailed> {
        self.0.lock().fill_bytes(buf);
        Ok(())
    }
}
