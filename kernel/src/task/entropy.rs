//! Entropy for the random number generator (ChaCha20): from the processor and from the toolstack.
//!
//! ```text
//!   RDSEED, RDRAND ────────────────────────┐
//!   seed= on the command line ─────────────┼──► Entropy: absorb, mix by ChaCha20 ──► generator
//!   vm-data/random-seed in xenstore ───────┤      (sequence numbers, ports, ids, hash keys)
//!   timestamp counter, slow instructions ──┘ mixed in, never sufficient
//! ```
//!
//! An attacker on the same host can predict the timestamp counter best, so it never counts as a source: a guest without
//! any of the others refuses to start (`toolstack::seed`).

#![allow(unsafe_code, reason = "the RDSEED instruction; see docs/soundness.md")]

use crate::config::LEAST_SEED;
use crate::cpu::tsc::rdtsc;
use core::arch::x86_64::__cpuid_count;
use net::Rng;
use x86_64::instructions::random::RdRand;

/// Attempts before an instruction counts as failed, as Intel's guide recommends for RDRAND.
const TRIES: u32 = 10;

/// The entropy that was collected.
#[derive(Clone)]
pub(crate) struct Entropy {
    state: [u8; 32],
    sufficient: bool,
    /// A digest of the last seed from xenstore, to know whether another one is fresh.
    last_seed: [u8; 32],
}

impl Entropy {
    /// With entropy from the processor.
    pub(crate) fn new() -> Self {
        let mut entropy = Self { state: [0; 32], sufficient: false, last_seed: [0; 32] };
        entropy.refresh();
        entropy
    }

    /// Adds entropy from the processor: RDSEED and RDRAND where CPUID lists them, and jitter of the timestamp counter.
    pub(crate) fn refresh(&mut self) {
        let rdrand = RdRand::new();
        let rdseed = __cpuid_count(7, 0).ebx & (1 << 18) != 0;
        for source in [rdrand.map(Source::Rdrand), rdseed.then_some(Source::Rdseed)] {
            let words: [Option<u64>; 4] = core::array::from_fn(|_| source.and_then(Source::sound_word));
            self.sufficient |= words.iter().all(Option::is_some);
            words.into_iter().flatten().for_each(|word| self.absorb(&word.to_le_bytes()));
        }
        self.absorb(&jitter().to_le_bytes());
    }

    /// Begins again after a resume in another domain: there may be a second domain with the same state. What was collected
    /// stays mixed in, but counts no more.
    pub(crate) fn renew(&mut self) {
        self.sufficient = false;
        self.refresh();
    }

    /// Mixes in the seed from xenstore. It counts only if it differs from the one before: after a resume, the old one may
    /// be known to a second domain.
    pub(crate) fn add_store_seed(&mut self, seed: &[u8]) {
        let mut digest = Self { state: [0; 32], sufficient: false, last_seed: [0; 32] };
        digest.absorb(seed);
        if digest.state == self.last_seed {
            self.absorb(seed);
        } else {
            self.last_seed = digest.state;
            self.add_seed(seed);
        }
    }

    /// Mixes in a secret from outside. A secret of fewer than [`LEAST_SEED`] characters is mixed in too, but does not make
    /// the entropy sufficient.
    pub(crate) fn add_seed(&mut self, seed: &[u8]) {
        self.absorb(seed);
        self.sufficient |= seed.len() >= LEAST_SEED;
    }

    /// Whether a source was among them that an attacker cannot predict.
    pub(crate) const fn is_sufficient(&self) -> bool {
        self.sufficient
    }

    /// A generator seeded with the entropy.
    pub(crate) fn generator(&self) -> Rng {
        Rng::new(self.state)
    }

    /// Adds each block of 32 bytes to the state and passes the state through the cipher: input from one source cannot
    /// cancel that of another.
    fn absorb(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(self.state.len()) {
            for (to, from) in self.state.iter_mut().zip(block) {
                *to ^= *from;
            }
            Rng::new(self.state).fill(&mut self.state);
        }
    }
}

/// An instruction that returns random numbers.
#[derive(Clone, Copy)]
enum Source {
    Rdrand(RdRand),
    Rdseed,
}

impl Source {
    /// A word. All zeros and all ones are refused: processors with a broken generator return them.
    fn sound_word(self) -> Option<u64> {
        let word = || match self {
            Self::Rdrand(source) => source.get_u64(),
            Self::Rdseed => rdseed(),
        };
        (0..TRIES).find_map(|_| word().filter(|word| !matches!(*word, 0 | u64::MAX)))
    }
}

/// A word of RDSEED; `None` if the source is exhausted. To be called only if CPUID lists the instruction.
fn rdseed() -> Option<u64> {
    let (word, done): (u64, u8);
    // SAFETY: changes two registers and the flags; CPUID lists the instruction (the caller).
    unsafe {
        core::arch::asm!("rdseed {}", "setc {}", out(reg) word, out(reg_byte) done, options(nomem, nostack))
    };
    (done != 0).then_some(word)
}

/// The low bits of the timestamp counter around instructions of varying duration, folded together.
fn jitter() -> u64 {
    (0..4).fold(0_u64, |folded, _| {
        let before = rdtsc();
        core::hint::spin_loop();
        core::arch::x86_64::__cpuid(0);
        folded.rotate_left(16) ^ rdtsc().wrapping_sub(before).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ before
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on a processor without RDRAND and RDSEED.
    fn without_processor() -> Entropy {
        Entropy { state: [0; 32], sufficient: false, last_seed: [0; 32] }
    }

    const SEED: &[u8] = &[b'a'; LEAST_SEED];
    const OTHER: &[u8] = &[b'b'; LEAST_SEED];

    #[test]
    fn a_seed_counts_if_it_is_long_enough() {
        let mut entropy = without_processor();
        entropy.add_seed(&SEED[1..]);
        assert!(!entropy.is_sufficient());
        entropy.add_seed(SEED);
        assert!(entropy.is_sufficient());
    }

    #[test]
    fn every_input_changes_the_generator() {
        let word = |entropy: &Entropy| entropy.generator().next_u64();
        let mut entropy = Entropy::new();
        let mut words = std::vec![word(&entropy)];
        for seed in [SEED, OTHER, SEED, b"x"] {
            entropy.add_store_seed(seed);
            words.push(word(&entropy));
        }
        entropy.renew();
        words.push(word(&entropy));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 6);
    }

    #[test]
    fn after_a_resume_only_another_seed_counts() {
        let mut entropy = without_processor();
        entropy.add_store_seed(SEED);
        assert!(entropy.is_sufficient());
        // What `renew` does on such a processor.
        entropy.sufficient = false;
        for (seed, sufficient) in [(SEED, false), (&OTHER[1..], false), (OTHER, true)] {
            entropy.add_store_seed(seed);
            assert_eq!(entropy.is_sufficient(), sufficient);
        }
    }

    #[test]
    fn twins_of_one_state_differ_with_the_processor_or_with_seeds_of_their_own() {
        let words = |twins: [&Entropy; 2]| twins.map(|twin| twin.generator().next_u64());
        let (mut one, mut two) = (Entropy::new(), Entropy::new());
        two.clone_from(&one);
        [&mut one, &mut two].into_iter().for_each(Entropy::renew);
        let [a, b] = words([&one, &two]);
        assert_ne!(a, b);
        // Without RDRAND and RDSEED each needs a seed of its own; the one in the image is no secret between them.
        let image = {
            let mut image = without_processor();
            image.add_store_seed(SEED);
            Entropy { sufficient: false, ..image }
        };
        let [mut one, mut two, mut three] = [image.clone(), image.clone(), image];
        one.add_store_seed(OTHER);
        two.add_store_seed(&[b'c'; LEAST_SEED]);
        three.add_store_seed(SEED);
        let [a, b] = words([&one, &two]);
        assert_ne!(a, b);
        assert_eq!([&one, &two, &three].map(Entropy::is_sufficient), [true, true, false]);
    }
}
