//! Initial sequence numbers by RFC 6528: a clock plus a keyed hash of the connection's name.
//!
//! ```text
//!   ISN = M + F(local address, local port, remote address, remote port, key)
//!         │      └ SipHash-2-4, 32 bits
//!         └ one each 4 µs (RFC 9293 §3.4.1): goes round in 4.77 hours
//! ```
//!
//! For one name the numbers rise with time, so that old segments of a connection are outside the window of its
//! successor. Between names they are unpredictable. Timestamps get an offset in the same way (RFC 7323 §5.4), so that they
//! do not reveal the uptime of the guest.

use crate::tuple::{FourTuple, Key, low32};

/// The secret of the generator.
#[derive(Debug)]
pub struct Isn {
    key: Key,
}

impl Isn {
    /// A generator with an unpredictable secret.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self { key }
    }

    /// Replaces the secret, after the guest was restored from an image of its memory: a copy may have the old one.
    /// Open connections are not affected. Numbers of successors of recent connections may not rise.
    pub fn renew(&mut self, key: Key) {
        self.key = key;
    }

    /// The initial sequence number of `tuple` at `now_us`, microseconds of a monotonic clock. (RFC 6528 §3)
    #[must_use]
    pub fn isn(&self, tuple: &FourTuple, now_us: u64) -> u32 {
        low32(now_us / 4).wrapping_add(low32(self.key.wire_hash(tuple, b"I")))
    }

    /// The number for a connection whose predecessor of the same name ended in TIME-WAIT with SND.NXT `past`. It is always
    /// larger than `past`. (RFC 1122 §4.2.2.13, RFC 6191 §2)
    #[must_use]
    pub fn isn_after(&self, tuple: &FourTuple, now_us: u64, past: u32) -> u32 {
        let isn = self.isn(tuple, now_us);
        // Above `past` in serial arithmetic, by more than the largest window (RFC 7323 §2.3).
        let above = isn.wrapping_sub(past);
        if (1 << 16..1 << 31).contains(&above) { isn } else { past.wrapping_add(1 << 16) }
    }

    /// The offset of the timestamp clock for `tuple`, constant for each name. (RFC 7323 §5.4)
    #[must_use]
    pub fn timestamp_offset(&self, tuple: &FourTuple) -> u32 {
        low32(self.key.wire_hash(tuple, b"T"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;
    use crate::tuple::tests::{v4, v6};

    #[test]
    fn the_number_rises_by_one_each_4_us() {
        let isn = Isn::new(Key::new([1; 16]));
        for tuple in [v4(1), v6(1)] {
            let start = isn.isn(&tuple, 1000);
            assert_eq!(isn.isn(&tuple, 1004).wrapping_sub(start), 1);
            assert_eq!(isn.isn(&tuple, 4_001_000).wrapping_sub(start), 1_000_000);
            // Once around.
            assert_eq!(isn.isn(&tuple, 1000 + (4 << 32)), start);
        }
    }

    #[test]
    fn names_and_keys_have_numbers_of_their_own() {
        let (mut isn, other) = (Isn::new(Key::new([1; 16])), Isn::new(Key::new([2; 16])));
        let seen: alloc::collections::BTreeSet<u32> = (0..1000).map(|n| isn.isn(&v4(n), 0)).collect();
        assert!(seen.len() > 998);
        assert_ne!(isn.isn(&v4(1), 0), other.isn(&v4(1), 0));
        isn.renew(Key::new([2; 16]));
        assert_eq!(isn.isn(&v4(1), 0), other.isn(&v4(1), 0));
    }

    #[test]
    fn a_successor_starts_above_its_predecessor() {
        // RFC 1122 §4.2.2.13: larger than the largest sequence number of the previous connection.
        let isn = Isn::new(Key::new([1; 16]));
        let plain = isn.isn(&v4(1), 0);
        assert_eq!(isn.isn_after(&v4(1), 0, plain.wrapping_sub(1_000_000)), plain);
        for past in [plain, plain.wrapping_sub(5), plain.wrapping_add(1), plain.wrapping_add(1 << 30)] {
            let next = isn.isn_after(&v4(1), 0, past);
            assert!((1..1 << 31).contains(&next.wrapping_sub(past)), "{past}: {next}");
        }
    }

    #[test]
    fn timestamps_are_offset_for_each_name() {
        let isn = Isn::new(Key::new([1; 16]));
        assert_ne!(isn.timestamp_offset(&v4(1)), isn.timestamp_offset(&v4(2)));
        assert_ne!(isn.timestamp_offset(&v4(1)), isn.isn(&v4(1), 0));
        assert_eq!(isn.timestamp_offset(&v6(1)), isn.timestamp_offset(&v6(1)));
    }
}
