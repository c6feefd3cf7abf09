//! Keep-alive (RFC 9293 §3.8.4): off unless the application asks for it.
//!
//! ```text
//!   silence for the interval ─► <SEQ=SND.UNA-1><ACK=RCV.NXT>, no data ─► the peer acknowledges, or the user timeout ends it
//! ```
//!
//! A received segment does not touch the timer. When the timer expires, the time since the last segment is checked.

use crate::env::Env;
use crate::tcb::{Bits, State, Tcb};
use crate::time::{MS, Micros};

impl<P> Tcb<P> {
    fn keep_alive(&self) -> Micros {
        Micros::from(self.keep_alive_ms).saturating_mul(MS)
    }

    /// Sets the timer, unless the state has another one.
    pub(crate) fn arm_keep_alive(&mut self) {
        let open = matches!(
            self.state,
            State::Established | State::CloseWait | State::FinWait1 | State::Closing | State::LastAck
        ) || (self.state == State::FinWait2 && !self.bits.contains(Bits::READ_SHUT));
        if open {
            self.slow_timer = match self.keep_alive() {
                0 => crate::time::NEVER,
                interval => self.heard_at.saturating_add(interval),
            };
        }
    }

    pub(crate) fn on_keep_alive_timer(&mut self, now: Micros, env: &mut Env<P>) {
        let interval = self.keep_alive();
        if interval == 0 {
            return;
        }
        let silence = now.saturating_sub(self.heard_at);
        if silence < interval || self.snd_una != self.snd_nxt {
            // The peer was heard in the meantime, or data is in flight, which has timeouts.
            self.slow_timer = self.heard_at.saturating_add(interval).max(now.saturating_add(MS));
            if silence >= interval {
                self.slow_timer = now.saturating_add(interval);
            }
            return;
        }
        let user_timeout = Micros::from(self.user_timeout_ms).saturating_mul(MS);
        if user_timeout > 0 && self.probes > 0 && silence >= interval.saturating_add(user_timeout) {
            self.time_out(env);
            return;
        }
        self.probes = self.probes.saturating_add(1);
        self.bits.insert(Bits::KEEP_ALIVE_DUE);
        env.counters.keep_alives = env.counters.keep_alives.wrapping_add(1);
        let next = if user_timeout > 0 { interval.min(user_timeout) } else { interval };
        self.slow_timer = now.saturating_add(next);
    }
}
