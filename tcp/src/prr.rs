//! Proportional rate reduction (RFC 6937, with the changes of RFC 9937): the bytes to send for each acknowledgment of
//! a recovery, so that the flight shrinks to ssthresh evenly, without a pause and without a burst.
//!
//! ```text
//!   pipe > ssthresh    sent = delivered × ssthresh / RecoverFS       in proportion
//!   pipe ≤ ssthresh    sent = delivered, + 1 segment if no more was lost        slow start back to ssthresh
//! ```
//!
//! All values are in bytes. The state takes 16 bytes, during a recovery.

/// The kind of an acknowledgment during recovery. (RFC 9937 §5, `safeACK`)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// SND.UNA advanced, and no further segment was marked lost.
    Safe,
    /// SND.UNA stayed, or more was marked lost: no growth beyond the delivered bytes.
    Unsafe,
}

/// The state of a recovery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prr {
    /// `prr_delivered`: bytes delivered during the recovery.
    delivered: u32,
    /// `prr_out`: bytes sent during the recovery.
    sent: u32,
    /// `RecoverFS`: FlightSize when it began.
    flight: u32,
    /// The target of the reduction.
    ssthresh: u32,
}

const _: () = assert!(size_of::<Prr>() <= 16);

impl Prr {
    /// A recovery begins. `flight` is `RecoverFS` of RFC 9937 §6.1: SND.NXT − SND.UNA before the acknowledgment that began
    /// it, without selectively acknowledged bytes. `ssthresh` is the new threshold of congestion control.
    #[must_use]
    pub const fn new(flight: u32, ssthresh: u32) -> Self {
        Self { delivered: 0, sent: 0, flight, ssthresh }
    }

    /// Handles an acknowledgment, also the one that began the recovery. It delivered `delivered` bytes, cumulatively or
    /// selectively, and leaves an estimate of `pipe` bytes in flight. Returns the number of bytes that may be sent now. The
    /// result of the last call is void. (RFC 6937 §3, RFC 9937 §6.2)
    #[must_use]
    pub fn on_ack(&mut self, delivered: u32, pipe: u32, mss: u32, progress: Progress) -> u32 {
        self.delivered = self.delivered.saturating_add(delivered);
        let allowed = if pipe > self.ssthresh {
            let product = u64::from(self.delivered).saturating_mul(u64::from(self.ssthresh));
            let share = product
                .saturating_add(u64::from(self.flight).saturating_sub(1))
                .checked_div(u64::from(self.flight));
            let share = u32::try_from(share.unwrap_or(0)).unwrap_or(u32::MAX);
            share.saturating_sub(self.sent)
        } else {
            let limit = self.delivered.saturating_sub(self.sent).max(delivered);
            let growth = if progress == Progress::Safe { mss } else { 0 };
            limit.saturating_add(growth).min(self.ssthresh.saturating_sub(pipe))
        };
        // The fast retransmit is always sent. (RFC 9937 §6.2)
        if self.sent == 0 { allowed.max(mss) } else { allowed }
    }

    /// Counts sent bytes, new and retransmitted.
    pub fn on_sent(&mut self, bytes: u32) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// Bytes delivered since the begin of the recovery.
    #[must_use]
    pub const fn delivered(&self) -> u32 {
        self.delivered
    }

    /// Target of the reduction: the window after the recovery. (RFC 6937 §3)
    #[must_use]
    pub const fn ssthresh(&self) -> u32 {
        self.ssthresh
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;
    use alloc::string::String;

    const MSS: u32 = 1000;

    /// A recovery of `flight` segments of which the first `lost` were lost, in segments: each acknowledgment of a later
    /// one delivers a segment. Returns what is sent for each: N new data or again, a dot for nothing.
    fn recovery(flight: u32, lost: u32, ssthresh: u32) -> (String, u32) {
        let mut prr = Prr::new(flight * MSS, ssthresh * MSS);
        let (mut pipe, mut trace) = (flight - lost, String::new());
        for _ in lost..flight {
            pipe -= 1;
            let allowed = prr.on_ack(MSS, pipe * MSS, MSS, Progress::Unsafe) / MSS;
            trace.push(char::from_digit(allowed, 10).unwrap());
            prr.on_sent(allowed * MSS);
            pipe += allowed;
        }
        (trace, pipe)
    }

    #[test]
    fn one_loss_sends_on_every_second_ack() {
        // RFC 6937 §4, first example: 20 segments in flight, the first lost, Reno's half: the flight falls to ten, with
        // one segment for two acknowledgments (rate-halving's pattern), and one for one when it is there.
        let (trace, pipe) = recovery(20, 1, 10);
        assert_eq!(trace, "1001010101010100111");
        assert_eq!(pipe, 10);
    }

    #[test]
    fn cubic_sends_seven_of_ten() {
        let (trace, pipe) = recovery(20, 1, 14);
        assert_eq!(trace.matches('1').count(), 14);
        assert_eq!(pipe, 14);
    }

    #[test]
    fn heavy_loss_is_packet_conservation() {
        // RFC 6937 §4, second example: 15 of 20 lost, pipe is below ssthresh: one out for one in, no burst of ten.
        let (trace, pipe) = recovery(20, 15, 10);
        assert_eq!((trace.as_str(), pipe), ("11111", 5));
    }

    #[test]
    fn safe_progress_grows_by_one_segment() {
        // RFC 6937 §3.1 (SSRB), RFC 9937 §6.2: below ssthresh a safe acknowledgment adds a segment, up to ssthresh.
        let mut prr = Prr::new(20 * MSS, 10 * MSS);
        assert_eq!(prr.on_ack(MSS, 4 * MSS, MSS, Progress::Safe), 2 * MSS);
        prr.on_sent(2 * MSS);
        assert_eq!(prr.on_ack(2 * MSS, 9 * MSS, MSS, Progress::Safe), MSS);
        prr.on_sent(MSS);
        assert_eq!(prr.on_ack(2 * MSS, 10 * MSS, MSS, Progress::Safe), 0);
    }

    #[test]
    fn unused_credit_comes_back_below_ssthresh() {
        // RFC 6937 §3: limit = max(prr_delivered - prr_out, DeliveredData): an application that paused may catch up.
        let mut prr = Prr::new(20 * MSS, 10 * MSS);
        prr.on_sent(MSS);
        for pipe in [9, 8, 7] {
            let _ = prr.on_ack(MSS, pipe * MSS, MSS, Progress::Unsafe);
        }
        assert_eq!(prr.on_ack(MSS, 6 * MSS, MSS, Progress::Unsafe), 3 * MSS);
    }

    #[test]
    fn the_fast_retransmit_always_goes() {
        // RFC 9937 §6.2: nothing sent and nothing allowed still means one segment.
        let mut prr = Prr::new(20 * MSS, 2 * MSS);
        assert_eq!(prr.on_ack(0, 19 * MSS, MSS, Progress::Unsafe), MSS);
    }

    #[test]
    fn no_argument_overflows() {
        let mut prr = Prr::new(0, u32::MAX);
        for pipe in [0, u32::MAX] {
            let _ = prr.on_ack(u32::MAX, pipe, u32::MAX, Progress::Safe);
            prr.on_sent(u32::MAX);
        }
        let mut prr = Prr::new(0, 0);
        assert_eq!(prr.on_ack(u32::MAX, 1, MSS, Progress::Safe), MSS);
    }
}
