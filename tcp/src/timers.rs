//! Deadlines of a connection.
//!
//! ```text
//!   milliseconds, in Active:  retransmission (RTO, probe, reordering, persist), delayed acknowledgment
//!   seconds, in Tcb:          SYN timeout, FIN-WAIT-2, TIME-WAIT, keep-alive         a coarse wheel is enough
//! ```

use smoltcp::time::Instant;

use crate::ack::News;
use crate::active::{Phase, TimerKind};
use crate::env::Env;
use crate::scoreboard::Delivered;
use crate::seq::Seq;
use crate::tcb::{Bits, CloseReason, State, Tcb};
use crate::time::{MS, Micros, NEVER, instant, micros};

impl<P> Tcb<P> {
    /// The time of the next call of [`Tcb::on_timer`]. `None`: none. Late and unnecessary calls are harmless.
    #[must_use]
    #[inline]
    pub fn next_timer(&self) -> Option<Instant> {
        let fast = self.active.as_ref().map_or(NEVER, |active| active.rtx_timer.min(active.ack_timer));
        instant(fast.min(self.slow_timer))
    }

    /// Handles passed deadlines. [`Tcb::poll_transmit`] returns the resulting segments.
    pub fn on_timer(&mut self, now: Instant, env: &mut Env<P>) {
        let now = micros(now);
        if let Some(active) = &mut self.active {
            if active.ack_timer <= now {
                active.ack_timer = NEVER;
                self.bits.insert(Bits::ACK_NOW);
            }
            if active.rtx_timer <= now {
                self.on_retransmission_timer(now, env);
            }
        }
        if self.slow_timer <= now {
            self.on_slow_timer(now, env);
        }
        self.release_if_idle(env);
    }

    fn on_retransmission_timer(&mut self, now: Micros, env: &mut Env<P>) {
        let Some(active) = &mut self.active else { return };
        active.rtx_timer = NEVER;
        match active.rtx_kind {
            TimerKind::Rto => self.on_timeout(now, env),
            TimerKind::Probe => {
                active.probe_due = true;
                // The timeout starts over from the probe (RFC 8985 §7.3).
                active.rto_at = NEVER;
            }
            TimerKind::Reorder => self.on_reordering_over(now, env),
            TimerKind::Persist => {
                active.persist_due = true;
                self.rto.on_expiry();
            }
        }
    }

    /// RFC 6298 §5.4 to §5.7.
    fn on_timeout(&mut self, now: Micros, env: &mut Env<P>) {
        env.counters.timeouts = env.counters.timeouts.wrapping_add(1);
        let opening = matches!(self.state, State::SynSent | State::SynReceived);
        let Some(active) = &mut self.active else { return };
        let Some(first) = active.board.first().copied() else { return };
        // A peer that answers with a closed window is not silent (RFC 9293 §3.8.6.1, MUST-37): silence begins with the probe that
        // is sent now.
        let answered = self.snd_wnd == 0 && self.heard_at >= first.last_sent();
        active.silent_since = if answered { now } else { active.silent_since.min(first.sent_at) };
        let user_timeout = Micros::from(self.user_timeout_ms).saturating_mul(MS);
        if user_timeout > 0 && !opening && now.saturating_sub(active.silent_since) >= user_timeout {
            self.time_out(env);
            return;
        }
        active.rto_at = NEVER;
        active.rack.probe = None;
        self.rto.on_expiry();
        if opening || self.snd_wnd == 0 {
            // This is no sign of congestion: a SYN has no rate, and a probe meets a closed window.
            active.board.lose_all();
            active.forced = 1;
        } else {
            self.suspect_black_hole(now, &env.config, &mut env.counters);
            self.begin_timeout(now);
        }
        // Without anything to send now, the timer continues.
        self.arm_timer(now, true);
    }

    /// RFC 8985 §6.3: segments beyond the reordering window are lost.
    fn on_reordering_over(&mut self, now: Micros, env: &mut Env<P>) {
        let mut news = News {
            delivered: Delivered::default(),
            advanced: 0,
            flight_before: 0,
            fack_before: Seq(0),
            duplicate: false,
            sacked: false,
            lost: false,
            rtt: None,
        };
        self.detect(&mut news, now);
        let Some(active) = &mut self.active else { return };
        if news.lost && active.phase == Phase::Open {
            self.begin_reducing(0, 0, now, env);
        }
        self.arm_timer(now, false);
    }

    fn on_slow_timer(&mut self, now: Micros, env: &mut Env<P>) {
        self.slow_timer = NEVER;
        match self.state {
            State::SynSent | State::SynReceived => self.time_out(env),
            State::TimeWait => self.become_closed(CloseReason::Finished, env),
            State::FinWait2 if self.bits.contains(Bits::READ_SHUT) => {
                self.become_closed(CloseReason::Finished, env);
            }
            State::Closed => {}
            _ => self.on_keep_alive_timer(now, env),
        }
    }
}
