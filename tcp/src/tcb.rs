//! A connection: the transmission control block (RFC 9293 §3.3.1).
//!
//! ```text
//!   Tcb     numbers, options, round-trip time, windows: the state of an idle connection
//!    └ Option<Box<Active>>   queues, scoreboard, timers in milliseconds
//! ```
//!
//! The other files of the crate have its methods by subject.

use alloc::boxed::Box;

use bitflags::bitflags;
use smoltcp::time::{Duration, Instant};

use crate::active::Active;
use crate::config::{Agreed, Open};
use crate::cubic::{Cubic, INFINITE_SSTHRESH, initial_window};
use crate::env::Env;
use crate::rto::Rto;
use crate::seq::Seq;
use crate::time::{MS, Micros, NEVER, micros};
use crate::window::Tuning;

/// State of a connection (RFC 9293 §3.3.2). The caller has LISTEN, which has no connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There is no connection.
    Closed,
    /// A SYN was sent.
    SynSent,
    /// A SYN was sent and one was received.
    SynReceived,
    /// Data can flow both ways.
    Established,
    /// We sent FIN, or queued it behind data; it is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged; the peer may still send.
    FinWait2,
    /// The peer sent FIN; we may still send.
    CloseWait,
    /// Both sent FIN; ours is not acknowledged.
    Closing,
    /// The peer sent FIN, then we; ours is not acknowledged.
    LastAck,
    /// Both FINs are acknowledged; old segments expire.
    TimeWait,
}

/// The reason for the end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// Both sides closed it.
    Finished,
    /// The peer sent RST.
    Reset,
    /// The peer answered the SYN with RST.
    Refused,
    /// The peer did not answer in time.
    TimedOut,
    /// This side called [`Tcb::abort`].
    Aborted,
    /// The peer was reported unreachable before the connection was established.
    Unreachable,
}

bitflags! {
    /// Events since the last call of [`Tcb::take_events`].
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Events: u8 {
        /// [`Tcb::recv`] has news: octets, the end of the peer's stream, or the end of the connection.
        const READABLE = 0x01;
        /// The send buffer has room again.
        const WRITABLE = 0x02;
        /// The handshake is finished.
        const ESTABLISHED = 0x04;
        /// The connection has ended, see [`Tcb::close_reason`].
        const CLOSED = 0x08;
        /// All octets and our FIN are acknowledged.
        const FIN_ACKED = 0x10;
        /// TIME-WAIT began: [`Tcb::time_wait`] has its whole state.
        const TIME_WAIT = 0x20;
    }
}

bitflags! {
    /// Properties and pending actions of a connection.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub(crate) struct Bits: u32 {
        /// Timestamps were agreed on.
        const TIMESTAMPS = 1;
        /// SACK was agreed on.
        const SACK = 1 << 1;
        /// Window scales were agreed on.
        const SCALE = 1 << 2;
        /// ECN was agreed on.
        const ECN = 1 << 3;
        /// A congestion mark was received, and no CWR since: set ECE.
        const ECN_ECHO = 1 << 4;
        /// The window was reduced because of a mark: set CWR on the next new data.
        const ECN_REDUCED = 1 << 5;
        /// Nagle's algorithm is on (RFC 9293 §3.7.4).
        const NAGLE = 1 << 6;
        /// The application has closed its direction.
        const FIN_QUEUED = 1 << 7;
        /// A pure acknowledgment is due.
        const ACK_NOW = 1 << 8;
        /// A reset is due.
        const RST_DUE = 1 << 9;
        /// The open was passive: RST in SYN-RECEIVED returns to LISTEN.
        const PASSIVE = 1 << 10;
        /// The application has stopped reading.
        const READ_SHUT = 1 << 11;
        /// A keep-alive probe is due.
        const KEEP_ALIVE_DUE = 1 << 12;
        /// `send` refused octets; `WRITABLE` is due.
        const WANTS_ROOM = 1 << 13;
        /// Full segments were lost: a smaller size is being tried (RFC 4821).
        const MTU_REDUCED = 1 << 14;
        /// The SYN or SYN-ACK was sent more than once.
        const SYN_LOST = 1 << 15;
        /// Our SYN requested ECN.
        const ECN_ASKED = 1 << 16;
    }
}

/// A connection. `P` is the type of received payload, see [`crate::Payload`].
#[derive(Debug)]
pub struct Tcb<P> {
    // Fields of the fast path of input, in its order.
    pub(crate) state: State,
    pub(crate) events: Events,
    pub(crate) send_scale: u8,
    pub(crate) receive_scale: u8,
    pub(crate) bits: Bits,
    pub(crate) rcv_nxt: Seq,
    /// SND.UNA: the oldest unacknowledged number.
    pub(crate) snd_una: Seq,
    /// SND.NXT: the next new number; it does not go back.
    pub(crate) snd_nxt: Seq,
    pub(crate) snd_wnd: u32,
    pub(crate) snd_wl1: Seq,
    pub(crate) snd_wl2: Seq,
    /// The largest window of the peer.
    pub(crate) max_snd_wnd: u32,
    /// The newest timestamp of the peer (TS.Recent).
    pub(crate) ts_recent: u32,
    /// The time of its arrival, in milliseconds modulo 2³².
    pub(crate) ts_recent_at: u32,
    /// The last acknowledgment number that was sent (Last.ACK.sent).
    pub(crate) last_ack_sent: Seq,
    /// The right edge of the offered window; it does not move back.
    pub(crate) rcv_adv: Seq,
    pub(crate) active: Option<Box<Active<P>>>,
    /// The receive buffer that auto-tuning aims at.
    pub(crate) receive_buffer: u32,
    pub(crate) tuning: Tuning,
    pub(crate) ts_offset: u32,
    pub(crate) rto: Rto,
    pub(crate) min_rtt: u32,
    /// The time of `min_rtt`, in milliseconds modulo 2³².
    pub(crate) min_rtt_at: u32,
    /// The windows of an idle connection. An active one has them in its `Cubic`.
    pub(crate) cwnd: u32,
    pub(crate) ssthresh: u32,
    /// The payload with options of a sent segment: the minimum of path, peer and device.
    pub(crate) mss: u16,
    pub(crate) peer_mss: u16,
    pub(crate) path_mss: u16,
    pub(crate) announced_mss: u16,
    /// When the size was last lowered for the path, or a larger one failed, see `path_mtu`.
    pub(crate) narrowed_at: u16,
    /// The largest payload of a received segment, the full size for delayed acknowledgments.
    pub(crate) receive_mss: u16,
    pub(crate) quick_acks: u8,
    /// Keep-alive probes without an answer.
    pub(crate) probes: u8,
    /// A second, modulo 2¹⁶, and the number of challenge ACKs in it.
    pub(crate) challenge_second: u16,
    pub(crate) challenge_count: u8,
    pub(crate) reason: Option<CloseReason>,
    /// Milliseconds; 0: off.
    pub(crate) keep_alive_ms: u32,
    /// Milliseconds; 0: never.
    pub(crate) user_timeout_ms: u32,
    /// The time of the last sent data, in milliseconds modulo 2³².
    pub(crate) sent_at: u32,
    /// The time of the last segment of the peer.
    pub(crate) heard_at: Micros,
    /// The timer of states and keep-alive, which may be late by seconds.
    pub(crate) slow_timer: Micros,
}

// The table and the timer wheel take more for each connection, see `connections`.
const _: () = assert!(size_of::<Tcb<()>>() <= 160);

/// The state of TIME-WAIT (RFC 9293 §3.10.7.4, RFC 6191), which is smaller than a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeWait {
    /// SND.NXT.
    pub snd_nxt: Seq,
    /// RCV.NXT.
    pub rcv_nxt: Seq,
    /// The newest timestamp of the peer, if timestamps are in use.
    pub ts_recent: Option<u32>,
    /// The offset of our clock in the timestamps option.
    pub timestamp_offset: u32,
    /// The last window field that was sent.
    pub window: u16,
}

impl<P> Tcb<P> {
    pub(crate) fn new(open: &Open, env: &Env<P>, now: Micros) -> Self {
        let config = &env.config;
        let path_mss = open.path_mss.min(open.announced_mss).max(config.min_mss);
        Self {
            state: State::Closed,
            events: Events::empty(),
            send_scale: 0,
            receive_scale: 0,
            bits: Bits::empty(),
            rcv_nxt: Seq(0),
            snd_una: open.iss,
            snd_nxt: open.iss,
            snd_wnd: 0,
            snd_wl1: Seq(0),
            snd_wl2: open.iss,
            max_snd_wnd: 0,
            ts_recent: 0,
            ts_recent_at: 0,
            last_ack_sent: Seq(0),
            rcv_adv: Seq(0),
            active: None,
            receive_buffer: config.receive_window.min(65_535),
            tuning: Tuning::new(),
            ts_offset: open.timestamp_offset,
            rto: Rto::new(),
            min_rtt: u32::MAX,
            min_rtt_at: 0,
            cwnd: initial_window(path_mss),
            ssthresh: INFINITE_SSTHRESH,
            mss: path_mss,
            peer_mss: u16::MAX,
            path_mss,
            announced_mss: open.announced_mss,
            narrowed_at: 0,
            receive_mss: 536,
            quick_acks: config.quick_acks,
            probes: 0,
            challenge_second: 0,
            challenge_count: 0,
            reason: None,
            keep_alive_ms: 0,
            user_timeout_ms: 120_000,
            sent_at: crate::time::millis32(now),
            heard_at: now,
            slow_timer: NEVER,
        }
    }

    /// A connection whose handshake the caller finished, by a SYN cache or a cookie. `agreed` has the agreed options. The
    /// caller passes the ACK that finished the handshake to [`Tcb::on_segment`] next.
    #[must_use]
    pub fn established(open: &Open, agreed: &Agreed, now: Instant, env: &mut Env<P>) -> Self {
        let now = micros(now);
        let mut tcb = Self::new(open, env, now);
        tcb.bits.insert(Bits::PASSIVE);
        tcb.snd_nxt = open.iss.add(1);
        tcb.snd_una = tcb.snd_nxt;
        tcb.rcv_nxt = agreed.irs.add(1);
        tcb.last_ack_sent = tcb.rcv_nxt;
        tcb.rcv_adv = tcb.rcv_nxt.add(u32::from(agreed.shown_window));
        tcb.snd_wl1 = agreed.irs;
        if let Some((send, receive)) = agreed.window_scale {
            (tcb.send_scale, tcb.receive_scale) = (send.min(14), receive.min(14));
            tcb.bits.insert(Bits::SCALE);
        }
        if let Some(stamp) = agreed.timestamp {
            tcb.bits.insert(Bits::TIMESTAMPS);
            (tcb.ts_recent, tcb.ts_recent_at) = (stamp, crate::time::millis32(now));
        }
        tcb.bits.set(Bits::SACK, agreed.sack);
        tcb.bits.set(Bits::ECN, agreed.ecn);
        tcb.peer_mss = agreed.peer_mss;
        tcb.update_mss(&env.config);
        tcb.cwnd = initial_window(tcb.mss);
        if let Some(rtt) = agreed.rtt {
            tcb.rto.sample(rtt);
            (tcb.min_rtt, tcb.min_rtt_at) = (rtt, crate::time::millis32(now));
        }
        tcb.state = State::Established;
        tcb.events.insert(Events::ESTABLISHED | Events::WRITABLE);
        tcb
    }

    /// State.
    #[must_use]
    #[inline]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether payload from `seq` on can be read at once: nothing is missing before it.
    #[must_use]
    #[inline]
    pub const fn is_next(&self, seq: Seq) -> bool {
        seq.le(self.rcv_nxt)
    }

    /// Whether [`Tcb::take_events`] returns any.
    #[must_use]
    #[inline]
    pub const fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The events since the last call.
    #[inline]
    pub const fn take_events(&mut self) -> Events {
        let events = self.events;
        self.events = Events::empty();
        events
    }

    /// The reason for the end of the connection, also while its last segments wait to be sent. `None`: it is open.
    #[must_use]
    pub const fn close_reason(&self) -> Option<CloseReason> {
        self.reason
    }

    /// The smoothed round-trip time. `None` before the first sample.
    #[must_use]
    pub fn round_trip_time(&self) -> Option<Duration> {
        self.rto.srtt().map(|srtt| Duration::from_micros(u64::from(srtt)))
    }

    /// Octets passed to [`Tcb::send`] that are not acknowledged.
    #[must_use]
    pub fn send_queued(&self) -> u32 {
        self.active.as_ref().map_or(0, |active| active.rope.len())
    }

    /// Octets queued for [`Tcb::recv`].
    #[must_use]
    pub fn receive_queued(&self) -> u32 {
        self.active.as_ref().map_or(0, |active| active.received_len)
    }

    /// Whether nothing is in flight, queued or unread: the connection takes its `Tcb` only.
    #[must_use]
    #[inline]
    pub const fn is_idle(&self) -> bool {
        self.active.is_none()
    }

    /// Something waits to be sent, or for an acknowledgement, and the peer's window is closed.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.snd_wnd == 0 && self.send_queued() > 0
    }

    /// The time of the last segment of the peer, by which the longest idle connection is found.
    #[must_use]
    pub fn heard_at(&self) -> Instant {
        crate::time::instant(self.heard_at).unwrap_or(Instant::ZERO)
    }

    /// The payload of a full segment, without the options of every segment.
    #[must_use]
    pub fn segment_size(&self) -> u16 {
        u16::try_from(self.payload_size()).unwrap_or(u16::MAX)
    }

    /// The congestion window in octets.
    #[must_use]
    pub fn congestion_window(&self) -> u32 {
        self.active.as_ref().map_or(self.cwnd, |active| active.cwnd())
    }

    /// The state of TIME-WAIT. `None` in another state.
    #[must_use]
    pub fn time_wait(&self) -> Option<TimeWait> {
        (self.state == State::TimeWait).then(|| TimeWait {
            snd_nxt: self.snd_nxt,
            rcv_nxt: self.rcv_nxt,
            ts_recent: self.bits.contains(Bits::TIMESTAMPS).then_some(self.ts_recent),
            timestamp_offset: self.ts_offset,
            window: self.wire_window(),
        })
    }

    /// Switches Nagle's algorithm (RFC 9293 §3.7.4), which is off by default.
    pub fn set_nagle(&mut self, on: bool) {
        self.bits.set(Bits::NAGLE, on);
    }

    /// Sets the silence after which a keep-alive probe is sent. `None`, the default: no keep-alive.
    pub fn set_keep_alive(&mut self, interval: Option<Duration>) {
        self.keep_alive_ms = interval.map_or(0, milliseconds);
        self.arm_keep_alive();
    }

    /// Sets the user timeout, by default 2 minutes. `None`: no timeout.
    pub fn set_user_timeout(&mut self, timeout: Option<Duration>) {
        self.user_timeout_ms = timeout.map_or(0, milliseconds);
    }

    /// The active state. An idle connection takes a spare box.
    #[inline]
    pub(crate) fn activate(&mut self, env: &mut Env<P>) -> &mut Active<P> {
        if self.active.is_none() {
            let mut active = env.spares.take();
            active.rope.begin(self.snd_nxt);
            active.cubic = Cubic::resume(self.mss, self.cwnd, self.ssthresh);
            self.active = Some(active);
        }
        // The box exists from here on.
        self.active.get_or_insert_with(|| Box::new(Active::new()))
    }

    /// Returns the box if the connection is idle.
    #[inline]
    pub(crate) fn release_if_idle(&mut self, env: &mut Env<P>) {
        let Some(active) = &self.active else { return };
        if active.received_len > 0 {
            return;
        }
        if self.state != State::Closed {
            let sending = self.snd_una != self.snd_nxt || active.rope.len() > 0 || self.fin_due();
            let receiving = active.ack_timer != NEVER || !active.reassembly.is_empty();
            if sending || receiving || self.bits.contains(Bits::ACK_NOW) {
                return;
            }
        }
        self.release(env);
    }

    /// Returns the box.
    pub(crate) fn release(&mut self, env: &mut Env<P>) {
        if let Some(active) = self.active.take() {
            self.cwnd = active.cubic.cwnd();
            self.ssthresh = active.cubic.ssthresh();
            env.spares.give(active);
        }
    }

    /// Whether our FIN is queued and not sent.
    #[inline]
    pub(crate) fn fin_due(&self) -> bool {
        self.bits.contains(Bits::FIN_QUEUED) && matches!(self.state, State::SynSent | State::SynReceived)
            || matches!(self.state, State::FinWait1 | State::Closing | State::LastAck) && !self.fin_sent()
    }

    /// Whether our FIN was sent.
    #[inline]
    pub(crate) fn fin_sent(&self) -> bool {
        self.bits.contains(Bits::FIN_QUEUED)
            && self.active.as_ref().is_none_or(|active| self.snd_nxt.gt(active.rope.end()))
    }

    /// Whether the peer's stream has ended.
    pub(crate) const fn peer_finished(&self) -> bool {
        matches!(self.state, State::CloseWait | State::Closing | State::LastAck | State::TimeWait)
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.total_micros().wrapping_div(MS)).unwrap_or(u32::MAX).max(1)
}
