//! A token bucket: it limits how often an action happens. RFC 4443, section 2.4 f; RFC 1812, section 4.3.2.8.

use smoltcp::time::Instant;

/// A token bucket. Tokens return at a fixed rate, up to the size of a burst.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Tokens a second.
    rate: u64,
    burst: u64,
    tokens: u64,
    /// The time up to which tokens have been added.
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) const fn new(rate: u64, burst: u64, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, filled: now }
    }

    /// Takes a token. Returns `false` if the bucket is empty.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.total_micros().saturating_sub(self.filled.total_micros());
        let passed = u64::try_from(passed).unwrap_or(0);
        let new = passed.saturating_mul(self.rate).checked_div(1_000_000).unwrap_or(0);
        if new > 0 {
            self.tokens = self.tokens.saturating_add(new).min(self.burst);
            self.filled = now;
        }
        let taken = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_out_and_then_the_rate() {
        let mut bucket = Bucket::new(100, 50, Instant::ZERO);
        let taken =
            |bucket: &mut Bucket, at| (0..1000).filter(|_| bucket.take(Instant::from_millis(at))).count();
        assert_eq!(taken(&mut bucket, 0), 50);
        assert_eq!(taken(&mut bucket, 9), 0, "less than a token has come back");
        assert_eq!(taken(&mut bucket, 110), 11);
        assert_eq!(taken(&mut bucket, 100_000), 50, "no more than the burst is saved up");
    }
}
