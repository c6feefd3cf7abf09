//! Phases of congestion control: their begin, end and reversal (RFC 6675 §5, RFC 6937, RFC 3522, RFC 3708).
//!
//! ```text
//!   Open ─ loss found, or a mark ─► Reducing ─ its flight acknowledged ─► Open
//!     └─── timeout ──► Timeout ─────────────────────────────────────────────┘
//!              └ ACK echoes a time before the retransmission: spurious, the window is restored
//! ```

use crate::ack::News;
use crate::active::{Phase, Undo};
use crate::env::Env;
use crate::prr::Prr;
use crate::segment::Segment;
use crate::tcb::{Bits, Tcb};
use crate::time::Micros;

impl<P> Tcb<P> {
    /// Begins a reduction after a loss without timeout, or a congestion mark. Its acknowledgment delivered `delivered`
    /// octets, `advanced` of them in order. The flight is that before the acknowledgment (RFC 9937 §6.1).
    pub(crate) fn begin_reducing(&mut self, delivered: u32, advanced: u32, now: Micros, env: &mut Env<P>) {
        let (mss, una, nxt) = (u32::from(self.mss), self.snd_una, self.snd_nxt);
        let Some(active) = &mut self.active else { return };
        env.counters.recoveries = env.counters.recoveries.wrapping_add(1);
        // RFC 3168 §6.1.2: CWR reports each reduction.
        self.bits.set(Bits::ECN_REDUCED, self.bits.contains(Bits::ECN));
        active.cubic.on_congestion(now, nxt.since(una).saturating_add(advanced));
        // Octets sacked before do not count: they are not delivered during the recovery.
        let flight =
            active.board.outstanding().saturating_sub(active.board.sacked()).saturating_add(delivered);
        active.prr = Prr::new(flight.max(1), active.cubic.ssthresh());
        active.phase = Phase::Reducing;
        active.phase_end = nxt;
        active.limited_until = None;
        active.undo = Some(Undo { first: una, stamp: None, octets: 0, sent: false, until: None });
        let pipe = active.board.in_flight().saturating_sub(active.dup_acks.saturating_mul(mss));
        let allowed = active.prr.on_ack(delivered, pipe, mss, crate::prr::Progress::Unsafe);
        active.reducing_cwnd = pipe.saturating_add(allowed);
        if active.board.lost() > 0 {
            active.forced = active.forced.max(1);
        }
    }

    /// The retransmission timer expired (RFC 6298 §5.4 to §5.6).
    pub(crate) fn begin_timeout(&mut self, now: Micros) {
        let (una, nxt) = (self.snd_una, self.snd_nxt);
        let Some(active) = &mut self.active else { return };
        active.cubic.on_rto(now, nxt.since(una));
        if active.phase != Phase::Timeout {
            active.undo = Some(Undo { first: una, stamp: None, octets: 0, sent: false, until: None });
        }
        active.phase = Phase::Timeout;
        active.phase_end = nxt;
        active.limited_until = None;
        active.board.lose_all();
        active.rack.wait_until = crate::time::NEVER;
        active.dup_acks = 0;
        active.forced = 1;
    }

    /// Ends the phase: all octets in flight at its begin are acknowledged.
    pub(crate) fn end_phase(&mut self, env: &mut Env<P>) {
        let nxt = self.snd_nxt;
        let Some(active) = &mut self.active else { return };
        if let Some(undo) = &mut active.undo {
            undo.until = Some(nxt);
        }
        active.phase = Phase::Open;
        active.dup_acks = 0;
        active.rack.on_recovery_end();
        self.undo_duplicated(env);
    }

    /// Undoes a reduction if all retransmitted octets arrived twice: nothing was lost (RFC 3708 §2). Most reports come after
    /// the phase; they are awaited until octets sent later are acknowledged.
    #[inline]
    pub(crate) fn undo_duplicated(&mut self, env: &mut Env<P>) {
        let una = self.snd_una;
        let Some(active) = &mut self.active else { return };
        let Some(undo) = active.undo else { return };
        let Some(until) = undo.until else { return };
        if undo.sent && undo.octets == 0 {
            active.undo = None;
            active.cubic.undo();
            env.counters.undone = env.counters.undone.wrapping_add(1);
        } else if una.gt(until) {
            active.undo = None;
            active.cubic.forget_undo();
        }
    }

    /// The Eifel detection algorithm (RFC 3522 §3.2): if the first acknowledgment of a retransmission echoes an earlier
    /// timestamp, the original arrived and nothing was lost.
    #[inline]
    pub(crate) fn undo_needless(&mut self, segment: &Segment, news: &News, env: &mut Env<P>) {
        if news.advanced == 0 {
            return;
        }
        let una = self.snd_una;
        let Some(active) = &mut self.active else { return };
        let Some(undo) = active.undo else { return };
        let (Some(stamp), Some(stamps)) = (undo.stamp, segment.timestamps) else { return };
        if active.phase == Phase::Open || !una.gt(undo.first) || !self.bits.contains(Bits::TIMESTAMPS) {
            return;
        }
        // Only once: later acknowledgments are of other octets.
        if let Some(undo) = &mut active.undo {
            undo.stamp = None;
        }
        if stamps.echo.wrapping_sub(stamp).cast_signed() >= 0 {
            return;
        }
        env.counters.undone = env.counters.undone.wrapping_add(1);
        active.undo = None;
        active.cubic.undo();
        active.board.find_all();
        active.phase = Phase::Open;
        active.dup_acks = 0;
        active.rack.on_recovery_end();
        self.rto.undo();
    }
}
