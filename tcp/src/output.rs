//! Segments to send (RFC 9293 §3.8, §3.10.2; RFC 6675 §5, NextSeg).
//!
//! ```text
//!   poll_transmit:  reset │ SYN │ lost octets │ probes │ new octets, FIN │ acknowledgment │ keep-alive │ None
//!                   header and slices of the rope ─► the caller builds the frame, and repeats until None
//! ```
//!
//! A returned segment counts as sent. The caller must have room for a frame before the call.

use smoltcp::time::Instant;

use crate::active::Phase;
use crate::env::Env;
use crate::scoreboard;
use crate::segment::{Flags, SackBlocks, Segment, Timestamps};
use crate::send_rope::Slices;
use crate::seq::{Seq, len32};
use crate::tcb::{Bits, State, Tcb};
use crate::time::{MS, Micros, NEVER, micros, millis32};

/// The limits of the caller's frames.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of payload in one [`Transmit`]: `u32::from(u16::MAX)` less headers if the device cuts it into segments
    /// (TSO), or 0 for one segment.
    pub max_payload: u32,
}

/// A segment, or several that the device cuts from one.
#[derive(Debug)]
pub struct Transmit<'a> {
    /// The header of the first segment. The caller sets ports and checksum.
    pub header: Segment,
    /// The payload, by reference to the application's slices.
    pub payload: Slices<'a>,
    /// Octets of payload of each segment (`gso_size`); `None`: one segment.
    pub segment_size: Option<u16>,
    /// The IP header carries ECT(0) (RFC 3168 §6.1.2).
    pub ecn_capable: bool,
}

/// Numbers and flags of the next segment.
#[derive(Clone, Copy)]
struct Plan {
    from: Seq,
    /// End of the payload.
    to: Seq,
    fin: bool,
    kind: Kind,
    size: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    New,
    Again,
    Empty,
}

impl<P> Tcb<P> {
    /// Whether there may be a segment to send. `false` is certain.
    #[must_use]
    #[inline]
    pub fn wants_transmit(&self) -> bool {
        let asked = self.bits.intersects(Bits::ACK_NOW | Bits::RST_DUE | Bits::KEEP_ALIVE_DUE);
        asked
            || self.active.as_ref().is_some_and(|active| {
                active.rope.end().gt(self.snd_nxt)
                    || active.board.lost() > 0
                    || active.probe_due
                    || self.fin_due()
                    || matches!(self.state, State::SynSent | State::SynReceived) && active.forced > 0
            })
    }

    /// The next segment to send. `None`: there is none now.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, limits: &Limits, env: &mut Env<P>) -> Option<Transmit<'_>> {
        if !self.wants_transmit() {
            return None;
        }
        let now = micros(now);
        if matches!(self.state, State::Closed | State::SynSent | State::SynReceived) {
            return self.transmit_unconnected(now, env);
        }
        let sack = self.pending_sack();
        let plan = self.plan(limits, &sack, now, env);
        let plan = match plan {
            Some(plan) => plan,
            None => self.plan_empty()?,
        };
        Some(self.transmit(&plan, sack, now, env))
    }

    /// SACK blocks for every segment while payload is out of order. A D-SACK block is sent once.
    #[inline]
    fn pending_sack(&mut self) -> SackBlocks {
        match &self.active {
            Some(active) if active.duplicate.is_some() || !active.reassembly.is_empty() => self.sack_blocks(),
            _ => SackBlocks::default(),
        }
    }

    /// Octets of payload in a full segment without SACK blocks (RFC 6691 §2: options count against the MSS).
    #[inline]
    pub(crate) fn payload_size(&self) -> u32 {
        let options = if self.bits.contains(Bits::TIMESTAMPS) { 12 } else { 0 };
        u32::from(self.mss).saturating_sub(options).max(1)
    }

    /// SYN, SYN-ACK and the reset of a closed connection.
    fn transmit_unconnected(&mut self, now: Micros, env: &mut Env<P>) -> Option<Transmit<'_>> {
        let header = if self.state == State::Closed {
            self.bits.remove(Bits::ACK_NOW | Bits::KEEP_ALIVE_DUE);
            if !self.bits.contains(Bits::RST_DUE) {
                return None;
            }
            self.bits.remove(Bits::RST_DUE);
            let flags = Flags::RST | Flags::ACK;
            Segment { seq: self.snd_nxt, ack: self.rcv_nxt, flags, ..Segment::default() }
        } else {
            let first = self.active.as_ref().is_some_and(|active| active.board.is_empty());
            let lost = self.active.as_ref().is_some_and(|active| active.board.lost() > 0);
            if !first && !lost {
                // The answer to an unacceptable segment, after our SYN-ACK was sent (RFC 9293 §3.10.7.4, first).
                let plan = if self.state == State::SynReceived { self.plan_empty()? } else { return None };
                return Some(self.transmit(&plan, SackBlocks::default(), now, env));
            }
            self.note_syn(first, now, env);
            self.syn_header(now, env)
        };
        env.counters.segments_out = env.counters.segments_out.wrapping_add(1);
        Some(Transmit { header, payload: Slices::EMPTY, segment_size: None, ecn_capable: false })
    }

    fn note_syn(&mut self, first: bool, now: Micros, env: &mut Env<P>) {
        let (start, end) = (self.snd_una, self.snd_una.add(1));
        let max = usize::from(env.config.max_records);
        let limits = self.record_limits(env);
        let Some(active) = &mut self.active else { return };
        active.forced = 0;
        if first {
            active.board.push(start, end, now, limits);
            self.snd_nxt = end;
        } else {
            active.board.retransmitted(start, end, now, max);
            env.counters.retransmissions = env.counters.retransmissions.wrapping_add(1);
            self.probes = self.probes.saturating_add(1);
            self.bits.insert(Bits::SYN_LOST);
        }
        self.bits.remove(Bits::ACK_NOW);
        self.last_ack_sent = self.rcv_nxt;
        self.arm_timer(now, false);
    }

    /// The octets to send now: lost ones first, then probes of timers, then new ones.
    #[inline]
    fn plan(&mut self, limits: &Limits, sack: &SackBlocks, now: Micros, env: &mut Env<P>) -> Option<Plan> {
        let blocks = len32(sack.as_slice().len());
        let options = if blocks > 0 { blocks.wrapping_mul(8).wrapping_add(4) } else { 0 };
        let size = self.payload_size().saturating_sub(options).max(1);
        let active = self.active.as_mut()?;
        let trains = limits.max_payload.checked_div(size).unwrap_or(0).max(1);
        let max = size.saturating_mul(trains);
        let lost = active.board.lost();
        if lost > 0 {
            return self.plan_lost(size, max, now, env);
        }
        if active.probe_due {
            return self.plan_probe(size, env);
        }
        if active.rope.end().gt(self.snd_nxt) || self.fin_due() {
            if blocks == 0
                && self.is_narrowed()
                && let Some(to) = self.mtu_probe(self.room_of_cwnd(), now)
            {
                let (from, size) = (self.snd_nxt, to.since(self.snd_nxt));
                return Some(Plan { from, to, fin: false, kind: Kind::New, size });
            }
            return self.plan_new(size, max, now, env);
        }
        None
    }

    /// Octets in flight, for the congestion window. Without SACK a duplicate acknowledgment means that a segment has left
    /// the network (RFC 5681 §3.2).
    #[inline]
    fn room_of_cwnd(&self) -> u32 {
        let Some(active) = &self.active else { return 0 };
        let flight = active.board.in_flight();
        let gone = active.dup_acks.saturating_mul(u32::from(self.mss));
        // With nothing in flight a segment may always be sent, since no acknowledgment would allow it later.
        let least = if flight == 0 { u32::from(self.mss) } else { 0 };
        active.cwnd().saturating_sub(flight.saturating_sub(gone)).max(least)
    }

    fn plan_lost(&mut self, size: u32, max: u32, now: Micros, env: &mut Env<P>) -> Option<Plan> {
        let room = self.room_of_cwnd();
        let (una, window) = (self.snd_una, self.snd_wnd);
        let active = self.active.as_mut()?;
        let forced = active.forced > 0;
        let room = if forced { room.max(size) } else { room };
        let (from, to) = active.board.next_lost(max)?;
        let len = to.since(from);
        let whole = room.wrapping_sub(room.checked_rem(size).unwrap_or(0));
        let len = if len <= room { len } else { len.min(whole) };
        // Octets beyond the peer's window wait, except for the first ones, which probe a closed window.
        let len = if from == una { len } else { len.min(una.add(window).past(from)) };
        if len == 0 {
            return None;
        }
        active.forced = active.forced.saturating_sub(1);
        env.counters.retransmissions = env.counters.retransmissions.wrapping_add(1);
        let to = from.add(len);
        let end = active.rope.end();
        if active.mtu_probe.is_some() {
            self.note_mtu_probe_lost(from, now);
        }
        Some(Plan { from, to: to.min(end), fin: to.gt(end), kind: Kind::Again, size })
    }

    /// A tail loss probe: a new segment if the peer's window allows one, or else the last one (RFC 8985 §7.3).
    fn plan_probe(&mut self, size: u32, env: &mut Env<P>) -> Option<Plan> {
        env.counters.tail_probes = env.counters.tail_probes.wrapping_add(1);
        let nxt = self.snd_nxt;
        let window = self.snd_una.add(self.snd_wnd).past(nxt);
        let fin_due = self.fin_due();
        let active = self.active.as_mut()?;
        active.probe_due = false;
        let end = active.rope.end();
        let unsent = end.past(nxt).min(size).min(window);
        if unsent > 0 {
            let to = nxt.add(unsent);
            active.rack.probe = Some((to, false));
            return Some(Plan { from: nxt, to, fin: fin_due && to == end, kind: Kind::New, size });
        }
        let last = active.board.last()?;
        let from = last.start.max(last.end.sub(size));
        let to = last.end;
        active.rack.probe = Some((to, true));
        env.counters.retransmissions = env.counters.retransmissions.wrapping_add(1);
        Some(Plan { from, to: to.min(end), fin: to.gt(end), kind: Kind::Again, size })
    }

    /// New octets, within both windows and the frame. Small segments follow RFC 9293 §3.8.6.2.1 and §3.7.4.
    #[inline]
    fn plan_new(&mut self, size: u32, max: u32, now: Micros, env: &mut Env<P>) -> Option<Plan> {
        let nxt = self.snd_nxt;
        let outstanding = nxt != self.snd_una;
        if !outstanding {
            self.restart_after_idle(now);
        }
        let room = self.room_of_cwnd();
        let window = self.snd_una.add(self.snd_wnd).past(nxt);
        let nagle = self.bits.contains(Bits::NAGLE) && outstanding && !self.bits.contains(Bits::FIN_QUEUED);
        let half = self.max_snd_wnd.wrapping_shr(1);
        let fin_due = self.fin_due();
        let active = self.active.as_mut()?;
        let end = active.rope.end();
        let waiting = end.past(nxt);
        let len = waiting.min(window).min(room).min(max);
        let whole = len.wrapping_sub(len.checked_rem(size).unwrap_or(0));
        let len = if core::mem::take(&mut active.persist_due) {
            env.counters.window_probes = env.counters.window_probes.wrapping_add(1);
            waiting.min(window.clamp(1, size))
        } else if len == waiting {
            // The rest of the queue: only Nagle's algorithm delays a small segment.
            if nagle { whole } else { len }
        } else if room < waiting.min(window).min(max) {
            // The congestion window limits: only full segments, since the rest would follow as a small one.
            active.limited_until = Some(nxt);
            whole
        } else if whole > 0 {
            whole
        } else if len > 0 && len >= half {
            // The peer's window is smaller than a segment (RFC 9293 §3.8.6.2.1, case 3).
            len
        } else {
            0
        };
        let to = nxt.add(len);
        let fin = fin_due && to == end;
        if len == 0 && !fin {
            if active.board.is_empty() {
                self.arm_timer(now, false);
            }
            return None;
        }
        Some(Plan { from: nxt, to, fin, kind: Kind::New, size })
    }

    /// Reduces the window after a pause: the state of the path is unknown (RFC 5681 §4.1).
    #[inline]
    fn restart_after_idle(&mut self, now: Micros) {
        let idle = Micros::from(millis32(now).wrapping_sub(self.sent_at)).saturating_mul(MS);
        let rto = self.rto.without_backoff();
        if idle > Micros::from(rto)
            && let Some(active) = &mut self.active
        {
            active.cubic.on_restart(idle, rto);
            self.sent_at = millis32(now);
        }
    }

    /// A segment without payload: an acknowledgment, or a keep-alive probe (RFC 9293 §3.8.4).
    fn plan_empty(&mut self) -> Option<Plan> {
        let from = if self.bits.contains(Bits::KEEP_ALIVE_DUE) {
            self.snd_una.sub(1)
        } else if self.bits.contains(Bits::ACK_NOW) {
            self.snd_nxt
        } else {
            return None;
        };
        Some(Plan { from, to: from, fin: false, kind: Kind::Empty, size: 0 })
    }

    /// Builds the header and notes that the segment was sent.
    #[inline]
    fn transmit(&mut self, plan: &Plan, sack: SackBlocks, now: Micros, env: &mut Env<P>) -> Transmit<'_> {
        let len = plan.to.since(plan.from);
        let mut flags = Flags::ACK;
        flags.set(Flags::FIN, plan.fin);
        flags.set(Flags::ECE, self.bits.contains(Bits::ECN_ECHO));
        let ecn_capable = plan.kind == Kind::New && len > 0 && self.bits.contains(Bits::ECN);
        if ecn_capable && self.bits.contains(Bits::ECN_REDUCED) {
            self.bits.remove(Bits::ECN_REDUCED);
            flags |= Flags::CWR;
            if let Some(active) = &mut self.active {
                active.reduced_until = Some(plan.to);
            }
        }
        if let Some(active) = &self.active
            && len > 0
            && plan.to == active.rope.end()
        {
            flags |= Flags::PSH;
        }
        let value = self.timestamp(now);
        let header = Segment {
            seq: plan.from,
            ack: self.rcv_nxt,
            flags,
            window: self.show_window(env),
            payload_len: len,
            timestamps: self
                .bits
                .contains(Bits::TIMESTAMPS)
                .then_some(Timestamps { value, echo: self.ts_recent }),
            sack,
            ..Segment::default()
        };
        if plan.kind != Kind::Empty {
            self.note_sent(plan, value, now, env);
        }
        self.bits.remove(Bits::ACK_NOW | Bits::KEEP_ALIVE_DUE);
        self.last_ack_sent = self.rcv_nxt;
        if let Some(active) = &mut self.active {
            active.ack_timer = NEVER;
        }
        if plan.kind == Kind::Empty {
            self.release_if_idle(env);
        }
        env.counters.segments_out = env.counters.segments_out.wrapping_add(1);
        let payload = match &self.active {
            Some(active) if len > 0 => active.rope.range(plan.from, plan.to),
            _ => Slices::EMPTY,
        };
        let segment_size = (len > plan.size).then(|| u16::try_from(plan.size).unwrap_or(u16::MAX));
        Transmit { header, payload, segment_size, ecn_capable }
    }

    /// The resolution is a 64th of a round trip; RACK's reordering window is a quarter.
    #[inline]
    fn record_limits(&self, env: &Env<P>) -> scoreboard::Limits {
        let span = self.rto.srtt().unwrap_or(0).wrapping_shr(6);
        scoreboard::Limits { records: usize::from(env.config.max_records), span }
    }

    #[inline]
    fn note_sent(&mut self, plan: &Plan, stamp: u32, now: Micros, env: &Env<P>) {
        let limits = self.record_limits(env);
        let end = if plan.fin { plan.to.add(1) } else { plan.to };
        let len = end.since(plan.from);
        let Some(active) = &mut self.active else { return };
        if active.phase == Phase::Reducing {
            active.prr.on_sent(len);
        }
        if plan.kind == Kind::New {
            active.board.push(plan.from, end, now, limits);
            self.snd_nxt = end;
            self.sent_at = millis32(now);
        } else {
            active.board.retransmitted(plan.from, end, now, limits.records);
            if let Some(undo) = &mut active.undo {
                if !undo.sent && plan.from == undo.first {
                    undo.stamp = Some(stamp);
                }
                undo.sent = true;
                undo.octets = undo.octets.saturating_add(len);
            }
        }
        self.arm_timer(now, false);
    }

    /// The number of queued octets from which on [`Tcb::send`] refuses. One call may exceed it.
    #[must_use]
    #[inline]
    pub fn send_room(&self, env: &Env<P>) -> u32 {
        let window = self.congestion_window().saturating_mul(2).min(env.config.send_buffer_max);
        let most = window.max(env.config.send_buffer).min(env.send_grant);
        most.saturating_sub(self.send_queued())
    }

    /// Queues `bytes` by reference: all of them if there is any room.
    ///
    /// # Errors
    /// [`SendError::Full`] with the bytes: [`crate::Events::WRITABLE`] reports room.
    /// [`SendError::Closed`]: the connection is closed, not yet established, or [`Tcb::shutdown`] was called.
    #[inline]
    pub fn send(&mut self, bytes: bytes::Bytes, env: &mut Env<P>) -> Result<(), SendError> {
        if !matches!(self.state, State::Established | State::CloseWait) {
            return Err(SendError::Closed);
        }
        if self.send_room(env) == 0 {
            self.bits.insert(Bits::WANTS_ROOM);
            return Err(SendError::Full(bytes));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let pushed = self.activate(env).rope.push(bytes);
        pushed.map_err(|bytes| {
            self.bits.insert(Bits::WANTS_ROOM);
            SendError::Full(bytes)
        })
    }
}

/// The reason why bytes were not queued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    /// There is no room now. The bytes are returned.
    Full(bytes::Bytes),
    /// The connection cannot send any more, or not yet.
    Closed,
}

impl core::fmt::Display for SendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "no room to send: wait for WRITABLE",
            Self::Closed => "the connection does not send: it is closed, closing or not open yet",
        })
    }
}

impl core::error::Error for SendError {}
