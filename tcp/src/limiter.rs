//! A rate limit on segments that peers can provoke: a token bucket, steady or of an unpredictable size.
//!
//! ICMP errors (RFC 4443 §2.4 f), resets and challenge ACKs (RFC 5961 §7) answer segments that may be forged. A bucket of
//! a known size reveals to an attacker whether a forged segment was answered: he counts the answers that are left for
//! himself (Cao et al., "Off-Path TCP Exploits", 2016). A noisy limiter has another size each second.

use crate::tuple::Key;

/// Microseconds of a second.
const SECOND_US: u64 = 1_000_000;

/// Tokens a second.
#[derive(Debug)]
pub struct Limiter {
    rate: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Filled at a constant rate, up to `burst`.
    Steady {
        /// Time up to which tokens have been counted, in microseconds.
        counted_us: u64,
        /// Tokens times 10^6.
        millionths: u64,
        burst: u32,
    },
    /// Filled once a second, with 0.5 to 1.5 times the rate.
    Noisy { key: Key, second: Option<u64>, left: u32 },
}

impl Limiter {
    /// `rate` tokens a second, at most `burst` at once. The bucket is full at the start.
    #[must_use]
    pub fn new(rate: u32, burst: u32) -> Self {
        let millionths = u64::from(burst).saturating_mul(SECOND_US);
        Self { rate, kind: Kind::Steady { counted_us: 0, millionths, burst } }
    }

    /// `rate` tokens a second on average, 0.5 to 1.5 times as many in each second, by a keyed hash of the second.
    #[must_use]
    pub const fn noisy(rate: u32, key: Key) -> Self {
        Self { rate, kind: Kind::Noisy { key, second: None, left: 0 } }
    }

    /// Takes a token at `now_us`, microseconds of any clock. Returns `false` if there is none. A clock that goes back adds
    /// no tokens.
    #[must_use]
    pub fn take(&mut self, now_us: u64) -> bool {
        match &mut self.kind {
            Kind::Steady { counted_us, millionths, burst } => {
                let passed = now_us.saturating_sub(*counted_us);
                *counted_us = now_us.max(*counted_us);
                let full = u64::from(*burst).saturating_mul(SECOND_US);
                let added = passed.saturating_mul(u64::from(self.rate));
                *millionths = millionths.saturating_add(added).min(full);
                let left = millionths.checked_sub(SECOND_US);
                *millionths = left.unwrap_or(*millionths);
                left.is_some()
            }
            Kind::Noisy { key, second, left } => {
                let now = now_us / SECOND_US;
                if second.is_none_or(|counted| counted < now) {
                    *second = Some(now);
                    let noise = key.hash_bytes(&now.to_le_bytes());
                    let noise = noise.checked_rem(u64::from(self.rate).saturating_add(1)).unwrap_or(0);
                    *left = (self.rate / 2).saturating_add(u32::try_from(noise).unwrap_or(0));
                }
                let spent = left.checked_sub(1);
                *left = spent.unwrap_or(0);
                spent.is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;

    #[test]
    fn a_burst_goes_then_the_rate() {
        let mut bucket = Limiter::new(100, 10);
        assert_eq!((0..50).filter(|_| bucket.take(5)).count(), 10);
        // 10 ms are one token.
        assert!(!bucket.take(9_000));
        assert!(bucket.take(10_005));
        assert!(!bucket.take(10_006));
        // A second at full demand gives the rate.
        let taken = (0..1000).filter(|n| bucket.take(10_006 + n * 1000)).count();
        assert!((99..=100).contains(&taken), "{taken}");
        // A long pause fills it to the burst and not beyond.
        assert_eq!((0..50).filter(|_| bucket.take(u64::MAX)).count(), 10);
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing() {
        let mut bucket = Limiter::new(100, 1);
        assert!(bucket.take(1_000_000));
        assert!(!bucket.take(0));
        assert!(!bucket.take(1_000_000));
        assert!(bucket.take(1_010_000));
    }

    #[test]
    fn a_rate_of_zero_gives_the_burst_only() {
        let mut bucket = Limiter::new(0, 2);
        assert_eq!((0..9).filter(|n| bucket.take(n * 10_000_000)).count(), 2);
    }

    #[test]
    fn nobody_can_count_a_noisy_bucket() {
        let mut bucket = Limiter::noisy(1000, Key::new([5; 16]));
        let mut second = |n: u64| (0..3000).filter(|_| bucket.take(n * SECOND_US)).count();
        let sizes: alloc::vec::Vec<usize> = (0..200).map(&mut second).collect();
        assert!(sizes.iter().all(|size| (500..=1500).contains(size)));
        let different: alloc::collections::BTreeSet<_> = sizes.iter().collect();
        assert!(different.len() > 150, "{}", different.len());
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((900..1100).contains(&mean), "{mean}");
        // A clock that goes back opens no second bucket.
        assert_eq!(second(3), 0);
    }
}
