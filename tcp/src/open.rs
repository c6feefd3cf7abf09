//! Opening a connection: options, SYN-SENT and SYN-RECEIVED (RFC 9293 §3.5, §3.10.7.3).
//!
//! ```text
//!   connect ─► SYN-SENT ──SYN,ACK──► ESTABLISHED
//!                 └──SYN──► SYN-RECEIVED ──ACK──► ESTABLISHED      passive ─► SYN-RECEIVED
//! ```
//!
//! A server uses a SYN cache or cookies with [`Tcb::established`] instead of `passive`.

use smoltcp::time::Instant;

use crate::active::TimerKind;
use crate::config::{Config, Ecn, Open};
use crate::cubic::initial_window;
use crate::env::Env;
use crate::input::Reply;
use crate::payload::Payload;
use crate::segment::{Flags, Segment, Timestamps};
use crate::tcb::{Bits, CloseReason, Events, State, Tcb};
use crate::time::{MS, Micros, micros, millis32};

impl<P> Tcb<P> {
    /// Opens a connection actively (RFC 9293 §3.10.1): the next [`Tcb::poll_transmit`] returns the SYN.
    #[must_use]
    pub fn connect(open: &Open, now: Instant, env: &mut Env<P>) -> Self {
        let now = micros(now);
        let mut tcb = Self::new(open, env, now);
        tcb.state = State::SynSent;
        tcb.bits.insert(Bits::TIMESTAMPS | Bits::SACK | Bits::SCALE);
        tcb.bits.set(Bits::ECN | Bits::ECN_ASKED, env.config.ecn == Ecn::Active);
        tcb.begin_handshake(now, env);
        tcb
    }

    /// Answers `syn`, a SYN without ACK and RST (RFC 9293 §3.10.7.2): the next [`Tcb::poll_transmit`]
    /// returns the SYN-ACK. Data in the SYN is ignored; the peer retransmits it.
    #[must_use]
    pub fn passive(open: &Open, syn: &Segment, now: Instant, env: &mut Env<P>) -> Self {
        let now = micros(now);
        let mut tcb = Self::new(open, env, now);
        tcb.state = State::SynReceived;
        tcb.bits.insert(Bits::PASSIVE | Bits::TIMESTAMPS | Bits::SACK | Bits::SCALE);
        tcb.bits.set(Bits::ECN, env.config.ecn != Ecn::Off);
        tcb.take_syn(syn, now, &env.config);
        tcb.begin_handshake(now, env);
        tcb
    }

    fn begin_handshake(&mut self, now: Micros, env: &mut Env<P>) {
        // A peer that did not offer the option gets none (RFC 7323 §2.2).
        self.receive_scale = if self.bits.contains(Bits::SCALE) { env.config.window_scale() } else { 0 };
        let timeout = Micros::from(env.config.connect_timeout_ms).saturating_mul(MS);
        self.slow_timer = now.saturating_add(timeout);
        let first = self.snd_nxt.add(1);
        let active = self.activate(env);
        active.rope.begin(first);
        active.forced = 1;
    }

    /// Takes numbers and options from the peer's SYN or SYN-ACK.
    fn take_syn(&mut self, syn: &Segment, now: Micros, config: &Config) {
        self.rcv_nxt = syn.seq.add(1);
        self.last_ack_sent = self.rcv_nxt;
        // The window of a SYN begins after the SYN.
        self.rcv_adv = self.rcv_nxt.add(self.receive_buffer.min(65_535));
        self.peer_mss = syn.mss.unwrap_or(DEFAULT_MSS);
        match syn.timestamps {
            Some(stamps) => (self.ts_recent, self.ts_recent_at) = (stamps.value, millis32(now)),
            None => self.bits.remove(Bits::TIMESTAMPS),
        }
        self.bits.set(Bits::SACK, syn.sack_permitted && self.bits.contains(Bits::SACK));
        match syn.window_scale {
            Some(scale) => self.send_scale = scale,
            None => {
                self.bits.remove(Bits::SCALE);
                (self.send_scale, self.receive_scale) = (0, 0);
            }
        }
        // RFC 3168 §6.1.1: ECE and CWR in a SYN, ECE alone in a SYN-ACK.
        let marks = syn.flags.intersection(Flags::ECE.union(Flags::CWR));
        let wanted = if syn.flags.contains(Flags::ACK) { Flags::ECE } else { Flags::ECE.union(Flags::CWR) };
        if marks != wanted {
            self.bits.remove(Bits::ECN);
        }
        self.update_mss(config);
        self.cwnd = initial_window(self.mss);
        // The window of a SYN is not scaled.
        self.snd_wnd = u32::from(syn.window);
        self.max_snd_wnd = self.snd_wnd;
        self.snd_wl1 = syn.seq;
        self.heard_at = now;
    }

    /// The header of our SYN or SYN-ACK.
    pub(crate) fn syn_header(&mut self, now: Micros, env: &Env<P>) -> Segment {
        let answer = self.state == State::SynReceived;
        // A middlebox may drop a SYN because of its options. They are left out from the third transmission on (RFC 3168 §6.1.1.1).
        let ecn = self.bits.contains(Bits::ECN) && !self.bits.contains(Bits::SYN_LOST);
        let mut flags = Flags::SYN;
        if answer {
            flags |= Flags::ACK;
        }
        if ecn {
            flags |= if answer { Flags::ECE } else { Flags::ECE | Flags::CWR };
        } else {
            self.bits.remove(Bits::ECN);
        }
        let window = if self.state == State::SynSent {
            u16::try_from(self.receive_buffer.min(env.receive_grant).min(65_535)).unwrap_or(u16::MAX)
        } else {
            self.show_syn_window(env)
        };
        let echo = if answer { self.ts_recent } else { 0 };
        Segment {
            seq: self.snd_una,
            ack: if answer { self.rcv_nxt } else { crate::Seq(0) },
            flags,
            window,
            mss: Some(self.announced_mss),
            window_scale: self.bits.contains(Bits::SCALE).then(|| env.config.window_scale()),
            sack_permitted: self.bits.contains(Bits::SACK),
            timestamps: self
                .bits
                .contains(Bits::TIMESTAMPS)
                .then(|| Timestamps { value: self.timestamp(now), echo }),
            ..Segment::default()
        }
    }

    /// Our clock for the timestamps option: milliseconds (RFC 7323 §5.4).
    #[inline]
    pub(crate) fn timestamp(&self, now: Micros) -> u32 {
        millis32(now).wrapping_add(self.ts_offset)
    }

    /// Ends the handshake.
    pub(crate) fn become_established(&mut self, now: Micros, env: &mut Env<P>) {
        self.state = State::Established;
        self.slow_timer = crate::time::NEVER;
        self.events.insert(Events::ESTABLISHED | Events::WRITABLE);
        if self.bits.contains(Bits::SYN_LOST) {
            self.rto.on_lost_syn();
        }
        let (mss, cwnd, ssthresh) = (self.mss, self.cwnd, self.ssthresh);
        // RFC 6928 §2: one segment if SYN or SYN-ACK was lost more than once.
        let lost = core::mem::take(&mut self.probes) > 1;
        let active = self.activate(env);
        active.cubic = crate::cubic::Cubic::resume(mss, cwnd, ssthresh);
        if lost {
            active.cubic.on_lost_handshake();
        }
        if self.bits.contains(Bits::FIN_QUEUED) {
            self.state = State::FinWait1;
        }
        self.heard_at = now;
        self.arm_keep_alive();
    }
}

/// The MSS of a peer without the option (RFC 9293 §3.7.1, MUST-15). IPv6 has 1220; the smaller one fits both.
const DEFAULT_MSS: u16 = 536;

impl<P: Payload> Tcb<P> {
    /// RFC 9293 §3.10.7.3, SYN-SENT.
    pub(crate) fn on_segment_syn_sent(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) -> Reply {
        let acked = segment.flags.contains(Flags::ACK);
        // First, check the ACK bit.
        if acked && (segment.ack.le(self.snd_una) || segment.ack.gt(self.snd_nxt)) {
            return if segment.flags.contains(Flags::RST) { Reply::None } else { Reply::Reset };
        }
        // Second, check the RST bit.
        if segment.flags.contains(Flags::RST) {
            if acked {
                env.counters.rst = env.counters.rst.wrapping_add(1);
                self.become_closed(CloseReason::Refused, env);
            }
            return Reply::None;
        }
        // Third, security: none. Fourth, check the SYN bit.
        if !segment.flags.contains(Flags::SYN) {
            return Reply::None;
        }
        self.take_syn(segment, now, &env.config);
        if acked {
            self.snd_wl2 = segment.ack;
            self.acknowledge(segment, now, env);
            self.become_established(now, env);
            self.bits.insert(Bits::ACK_NOW);
        } else {
            // Simultaneous open: our SYN is sent again, with an ACK.
            self.state = State::SynReceived;
            self.resend_syn(now);
        }
        Reply::None
    }

    /// Sends the SYN again at once, without backoff.
    pub(crate) fn resend_syn(&mut self, now: Micros) {
        let due = now.saturating_add(Micros::from(self.rto.timeout()));
        if let Some(active) = &mut self.active {
            active.board.lose_all();
            active.forced = 1;
            active.rtx_timer = due;
            active.rto_at = due;
            active.rtx_kind = TimerKind::Rto;
        }
    }
}
