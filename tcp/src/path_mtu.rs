//! Segment size: what the path takes, by messages that are checked and by loss (RFC 8201, RFC 5927 §7, RFC 4821).
//!
//! ```text
//!   too big, about a segment in flight ─► smaller segments, sent again at once
//!   full segments vanish, small ones do not ─► a smaller size is tried without any message
//! ```

use smoltcp::time::Instant;

use crate::config::Config;
use crate::env::{Counters, Env};
use crate::seq::Seq;
use crate::tcb::{Bits, CloseReason, State, Tcb};
use crate::time::{MS, micros};

/// The size that is tried when full segments vanish: below what any usual tunnel leaves (RFC 4821 §7.2).
const BASE_MSS: u16 = 1024;
/// What every host takes (RFC 9293 §3.7.1).
const LEAST_MSS: u16 = 536;

impl<P> Tcb<P> {
    /// The least of what path, peer and ourselves take.
    pub(crate) fn update_mss(&mut self, config: &Config) {
        self.mss = self.path_mss.min(self.peer_mss).max(config.min_mss);
        if let Some(active) = &mut self.active {
            active.cubic.set_mss(self.mss);
        }
    }

    /// A router reports that a segment, whose number `seq` the message quotes, is too big: `path_mss` is what passes,
    /// MTU less fixed IP and TCP headers. Returns whether it was about data in flight (RFC 5927 §4.1) and lowered the
    /// size.
    pub fn on_packet_too_big(&mut self, seq: Seq, path_mss: u16, now: Instant, env: &mut Env<P>) -> bool {
        if !self.is_in_flight(seq) {
            env.counters.icmp_invalid = env.counters.icmp_invalid.wrapping_add(1);
            return false;
        }
        if path_mss >= self.path_mss {
            return false;
        }
        env.counters.path_mtu = env.counters.path_mtu.wrapping_add(1);
        self.shrink(path_mss, &env.config);
        self.resend_smaller(now);
        true
    }

    /// The path takes `path_mss` now, as the caller knows from elsewhere; larger sizes are taken too.
    pub fn set_path_mss(&mut self, path_mss: u16, env: &Env<P>) {
        self.path_mss = path_mss.min(self.announced_mss).max(env.config.min_mss);
        self.bits.remove(Bits::MTU_REDUCED);
        self.update_mss(&env.config);
    }

    /// A message says that the peer cannot be reached; `seq` is what it quotes. A connection that is open goes on: the
    /// message may be forged or pass by (RFC 5927 §5.2, RFC 9293 §3.9.2.2). `hard`: protocol or port unreachable.
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

    fn shrink(&mut self, path_mss: u16, config: &Config) {
        self.path_mss = path_mss;
        self.update_mss(config);
    }

    /// What was too big is sent again in smaller segments; that is no congestion.
    fn resend_smaller(&mut self, now: Instant) {
        let now = micros(now);
        if let Some(active) = &mut self.active {
            active.board.lose_all();
            active.forced = 1;
        }
        self.arm_timer(now.saturating_add(MS), true);
    }

    /// Three timeouts in a row for a full segment: its size may be the reason (RFC 4821 §7.7). Two more for the smaller
    /// one: it was not, and the size comes back.
    pub(crate) fn suspect_black_hole(&mut self, config: &Config, counters: &mut Counters) {
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
            self.shrink(if self.mss > BASE_MSS { BASE_MSS } else { LEAST_MSS }, config);
        }
    }
}
