//! The receive window: its advertised size, and its growth (RFC 9293 §3.8.6.2, RFC 7323 §2).
//!
//! ```text
//!   read        RCV.NXT             rcv_adv: the offered edge, never moved back
//!   │  queued   │◄──── window ────►│
//!   │◄──────── receive_buffer, at most receive_grant ────────►│ the edge moves in steps (silly window avoidance)
//! ```
//!
//! The buffer aims at twice the octets that the application reads in a round trip. With less, the window would limit a
//! sender that recovers from a loss.

use crate::env::Env;
use crate::payload::Payload;
use crate::segment::Segment;
use crate::tcb::{Bits, Tcb};
use crate::time::{Micros, millis32};

/// The recent reads of the application: 16 bytes, which an idle connection keeps too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// The begin of the measured round trip, in milliseconds modulo 2³².
    since: u32,
    /// Octets read since then.
    taken: u32,
    /// Octets read in the round trip before.
    before: u32,
    /// The receiver's estimate of the round-trip time in milliseconds; 0: unknown.
    rtt: u16,
}

impl Tuning {
    pub(crate) const fn new() -> Self {
        Self { since: 0, taken: 0, before: 0, rtt: 0 }
    }

    /// Takes the age in milliseconds of an echoed timestamp of a data segment (RFC 7323 §4.1). After a pause of the sender,
    /// and late in a burst, the age is larger: the estimate stays near the minimum.
    #[inline]
    fn note(&mut self, age: u16) {
        let age = age.max(1);
        self.rtt = match self.rtt {
            0 => age,
            rtt => rtt.saturating_add(age.saturating_sub(rtt).wrapping_shr(6)).min(age),
        };
    }

    /// Notes that the application has read `len` octets. Once in a round trip of `rtt` milliseconds, returns the octets
    /// read in it, and the increase over the round trip before: a sender in slow start grows again before it gets the
    /// window.
    #[inline]
    fn take(&mut self, len: u32, now: u32, rtt: u32) -> Option<(u32, u32)> {
        self.taken = self.taken.saturating_add(len);
        let elapsed = now.wrapping_sub(self.since);
        if elapsed < rtt {
            return None;
        }
        let taken = core::mem::take(&mut self.taken);
        let growth = taken.saturating_sub(core::mem::replace(&mut self.before, taken));
        self.since = now;
        // The first octets after a pause began no round trip.
        (elapsed < rtt.saturating_mul(4)).then_some((taken, growth))
    }
}

impl<P: Payload> Tcb<P> {
    /// Takes received payload, oldest first. `None`: there is none now. [`Tcb::at_end`] tells whether more can follow.
    pub fn recv(&mut self, now: smoltcp::time::Instant, env: &mut Env<P>) -> Option<P> {
        let now = millis32(crate::time::micros(now));
        let rtt = self.receive_rtt();
        let active = self.active.as_mut()?;
        let payload = active.received.pop_front()?;
        let len = crate::seq::len32(payload.len());
        active.received_len = active.received_len.saturating_sub(len);
        if let Some((taken, growth)) = self.tuning.take(len, now, rtt) {
            let slack = u32::from(self.receive_mss).saturating_mul(4);
            let wish = taken.saturating_add(growth).saturating_mul(2).saturating_add(slack);
            let most = env.config.receive_window_max.min(env.receive_grant);
            self.receive_buffer = self.receive_buffer.max(wish.min(most));
        }
        self.offer_window(env);
        self.release_if_idle(env);
        Some(payload)
    }

    /// Whether the peer's stream is read to its end, or the connection is closed: [`Tcb::recv`] returns no more.
    #[must_use]
    pub fn at_end(&self) -> bool {
        let over = self.peer_finished() || matches!(self.state, crate::State::Closed);
        over && self.receive_queued() == 0
    }

    /// Requests an acknowledgment if the advertised window is small, and can grow by a full segment.
    fn offer_window(&mut self, env: &Env<P>) {
        if !matches!(self.state, crate::State::Established | crate::State::FinWait1 | crate::State::FinWait2)
        {
            return;
        }
        let (room, shown) = (self.receive_room(env), self.shown_window());
        let buffer = self.receive_limit(env);
        let step = self.window_step(env).max(buffer.wrapping_shr(2));
        if shown < buffer.wrapping_shr(1) && room >= shown.saturating_add(step) {
            self.bits.insert(Bits::ACK_NOW);
        }
    }
}

impl<P> Tcb<P> {
    /// The round-trip time for tuning in milliseconds: the receiver's estimate, or else the sender's.
    fn receive_rtt(&self) -> u32 {
        match self.tuning.rtt {
            0 => self.rto.srtt().map_or(100, |srtt| srtt.wrapping_div(1_000).max(1)),
            rtt => u32::from(rtt),
        }
    }

    /// Octets that may be received beyond what is queued: by the buffer, and by the pieces that may still be queued if
    /// each is a segment of the size that the peer sends.
    fn receive_room(&self, env: &Env<P>) -> u32 {
        let queued = self.active.as_ref().map_or(0, |active| active.received.len());
        let pieces = crate::seq::len32(self.max_pieces(env).saturating_sub(queued));
        let room = self.receive_limit(env).saturating_sub(self.receive_queued());
        room.min(pieces.saturating_mul(u32::from(self.receive_mss)))
    }

    /// A peer that sends in crumbs gets no more than its share of pieces.
    #[inline]
    pub(crate) fn max_pieces(&self, env: &Env<P>) -> usize {
        let share = self.receive_buffer.wrapping_shr(9).max(64);
        crate::seq::len_usize(share.min(u32::from(env.config.max_pieces)))
    }

    /// The buffer that the connection aims at, as far as the ledger grants it.
    fn receive_limit(&self, env: &Env<P>) -> u32 {
        self.receive_buffer.min(env.receive_grant)
    }

    /// Octets of the offered window that the peer has not sent.
    #[inline]
    pub(crate) const fn shown_window(&self) -> u32 {
        self.rcv_adv.past(self.rcv_nxt)
    }

    /// The smallest step of the edge: half the buffer or a full segment, whichever is less (MUST-39).
    fn window_step(&self, env: &Env<P>) -> u32 {
        self.receive_limit(env).wrapping_shr(1).min(u32::from(self.receive_mss)).max(1)
    }

    /// The window field of a segment sent now. Moves the offered edge.
    #[inline]
    pub(crate) fn show_window(&mut self, env: &Env<P>) -> u16 {
        let scale = u32::from(self.receive_scale);
        let edge = self.rcv_nxt.add(self.receive_room(env));
        let shown = self.shown_window();
        let promise =
            if edge.past(self.rcv_adv) >= self.window_step(env) { edge.past(self.rcv_nxt) } else { shown };
        let mut wire = promise.wrapping_shr(scale);
        // Rounding does not move the edge back (RFC 7323 §2.4).
        if wire.wrapping_shl(scale) < shown {
            wire = wire.wrapping_add(1);
        }
        let wire = wire.min(65_535);
        self.rcv_adv = self.rcv_adv.max(self.rcv_nxt.add(wire.wrapping_shl(scale)));
        u16::try_from(wire).unwrap_or(u16::MAX)
    }

    /// The window field for the offered edge.
    pub(crate) fn wire_window(&self) -> u16 {
        let unit = 1_u32.wrapping_shl(u32::from(self.receive_scale));
        let wire = self
            .shown_window()
            .saturating_add(unit.wrapping_sub(1))
            .wrapping_shr(u32::from(self.receive_scale));
        u16::try_from(wire).unwrap_or(u16::MAX)
    }

    /// The window of a SYN or SYN-ACK is not scaled (RFC 7323 §2.2). Sets the offered edge.
    pub(crate) fn show_syn_window(&mut self, env: &Env<P>) -> u16 {
        let limit = self.receive_limit(env);
        // The edge of an earlier one stays (RFC 9293 §3.8.6, SHLD-14).
        let promised = if self.bits.contains(Bits::SYN_LOST) { self.shown_window() } else { 0 };
        let window = limit.max(promised).min(65_535);
        self.rcv_adv = self.rcv_nxt.add(window);
        u16::try_from(window).unwrap_or(u16::MAX)
    }

    /// Takes a sample of the receiver's round-trip time.
    #[inline]
    pub(crate) fn note_echo(&mut self, segment: &Segment, now: Micros) {
        if let Some(stamps) = segment.timestamps
            && let Ok(age) = u16::try_from(self.timestamp(now).wrapping_sub(stamps.echo))
        {
            self.tuning.note(age);
        }
    }
}
