//! The receive window: what is shown, and how it grows (RFC 9293 §3.8.6.2, RFC 7323 §2).
//!
//! ```text
//!   read        RCV.NXT             rcv_adv: promised, never goes back
//!   │  queued   │◄──── window ────►│
//!   │◄──────── receive_buffer, at most receive_grant ────────►│ an edge moves in steps: no silly windows
//! ```
//!
//! The buffer aims at twice what the application takes in a round trip: with less, the window would hold a sender back
//! that a loss has just stopped for a round trip.

use crate::active::Active;
use crate::env::Env;
use crate::payload::Payload;
use crate::segment::Segment;
use crate::tcb::{Bits, Tcb};
use crate::time::{MS, Micros, micros32, millis32};

/// What the application took lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// The measured round trip began.
    at: Micros,
    /// Octets that the application took since.
    taken: u32,
    /// Octets that it took in the best round trip.
    best: u32,
    /// Round-trip time as the receiver sees it, microseconds; 0: not known.
    rtt: u32,
    /// TSecr that gave the last sample.
    echo: u32,
}

impl Tuning {
    pub(crate) const fn new() -> Self {
        Self { at: 0, taken: 0, best: 0, rtt: 0, echo: 0 }
    }

    /// A segment with data carries `echo`: an octet of ours left so long ago (RFC 7323 §4.1). One sample for a TSecr:
    /// later segments of a burst would add the time of the burst.
    pub(crate) fn note_echo(&mut self, echo: u32, clock: u32) {
        if echo == self.echo {
            return;
        }
        self.echo = echo;
        let Ok(milliseconds) = u32::try_from(clock.wrapping_sub(echo).cast_signed()) else { return };
        let sample = milliseconds.max(1).saturating_mul(1_000);
        self.rtt =
            if self.rtt == 0 { sample } else { self.rtt.min(sample).saturating_add(sample.wrapping_shr(6)) };
    }

    /// The application took `len` octets; a new size of the buffer to aim at, once in a round trip.
    fn take(&mut self, len: u32, now: Micros, rtt: u32) -> Option<u32> {
        self.taken = self.taken.saturating_add(len);
        if self.at == 0 {
            self.at = now;
        }
        if now.saturating_sub(self.at) < Micros::from(rtt) {
            return None;
        }
        let taken = core::mem::take(&mut self.taken);
        self.at = now;
        if taken <= self.best {
            return None;
        }
        self.best = taken;
        Some(taken.saturating_mul(2))
    }
}

impl<P: Payload> Tcb<P> {
    /// Takes what was received, oldest first. `None`: nothing is there now; [`Tcb::at_end`] says whether more may come.
    pub fn recv(&mut self, now: smoltcp::time::Instant, env: &mut Env<P>) -> Option<P> {
        let now = crate::time::micros(now);
        let rtt = self.receive_rtt();
        let active = self.active.as_mut()?;
        let payload = active.received.pop_front()?;
        let len = crate::seq::len32(payload.len());
        active.received_len = active.received_len.saturating_sub(len);
        if let Some(wish) = active.tuning.take(len, now, rtt) {
            let wish = wish.saturating_add(u32::from(self.receive_mss).saturating_mul(4));
            let most = env.config.receive_window_max.min(env.receive_grant);
            self.receive_buffer = self.receive_buffer.max(wish.min(most));
        }
        self.offer_window(env);
        self.settle(env);
        Some(payload)
    }

    /// The peer's stream is read to its end, or the connection is over: [`Tcb::recv`] never gives more.
    #[must_use]
    pub fn at_end(&self) -> bool {
        let over = self.peer_finished() || matches!(self.state, crate::State::Closed);
        over && self.receive_queued() == 0
    }

    /// Asks for an acknowledgment if the window that is shown is small, and could be larger by a full segment.
    fn offer_window(&mut self, env: &Env<P>) {
        if !matches!(self.state, crate::State::Established | crate::State::FinWait1 | crate::State::FinWait2)
        {
            return;
        }
        let (room, shown) = (self.receive_room(env), self.shown_window());
        let step = self.window_step().max(self.receive_buffer.wrapping_shr(2));
        if shown < self.receive_buffer.wrapping_shr(1) && room >= shown.saturating_add(step) {
            self.bits.insert(Bits::ACK_NOW);
        }
    }
}

impl<P> Tcb<P> {
    /// Round-trip time for tuning: the receiver's own view, or the sender's.
    fn receive_rtt(&self) -> u32 {
        match self.active.as_ref().map_or(0, |active| active.tuning.rtt) {
            0 => self.rto.srtt().unwrap_or(micros32(100 * MS)),
            rtt => rtt,
        }
    }

    /// Octets that may be received beyond what is queued.
    fn receive_room(&self, env: &Env<P>) -> u32 {
        self.receive_buffer.min(env.receive_grant).saturating_sub(self.receive_queued())
    }

    /// Octets that the peer may still send of what was promised.
    #[inline]
    pub(crate) const fn shown_window(&self) -> u32 {
        self.rcv_adv.past(self.rcv_nxt)
    }

    /// An edge moves by no less: MUST-39, the lesser of half the buffer and a full segment.
    fn window_step(&self) -> u32 {
        self.receive_buffer.wrapping_shr(1).min(u32::from(self.receive_mss)).max(1)
    }

    /// The window for a segment that leaves now, as on the wire. Moves the promised edge.
    #[inline]
    pub(crate) fn show_window(&mut self, env: &Env<P>) -> u16 {
        let scale = u32::from(self.receive_scale);
        let edge = self.rcv_nxt.add(self.receive_room(env));
        let shown = self.shown_window();
        let promise =
            if edge.past(self.rcv_adv) >= self.window_step() { edge.past(self.rcv_nxt) } else { shown };
        let mut wire = promise.wrapping_shr(scale);
        // What was promised is not taken back by rounding (RFC 7323 §2.4).
        if wire.wrapping_shl(scale) < shown {
            wire = wire.wrapping_add(1);
        }
        let wire = wire.min(65_535);
        self.rcv_adv = self.rcv_adv.max(self.rcv_nxt.add(wire.wrapping_shl(scale)));
        u16::try_from(wire).unwrap_or(u16::MAX)
    }

    /// The window that was promised, as on the wire.
    pub(crate) fn wire_window(&self) -> u16 {
        let unit = 1_u32.wrapping_shl(u32::from(self.receive_scale));
        let wire = self
            .shown_window()
            .saturating_add(unit.wrapping_sub(1))
            .wrapping_shr(u32::from(self.receive_scale));
        u16::try_from(wire).unwrap_or(u16::MAX)
    }

    /// The window of a SYN or SYN-ACK is not scaled (RFC 7323 §2.2). Sets the promised edge.
    pub(crate) fn show_syn_window(&mut self, env: &Env<P>) -> u16 {
        let window = self.receive_buffer.min(env.receive_grant).min(65_535);
        self.rcv_adv = self.rcv_nxt.add(window);
        u16::try_from(window).unwrap_or(u16::MAX)
    }

    /// Samples the receiver's round-trip time.
    #[inline]
    pub(crate) fn note_echo(active: &mut Active<P>, segment: &Segment, now: Micros, offset: u32) {
        if let Some(stamps) = segment.timestamps {
            active.tuning.note_echo(stamps.echo, millis32(now).wrapping_add(offset));
        }
    }
}
