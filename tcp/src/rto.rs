//! Retransmission timeout (RFC 6298), with the reversal of a spurious one (RFC 3522, 4015).
//!
//! ```text
//!   RTT samples ─► SRTT, RTTVAR ─► RTO = SRTT + max(200 ms, 4 × RTTVAR) ─► × 2^backoff ─► at most 60 s
//! ```
//!
//! All values are in microseconds. SRTT is kept times eight and RTTVAR times four, so that the shifts of §2.3 are
//! exact. RFC 6298 §2.4 asks for at least 1 s; this file uses 200 ms, as Linux and FreeBSD do, because the clock is
//! fine and most paths are short. The 200 ms replace the clock granularity `G` in the formula: a peer may delay an
//! acknowledgment by as much, whatever the round-trip time is.

/// RTO before the first sample: 1 s. (RFC 6298 §2.1)
const INITIAL_US: u32 = 1_000_000;
/// RTO after a handshake whose SYN was retransmitted: 3 s. (RFC 6298 §5.7)
const AFTER_LOST_SYN_US: u32 = 3_000_000;
/// The smallest difference between RTO and SRTT: 200 ms.
pub const MIN_US: u32 = 200_000;
/// Largest RTO: 60 s. (RFC 6298 §2.5)
pub const MAX_US: u32 = 60_000_000;
/// The number of doublings after which any RTO is [`MAX_US`].
const MAX_BACKOFF: u8 = 16;

/// The estimator of one connection: 12 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rto {
    /// SRTT × 8 in microseconds; 0 before the first sample.
    srtt_times_8: u32,
    /// RTTVAR × 4 in microseconds.
    rttvar_times_4: u32,
    /// Expirations since the last sample.
    backoff: u8,
    /// Whether the SYN was retransmitted.
    syn_was_lost: bool,
}

const _: () = assert!(size_of::<Rto>() <= 12);

impl Default for Rto {
    fn default() -> Self {
        Self::new()
    }
}

impl Rto {
    /// The estimator before the first sample. (RFC 6298 §2.1)
    #[must_use]
    pub const fn new() -> Self {
        Self { srtt_times_8: 0, rttvar_times_4: 0, backoff: 0, syn_was_lost: false }
    }

    /// Takes a round-trip time in microseconds, and ends the backoff. (RFC 6298 §2.2, §2.3)
    ///
    /// The caller applies Karn's algorithm (§3): no sample of a retransmitted segment, unless a timestamp identifies the
    /// acknowledged transmission.
    pub fn sample(&mut self, rtt_us: u32) {
        self.sample_one_of(rtt_us, 1);
    }

    /// As [`Rto::sample`], for one of `expected` samples in a round trip. Each has a smaller weight, so that the history
    /// covers as many round trips. (RFC 7323 §4.2: `expected` = FlightSize / (2 × SMSS), rounded up)
    pub fn sample_one_of(&mut self, rtt_us: u32, expected: u32) {
        let rtt = rtt_us.clamp(1, MAX_US);
        self.backoff = 0;
        self.syn_was_lost = false;
        if self.srtt_times_8 == 0 {
            self.srtt_times_8 = rtt.saturating_mul(8);
            self.rttvar_times_4 = rtt.saturating_mul(2);
            return;
        }
        let expected = expected.max(1);
        // RTTVAR first: §2.3 takes the difference to the old SRTT.
        let difference = rtt.abs_diff(self.srtt_us());
        self.rttvar_times_4 =
            approach(self.rttvar_times_4, difference.saturating_mul(4), expected.saturating_mul(4));
        self.srtt_times_8 =
            approach(self.srtt_times_8, rtt.saturating_mul(8), expected.saturating_mul(8)).max(1);
    }

    /// Smoothed round-trip time in microseconds; `None` before the first sample.
    #[must_use]
    pub fn srtt(&self) -> Option<u32> {
        (self.srtt_times_8 != 0).then(|| self.srtt_us())
    }

    /// RTTVAR in microseconds.
    #[must_use]
    pub fn rttvar(&self) -> u32 {
        self.rttvar_times_4 >> 2
    }

    /// The timeout of a segment sent now, in microseconds, with backoff. (RFC 6298 §2.3, §5.5)
    #[must_use]
    pub fn timeout(&self) -> u32 {
        let timeout = u64::from(self.without_backoff()) << self.backoff.min(MAX_BACKOFF);
        u32::try_from(timeout).map_or(MAX_US, |timeout| timeout.min(MAX_US))
    }

    /// The timeout without backoff, for TLP, keep-alive and idle restarts.
    #[must_use]
    pub fn without_backoff(&self) -> u32 {
        match self.srtt() {
            Some(srtt) => srtt.saturating_add(self.rttvar_times_4.max(MIN_US)).min(MAX_US),
            None if self.syn_was_lost => AFTER_LOST_SYN_US,
            None => INITIAL_US,
        }
    }

    /// Doubles the timeout after an expiry. (RFC 6298 §5.5)
    pub fn on_expiry(&mut self) {
        self.backoff = self.backoff.saturating_add(1).min(MAX_BACKOFF);
    }

    /// Expirations since the last sample, at most 16.
    #[must_use]
    pub const fn backoff(&self) -> u8 {
        self.backoff
    }

    /// Notes that the SYN was retransmitted: without a sample, the RTO of data begins at 3 s. (RFC 6298 §5.7)
    pub fn on_lost_syn(&mut self) {
        self.backoff = 0;
        self.syn_was_lost = self.srtt_times_8 == 0;
    }

    /// Undoes the backoff of a spurious expiry. (RFC 3522 §3.2)
    pub fn undo(&mut self) {
        self.backoff = 0;
    }

    /// Raises the estimate to the round-trip time of the late segment after a spurious expiry, so that the new delay of
    /// the path does not expire the timer again. (RFC 4015 §3.2, step 4)
    pub fn undo_with(&mut self, rtt_us: u32) {
        self.undo();
        let rtt = rtt_us.clamp(1, MAX_US);
        self.srtt_times_8 = self.srtt_times_8.max(rtt.saturating_mul(8));
        self.rttvar_times_4 = self.rttvar_times_4.max(rtt.saturating_mul(2));
    }

    /// SRTT, 0 before the first sample.
    const fn srtt_us(&self) -> u32 {
        self.srtt_times_8 >> 3
    }
}

/// `old + (new - old) / steps`.
fn approach(old: u32, new: u32, steps: u32) -> u32 {
    let step = old.abs_diff(new).checked_div(steps).unwrap_or(0);
    if new > old { old.saturating_add(step) } else { old.saturating_sub(step) }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "tests compute with numbers of their own"
    )]
    use super::*;

    const MS: u32 = 1000;

    #[test]
    fn the_first_sample_sets_all() {
        // RFC 6298 §2.1, §2.2: 1 s before; SRTT = R, RTTVAR = R/2, RTO = R + 4 × R/2 after.
        let mut rto = Rto::new();
        assert_eq!((rto.timeout(), rto.srtt()), (1000 * MS, None));
        rto.sample(500 * MS);
        assert_eq!((rto.srtt(), rto.rttvar(), rto.timeout()), (Some(500 * MS), 250 * MS, 1500 * MS));
    }

    #[test]
    fn later_samples_move_the_estimate() {
        // RFC 6298 §2.3 by hand: RTTVAR = 3/4 × 250 + 1/4 × 400 = 287.5; SRTT = 7/8 × 500 + 1/8 × 900 = 550.
        let mut rto = Rto::new();
        rto.sample(500 * MS);
        rto.sample(900 * MS);
        assert_eq!((rto.srtt(), rto.rttvar(), rto.timeout()), (Some(550 * MS), 287_500, 1700 * MS));
    }

    #[test]
    fn samples_agree_with_double_precision() {
        let mut rto = Rto::new();
        let (mut srtt, mut rttvar) = (0.0_f64, 0.0_f64);
        let mut random = 7_u64;
        for round in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let rtt = 1 + (random >> 33) as u32 % (50 * MS + round * 20);
            if round == 0 {
                (srtt, rttvar) = (f64::from(rtt), f64::from(rtt) / 2.0);
            } else {
                rttvar += ((srtt - f64::from(rtt)).abs() - rttvar) / 4.0;
                srtt += (f64::from(rtt) - srtt) / 8.0;
            }
            rto.sample(rtt);
            assert!((f64::from(rto.srtt().unwrap()) - srtt).abs() < 3.0, "round {round}");
            assert!((f64::from(rto.rttvar()) - rttvar).abs() < 5.0, "round {round}");
        }
    }

    #[test]
    fn a_steady_path_keeps_200_ms_of_distance() {
        // A delayed acknowledgment (RFC 1122 §4.2.3.2: up to 500 ms, in practice 40 to 200) must not expire it.
        for rtt in [1, 300, 2 * MS, 200 * MS, 5000 * MS] {
            let mut rto = Rto::new();
            (0..200).for_each(|_| rto.sample(rtt));
            assert!(
                rto.timeout() >= rtt + 200 * MS && rto.timeout() <= rtt + 201 * MS,
                "{rtt}: {}",
                rto.timeout()
            );
        }
    }

    #[test]
    fn expiry_doubles_up_to_60_s() {
        // RFC 6298 §5.5, §2.5.
        let mut rto = Rto::new();
        let seen: alloc::vec::Vec<u32> = (0..8)
            .map(|_| {
                let timeout = rto.timeout();
                rto.on_expiry();
                timeout / (1000 * MS)
            })
            .collect();
        assert_eq!(seen, [1, 2, 4, 8, 16, 32, 60, 60]);
        (0..1000).for_each(|_| rto.on_expiry());
        assert_eq!(rto.timeout(), MAX_US);
    }

    #[test]
    fn a_sample_ends_the_backoff() {
        // RFC 6298 §5 at its end: a new measurement collapses RTO to its computed value.
        let mut rto = Rto::new();
        rto.sample(100 * MS);
        rto.on_expiry();
        rto.on_expiry();
        assert_eq!(rto.timeout(), 1200 * MS);
        rto.sample(100 * MS);
        assert_eq!((rto.backoff(), rto.timeout()), (0, 300 * MS));
    }

    #[test]
    fn a_lost_syn_starts_data_with_3_s() {
        // RFC 6298 §5.7, but not when the handshake gave a sample by timestamps.
        let mut rto = Rto::new();
        rto.on_expiry();
        rto.on_lost_syn();
        assert_eq!(rto.timeout(), 3000 * MS);
        rto.sample(10 * MS);
        rto.on_lost_syn();
        assert_eq!(rto.timeout(), 210 * MS);
    }

    #[test]
    fn a_spurious_expiry_is_taken_back() {
        // RFC 4015 §3.2 step 4: SRTT = max(SRTT_prev, RTT-SAMPLE), RTTVAR = max(RTTVAR_prev, RTT-SAMPLE / 2).
        let mut rto = Rto::new();
        (0..100).for_each(|_| rto.sample(20 * MS));
        let before = rto.timeout();
        rto.on_expiry();
        rto.undo();
        assert_eq!(rto.timeout(), before);
        rto.on_expiry();
        rto.undo_with(400 * MS);
        assert_eq!((rto.srtt(), rto.rttvar(), rto.timeout()), (Some(400 * MS), 200 * MS, 1200 * MS));
    }

    #[test]
    fn many_samples_a_round_trip_forget_slowly() {
        // RFC 7323 §4.2: 16 samples of a sixteenth weigh about what one weighs.
        let (mut one, mut many) = (Rto::new(), Rto::new());
        one.sample(100 * MS);
        many.sample(100 * MS);
        one.sample(900 * MS);
        (0..16).for_each(|_| many.sample_one_of(900 * MS, 16));
        let (one, many) = (one.srtt().unwrap(), many.srtt().unwrap());
        assert!(many.abs_diff(one) < 10 * MS, "{one} {many}");
    }

    #[test]
    fn no_sample_overflows() {
        let mut rto = Rto::new();
        for rtt in [0, u32::MAX, 0, MAX_US, u32::MAX] {
            rto.sample_one_of(rtt, u32::MAX);
            rto.sample(rtt);
            rto.undo_with(rtt);
            assert!(rto.timeout() >= MIN_US && rto.timeout() <= MAX_US);
        }
    }
}
