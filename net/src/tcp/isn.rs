//! Initial sequence numbers by RFC 6528: a clock plus a keyed hash of the connection's ends.
//!
//! smoltcp draws them from a generator of its own, seeded once for an interface, whose state can be computed from a few
//! numbers seen outside; and it has no place to put another number. But it takes the interface as an argument: so the
//! segment that opens a connection is processed with an interface made for it, whose generator is seeded so that the
//! number drawn is ours. Everything else uses the one real interface.
//!
//! ```text
//!   ISN = clock (one each 4 µs) + SipHash-2-4(key, local, remote)
//!     │  the generator's step, and what it gives of its state, computed backwards
//!     ▼
//!   seed ─► Interface::new draws an IPv4 id ─► SYN comes, or goes: draws the ISN
//! ```
//!
//! It rests on smoltcp 0.14's `rand.rs`; a test compares what goes out with what was meant.

use core::hash::{Hash, Hasher};

use siphasher::sip::SipHasher24;
use smoltcp::iface::{Config, Interface};
use smoltcp::time::Instant;

use crate::frame::demux::Tuple;
use crate::link::interface::Abilities;
use crate::turn::state::State;

/// smoltcp's generator: `state = state * MULTIPLIER + INCREMENT`. (smoltcp 0.14, `rand.rs`)
const MULTIPLIER: u64 = 0xbb2e_fcec_3c39_611d;
const INCREMENT: u64 = 0x7590_ef39;
/// What undoes the multiplication modulo 2^64: Newton's iteration doubles the bits that are right, from 3 on.
const INVERSE: u64 = {
    let mut inverse = MULTIPLIER;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(MULTIPLIER.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
};
const _: () = assert!(MULTIPLIER.wrapping_mul(INVERSE) == 1);

/// A state whose three top bits are 0 gives bits 29 to 60.
const SHIFT: u32 = 29;

/// The state before this one.
const fn before(state: u64) -> u64 {
    state.wrapping_sub(INCREMENT).wrapping_mul(INVERSE)
}

/// What the generator gives in this state.
fn output(state: u64) -> u32 {
    let bits = (state >> (29_u64.wrapping_sub(state >> 61))) & u64::from(u32::MAX);
    u32::try_from(bits).unwrap_or_default()
}

/// A seed with which smoltcp's generator gives `isn` as its second number, after an IPv4 id that is not 0 (it would
/// draw again). `noise` fills the bits that do not show.
fn seed(isn: u32, noise: u64) -> u64 {
    let mut noise = noise;
    loop {
        let second = (u64::from(isn) << SHIFT) | (noise & ((1 << SHIFT) - 1));
        let first = before(second);
        let id = output(first);
        if (id ^ (id >> 16)) & 0xffff != 0 {
            return before(first);
        }
        // Once in 65,536 times.
        noise = noise.wrapping_add(1);
    }
}

/// The secret behind the numbers.
pub(crate) struct Isn {
    key: [u8; 16],
}

impl Isn {
    pub(crate) fn new(words: [u64; 2]) -> Self {
        let mut key = [0; 16];
        for (bytes, word) in key.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        Self { key }
    }

    /// The number for a connection that opens now. RFC 6528, section 3.
    pub(crate) fn number(&self, tuple: &Tuple, now: Instant) -> u32 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        (tuple.local, tuple.remote).hash(&mut hasher);
        let clock = now.total_micros().unsigned_abs() >> 2;
        let sum = clock.wrapping_add(hasher.finish()) & u64::from(u32::MAX);
        u32::try_from(sum).unwrap_or_default()
    }
}

impl State {
    /// An interface like the real one whose next TCP connection gets the sequence number for `tuple`.
    pub(crate) fn birthplace(&mut self, tuple: &Tuple) -> Interface {
        let mut config = Config::new(self.me.mac.into());
        config.random_seed = seed(self.isn.number(tuple, self.now), self.rng.next_u64());
        let mut iface = Interface::new(config, &mut Abilities(self.abilities.clone()), self.now);
        iface.update_ip_addrs(|addresses| {
            for address in self.iface.ip_addrs() {
                // As many as the real one holds.
                let _ = addresses.push(*address);
            }
        });
        iface
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_gives_the_number_after_an_id_that_is_not_zero() {
        let mut noise = 1_u64;
        for isn in [0, 1, 0x8000_0000, u32::MAX, 0x1234_5678] {
            for _ in 0..1000 {
                noise = noise.wrapping_mul(MULTIPLIER).wrapping_add(1);
                let step = |state: u64| state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
                let first = step(seed(isn, noise));
                let id = output(first);
                assert_ne!((id ^ (id >> 16)) & 0xffff, 0);
                assert_eq!(output(step(first)), isn);
            }
        }
    }
}
