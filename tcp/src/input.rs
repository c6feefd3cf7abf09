//! Segment arrival, with the checks in the order of RFC 9293 §3.10.7.4.
//!
//! ```text
//!   ESTABLISHED, in order, nothing unusual ─► fast path: acknowledgment, payload
//!   anything else ─► sequence number, RST, SYN, ACK, (urgent), payload, FIN
//! ```

use smoltcp::time::Instant;

use crate::env::Env;
use crate::payload::Payload;
use crate::segment::{Flags, Segment};
use crate::seq::{len_usize, len32};
use crate::tcb::{Bits, CloseReason, Events, State, Tcb};
use crate::time::{MS, Micros, NEVER, micros, millis32};

/// The caller's action for a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Reply {
    /// None: [`Tcb::poll_transmit`] returns what is to be sent.
    None,
    /// Send the reset of [`Segment::reset_for`]. The connection continues.
    Reset,
}

/// The flags that the fast path checks: all but PSH.
const LOOKED_AT: Flags = Flags::PSH.complement();

/// Timestamps older than 24 days are not compared (RFC 7323 §5.5).
const TIMESTAMP_LIFE_MS: u32 = 24 * 24 * 3600 * 1000;

impl<P: Payload> Tcb<P> {
    /// Takes a segment of this connection. The length of `payload` is [`Segment::payload_len`].
    ///
    /// Afterwards [`Tcb::take_events`] returns the events, and [`Tcb::poll_transmit`] the segments to send.
    #[inline]
    pub fn on_segment(&mut self, segment: &Segment, payload: P, now: Instant, env: &mut Env<P>) -> Reply {
        let now = micros(now);
        env.counters.segments_in = env.counters.segments_in.wrapping_add(1);
        if !self.is_predicted(segment) {
            return self.on_segment_slow(segment, payload, now, env);
        }
        env.counters.fast_path = env.counters.fast_path.wrapping_add(1);
        self.heard_at = now;
        self.probes = 0;
        self.take_timestamp(segment, now);
        self.acknowledge(segment, now, env);
        if self.is_narrowed() {
            self.note_mtu_probe_arrived(env);
        }
        if segment.payload_len > 0 {
            self.accept(payload, segment, now, env);
        }
        self.release_if_idle(env);
        Reply::None
    }

    /// Header prediction: the next octets in order, or an acknowledgment, while nothing is lost or out of order.
    #[inline]
    fn is_predicted(&self, segment: &Segment) -> bool {
        let usual = self.state == State::Established
            && segment.flags.intersection(LOOKED_AT) == Flags::ACK
            && segment.seq == self.rcv_nxt
            && segment.payload_len <= self.shown_window()
            && segment.ack.ge(self.snd_una)
            && segment.ack.le(self.snd_nxt)
            && segment.sack.is_empty()
            && !segment.congestion_experienced;
        let in_time = match segment.timestamps {
            Some(stamps) => stamps.value.wrapping_sub(self.ts_recent).cast_signed() >= 0,
            None => false,
        };
        usual
            && in_time == self.bits.contains(Bits::TIMESTAMPS)
            && self.active.as_ref().is_none_or(|active| active.reassembly.is_empty())
    }

    fn on_segment_slow(&mut self, segment: &Segment, payload: P, now: Micros, env: &mut Env<P>) -> Reply {
        let reply = match self.state {
            // RFC 9293 §3.10.7.1: there is no connection.
            State::Closed => Reply::Reset,
            State::SynSent => self.on_segment_syn_sent(segment, now, env),
            _ => self.on_segment_connected(segment, payload, now, env),
        };
        self.release_if_idle(env);
        reply
    }

    /// RFC 9293 §3.10.7.4.
    fn on_segment_connected(
        &mut self,
        segment: &Segment,
        payload: P,
        now: Micros,
        env: &mut Env<P>,
    ) -> Reply {
        let (mut segment, mut payload) = (*segment, payload);
        if self.is_crossed_syn(&segment) {
            // The SYN of a simultaneous open was handled before; the rest is an ACK.
            segment.flags.remove(Flags::SYN);
            segment.seq = segment.seq.add(1);
        }
        // First, check the sequence number; before it, the timestamp (RFC 7323 §5.3).
        if !self.is_in_time(&segment, now, env) || !self.is_acceptable(&segment, now, env) {
            return Reply::None;
        }
        // Second, check the RST bit.
        if segment.flags.contains(Flags::RST) {
            self.on_reset(&segment, now, env);
            return Reply::None;
        }
        // Third, security: none. Fourth, check the SYN bit.
        if segment.flags.contains(Flags::SYN) {
            self.on_unexpected_syn(&segment, now, env);
            return Reply::None;
        }
        // Fifth, check the ACK field.
        if !segment.flags.contains(Flags::ACK) {
            env.counters.no_ack = env.counters.no_ack.wrapping_add(1);
            return Reply::None;
        }
        if self.state == State::SynReceived {
            if segment.ack.le(self.snd_una) || segment.ack.gt(self.snd_nxt) {
                env.counters.ack_unsent = env.counters.ack_unsent.wrapping_add(1);
                return Reply::Reset;
            }
            self.take_handshake_ack(&segment, now, env);
        } else if !self.is_ack_acceptable(&segment, now, env) {
            return Reply::None;
        }
        self.heard_at = now;
        self.probes = 0;
        self.note_marks(&segment);
        self.trim(&mut segment, &mut payload, env);
        self.take_timestamp(&segment, now);
        let fin_was_sent = self.fin_sent();
        self.acknowledge(&segment, now, env);
        if self.is_narrowed() {
            self.note_mtu_probe_arrived(env);
        }
        if fin_was_sent && self.snd_una == self.snd_nxt && self.on_fin_acknowledged(now, env) {
            return Reply::None;
        }
        // Sixth, the URG bit: urgent data is read in line.
        // Seventh, process the segment text.
        self.take_text(&segment, payload, now, env);
        Reply::None
    }

    /// In a simultaneous open the peer's SYN-ACK repeats the SYN that was taken in SYN-SENT (RFC 9293 §3.5, figure 7).
    fn is_crossed_syn(&self, segment: &Segment) -> bool {
        self.state == State::SynReceived
            && !self.bits.contains(Bits::PASSIVE)
            && segment.flags.contains(Flags::SYN.union(Flags::ACK))
            && segment.seq == self.rcv_nxt.sub(1)
            && segment.ack == self.snd_nxt
    }

    fn take_handshake_ack(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) {
        self.snd_wl2 = segment.ack;
        self.snd_wl1 = segment.seq;
        self.snd_wnd = u32::from(segment.window).wrapping_shl(u32::from(self.send_scale));
        self.max_snd_wnd = self.max_snd_wnd.max(self.snd_wnd);
        self.become_established(now, env);
    }

    /// Protection against wrapped sequence numbers (RFC 7323 §5.3).
    fn is_in_time(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) -> bool {
        if !self.bits.contains(Bits::TIMESTAMPS) || segment.flags.contains(Flags::RST) {
            return true;
        }
        let Some(stamps) = segment.timestamps else {
            // RFC 7323 §3.2: a segment without the option is dropped. A SYN is checked below.
            let tolerated = segment.flags.contains(Flags::SYN);
            if !tolerated {
                env.counters.paws = env.counters.paws.wrapping_add(1);
            }
            return tolerated;
        };
        let old = stamps.value.wrapping_sub(self.ts_recent).cast_signed() < 0;
        let outdated = millis32(now).wrapping_sub(self.ts_recent_at) > TIMESTAMP_LIFE_MS;
        if !old || outdated || segment.flags.contains(Flags::SYN) {
            return true;
        }
        env.counters.paws = env.counters.paws.wrapping_add(1);
        self.note_old_range(segment);
        self.answer_unacceptable(segment, now, env);
        false
    }

    /// The four cases of RFC 9293 §3.10.7.4, with the exception for a closed window: ACK and RST of a segment at
    /// RCV.NXT are processed, and its text is cut off.
    fn is_acceptable(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) -> bool {
        let (window, len) = (self.shown_window(), segment.seq_len());
        let edge = self.rcv_nxt.add(window);
        let acceptable = if len == 0 {
            segment.seq == self.rcv_nxt || (segment.seq.ge(self.rcv_nxt) && segment.seq.lt(edge))
        } else {
            segment.seq == self.rcv_nxt
                || (segment.seq.lt(edge)
                    && segment.end().gt(self.rcv_nxt)
                    && segment.seq.ge(self.rcv_nxt.sub(1 << 30)))
        };
        if acceptable {
            return true;
        }
        env.counters.out_of_window = env.counters.out_of_window.wrapping_add(1);
        if segment.flags.contains(Flags::RST) {
            return false;
        }
        if segment.flags.contains(Flags::SYN) {
            // RFC 5961 §4.2: irrespective of the sequence number.
            self.on_unexpected_syn(segment, now, env);
            return false;
        }
        self.note_old_range(segment);
        self.answer_unacceptable(segment, now, env);
        if self.state == State::TimeWait && segment.flags.contains(Flags::FIN) {
            // Our last ACK was lost: acknowledge, and restart TIME-WAIT (RFC 9293 §3.10.7.4, eighth).
            self.start_time_wait(now, env);
        }
        false
    }

    /// "Send an acknowledgment in reply": at once for data, and within the limits otherwise, so that two ends that disagree
    /// do not answer each other without end.
    fn answer_unacceptable(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) {
        if segment.seq_len() > 0 {
            self.bits.insert(Bits::ACK_NOW);
        } else {
            self.challenge(now, env);
        }
    }

    /// Reports octets received before as D-SACK (RFC 2883 §4).
    fn note_old_range(&mut self, segment: &Segment) {
        let end = segment.seq.add(segment.payload_len).min(self.rcv_nxt);
        if self.bits.contains(Bits::SACK)
            && segment.payload_len > 0
            && segment.seq.lt(self.rcv_nxt)
            && let Some(active) = &mut self.active
        {
            active.duplicate = Some((segment.seq, end));
        }
    }

    /// RFC 5961 §3.2 (RFC 9293 §3.10.7.4, second): only the exact number resets.
    fn on_reset(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) {
        if segment.seq != self.rcv_nxt {
            env.counters.rst_in_window = env.counters.rst_in_window.wrapping_add(1);
            self.challenge(now, env);
            return;
        }
        if self.state == State::TimeWait {
            // RFC 1337 §3: a reset does not end TIME-WAIT.
            return;
        }
        env.counters.rst = env.counters.rst.wrapping_add(1);
        let refused = self.state == State::SynReceived && !self.bits.contains(Bits::PASSIVE);
        self.become_closed(if refused { CloseReason::Refused } else { CloseReason::Reset }, env);
    }

    /// RFC 5961 §4.2 (RFC 9293 §3.10.7.4, fourth): a challenge ACK, and the segment is dropped. A restarted peer
    /// answers it with RST. In SYN-RECEIVED a retransmitted SYN is answered by our SYN-ACK.
    fn on_unexpected_syn(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) {
        if self.state == State::SynReceived
            && segment.seq == self.rcv_nxt.sub(1)
            && !segment.flags.contains(Flags::ACK)
        {
            self.resend_syn(now);
            return;
        }
        env.counters.syn_in_connection = env.counters.syn_in_connection.wrapping_add(1);
        self.challenge(now, env);
    }

    /// RFC 9293 §3.10.7.4, fifth: refuses acknowledgments of unsent octets; RFC 5961 §5.2: and those older than the
    /// largest window.
    fn is_ack_acceptable(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) -> bool {
        if segment.ack.gt(self.snd_nxt) {
            env.counters.ack_unsent = env.counters.ack_unsent.wrapping_add(1);
        } else if segment.ack.lt(self.snd_una.sub(self.max_snd_wnd)) {
            env.counters.ack_too_old = env.counters.ack_too_old.wrapping_add(1);
        } else {
            return true;
        }
        self.challenge(now, env);
        false
    }

    /// Updates TS.Recent from a segment that begins at or before Last.ACK.sent (RFC 7323 §4.3).
    #[inline]
    fn take_timestamp(&mut self, segment: &Segment, now: Micros) {
        if let Some(stamps) = segment.timestamps
            && segment.seq.le(self.last_ack_sent)
            && self.bits.contains(Bits::TIMESTAMPS)
            && (stamps.value.wrapping_sub(self.ts_recent).cast_signed() >= 0
                || millis32(now).wrapping_sub(self.ts_recent_at) > TIMESTAMP_LIFE_MS)
        {
            (self.ts_recent, self.ts_recent_at) = (stamps.value, millis32(now));
        }
    }

    /// Handles congestion marks of the path on received segments (RFC 3168 §6.1.3).
    fn note_marks(&mut self, segment: &Segment) {
        if !self.bits.contains(Bits::ECN) {
            return;
        }
        if segment.flags.contains(Flags::CWR) {
            self.bits.remove(Bits::ECN_ECHO);
        }
        if segment.congestion_experienced && segment.payload_len > 0 {
            self.bits.insert(Bits::ECN_ECHO | Bits::ACK_NOW);
        }
    }

    /// Cuts off octets outside the window (RFC 9293 §3.10.7.4: "trimming").
    fn trim(&mut self, segment: &mut Segment, payload: &mut P, env: &mut Env<P>) {
        let old = self.rcv_nxt.past(segment.seq).min(segment.payload_len);
        if old > 0 {
            env.counters.duplicate_octets = env.counters.duplicate_octets.wrapping_add(u64::from(old));
            self.note_old_range(segment);
            payload.trim_front(len_usize(old));
            segment.seq = segment.seq.add(old);
            segment.payload_len = segment.payload_len.saturating_sub(old);
            self.bits.insert(Bits::ACK_NOW);
        }
        let edge = self.rcv_nxt.add(self.shown_window());
        let beyond = segment.seq.add(segment.payload_len).past(edge).min(segment.payload_len);
        if beyond > 0 {
            payload.trim_back(len_usize(beyond));
            segment.payload_len = segment.payload_len.saturating_sub(beyond);
            segment.flags.remove(Flags::FIN);
            self.bits.insert(Bits::ACK_NOW);
        }
    }

    /// RFC 9293 §3.10.7.4, seventh and eighth.
    fn take_text(&mut self, segment: &Segment, payload: P, now: Micros, env: &mut Env<P>) {
        let fin = segment.flags.contains(Flags::FIN);
        if segment.payload_len == 0 && !fin {
            return;
        }
        if !matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) {
            // The peer's FIN was received: nothing can follow it.
            if segment.payload_len > 0 {
                env.counters.unwanted_data = env.counters.unwanted_data.wrapping_add(1);
            }
            self.bits.insert(Bits::ACK_NOW);
            return;
        }
        let fin_at = segment.seq.add(segment.payload_len);
        if segment.seq.gt(self.rcv_nxt) {
            self.keep_out_of_order(segment, payload, env);
            if fin {
                self.activate(env).reassembly.set_fin(fin_at);
            }
            return;
        }
        if segment.payload_len > 0 {
            self.accept(payload, segment, now, env);
        }
        let closed_hole = self.take_reassembled(env);
        let ends = (fin && fin_at == self.rcv_nxt)
            || self.active.as_ref().is_some_and(|active| active.reassembly.is_fin(self.rcv_nxt));
        if closed_hole {
            self.bits.insert(Bits::ACK_NOW);
        }
        if ends {
            self.on_fin(now, env);
        }
    }

    fn keep_out_of_order(&mut self, segment: &Segment, payload: P, env: &mut Env<P>) {
        env.counters.out_of_order = env.counters.out_of_order.wrapping_add(1);
        // RFC 5681 §4.2: an immediate duplicate acknowledgment.
        self.bits.insert(Bits::ACK_NOW);
        let max = self.max_pieces(env);
        let active = self.activate(env);
        if segment.payload_len == 0 {
            return;
        }
        let (known, refused) = active.reassembly.insert(segment.seq, payload, max);
        if known.is_some() {
            active.duplicate = known;
        }
        if refused {
            env.counters.pieces_refused = env.counters.pieces_refused.wrapping_add(1);
        }
    }

    /// Takes queued payload that is in order now.
    fn take_reassembled(&mut self, env: &mut Env<P>) -> bool {
        let mut any = false;
        while let Some(active) = &mut self.active {
            if active.received.try_reserve(1).is_err() {
                break;
            }
            let Some(payload) = active.reassembly.pop(self.rcv_nxt) else { break };
            any = true;
            // It fits: it was received within the window, and counted among the pieces.
            self.rcv_nxt = self.rcv_nxt.add(len32(payload.len()));
            self.queue(payload, env);
        }
        any
    }

    /// Takes the next octets of the stream.
    #[inline]
    fn accept(&mut self, payload: P, segment: &Segment, now: Micros, env: &mut Env<P>) {
        let len = segment.payload_len;
        let max = self.max_pieces(env);
        self.note_echo(segment, now);
        let active = self.activate(env);
        let full = active.received.len() >= max || active.received.try_reserve(1).is_err();
        let payload = match active.received.back_mut() {
            Some(last) if full => last.append(payload),
            _ => Some(payload),
        };
        if full && payload.is_some() {
            // Pieces of a few octets that the application does not read: they are not taken, and the peer learns it.
            env.counters.pieces_refused = env.counters.pieces_refused.wrapping_add(1);
            self.bits.insert(Bits::ACK_NOW);
            return;
        }
        self.rcv_nxt = self.rcv_nxt.add(len);
        match payload {
            Some(payload) => self.queue(payload, env),
            None => self.note_queued(len),
        }
        self.schedule_ack(len, now, env);
    }

    /// Appends payload to the receive queue.
    #[inline]
    fn queue(&mut self, payload: P, env: &mut Env<P>) {
        if self.bits.contains(Bits::READ_SHUT) {
            env.counters.unwanted_data = env.counters.unwanted_data.wrapping_add(1);
            return;
        }
        self.note_queued(len32(payload.len()));
        let Some(active) = &mut self.active else { return };
        let payload = match active.received.back_mut() {
            Some(last) => last.append(payload),
            None => Some(payload),
        };
        if let Some(payload) = payload {
            active.received.push_back(payload);
        }
    }

    /// `len` octets more are there for the application to read.
    #[inline]
    fn note_queued(&mut self, len: u32) {
        let Some(active) = &mut self.active else { return };
        active.received_len = active.received_len.saturating_add(len);
        self.events.insert(Events::READABLE);
    }

    /// Delayed acknowledgment (RFC 9293 §3.8.6.3, RFC 5681 §4.2): at least for every second full segment.
    #[inline]
    fn schedule_ack(&mut self, len: u32, now: Micros, env: &Env<P>) {
        let len = u16::try_from(len.min(u32::from(self.announced_mss))).unwrap_or(u16::MAX);
        self.receive_mss = self.receive_mss.max(len);
        let waiting = self.rcv_nxt.since(self.last_ack_sent);
        if self.quick_acks > 0 || waiting >= u32::from(self.receive_mss).wrapping_mul(2) {
            self.quick_acks = self.quick_acks.saturating_sub(1);
            self.bits.insert(Bits::ACK_NOW);
        } else if let Some(active) = &mut self.active
            && active.ack_timer == NEVER
        {
            active.ack_timer = now.saturating_add(Micros::from(env.config.delayed_ack_ms).saturating_mul(MS));
        }
    }
}
