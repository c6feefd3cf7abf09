//! Processing of acknowledgments (RFC 9293 §3.10.7.4, fifth; RFC 5681, 6675, 8985).
//!
//! ```text
//!   window ─► delivered octets ─► round-trip time ─► loss ─► congestion window ─► timers
//! ```

use crate::active::{Phase, TimerKind};
use crate::cubic::{Ack, Limit};
use crate::env::Env;
use crate::prr::Progress;
use crate::scoreboard::Delivered;
use crate::segment::{Flags, Segment};
use crate::seq::Seq;
use crate::tcb::{Bits, Events, State, Tcb};
use crate::time::{MS, Micros, NEVER, micros32, millis32};

/// A minimum of the round-trip time is forgotten after 5 minutes (RFC 8985 §6.2 asks for a window).
const MIN_RTT_LIFE_MS: u32 = 300_000;

/// The content of an acknowledgment, for the later steps.
#[derive(Clone, Copy)]
pub(crate) struct News {
    pub(crate) delivered: Delivered,
    /// Octets acknowledged cumulatively.
    pub(crate) advanced: u32,
    /// Octets in flight before it.
    pub(crate) flight_before: u32,
    /// The end of the octets delivered before it.
    pub(crate) fack_before: Seq,
    /// It has a D-SACK block.
    pub(crate) duplicate: bool,
    /// Its SACK blocks report new octets.
    pub(crate) sacked: bool,
    /// More octets were marked lost.
    pub(crate) lost: bool,
    /// The round-trip time of the newest octet that was sent once.
    pub(crate) rtt: Option<u32>,
}

impl<P> Tcb<P> {
    /// SND.WND follows the newest segment (RFC 9293 §3.10.7.4, fifth).
    #[inline]
    fn update_window(&mut self, segment: &Segment) {
        let newer =
            self.snd_wl1.lt(segment.seq) || (self.snd_wl1 == segment.seq && self.snd_wl2.le(segment.ack));
        if !newer {
            return;
        }
        let scale = if segment.flags.contains(Flags::SYN) { 0 } else { u32::from(self.send_scale) };
        self.snd_wnd = u32::from(segment.window).wrapping_shl(scale);
        self.max_snd_wnd = self.max_snd_wnd.max(self.snd_wnd);
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = segment.ack;
    }

    /// Handles the ACK field, window and SACK blocks of a segment with an acceptable ACK field.
    #[inline]
    pub(crate) fn acknowledge(&mut self, segment: &Segment, now: Micros, env: &mut Env<P>) {
        let ack = segment.ack;
        let window_before = self.snd_wnd;
        if ack.ge(self.snd_una) {
            self.update_window(segment);
        }
        let advanced = ack.past(self.snd_una);
        let Some(active) = &mut self.active else { return };
        if self.snd_una == self.snd_nxt {
            // Nothing is in flight; the window may have opened.
            if active.rtx_timer != NEVER && self.snd_wnd > window_before {
                self.arm_timer(now, false);
            }
            return;
        }
        let plain = segment.sack.is_empty() && !segment.flags.contains(Flags::ECE);
        if ack == self.snd_nxt && plain && active.is_quiet() {
            return self.acknowledge_all(ack, now, env);
        }
        let mut news = News {
            delivered: Delivered::default(),
            advanced,
            flight_before: active.board.in_flight(),
            fack_before: active.board.fack(),
            duplicate: false,
            sacked: false,
            lost: false,
            rtt: None,
        };
        if advanced > 0 {
            active.board.acknowledge(ack, &mut news.delivered);
            active.rope.acknowledge(ack);
            active.silent_since = NEVER;
            active.dup_acks = 0;
            self.snd_una = ack;
        }
        if !segment.sack.is_empty() && self.bits.contains(Bits::SACK) {
            self.take_sack(segment, &mut news, env);
        }
        if news.delivered.octets > 0 {
            self.sample_rtt(segment, &mut news, now);
        } else if advanced == 0 {
            self.count_duplicate(segment, window_before);
        }
        self.find_losses(segment, &mut news, now, env);
        self.undo_needless(segment, &news, env);
        self.control_congestion(segment, &news, now, env);
        self.after_ack(advanced, window_before, now, env);
    }

    /// The fast path for an acknowledgment of a whole burst without loss: a response on a kept connection.
    #[inline]
    fn acknowledge_all(&mut self, ack: Seq, now: Micros, env: &mut Env<P>) {
        let srtt = self.rto.srtt().unwrap_or(0);
        let Some(active) = &mut self.active else { return };
        let Some(record) = active.board.take_only(ack) else { return };
        let flight = record.end.since(record.start);
        active.rope.acknowledge(ack);
        active.rack.note(record.sent_at, record.end, now);
        active.silent_since = NEVER;
        active.dup_acks = 0;
        active.rtx_timer = NEVER;
        active.rto_at = NEVER;
        self.snd_una = ack;
        let rtt = micros32(now.saturating_sub(record.sent_at)).max(1);
        let held = active.limited_until.take().is_some();
        let used = active.cubic.in_slow_start() && active.cubic.cwnd() < flight.saturating_mul(2);
        active.cubic.on_ack(&Ack {
            acked: flight,
            now_us: now,
            rtt_us: Some(rtt),
            srtt_us: srtt,
            in_flight: 0,
            limit: if held || used { Limit::Cwnd } else { Limit::Application },
        });
        let more = active.rope.len() > 0;
        self.note_min_rtt(rtt, now);
        self.rto.sample(rtt);
        if more {
            self.arm_timer(now, true);
        }
        self.tell_room(env);
    }

    /// Reports `WRITABLE` after a refused send.
    #[inline]
    fn tell_room(&mut self, env: &Env<P>) {
        if self.bits.contains(Bits::WANTS_ROOM) && self.send_room(env) > 0 {
            self.bits.remove(Bits::WANTS_ROOM);
            self.events.insert(Events::WRITABLE);
        }
    }

    #[inline]
    fn note_min_rtt(&mut self, rtt: u32, now: Micros) {
        let now = millis32(now);
        if rtt <= self.min_rtt || now.wrapping_sub(self.min_rtt_at) > MIN_RTT_LIFE_MS {
            (self.min_rtt, self.min_rtt_at) = (rtt, now);
        }
    }

    /// Timers and events after the acknowledgment.
    #[inline]
    fn after_ack(&mut self, advanced: u32, window_before: u32, now: Micros, env: &Env<P>) {
        let Some(active) = &mut self.active else { return };
        if window_before == 0 && self.snd_wnd > 0 && active.phase == Phase::Open && advanced == 0 {
            // Peers rarely accept the octets of the probe: they are sent again with the rest.
            active.board.lose_all();
            active.forced = 1;
        }
        self.arm_timer(now, advanced > 0);
        if advanced > 0 {
            self.tell_room(env);
        }
    }

    /// A sample of the round-trip time (RFC 6298 §3, RFC 7323 §4.2).
    #[inline]
    fn sample_rtt(&mut self, segment: &Segment, news: &mut News, now: Micros) {
        if let Some((at, _)) = news.delivered.newest_once {
            let rtt = micros32(now.saturating_sub(at)).max(1);
            news.rtt = Some(rtt);
            self.note_min_rtt(rtt, now);
        }
        if news.advanced == 0 {
            return;
        }
        let sample = match (news.delivered.oldest_once, news.delivered.newest_again) {
            (Some(at), None) => Some(micros32(now.saturating_sub(at))),
            _ => self.echo_age(segment, now),
        };
        if let Some(sample) = sample {
            let segments = news.flight_before.checked_div(u32::from(self.mss)).unwrap_or(0);
            self.rto.sample_one_of(sample, segments.wrapping_add(1).wrapping_shr(1));
        }
    }

    /// The age of the echoed timestamp.
    fn echo_age(&self, segment: &Segment, now: Micros) -> Option<u32> {
        if !self.bits.contains(Bits::TIMESTAMPS) {
            return None;
        }
        let age = self.timestamp(now).wrapping_sub(segment.timestamps?.echo).cast_signed();
        let age = u32::try_from(age).ok()?;
        (age < 60_000).then(|| age.max(1).saturating_mul(1_000))
    }

    /// Whether it is a duplicate acknowledgment (RFC 5681 §2), the sign of a loss for peers without SACK.
    fn count_duplicate(&mut self, segment: &Segment, window_before: u32) {
        let plain = segment.payload_len == 0
            && !segment.flags.intersects(Flags::SYN.union(Flags::FIN))
            && self.snd_wnd == window_before
            && self.snd_wnd > 0
            && segment.ack == self.snd_una;
        if let Some(active) = &mut self.active
            && plain
            && !self.bits.contains(Bits::SACK)
        {
            active.dup_acks = active.dup_acks.saturating_add(1);
        }
    }

    /// Looks for losses: RACK, the outcome of a tail loss probe, or duplicate acknowledgments.
    #[inline]
    fn find_losses(&mut self, segment: &Segment, news: &mut News, now: Micros, env: &mut Env<P>) {
        if self.bits.contains(Bits::SACK) {
            self.rack_on_ack(news, now);
            self.probe_on_ack(segment, news, now, env);
            return;
        }
        let mss = self.payload_size();
        let max = usize::from(env.config.max_records);
        let una = self.snd_una;
        let Some(active) = &mut self.active else { return };
        let third = active.phase == Phase::Open && active.dup_acks >= 3;
        // RFC 6582 §3.2: a partial acknowledgment reports the next loss.
        let partial = active.phase == Phase::Reducing && news.advanced > 0 && una.lt(active.phase_end);
        if third || partial {
            news.lost |= active.board.lose_first(mss, max);
            active.forced = 1;
        }
    }

    /// The state machine of RFC 5681 and 6675, with the reductions of RFC 6937 and 9438.
    #[inline]
    fn control_congestion(&mut self, segment: &Segment, news: &News, now: Micros, env: &mut Env<P>) {
        let mss = u32::from(self.mss);
        let una = self.snd_una;
        let srtt = self.rto.srtt().unwrap_or(0);
        // In a SYN-ACK the bit answers our request for ECN (RFC 3168 §6.1.1).
        let echo = segment.flags.intersection(Flags::ECE.union(Flags::SYN)) == Flags::ECE;
        let Some(active) = &mut self.active else { return };
        if active.reduced_until.is_some_and(|cwr| una.ge(cwr)) {
            active.reduced_until = None;
        }
        let recent = self.bits.contains(Bits::ECN_REDUCED) || active.reduced_until.is_some();
        let marked = echo && self.bits.contains(Bits::ECN) && !recent;
        if active.phase != Phase::Open && una.ge(active.phase_end) {
            self.end_phase(env);
        } else {
            self.undo_duplicated(env);
        }
        let Some(active) = &mut self.active else { return };
        match active.phase {
            Phase::Reducing => {
                let pipe = active.board.in_flight().saturating_sub(active.dup_acks.saturating_mul(mss));
                let delivered = match news.delivered.octets {
                    0 if active.dup_acks > 0 => mss,
                    octets => octets,
                };
                let safe = news.advanced > 0 && !news.lost;
                let progress = if safe { Progress::Safe } else { Progress::Unsafe };
                let allowed = active.prr.on_ack(delivered, pipe, mss, progress);
                active.reducing_cwnd = pipe.saturating_add(allowed);
                return;
            }
            Phase::Open if news.lost => {
                return self.begin_reducing(news.delivered.octets, news.advanced, now, env);
            }
            Phase::Open if marked => {
                env.counters.congestion_marks = env.counters.congestion_marks.wrapping_add(1);
                return self.begin_reducing(news.delivered.octets, news.advanced, now, env);
            }
            Phase::Open | Phase::Timeout => {}
        }
        // Without reordering, SACKed octets may mean a loss: the window does not grow (RFC 5681 §3.2).
        if news.delivered.octets == 0 || (news.advanced == 0 && !active.rack.reordering_seen) {
            return;
        }
        let held = match active.limited_until {
            Some(until) if una.lt(until) => true,
            Some(_) => {
                active.limited_until = None;
                true
            }
            None => false,
        };
        // RFC 9438 §5.8, and in slow start as in Linux: a window of which half was used may double.
        let used = active.cubic.in_slow_start() && active.cubic.cwnd() < news.flight_before.saturating_mul(2);
        active.cubic.on_ack(&Ack {
            acked: news.delivered.octets,
            now_us: now,
            rtt_us: news.rtt,
            srtt_us: srtt,
            in_flight: active.board.in_flight(),
            limit: if held || used { Limit::Cwnd } else { Limit::Application },
        });
    }
}

impl<P> Tcb<P> {
    /// Sets the retransmission timer for the octets in flight. With `progress`, an acknowledgment of new octets, the
    /// timeout restarts (RFC 6298 §5.3).
    #[inline]
    pub(crate) fn arm_timer(&mut self, now: Micros, progress: bool) {
        let timeout = Micros::from(self.rto.timeout());
        let Some(active) = &mut self.active else { return };
        if active.board.is_empty() {
            active.rto_at = NEVER;
            let waits = active.rope.end().gt(self.snd_nxt)
                && self.snd_nxt.add(u32::from(self.mss)).since(self.snd_una) > self.snd_wnd
                && !matches!(self.state, State::SynSent | State::SynReceived | State::Closed);
            if !waits {
                active.rtx_timer = NEVER;
            } else if active.rtx_timer == NEVER || active.rtx_kind != TimerKind::Persist {
                active.rtx_timer = now.saturating_add(timeout);
                active.rtx_kind = TimerKind::Persist;
            }
            return;
        }
        if progress || active.rto_at == NEVER {
            active.rto_at = now.saturating_add(timeout);
        }
        if active.rack.wait_until != NEVER {
            active.rtx_timer = active.rack.wait_until;
            active.rtx_kind = TimerKind::Reorder;
            return;
        }
        active.rtx_timer = active.rto_at;
        active.rtx_kind = TimerKind::Rto;
        let probe = self.probe_at(now);
        if let Some(active) = &mut self.active
            && probe != NEVER
        {
            // A timeout before the probe is replaced by it: the probe is sent at that time (RFC 8985 §7.2).
            active.rtx_timer = probe.min(active.rto_at);
            active.rtx_kind = TimerKind::Probe;
        }
    }

    /// The smallest delay of an answer when one segment is in flight: the peer may delay its ACK (RFC 8985 §7.2).
    pub(crate) const WORST_DELAYED_ACK: Micros = 200 * MS;
}
