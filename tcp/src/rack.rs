//! RACK-TLP (RFC 8985): loss is found by time, and a probe finds loss at the tail.
//!
//! ```text
//!   newest delivered transmission ─► segments sent a reordering window before it are lost
//!   no ACK for 2 × SRTT           ─► the last segment, or a new one, is sent as a probe
//! ```

use crate::ack::News;
use crate::active::Phase;
use crate::env::Env;
use crate::scoreboard::later;
use crate::segment::Segment;
use crate::seq::Seq;
use crate::tcb::{Bits, State, Tcb};
use crate::time::{Micros, NEVER, micros32};

/// The state of RFC 8985 §5.2 and §5.3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rack {
    /// `RACK.xmit_ts` and `RACK.end_seq`: the newest transmission that was delivered.
    at: Micros,
    end: Seq,
    /// `RACK.rtt`.
    rtt: u32,
    pub(crate) reordering_seen: bool,
    /// `RACK.reo_wnd_mult` and `RACK.reo_wnd_persist`.
    multiplier: u8,
    persist: u8,
    /// `RACK.dsack_round`.
    duplicate_round: Option<Seq>,
    /// The time at which possibly reordered segments count as lost. [`NEVER`]: there are none.
    pub(crate) wait_until: Micros,
    /// `TLP.end_seq` and `TLP.is_retrans`.
    pub(crate) probe: Option<(Seq, bool)>,
}

impl Rack {
    pub(crate) const fn new() -> Self {
        Self {
            at: 0,
            end: Seq(0),
            rtt: 0,
            reordering_seen: false,
            multiplier: 1,
            persist: 16,
            duplicate_round: None,
            wait_until: NEVER,
            probe: None,
        }
    }

    /// RFC 8985 §6.2 step 2.
    #[inline]
    pub(crate) fn note(&mut self, at: Micros, end: Seq, now: Micros) {
        self.rtt = micros32(now.saturating_sub(at));
        if later(at, end, self.at, self.end) {
            (self.at, self.end) = (at, end);
        }
    }

    /// RFC 8985 §6.2 step 4: after 16 recoveries without D-SACK the reordering window shrinks again.
    pub(crate) fn on_recovery_end(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            (self.multiplier, self.persist) = (1, 16);
        }
        self.wait_until = NEVER;
    }
}

impl<P> Tcb<P> {
    /// RFC 8985 §6.2: handles an acknowledgment.
    #[inline]
    pub(crate) fn rack_on_ack(&mut self, news: &mut News, now: Micros) {
        let min_rtt = self.min_rtt;
        let Some(active) = &mut self.active else { return };
        let rack = &mut active.rack;
        if let Some((at, end)) = news.delivered.newest_once {
            rack.note(at, end, now);
        }
        if let Some((at, end)) = news.delivered.newest_again {
            // The first transmission may have arrived: then this is too early.
            let sample = micros32(now.saturating_sub(at));
            if sample >= min_rtt {
                rack.note(at, end, now);
            }
        }
        // Step 3: an octet sent once arrives below those that arrived before.
        if let Some(end) = news.delivered.lowest_once
            && end.lt(news.fack_before)
        {
            rack.reordering_seen = true;
        }
        self.adapt_reordering(news);
        self.detect(news, now);
    }

    /// RFC 8985 §6.2 step 4: each round trip with a D-SACK widens the window.
    fn adapt_reordering(&mut self, news: &News) {
        let (una, nxt) = (self.snd_una, self.snd_nxt);
        let Some(active) = &mut self.active else { return };
        let rack = &mut active.rack;
        if rack.duplicate_round.is_some_and(|round| una.ge(round)) {
            rack.duplicate_round = None;
        }
        if news.duplicate && rack.duplicate_round.is_none() {
            rack.duplicate_round = Some(nxt);
            rack.multiplier = rack.multiplier.saturating_add(1);
            rack.persist = 16;
            rack.reordering_seen = true;
        }
    }

    /// The reordering window.
    fn reordering_window(&self) -> Micros {
        let Some(active) = &self.active else { return 0 };
        let rack = &active.rack;
        let threshold = u32::from(self.mss).saturating_mul(3);
        if !rack.reordering_seen && (active.phase != Phase::Open || active.board.sacked() >= threshold) {
            return 0;
        }
        let quarter = self.min_rtt.wrapping_shr(2);
        let window = Micros::from(quarter).saturating_mul(Micros::from(rack.multiplier));
        window.min(Micros::from(self.rto.srtt().unwrap_or(0)))
    }

    /// RFC 8985 §6.2 step 5.
    pub(crate) fn detect(&mut self, news: &mut News, now: Micros) {
        let window = self.reordering_window();
        let Some(active) = &mut self.active else { return };
        let rack = &mut active.rack;
        rack.wait_until = NEVER;
        let behind = active.board.first().is_some_and(|first| {
            // A retransmission is newer than the segments after it.
            first.again
                || first.mark == crate::scoreboard::Mark::Sacked
                || first.mark == crate::scoreboard::Mark::Lost
                || later(rack.at, rack.end, first.last_sent(), first.end)
        });
        if !behind {
            return;
        }
        let wait = Micros::from(rack.rtt).saturating_add(window);
        let (left, found) = active.board.detect_lost(rack.at, rack.end, wait, now);
        news.lost |= found;
        if left > 0 {
            rack.wait_until = now.saturating_add(left);
        }
    }

    /// The time of the tail loss probe (RFC 8985 §7.2). [`NEVER`] if none may be sent.
    #[inline]
    pub(crate) fn probe_at(&self, now: Micros) -> Micros {
        let Some(active) = &self.active else { return NEVER };
        let usable = self.bits.contains(Bits::SACK)
            && !matches!(self.state, State::SynSent | State::SynReceived)
            && active.phase == Phase::Open
            && active.board.sacked() == 0
            && active.rack.probe.is_none()
            && self.snd_wnd > 0;
        let (true, Some(srtt), Some(last)) = (usable, self.rto.srtt(), active.board.last()) else {
            return NEVER;
        };
        let mut timeout = Micros::from(srtt).saturating_mul(2);
        if active.board.outstanding() <= u32::from(self.mss) {
            timeout = timeout.saturating_add(Self::WORST_DELAYED_ACK);
        }
        // From the last transmission, or from the acknowledgment that arms the timer.
        last.last_sent().max(now).saturating_add(timeout)
    }

    /// RFC 8985 §7.4: whether a tail loss probe repaired a loss.
    pub(crate) fn probe_on_ack(&mut self, segment: &Segment, news: &News, now: Micros, env: &mut Env<P>) {
        let una = self.snd_una;
        let Some(active) = &mut self.active else { return };
        let Some((end, again)) = active.rack.probe else { return };
        if segment.ack.lt(end) {
            return;
        }
        let delivered_twice = news.duplicate || (segment.ack == end && news.advanced == 0 && !news.sacked);
        if !again || delivered_twice {
            active.rack.probe = None;
        } else if una.gt(end) {
            active.rack.probe = None;
            if active.phase == Phase::Open {
                self.begin_reducing(news.delivered.octets, news.advanced, now, env);
            }
        }
    }
}
