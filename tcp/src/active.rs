//! The state of a connection while octets are in flight, queued, out of order or unread.
//!
//! ```text
//!   Tcb (small, always) ── Option<Box<Active>>      None: idle; the box returns to Env's spares, with its allocations
//! ```

use alloc::collections::VecDeque;

use crate::cubic::Cubic;
use crate::prr::Prr;
use crate::rack::Rack;
use crate::reassembly::Reassembly;
use crate::scoreboard::Scoreboard;
use crate::send_rope::SendRope;
use crate::seq::Seq;
use crate::time::{Micros, NEVER};

/// The purpose of the retransmission timer (RFC 8985 §8: one timer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerKind {
    /// Retransmission timeout (RFC 6298).
    Rto,
    /// Tail loss probe (RFC 8985 §7).
    Probe,
    /// RACK's wait for possibly reordered segments (RFC 8985 §6.2).
    Reorder,
    /// Zero-window probe (RFC 9293 §3.8.6.1).
    Persist,
}

/// The phase of congestion control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// The window is being reduced: loss found by acknowledgments, or a congestion mark (RFC 6937).
    Reducing,
    /// After a timeout (RFC 6298 §5).
    Timeout,
}

/// The state that detects a spurious reduction (RFC 3522).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undo {
    /// The start of the first retransmitted range. Its acknowledgment identifies the transmission that arrived.
    pub(crate) first: Seq,
    /// TSval of the first retransmission; `None` until it is sent.
    pub(crate) stamp: Option<u32>,
    /// Retransmitted octets that D-SACK has not reported as duplicates (RFC 3708 §2).
    pub(crate) octets: u32,
    /// Whether octets were retransmitted.
    pub(crate) sent: bool,
    /// SND.NXT at the end of the phase: duplicates may be reported until more is acknowledged. `None`: the phase continues.
    pub(crate) until: Option<Seq>,
}

#[derive(Debug)]
pub(crate) struct Active<P> {
    pub(crate) rope: SendRope,
    pub(crate) board: Scoreboard,
    pub(crate) received: VecDeque<P>,
    /// Octets in `received`.
    pub(crate) received_len: u32,
    pub(crate) reassembly: Reassembly<P>,
    pub(crate) cubic: Cubic,
    pub(crate) prr: Prr,
    pub(crate) phase: Phase,
    /// SND.NXT at the begin of the phase, which ends when it is acknowledged.
    pub(crate) phase_end: Seq,
    /// The window while it is being reduced.
    pub(crate) reducing_cwnd: u32,
    /// Segments that the window does not limit: the first retransmission, a probe.
    pub(crate) forced: u8,
    /// A tail loss probe is due.
    pub(crate) probe_due: bool,
    /// A zero-window probe is due.
    pub(crate) persist_due: bool,
    /// The number up to which the congestion window limited the sender.
    pub(crate) limited_until: Option<Seq>,
    /// The end of the segment with CWR: marks are echoed until it arrives, and belong to the last reduction
    /// (RFC 3168 §6.1.2).
    pub(crate) reduced_until: Option<Seq>,
    pub(crate) undo: Option<Undo>,
    pub(crate) rack: Rack,
    pub(crate) dup_acks: u32,
    pub(crate) rtx_timer: Micros,
    pub(crate) rtx_kind: TimerKind,
    /// The time of the retransmission timeout, whatever the purpose of the timer.
    pub(crate) rto_at: Micros,
    /// The first of the timeouts without progress, from which the user timeout counts.
    pub(crate) silent_since: Micros,
    pub(crate) ack_timer: Micros,
    /// The end of a segment that probes the path's size.
    pub(crate) mtu_probe: Option<Seq>,
    /// A range received twice, to be reported (RFC 2883).
    pub(crate) duplicate: Option<(Seq, Seq)>,
}

impl<P> Active<P> {
    pub(crate) fn new() -> Self {
        Self {
            rope: SendRope::new(),
            board: Scoreboard::new(),
            received: VecDeque::new(),
            received_len: 0,
            reassembly: Reassembly::new(),
            cubic: Cubic::new(1),
            prr: Prr::default(),
            phase: Phase::Open,
            phase_end: Seq(0),
            reducing_cwnd: 0,
            forced: 0,
            probe_due: false,
            persist_due: false,
            limited_until: None,
            reduced_until: None,
            undo: None,
            rack: Rack::new(),
            dup_acks: 0,
            rtx_timer: NEVER,
            rtx_kind: TimerKind::Rto,
            rto_at: NEVER,
            silent_since: NEVER,
            ack_timer: NEVER,
            mtu_probe: None,
            duplicate: None,
        }
    }

    /// Clears the state and keeps some of the allocations.
    pub(crate) fn reset(&mut self) {
        self.rope.clear();
        self.board.clear();
        self.received.clear();
        self.received.shrink_to(16);
        self.received_len = 0;
        self.reassembly.clear();
        self.phase = Phase::Open;
        self.forced = 0;
        self.probe_due = false;
        self.persist_due = false;
        self.limited_until = None;
        self.reduced_until = None;
        self.undo = None;
        self.rack = Rack::new();
        self.dup_acks = 0;
        self.rtx_timer = NEVER;
        self.rtx_kind = TimerKind::Rto;
        self.rto_at = NEVER;
        self.silent_since = NEVER;
        self.ack_timer = NEVER;
        self.mtu_probe = None;
        self.duplicate = None;
    }

    /// Whether one burst is in flight, sent once, and no loss recovery is active.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.phase == Phase::Open
            && self.undo.is_none()
            && self.rack.probe.is_none()
            && self.rack.wait_until == NEVER
            && self.board.is_one_burst()
    }

    /// The congestion window in force.
    #[inline]
    pub(crate) fn cwnd(&self) -> u32 {
        if self.phase == Phase::Reducing { self.reducing_cwnd } else { self.cubic.cwnd() }
    }
}
