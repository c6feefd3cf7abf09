//! Random numbers: ChaCha20, seeded from what the processor has.
//!
//! RDSEED or RDRAND where CPUID offers them, mixed with the timestamp counter sampled around slow instructions. It
//! says which source it had; a guest without a hardware source still starts, and warns.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use x86_64::instructions::random::RdRand;

/// A generator, and whether the processor's own source seeded it.
pub(crate) fn generator() -> (ChaCha20Rng, bool) {
    let hardware = RdRand::new();
    let mut seed = [0; 32];
    let mut good = hardware.is_some();
    for chunk in seed.as_chunks_mut::<8>().0 {
        let word = hardware.and_then(sound_word);
        good &= word.is_some();
        *chunk = (word.unwrap_or_default() ^ jitter()).to_le_bytes();
    }
    (ChaCha20Rng::from_seed(seed), good)
}

/// One word of RDRAND: retried as Intel says (10 times), refused when stuck at all zeros or all ones.
fn sound_word(source: RdRand) -> Option<u64> {
    (0..10).find_map(|_| source.get_u64().filter(|word| !matches!(*word, 0 | u64::MAX)))
}

/// The low bits of the timestamp counter over instructions of varying length, folded together.
fn jitter() -> u64 {
    (0..64).fold(0_u64, |folded, _| {
        let before = crate::timers::rdtsc();
        core::hint::spin_loop();
        core::arch::x86_64::__cpuid(0);
        folded.rotate_left(7)
            ^ crate::timers::rdtsc().wrapping_sub(before).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ before
    })
}
