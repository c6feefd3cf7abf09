//! Random numbers: ChaCha20, seeded from what the processor has and from what the toolstack gives.
//!
//! ```text
//!   RDSEED, RDRAND ──┐
//!   seed= ───────────┼──► Pool: absorb, stir by ChaCha20 ──► generator: sequence numbers, ports, ids, hash keys
//!   vm-data/random-seed (xenstore)                    ▲
//!   timestamp counter around slow instructions ───────┘ mixed in; by itself it counts for nothing
//! ```
//!
//! The counter's jitter is what an attacker on the same host can guess best, so it adds to the others and never stands
//! alone: a guest that has none of the other sources does not start (`start::refuse_without_entropy`).

#![allow(unsafe_code, reason = "the RDSEED instruction; see docs/soundness.md")]

use crate::config::LEAST_SEED;
use core::arch::x86_64::__cpuid_count;
use net::Rng;
use x86_64::instructions::random::RdRand;

/// Tries at an instruction before it counts as broken, as Intel's guide has it for RDRAND.
const TRIES: u32 = 10;

/// What has been gathered until now.
#[derive(Clone)]
pub(crate) struct Pool {
    state: [u8; 32],
    good: bool,
}

impl Pool {
    /// What the processor gives.
    pub(crate) fn new() -> Self {
        let mut pool = Self { state: [0; 32], good: false };
        pool.refresh();
        pool
    }

    /// Adds what the processor gives: RDSEED and RDRAND where CPUID offers them, and jitter.
    pub(crate) fn refresh(&mut self) {
        let rdrand = RdRand::new();
        let rdseed = __cpuid_count(7, 0).ebx & (1 << 18) != 0;
        for source in [rdrand.map(Source::Rdrand), rdseed.then_some(Source::Rdseed)] {
            let words: [Option<u64>; 4] = core::array::from_fn(|_| source.and_then(Source::sound_word));
            self.good |= words.iter().all(Option::is_some);
            words.into_iter().flatten().for_each(|word| self.absorb(&word.to_le_bytes()));
        }
        self.absorb(&jitter().to_le_bytes());
    }

    /// Mixes in a secret from outside; one that is too short adds what it has, and counts for nothing.
    pub(crate) fn add_seed(&mut self, seed: &[u8]) {
        self.absorb(seed);
        self.good |= seed.len() >= LEAST_SEED;
    }

    /// Whether a source that nobody can guess was among them.
    pub(crate) const fn good(&self) -> bool {
        self.good
    }

    /// The generator.
    pub(crate) fn generator(&self) -> Rng {
        Rng::new(self.state)
    }

    /// Each block of 32 bytes is added to the state, which then goes through the cipher: what was there before cannot
    /// be cancelled by what comes.
    fn absorb(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(self.state.len()) {
            for (to, from) in self.state.iter_mut().zip(block) {
                *to ^= *from;
            }
            Rng::new(self.state).fill(&mut self.state);
        }
    }
}

/// An instruction that gives random numbers.
#[derive(Clone, Copy)]
enum Source {
    Rdrand(RdRand),
    Rdseed,
}

impl Source {
    /// A word; refused when stuck at all zeros or all ones, as broken processors have been.
    fn sound_word(self) -> Option<u64> {
        let word = || match self {
            Self::Rdrand(source) => source.get_u64(),
            Self::Rdseed => rdseed(),
        };
        (0..TRIES).find_map(|_| word().filter(|word| !matches!(*word, 0 | u64::MAX)))
    }
}

/// A word of RDSEED; `None` while the source has run dry. CPUID must offer it.
fn rdseed() -> Option<u64> {
    let (word, done): (u64, u8);
    // SAFETY: changes two registers and the flags; CPUID offers the instruction (the caller).
    unsafe {
        core::arch::asm!("rdseed {}", "setc {}", out(reg) word, out(reg_byte) done, options(nomem, nostack))
    };
    (done != 0).then_some(word)
}

/// The low bits of the timestamp counter over instructions of varying length, folded together.
fn jitter() -> u64 {
    (0..4).fold(0_u64, |folded, _| {
        let before = crate::timers::rdtsc();
        core::hint::spin_loop();
        core::arch::x86_64::__cpuid(0);
        folded.rotate_left(16)
            ^ crate::timers::rdtsc().wrapping_sub(before).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ before
    })
}
