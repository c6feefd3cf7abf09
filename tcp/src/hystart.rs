//! HyStart++ (RFC 9406): ends slow start before it overflows the bottleneck's queue.
//!
//! ```text
//!   SlowStart ── RTT of a round rose ──► Css (a quarter of the growth) ── 5 rounds ──► Done: ssthresh = cwnd
//!       ▲                                   │
//!       └──────── RTT fell again ───────────┘                    loss, ECN mark, timeout ──► Done
//! ```
//!
//! A round is one flight (§4.2). The RFC ends it by a sequence number, this file by a count: what was in flight when it
//! began has been acknowledged. Times are in microseconds. The state takes 20 bytes.

/// A smaller rise is noise: 4 ms. (RFC 9406 §4.3, MIN_RTT_THRESH)
const MIN_RTT_THRESH_US: u32 = 4_000;
/// A larger rise is always a queue: 16 ms. (MAX_RTT_THRESH)
const MAX_RTT_THRESH_US: u32 = 16_000;
/// The part of the round-trip time that counts as a rise, as a divisor. (MIN_RTT_DIVISOR)
const MIN_RTT_DIVISOR: u32 = 8;
/// Samples of a round from which on its minimum is valid. (N_RTT_SAMPLE)
const N_RTT_SAMPLE: u8 = 8;
/// Growth in Css against slow start. (CSS_GROWTH_DIVISOR)
pub(crate) const CSS_GROWTH_DIVISOR: u32 = 4;
/// Rounds of Css before congestion avoidance. (CSS_ROUNDS)
const CSS_ROUNDS: u8 = 5;
/// Minimum of a round without a sample: "infinity" in the RFC.
const NO_RTT: u32 = u32::MAX;

/// Phase of the first slow start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Standard slow start.
    SlowStart,
    /// Conservative slow start; rounds left in it.
    Css(u8),
    /// Over; later slow starts are standard ones. (RFC 9406 §4.3)
    Done,
}

/// State of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HyStart {
    /// `lastRoundMinRTT`
    last_round_min_us: u32,
    /// `currentRoundMinRTT`
    this_round_min_us: u32,
    /// `cssBaselineMinRtt`
    css_baseline_us: u32,
    /// Bytes to be acknowledged until the round ends; 0 before the first.
    round_left: u32,
    /// `rttSampleCount`, saturating.
    samples: u8,
    phase: Phase,
}

const _: () = assert!(size_of::<HyStart>() <= 20);

impl Default for HyStart {
    fn default() -> Self {
        Self::new()
    }
}

impl HyStart {
    /// The state before the first acknowledgment.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last_round_min_us: NO_RTT,
            this_round_min_us: NO_RTT,
            css_baseline_us: NO_RTT,
            round_left: 0,
            samples: 0,
            phase: Phase::SlowStart,
        }
    }

    /// The phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Ends slow start for another reason. (RFC 9406 §4.3: loss or ECN mark)
    pub fn end(&mut self) {
        self.phase = Phase::Done;
    }

    /// An acknowledgment in slow start: `acked` bytes, perhaps with a round-trip time; `in_flight` bytes are still out.
    /// Returns the phase by which this acknowledgment makes the window grow. (RFC 9406 §4.2, §4.3)
    pub fn on_ack(&mut self, acked: u32, rtt_us: Option<u32>, in_flight: u32) -> Phase {
        if self.phase == Phase::Done {
            return Phase::Done;
        }
        if self.round_left == 0 {
            // The first round: what was in flight before this acknowledgment.
            self.round_left = in_flight.saturating_add(acked);
        }
        if let Some(rtt) = rtt_us {
            self.this_round_min_us = self.this_round_min_us.min(rtt);
            self.samples = self.samples.saturating_add(1);
        }
        match self.phase {
            Phase::SlowStart if self.samples >= N_RTT_SAMPLE && self.rtt_rose() => {
                self.css_baseline_us = self.this_round_min_us;
                self.phase = Phase::Css(CSS_ROUNDS);
            }
            // The rise was noise.
            Phase::Css(_)
                if self.samples >= N_RTT_SAMPLE && self.this_round_min_us < self.css_baseline_us =>
            {
                self.css_baseline_us = NO_RTT;
                self.phase = Phase::SlowStart;
            }
            _ => {}
        }
        self.round_left = self.round_left.saturating_sub(acked);
        if self.round_left == 0 {
            self.end_round(in_flight);
        }
        self.phase
    }

    /// Ends a round, whose flight is acknowledged, and begins the next with the octets in flight now. An incomplete round
    /// of Css counts too. (RFC 9406 §4.3)
    fn end_round(&mut self, in_flight: u32) {
        self.round_left = in_flight.max(1);
        self.last_round_min_us = self.this_round_min_us;
        self.this_round_min_us = NO_RTT;
        self.samples = 0;
        if let Phase::Css(left) = self.phase {
            self.phase = match left.saturating_sub(1) {
                0 => Phase::Done,
                left => Phase::Css(left),
            };
        }
    }

    /// Whether the round's minimum round-trip time is a threshold above that of the round before.
    fn rtt_rose(&self) -> bool {
        let threshold =
            (self.last_round_min_us / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH_US, MAX_RTT_THRESH_US);
        self.this_round_min_us != NO_RTT
            && self.last_round_min_us != NO_RTT
            && self.this_round_min_us >= self.last_round_min_us.saturating_add(threshold)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;

    const SEGMENT: u32 = 1000;

    /// One round of `count` segments with one round-trip time; the next one has twice as many. Returns the phase after it.
    fn round(hystart: &mut HyStart, count: u32, rtt_ms: u32) -> Phase {
        let in_flight = |acked: u32| if acked == count { count * 2 } else { count - acked };
        let mut ack = |acked| hystart.on_ack(SEGMENT, Some(rtt_ms * 1000), in_flight(acked) * SEGMENT);
        (1..=count).map(&mut ack).last().unwrap()
    }

    #[test]
    fn a_steady_rtt_stays_in_slow_start() {
        let mut hystart = HyStart::new();
        for power in 3..12 {
            assert_eq!(round(&mut hystart, 1 << power, 50), Phase::SlowStart);
        }
    }

    #[test]
    fn a_rise_of_an_eighth_is_a_queue() {
        // RFC 9406 §4.3: RttThresh = max(4 ms, min(lastRoundMinRTT / 8, 16 ms)).
        for (base, least) in [(8, 4), (40, 5), (80, 10), (400, 16)] {
            let mut hystart = HyStart::new();
            round(&mut hystart, 10, base);
            assert_eq!(round(&mut hystart, 20, base + least - 1), Phase::SlowStart, "{base} ms");
            let mut hystart = HyStart::new();
            round(&mut hystart, 10, base);
            assert_eq!(round(&mut hystart, 20, base + least), Phase::Css(4), "{base} ms");
        }
    }

    #[test]
    fn eight_samples_are_needed() {
        // RFC 9406 §4.3: N_RTT_SAMPLE.
        let mut hystart = HyStart::new();
        round(&mut hystart, 10, 50);
        for sample in 1..=8 {
            let phase = hystart.on_ack(SEGMENT, Some(90_000), 20 * SEGMENT);
            assert_eq!(phase == Phase::SlowStart, sample < 8, "sample {sample}");
        }
    }

    #[test]
    fn css_takes_five_rounds() {
        // RFC 9406 §4.3: CSS_ROUNDS, the round in which it begins counted.
        let mut hystart = HyStart::new();
        round(&mut hystart, 10, 50);
        let phases: alloc::vec::Vec<Phase> = (1..=5).map(|n| round(&mut hystart, 10 << n, 90)).collect();
        let [css @ .., last] = &phases[..] else { panic!() };
        assert_eq!((css, last), (&[4, 3, 2, 1].map(Phase::Css)[..], &Phase::Done));
    }

    #[test]
    fn css_goes_back_when_the_rtt_falls() {
        // RFC 9406 §4.3: spurious exits resume slow start.
        let mut hystart = HyStart::new();
        round(&mut hystart, 10, 50);
        assert_eq!(round(&mut hystart, 20, 90), Phase::Css(4));
        assert_eq!(round(&mut hystart, 40, 51), Phase::SlowStart);
    }

    #[test]
    fn loss_ends_it_for_good() {
        let mut hystart = HyStart::new();
        hystart.end();
        assert_eq!(round(&mut hystart, 50, 50), Phase::Done);
    }
}
