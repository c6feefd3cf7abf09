//! Closing: FIN, TIME-WAIT, RST (RFC 9293 §3.6, §3.10.4, §3.10.5).
//!
//! ```text
//!   shutdown ─► FIN-WAIT-1 ─ACK─► FIN-WAIT-2 ─FIN─► TIME-WAIT          abort ─► RST, CLOSED
//!   FIN from the peer ─► CLOSE-WAIT ─shutdown─► LAST-ACK ─ACK─► CLOSED
//! ```

use crate::env::Env;
use crate::tcb::{Bits, CloseReason, Events, State, Tcb};
use crate::time::{MS, Micros, NEVER};

impl<P> Tcb<P> {
    /// Ends the outgoing stream with FIN, after all octets passed to [`Tcb::send`] (RFC 9293 §3.10.4). The peer's stream
    /// continues.
    pub fn shutdown(&mut self, env: &mut Env<P>) {
        match self.state {
            // The FIN is sent after the handshake.
            State::SynSent | State::SynReceived => self.bits.insert(Bits::FIN_QUEUED),
            State::Established => {
                self.bits.insert(Bits::FIN_QUEUED);
                self.state = State::FinWait1;
                self.activate(env);
            }
            State::CloseWait => {
                self.bits.insert(Bits::FIN_QUEUED);
                self.state = State::LastAck;
                self.activate(env);
            }
            _ => {}
        }
    }

    /// The application stops reading: queued and later octets are acknowledged and discarded. Together
    /// with [`Tcb::shutdown`] this closes the connection; FIN-WAIT-2 then ends by a timer.
    pub fn shut_read(&mut self, now: smoltcp::time::Instant, env: &mut Env<P>) {
        self.bits.insert(Bits::READ_SHUT);
        if let Some(active) = &mut self.active {
            active.received.clear();
            active.received_len = 0;
        }
        if self.state == State::FinWait2 {
            self.start_fin_wait_2(crate::time::micros(now), env);
        }
        self.release_if_idle(env);
    }

    /// Ends the connection at once (RFC 9293 §3.10.5): a reset leaves by the next [`Tcb::poll_transmit`], if the peer
    /// knows of the connection.
    pub fn abort(&mut self, env: &mut Env<P>) {
        if self.state == State::Closed {
            return;
        }
        let known = !matches!(self.state, State::SynSent | State::TimeWait);
        if let Some(active) = &mut self.active {
            active.received.clear();
            active.received_len = 0;
        }
        self.become_closed(CloseReason::Aborted, env);
        self.bits.set(Bits::RST_DUE, known);
    }

    /// Closes the connection for `reason`. Queued octets stay readable.
    pub(crate) fn become_closed(&mut self, reason: CloseReason, env: &mut Env<P>) {
        self.state = State::Closed;
        self.reason = Some(reason);
        self.slow_timer = NEVER;
        self.bits.remove(Bits::ACK_NOW | Bits::KEEP_ALIVE_DUE);
        self.events.insert(Events::CLOSED | Events::READABLE | Events::WRITABLE);
        if let Some(active) = &mut self.active {
            active.rtx_timer = NEVER;
            active.ack_timer = NEVER;
        }
        self.release_if_idle(env);
    }

    /// The user timeout expired (RFC 9293 §3.8.3). The peer may still exist, so it gets a reset.
    pub(crate) fn time_out(&mut self, env: &mut Env<P>) {
        env.counters.timed_out = env.counters.timed_out.wrapping_add(1);
        let known = self.state != State::SynSent;
        self.become_closed(CloseReason::TimedOut, env);
        self.bits.set(Bits::RST_DUE, known);
    }

    /// The peer's FIN is next in order (RFC 9293 §3.10.7.4, eighth).
    pub(crate) fn on_fin(&mut self, now: Micros, env: &mut Env<P>) {
        self.rcv_nxt = self.rcv_nxt.add(1);
        self.rcv_adv = self.rcv_adv.max(self.rcv_nxt);
        self.bits.insert(Bits::ACK_NOW);
        self.events.insert(Events::READABLE);
        if let Some(active) = &mut self.active {
            active.reassembly.clear();
        }
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.start_time_wait(now, env),
            _ => {}
        }
    }

    /// Our FIN is acknowledged (RFC 9293 §3.10.7.4, fifth). Returns whether this closes the connection.
    pub(crate) fn on_fin_acknowledged(&mut self, now: Micros, env: &mut Env<P>) -> bool {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.events.insert(Events::FIN_ACKED);
                if self.bits.contains(Bits::READ_SHUT) {
                    self.start_fin_wait_2(now, env);
                }
            }
            State::Closing => {
                self.events.insert(Events::FIN_ACKED);
                self.start_time_wait(now, env);
            }
            State::LastAck => {
                self.events.insert(Events::FIN_ACKED);
                self.become_closed(CloseReason::Finished, env);
                return true;
            }
            _ => {}
        }
        false
    }

    fn start_fin_wait_2(&mut self, now: Micros, env: &Env<P>) {
        self.slow_timer = now.saturating_add(Micros::from(env.config.fin_wait_2_ms).saturating_mul(MS));
    }

    /// Enters TIME-WAIT, or restarts its timer.
    pub(crate) fn start_time_wait(&mut self, now: Micros, env: &Env<P>) {
        if self.state != State::TimeWait {
            self.events.insert(Events::TIME_WAIT);
        }
        self.state = State::TimeWait;
        self.reason = Some(CloseReason::Finished);
        self.slow_timer = now.saturating_add(Micros::from(env.config.time_wait_ms).saturating_mul(MS));
    }
}
