//! Ranges of sequence numbers that were sent and are not acknowledged (RFC 6675 §3, RFC 8985 §5.2).
//!
//! ```text
//!   SND.UNA                                                            SND.NXT
//!   │ retransmitted │ SACKED │ LOST │ SACKED │ in flight (a burst is one record) │
//! ```
//!
//! A record is a range that was transmitted in a short span of time. Neighbours with the same story become one record,
//! so their number goes by the holes, not by the segments. It never exceeds a maximum: a SACK block that would need one
//! more is not taken (RFC 2018 §8: a block is advice), and a burst is added to the record before it. Where a record
//! spans time, each rule takes the end of the span that keeps it from seeing a loss where there is none.

use alloc::collections::VecDeque;

use crate::seq::Seq;
use crate::time::{Micros, micros32};
use crate::work;

/// A range that was transmitted from `sent_at` to `sent_at + span`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) start: Seq,
    pub(crate) end: Seq,
    pub(crate) sent_at: Micros,
    pub(crate) span: u32,
    pub(crate) mark: Mark,
    /// It was transmitted more than once.
    pub(crate) again: bool,
}

/// What is known of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    InFlight,
    Sacked,
    Lost,
}

impl Record {
    #[inline]
    const fn len(&self) -> u32 {
        self.end.since(self.start)
    }

    /// When the last of its octets was sent.
    #[inline]
    pub(crate) fn last_sent(&self) -> Micros {
        self.sent_at.saturating_add(Micros::from(self.span))
    }

    /// Takes octets that follow and are sent now, if all is then sent within `span`.
    #[inline]
    fn extend(&mut self, end: Seq, now: Micros, span: u32) -> bool {
        let total = micros32(now.saturating_sub(self.sent_at));
        if total > span {
            return false;
        }
        self.end = end;
        self.span = total;
        true
    }
}

/// What a cumulative or selective acknowledgment newly reports.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivered {
    /// Octets that were not reported before.
    pub(crate) octets: u32,
    /// The latest transmission among those that were sent once: time and end (RFC 8985 §6.2 step 2).
    pub(crate) newest_once: Option<(Micros, Seq)>,
    /// The same among those that were sent more than once.
    pub(crate) newest_again: Option<(Micros, Seq)>,
    /// The earliest transmission among those that were sent once: a sample of the round-trip time (RFC 6298 §3).
    pub(crate) oldest_once: Option<Micros>,
    /// Lowest end of a record sent once among them (RFC 8985 §6.2 step 3).
    pub(crate) lowest_once: Option<Seq>,
}

impl Delivered {
    #[inline]
    fn note(&mut self, record: &Record) {
        self.octets = self.octets.wrapping_add(record.len());
        let newest = if record.again { &mut self.newest_again } else { &mut self.newest_once };
        if newest.is_none_or(|(at, end)| later(record.sent_at, record.end, at, end)) {
            *newest = Some((record.sent_at, record.end));
        }
        if !record.again {
            self.oldest_once = Some(self.oldest_once.map_or(record.sent_at, |at| at.min(record.sent_at)));
            self.lowest_once = Some(self.lowest_once.map_or(record.end, |end| end.min(record.end)));
        }
    }
}

/// `RACK_sent_after` (RFC 8985 §6.1): transmitted later, or in the same burst further on.
#[inline]
pub(crate) const fn later(at: Micros, end: Seq, than_at: Micros, than_end: Seq) -> bool {
    at > than_at || (at == than_at && end.gt(than_end))
}

/// How finely transmissions are remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Records at most.
    pub(crate) records: usize,
    /// What is sent within this many microseconds is one record.
    pub(crate) span: u32,
}

#[derive(Debug)]
pub(crate) struct Scoreboard {
    records: VecDeque<Record>,
    outstanding: u32,
    sacked: u32,
    lost: u32,
    /// No lost record lies before this.
    lost_from: Seq,
    /// The end of the highest octet that was reported delivered, cumulatively or selectively (`RACK.fack`).
    fack: Seq,
}

impl Scoreboard {
    /// Records kept allocated in an empty scoreboard.
    const KEPT: usize = 16;

    pub(crate) const fn new() -> Self {
        Self { records: VecDeque::new(), outstanding: 0, sacked: 0, lost: 0, lost_from: Seq(0), fack: Seq(0) }
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.records.shrink_to(Self::KEPT);
        (self.outstanding, self.sacked, self.lost) = (0, 0, 0);
    }

    /// Bytes of the list of records.
    pub(crate) fn memory(&self) -> usize {
        self.records.capacity().saturating_mul(size_of::<Record>())
    }

    /// Nothing is outstanding.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// There is one record, of octets that were sent once and are in flight.
    #[inline]
    pub(crate) fn is_one_burst(&self) -> bool {
        self.records.len() == 1
            && self.records.front().is_some_and(|record| record.mark == Mark::InFlight && !record.again)
    }

    /// Takes the only record, all of which `ack` acknowledges.
    #[inline]
    pub(crate) fn take_only(&mut self, ack: Seq) -> Option<Record> {
        (self.outstanding, self.fack) = (0, ack);
        self.records.pop_front()
    }

    /// Octets sent and neither acknowledged, nor sacked, nor deemed lost: the pipe of RFC 6675 §4.
    #[inline]
    pub(crate) const fn in_flight(&self) -> u32 {
        self.outstanding.wrapping_sub(self.sacked).wrapping_sub(self.lost)
    }

    #[inline]
    pub(crate) const fn outstanding(&self) -> u32 {
        self.outstanding
    }

    #[inline]
    pub(crate) const fn sacked(&self) -> u32 {
        self.sacked
    }

    #[inline]
    pub(crate) const fn lost(&self) -> u32 {
        self.lost
    }

    pub(crate) const fn fack(&self) -> Seq {
        self.fack
    }

    pub(crate) fn first(&self) -> Option<&Record> {
        self.records.front()
    }

    pub(crate) fn last(&self) -> Option<&Record> {
        self.records.back()
    }

    /// Notes a first transmission of `start..end`, which follows the last record. What is sent within `span` is one
    /// record.
    #[inline]
    pub(crate) fn push(&mut self, start: Seq, end: Seq, now: Micros, limits: Limits) {
        if self.records.is_empty() {
            self.fack = start;
        }
        self.outstanding = self.outstanding.wrapping_add(end.since(start));
        let full = self.records.len() >= limits.records || self.records.try_reserve(1).is_err();
        let span = if full { u32::MAX } else { limits.span };
        if let Some(last) = self.records.back_mut()
            && ((last.mark == Mark::InFlight && !last.again) || full)
            && last.extend(end, now, span)
        {
            // Without a record of its own the range shares that of another mark, which gives way: a SACK block is advice
            // (RFC 2018 §8), and a loss is found again.
            match core::mem::replace(&mut last.mark, Mark::InFlight) {
                Mark::InFlight => {}
                Mark::Sacked => self.sacked = self.sacked.wrapping_sub(start.since(last.start)),
                Mark::Lost => self.lost = self.lost.wrapping_sub(start.since(last.start)),
            }
            return;
        }
        self.records.push_back(Record {
            start,
            end,
            sent_at: now,
            span: 0,
            mark: Mark::InFlight,
            again: false,
        });
    }

    /// Drops what lies before `ack` and adds what is news to `delivered`.
    #[inline]
    pub(crate) fn acknowledge(&mut self, ack: Seq, delivered: &mut Delivered) {
        while let Some(record) = self.records.front_mut() {
            work::step();
            if record.start.ge(ack) {
                break;
            }
            let mut part = *record;
            let whole = record.end.le(ack);
            if !whole {
                part.end = ack;
                record.start = ack;
            }
            self.outstanding = self.outstanding.wrapping_sub(part.len());
            match part.mark {
                Mark::InFlight => delivered.note(&part),
                Mark::Lost => {
                    self.lost = self.lost.wrapping_sub(part.len());
                    delivered.note(&part);
                }
                Mark::Sacked => self.sacked = self.sacked.wrapping_sub(part.len()),
            }
            if !whole {
                break;
            }
            self.records.pop_front();
        }
        self.fack = self.fack.max(ack);
    }

    /// Index of the record that holds `seq`, or that follows it.
    fn index_of(&self, seq: Seq) -> usize {
        self.records.partition_point(|record| record.end.le(seq))
    }

    /// Makes `at` a boundary of records; `false` if that takes one record too many, or there is no memory for it.
    fn split(&mut self, at: Seq, max: usize) -> bool {
        let index = self.index_of(at);
        let full = self.records.len() >= max || self.records.try_reserve(1).is_err();
        let Some(record) = self.records.get_mut(index) else { return true };
        if record.start.ge(at) {
            return true;
        }
        if full {
            return false;
        }
        let mut rest = *record;
        record.end = at;
        rest.start = at;
        self.records.insert(index.saturating_add(1), rest);
        true
    }

    /// Marks `start..end` as delivered by a SACK block (RFC 6675 §4, Update).
    pub(crate) fn sack(&mut self, start: Seq, end: Seq, max: usize, delivered: &mut Delivered) {
        let first = self.index_of(start);
        // A block that repeats what is known is the usual case.
        if self
            .records
            .get(first)
            .is_some_and(|record| record.mark == Mark::Sacked && record.start.le(start) && record.end.ge(end))
        {
            return;
        }
        if !self.split(start, max) || !self.split(end, max) {
            return;
        }
        let first = self.index_of(start);
        let after = self.index_of(end);
        for record in self.records.range_mut(first..after.max(first)) {
            work::step();
            match record.mark {
                Mark::Sacked => continue,
                Mark::Lost => self.lost = self.lost.wrapping_sub(record.len()),
                Mark::InFlight => {}
            }
            delivered.note(record);
            record.mark = Mark::Sacked;
            self.sacked = self.sacked.wrapping_add(record.len());
            self.fack = self.fack.max(record.end);
        }
        self.merge_sacked(first.saturating_sub(1), after.saturating_add(1));
    }

    /// Sacked records of `from..to` that touch become one.
    fn merge_sacked(&mut self, from: usize, to: usize) {
        let mut index = from;
        let mut left = to.saturating_sub(from);
        while left > 1 {
            work::step();
            left = left.saturating_sub(1);
            let next = index.saturating_add(1);
            let Some(after) = self.records.get(next).copied() else { return };
            let Some(record) = self.records.get_mut(index) else { return };
            if record.mark == Mark::Sacked && after.mark == Mark::Sacked {
                record.end = after.end;
                record.again |= after.again;
                self.records.remove(next);
            } else {
                index = next;
            }
        }
    }

    /// Marks as lost what was transmitted before the transmission `at`, `end` and is not delivered `wait` after it was
    /// sent (RFC 8985 §6.2 step 5). Returns when the earliest still waits for, as time left, and if anything was lost.
    pub(crate) fn detect_lost(&mut self, at: Micros, end: Seq, wait: Micros, now: Micros) -> (Micros, bool) {
        let (mut timeout, mut found) = (0, false);
        for record in &mut self.records {
            work::step();
            let before = later(at, end, record.last_sent(), record.end);
            if !before && !record.again && record.mark == Mark::InFlight {
                // Later records were first sent later still, and sent again even later.
                break;
            }
            if !before || record.mark != Mark::InFlight {
                continue;
            }
            let due = record.last_sent().saturating_add(wait);
            if due <= now {
                record.mark = Mark::Lost;
                self.lost = self.lost.wrapping_add(record.len());
                self.lost_from = self.lost_from.min(record.start);
                found = true;
            } else {
                timeout = timeout.max(due.saturating_sub(now));
            }
        }
        (timeout, found)
    }

    /// Marks the first `len` octets as lost (RFC 6582: without SACK). `true` if they were in flight.
    pub(crate) fn lose_first(&mut self, len: u32, max: usize) -> bool {
        let Some(record) = self.records.front().copied() else { return false };
        if record.mark != Mark::InFlight {
            return false;
        }
        let end = record.end.min(record.start.add(len));
        let _ = self.split(end, max);
        let Some(record) = self.records.front_mut() else { return false };
        record.mark = Mark::Lost;
        self.lost = self.lost.wrapping_add(record.len());
        self.lost_from = record.start;
        true
    }

    /// Marks all that is not delivered as lost: a timeout (RFC 6298 §5.4). Sacked records stay, unless the first of
    /// all is sacked: then the receiver dropped what it had reported (RFC 2018 §8).
    pub(crate) fn lose_all(&mut self) {
        let reneged = self.records.front().is_some_and(|record| record.mark == Mark::Sacked);
        for record in &mut self.records {
            work::step();
            if record.mark == Mark::InFlight || reneged {
                record.mark = Mark::Lost;
            }
        }
        if reneged {
            self.sacked = 0;
        }
        self.lost = self.outstanding.wrapping_sub(self.sacked);
        if let Some(first) = self.records.front() {
            self.lost_from = first.start;
        }
    }

    /// Takes the loss of all records back: the timeout was needless (RFC 3522 §3.2).
    pub(crate) fn find_all(&mut self) {
        for record in &mut self.records {
            work::step();
            if record.mark == Mark::Lost {
                record.mark = Mark::InFlight;
            }
        }
        self.lost = 0;
    }

    /// The first lost range, at most `len` octets of it.
    pub(crate) fn next_lost(&self, len: u32) -> Option<(Seq, Seq)> {
        if self.lost == 0 {
            return None;
        }
        let from = self.index_of(self.lost_from);
        self.records
            .range(from..)
            .find(|record| {
                work::step();
                record.mark == Mark::Lost
            })
            .map(|record| (record.start, record.end.min(record.start.add(len))))
    }

    /// Notes a retransmission of `start..end`, which lies in one record, or at the end of the last.
    pub(crate) fn retransmitted(&mut self, start: Seq, end: Seq, now: Micros, max: usize) {
        let _ = self.split(start, max);
        let _ = self.split(end, max);
        let index = self.index_of(start);
        let Some(record) = self.records.get_mut(index) else { return };
        if record.mark == Mark::Lost {
            self.lost = self.lost.wrapping_sub(record.len());
        }
        record.mark = Mark::InFlight;
        record.again = true;
        record.sent_at = now;
        record.span = 0;
        self.lost_from = self.lost_from.max(record.end);
        let record = *record;
        let Some(before) = index.checked_sub(1) else { return };
        if let Some(previous) = self.records.get_mut(before)
            && previous.mark == Mark::InFlight
            && previous.again
            && previous.sent_at == now
        {
            previous.end = record.end;
            self.records.remove(index);
        }
    }

    #[cfg(test)]
    fn check(&self, max: usize) {
        let sum = |mark: Option<Mark>| -> u32 {
            let of = self.records.iter().filter(|record| mark.is_none_or(|mark| record.mark == mark));
            of.map(Record::len).sum()
        };
        assert_eq!(sum(None), self.outstanding);
        assert_eq!(sum(Some(Mark::Sacked)), self.sacked);
        assert_eq!(sum(Some(Mark::Lost)), self.lost);
        assert!(self.records.len() <= max);
        for (a, b) in self.records.iter().zip(self.records.iter().skip(1)) {
            assert_eq!(a.end, b.start);
            assert!(a.start.lt(a.end));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;

    const BASE: Seq = Seq(u32::MAX - 2000);

    fn board(segments: u32, max: usize) -> Scoreboard {
        let mut board = Scoreboard::new();
        let limits = Limits { records: max, span: 0 };
        for n in 0..segments {
            board.push(BASE.add(n * 100), BASE.add(n * 100 + 100), u64::from(n), limits);
        }
        board.check(max);
        board
    }

    #[test]
    fn a_burst_is_one_record() {
        let mut board = Scoreboard::new();
        for n in 0..5 {
            board.push(BASE.add(n * 100), BASE.add(n * 100 + 100), 7, Limits { records: 16, span: 0 });
        }
        assert_eq!(board.records.len(), 1);
        assert_eq!(board.in_flight(), 500);
    }

    #[test]
    fn a_span_of_time_never_makes_a_loss() {
        let limits = Limits { records: 16, span: 10 };
        let mut board = Scoreboard::new();
        for (n, at) in [(0, 100), (1, 105), (2, 110), (3, 111)] {
            board.push(BASE.add(n * 100), BASE.add(n * 100 + 100), at, limits);
        }
        assert_eq!(board.records.len(), 2, "111 is beyond the span of 100");
        let mut news = Delivered::default();
        board.sack(BASE, BASE.add(100), 16, &mut news);
        assert_eq!(news.newest_once, Some((100, BASE.add(100))), "the earliest time it may have left");
        assert!(!board.detect_lost(109, BASE.add(1000), 0, 500).1, "its last octets left later");
        assert!(board.detect_lost(110, BASE.add(1000), 0, 500).1);
    }

    #[test]
    fn sacked_ranges_merge_and_holes_are_found_lost() {
        let mut board = board(20, 64);
        let mut news = Delivered::default();
        board.sack(BASE.add(300), BASE.add(400), 64, &mut news);
        board.sack(BASE.add(500), BASE.add(650), 64, &mut news);
        board.check(64);
        assert_eq!(news.octets, 250);
        assert_eq!(news.newest_once, Some((6, BASE.add(650))));
        assert_eq!(news.lowest_once, Some(BASE.add(400)));
        board.sack(BASE.add(400), BASE.add(500), 64, &mut news);
        board.check(64);
        assert_eq!((board.sacked(), board.fack()), (350, BASE.add(650)));
        assert_eq!(board.records.iter().filter(|r| r.mark == Mark::Sacked).count(), 1);

        let mut again = Delivered::default();
        board.sack(BASE.add(300), BASE.add(650), 64, &mut again);
        assert_eq!(again.octets, 0, "nothing is new");

        let (_, found) = board.detect_lost(6, BASE.add(650), 0, 100);
        board.check(64);
        assert!(found);
        assert_eq!(board.lost(), 300, "only what was sent before the newest delivered");
        assert_eq!(board.next_lost(100), Some((BASE, BASE.add(100))));
        board.retransmitted(BASE, BASE.add(100), 200, 64);
        board.retransmitted(BASE.add(100), BASE.add(200), 200, 64);
        board.check(64);
        assert_eq!(board.next_lost(1000), Some((BASE.add(200), BASE.add(300))));

        let mut news = Delivered::default();
        board.acknowledge(BASE.add(700), &mut news);
        board.check(64);
        assert_eq!((news.octets, news.newest_again), (350, Some((200, BASE.add(200)))));
        assert_eq!((board.sacked(), board.lost(), board.outstanding()), (0, 0, 1300));
    }

    #[test]
    fn the_number_of_records_has_a_limit() {
        let mut board = board(40, 16);
        let mut news = Delivered::default();
        for n in 0..20 {
            board.sack(BASE.add(n * 100 + 10), BASE.add(n * 100 + 20), 16, &mut news);
            board.check(16);
        }
        board.lose_all();
        board.check(16);
        board.retransmitted(BASE, BASE.add(5), 99, 16);
        board.check(16);
        board.acknowledge(BASE.add(4000), &mut news);
        assert!(board.is_empty());
        board.check(16);
    }

    #[test]
    fn a_timeout_keeps_sacked_ranges_unless_reneged() {
        let mut kept = board(5, 16);
        let mut news = Delivered::default();
        kept.sack(BASE.add(200), BASE.add(300), 16, &mut news);
        kept.lose_all();
        kept.check(16);
        assert_eq!((kept.lost(), kept.sacked()), (400, 100));
        kept.find_all();
        kept.check(16);
        assert_eq!(kept.in_flight(), 400);

        let mut reneged = board(5, 16);
        reneged.sack(BASE, BASE.add(300), 16, &mut news);
        reneged.lose_all();
        reneged.check(16);
        assert_eq!((reneged.lost(), reneged.sacked()), (500, 0));
    }

    #[test]
    fn without_sack_the_first_octets_are_lost() {
        let mut board = Scoreboard::new();
        board.push(BASE, BASE.add(1000), 1, Limits { records: 16, span: 0 });
        assert!(board.lose_first(100, 16));
        assert!(!board.lose_first(100, 16), "it is lost already");
        board.check(16);
        assert_eq!(board.lost(), 100);
    }
}
