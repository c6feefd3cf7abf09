//! Segment size: path MTU discovery by validated ICMP messages and by loss (RFC 8201, RFC 5927 §7, RFC 4821).
//!
//! ```text
//!   "too big" for a segment in flight ─► smaller segments, retransmitted at once
//!   full segments are lost, small ones are not ─► a smaller size is tried without a message
//!   eleven minutes later ─► one segment of the full size: acknowledged ─► the size is raised; lost ─► sent again in pieces
//! ```

use smoltcp::time::Instant;

use crate::active::Phase;
use crate::config::Config;
use crate::env::{Counters, Env};
use crate::seq::Seq;
use crate::tcb::{Bits, CloseReason, State, Tcb};
use crate::time::{MS, Micros, micros};

/// The size that is tried when full segments are lost: it fits through the usual tunnels (RFC 4821 §7.2).
const BASE_MSS: u16 = 1024;
/// The MSS that every host accepts (RFC 9293 §3.7.1).
const LEAST_MSS: u16 = 536;
/// The time after which a larger size is probed again: 11 minutes (RFC 8201 §4: not less than 5, 10 are recommended).
const PROBE_AFTER: u16 = 10;

/// The clock of [`PROBE_AFTER`]: a unit is 67 seconds.
fn units(now: Micros) -> u16 {
    u16::try_from(now.wrapping_shr(26) & 0xffff).unwrap_or_default()
}

impl<P> Tcb<P> {
    /// The minimum of the sizes of path, peer and this host.
    pub(crate) fn update_mss(&mut self, config: &Config) {
        self.mss = self.path_mss.min(self.peer_mss).max(config.min_mss);
        if let Some(active) = &mut self.active {
            active.cubic.set_mss(self.mss);
        }
    }

    /// Handles a router's report that a segment is too big. `seq` is the quoted sequence number, `path_mss` the reported MTU
    /// less fixed IP and TCP headers. Returns whether the segment is in flight (RFC 5927 §4.1) and the size was lowered.
    pub fn on_packet_too_big(&mut self, seq: Seq, path_mss: u16, now: Instant, env: &mut Env<P>) -> bool {
        if !self.is_in_flight(seq) {
            env.counters.icmp_invalid = env.counters.icmp_invalid.wrapping_add(1);
            return false;
        }
        if path_mss >= self.path_mss {
            return false;
        }
        env.counters.path_mtu = env.counters.path_mtu.wrapping_add(1);
        self.shrink(path_mss, micros(now), &env.config);
        self.resend_smaller(now);
        true
    }

    /// Sets the size for the path, larger or smaller, from another source.
    pub fn set_path_mss(&mut self, path_mss: u16, env: &Env<P>) {
        self.path_mss = path_mss.min(self.announced_mss).max(env.config.min_mss);
        self.bits.remove(Bits::MTU_REDUCED);
        self.update_mss(&env.config);
    }

    /// Handles a report that the peer is unreachable; `seq` is the quoted number. An open connection continues: the report
    /// may be forged or temporary (RFC 5927 §5.2, RFC 9293 §3.9.2.2). `hard`: protocol or port unreachable.
    pub fn on_unreachable(&mut self, seq: Seq, hard: bool, env: &mut Env<P>) {
        if !self.is_in_flight(seq) {
            env.counters.icmp_invalid = env.counters.icmp_invalid.wrapping_add(1);
        } else if hard && self.state == State::SynSent {
            self.become_closed(CloseReason::Unreachable, env);
        }
    }

    /// SND.UNA =< SEG.SEQ < SND.NXT.
    fn is_in_flight(&self, seq: Seq) -> bool {
        seq.ge(self.snd_una) && seq.lt(self.snd_nxt)
    }

    fn shrink(&mut self, path_mss: u16, now: Micros, config: &Config) {
        self.path_mss = path_mss;
        self.narrowed_at = units(now);
        if let Some(active) = &mut self.active {
            active.mtu_probe = None;
        }
        self.update_mss(config);
    }

    /// Whether the size was lowered for the path: the size that is probed is the one that both ends accept.
    #[inline]
    pub(crate) fn is_narrowed(&self) -> bool {
        self.path_mss < self.announced_mss
    }

    /// The end of a segment of the full size from SND.NXT on, if it is time to probe whether the path takes it, and if
    /// windows and queue allow it.
    #[cold]
    pub(crate) fn mtu_probe(&mut self, room: u32, now: Micros) -> Option<Seq> {
        let full = self.announced_mss.min(self.peer_mss);
        let options = self.mss.saturating_sub(self.segment_size());
        let size = u32::from(full.saturating_sub(options));
        let due = full > self.mss && units(now).wrapping_sub(self.narrowed_at) >= PROBE_AFTER;
        let end = self.snd_nxt.add(size);
        let window = self.snd_una.add(self.snd_wnd);
        let active = self.active.as_mut()?;
        let fits = size <= room && end.le(window) && end.le(active.rope.end());
        if !due || !fits || active.phase != Phase::Open || active.mtu_probe.is_some() {
            return None;
        }
        active.mtu_probe = Some(end);
        Some(end)
    }

    /// The segment that begins at `from` is lost. If it was a probe, the path is as narrow as before.
    pub(crate) fn note_mtu_probe_lost(&mut self, from: Seq, now: Micros) {
        if let Some(active) = &mut self.active
            && active.mtu_probe.take_if(|end| from.lt(*end)).is_some()
        {
            self.narrowed_at = units(now);
        }
    }

    /// Raises the size when a probe has arrived.
    #[cold]
    pub(crate) fn note_mtu_probe_arrived(&mut self, env: &mut Env<P>) {
        let una = self.snd_una;
        if let Some(active) = &mut self.active
            && active.mtu_probe.take_if(|end| una.ge(*end)).is_some()
        {
            env.counters.path_mtu_raised = env.counters.path_mtu_raised.wrapping_add(1);
            self.path_mss = self.announced_mss;
            self.bits.remove(Bits::MTU_REDUCED);
            self.update_mss(&env.config);
        }
    }

    /// Retransmits oversized segments as smaller ones. This is no congestion.
    fn resend_smaller(&mut self, now: Instant) {
        let now = micros(now);
        if let Some(active) = &mut self.active {
            active.board.lose_all();
            active.forced = 1;
        }
        self.arm_timer(now.saturating_add(MS), true);
    }

    /// After three timeouts in a row for a full segment its size may be the reason (RFC 4821 §7.7), and a smaller one is
    /// tried. After two more timeouts the size is restored.
    pub(crate) fn suspect_black_hole(&mut self, now: Micros, config: &Config, counters: &mut Counters) {
        let size = self.payload_size();
        let Some(active) = &self.active else { return };
        let full = active.board.first().is_some_and(|first| first.end.since(first.start) >= size);
        let expiries = self.rto.backoff();
        if self.bits.contains(Bits::MTU_REDUCED) {
            if expiries >= 5 {
                self.bits.remove(Bits::MTU_REDUCED);
                self.path_mss = self.announced_mss;
                self.update_mss(config);
            }
        } else if full && expiries >= 3 && self.mss > LEAST_MSS {
            counters.black_holes = counters.black_holes.wrapping_add(1);
            self.bits.insert(Bits::MTU_REDUCED);
            self.shrink(if self.mss > BASE_MSS { BASE_MSS } else { LEAST_MSS }, now, config);
        }
    }
}
