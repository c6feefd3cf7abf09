//! TIME-WAIT in at most 48 bytes a connection, table included (RFC 9293 §3.10.7.4, RFC 6191, RFC 1337).
//!
//! ```text
//!   name ─► keyed hash of 64 bits ─► table, by 32 of them ─► number = place in the queue ─► entry, which has all 64
//!   queue: entries by age, in chunks of 128 (4 KiB): one wait for all, so the oldest ends first
//! ```
//!
//! The name is not kept, since only segments are answered, which have it. With a million entries a segment of another name
//! is mistaken with probability 2^-44; only segments without a connection are looked up here. An entry that is removed
//! early (RFC 6191) stays in the queue as a hole.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use smoltcp::time::Instant;

use crate::handshake::timestamp_clock;
use crate::segment::{Flags, Segment, Timestamps};
use crate::seq::Seq;
use crate::slab::NoMemory;
use crate::table::Table;
use crate::tcb::TimeWait;
use crate::time::{MS, micros, millis32};
use crate::tuple::{FourTuple, Key, low32};

/// Entries of a chunk.
const CHUNK: usize = 128;

bitflags::bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Marks: u8 {
        /// Removed before its time.
        const HOLE = 1;
        const TIMESTAMPS = 2;
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The hash of the name.
    name: u64,
    snd_nxt: Seq,
    rcv_nxt: Seq,
    ts_recent: u32,
    timestamp_offset: u32,
    /// Milliseconds modulo 2^32.
    ends_ms: u32,
    window: u16,
    marks: Marks,
}

// Its place in the table takes at most 13.7 bytes more.
const _: () = assert!(size_of::<Entry>() <= 32);

/// The action for a segment of a connection in TIME-WAIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No answer.
    Drop,
    /// Send this acknowledgment, with ports 0.
    Ack(Segment),
    /// Send this acknowledgment within the limit of challenge ACKs: the segment may be forged. (RFC 5961 §7)
    Challenge(Segment),
    /// A SYN that opens a successor. The entry is removed. Our initial sequence number must be larger than `past`, see
    /// [`crate::isn::Isn::isn_after`]. (RFC 6191 §2, RFC 1122 §4.2.2.13)
    Open {
        /// SND.NXT of the former connection.
        past: Seq,
    },
}

/// The connections in TIME-WAIT.
#[derive(Debug)]
pub struct TimeWaits {
    key: Key,
    table: Table,
    chunks: VecDeque<Vec<Entry>>,
    /// The number of the first entry of the first chunk, modulo 2^32.
    first: u32,
    /// Expired entries of the first chunk.
    gone: usize,
    most: u32,
    length_ms: u32,
}

impl TimeWaits {
    /// Room for `most` entries, holes included. Each stays for `length_ms`: twice the maximum segment lifetime.
    #[must_use]
    pub const fn new(key: Key, most: u32, length_ms: u32) -> Self {
        let chunks = VecDeque::new();
        Self { key, table: Table::new(), chunks, first: 0, gone: 0, most, length_ms }
    }

    /// Replaces the secret and removes all entries, see [`crate::isn::Isn::renew`].
    pub fn renew(&mut self, key: Key) {
        *self = Self::new(key, self.most, self.length_ms);
    }

    /// Connections in TIME-WAIT.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        let entries = self.chunks.len().saturating_mul(CHUNK).saturating_mul(size_of::<Entry>());
        let chunks = self.chunks.capacity().saturating_mul(size_of::<Vec<Entry>>());
        self.table.memory().saturating_add(entries).saturating_add(chunks)
    }

    /// Adds a connection that enters TIME-WAIT. At the limit the oldest entry is removed.
    ///
    /// # Errors
    /// [`NoMemory`]: the connection ends at once.
    pub fn insert(&mut self, tuple: &FourTuple, state: &TimeWait, now: Instant) -> Result<(), NoMemory> {
        self.expire(now);
        while self.queued() >= self.most.max(1) {
            self.drop_oldest();
        }
        let name = self.key.wire_hash(tuple, b"W");
        if let Some(old) = self.find(name) {
            self.take(old);
        }
        let mut marks = Marks::empty();
        marks.set(Marks::TIMESTAMPS, state.ts_recent.is_some());
        self.push(Entry {
            name,
            snd_nxt: state.snd_nxt,
            rcv_nxt: state.rcv_nxt,
            ts_recent: state.ts_recent.unwrap_or(0),
            timestamp_offset: state.timestamp_offset,
            ends_ms: millis32(micros(now)).wrapping_add(self.length_ms),
            window: state.window,
            marks,
        })
    }

    /// Handles a received segment. `None` if its connection is not in TIME-WAIT. (RFC 9293 §3.10.7.4)
    pub fn on_segment(&mut self, tuple: &FourTuple, segment: &Segment, now: Instant) -> Option<Verdict> {
        self.expire(now);
        let name = self.key.wire_hash(tuple, b"W");
        let number = self.find(name)?;
        let entry = *self.entry(number)?;
        let verdict = entry.check(segment, now);
        match verdict {
            Verdict::Open { .. } => self.take(number),
            // "Restart the 2 MSL timeout": move to the end of the queue. Without memory the old deadline stays.
            Verdict::Ack(_) => {
                let ends_ms = millis32(micros(now)).wrapping_add(self.length_ms);
                let ts_recent = segment.timestamps.map_or(entry.ts_recent, |stamps| stamps.value);
                self.take(number);
                while self.queued() >= self.most.max(1) {
                    self.drop_oldest();
                }
                let _over = self.push(Entry { ends_ms, ts_recent, ..entry });
            }
            _ => {}
        }
        Some(verdict)
    }

    /// Removes expired entries. Each is visited once.
    pub fn expire(&mut self, now: Instant) {
        let now_ms = millis32(micros(now));
        while let Some(entry) = self.oldest() {
            if entry.ends_ms.wrapping_sub(now_ms).cast_signed() > 0 {
                break;
            }
            self.drop_oldest();
        }
    }

    /// When [`TimeWaits::expire`] has something to do next.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let left = self.oldest()?.ends_ms.wrapping_sub(millis32(micros(now))).cast_signed().max(0);
        let at = (micros(now) / MS).saturating_add(u64::try_from(left).ok()?).saturating_mul(MS);
        Some(now.max(Instant::from_micros(i64::try_from(at).unwrap_or(i64::MAX))))
    }

    fn find(&self, name: u64) -> Option<u32> {
        self.table.find(low32(name), |number| self.entry(number).is_some_and(|entry| entry.name == name))
    }

    /// The chunk of a number, and the place in it.
    fn place(&self, number: u32) -> Option<(usize, usize)> {
        let index = usize::try_from(number.wrapping_sub(self.first)).ok()?;
        Some((index / CHUNK, index % CHUNK))
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        let (chunk, place) = self.place(number)?;
        self.chunks.get(chunk)?.get(place)
    }

    /// Entries in the queue, holes counted.
    fn queued(&self) -> u32 {
        let last = self.chunks.back().map_or(0, Vec::len);
        let full = self.chunks.len().saturating_sub(1).saturating_mul(CHUNK);
        u32::try_from(full.saturating_add(last).saturating_sub(self.gone)).unwrap_or(u32::MAX)
    }

    fn oldest(&self) -> Option<&Entry> {
        self.chunks.front()?.get(self.gone)
    }

    /// Appends an entry, in a new chunk if the last one is full.
    fn push(&mut self, entry: Entry) -> Result<(), NoMemory> {
        if self.chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK) {
            let mut chunk = Vec::new();
            chunk.try_reserve_exact(CHUNK).map_err(|_| NoMemory)?;
            self.chunks.try_reserve(1).map_err(|_| NoMemory)?;
            self.chunks.push_back(chunk);
        }
        let before = self.chunks.len().saturating_sub(1).saturating_mul(CHUNK);
        let chunk = self.chunks.back_mut().ok_or(NoMemory)?;
        let index = u32::try_from(before.saturating_add(chunk.len())).map_err(|_| NoMemory)?;
        self.table.insert(low32(entry.name), self.first.wrapping_add(index))?;
        chunk.push(entry);
        Ok(())
    }

    /// Removes an entry from the table. It becomes a hole in the queue.
    fn take(&mut self, number: u32) {
        let place = self.place(number);
        let entry = place.and_then(|(chunk, place)| self.chunks.get_mut(chunk)?.get_mut(place));
        if let Some(entry) = entry {
            entry.marks.insert(Marks::HOLE);
            self.table.remove(low32(entry.name), number);
        }
    }

    /// Removes the first entry, and its chunk if it becomes empty.
    fn drop_oldest(&mut self) {
        let Some(entry) = self.oldest().copied() else { return };
        if !entry.marks.contains(Marks::HOLE) {
            let number = self.first.wrapping_add(u32::try_from(self.gone).unwrap_or(0));
            self.table.remove(low32(entry.name), number);
        }
        self.gone = self.gone.saturating_add(1);
        if self.gone >= CHUNK || (self.chunks.len() == 1 && self.oldest().is_none()) {
            let over = self.chunks.pop_front().map_or(0, |chunk| chunk.len());
            self.first = self.first.wrapping_add(u32::try_from(over).unwrap_or(0));
            self.gone = 0;
        }
    }
}

impl Entry {
    /// The order of checks of RFC 9293 §3.10.7.4.
    fn check(&self, segment: &Segment, now: Instant) -> Verdict {
        // RFC 1337 §3: a reset does not end TIME-WAIT.
        if segment.flags.contains(Flags::RST) {
            return Verdict::Drop;
        }
        if segment.flags.intersection(Flags::SYN | Flags::ACK) == Flags::SYN && self.may_succeed(segment) {
            return Verdict::Open { past: self.snd_nxt };
        }
        let ack = self.ack(now);
        if segment.flags.contains(Flags::SYN) {
            // RFC 5961 §4.2.
            return Verdict::Challenge(ack);
        }
        if !segment.flags.contains(Flags::ACK) {
            return Verdict::Drop;
        }
        let old = segment.timestamps.filter(|_| self.marks.contains(Marks::TIMESTAMPS));
        let old = old.is_some_and(|stamps| stamps.value.wrapping_sub(self.ts_recent).cast_signed() < 0);
        let is_fin_again = segment.flags.contains(Flags::FIN) && segment.end() == self.rcv_nxt;
        if is_fin_again && !old {
            return Verdict::Ack(ack);
        }
        // A segment in the window adds nothing to a stream that has ended. Others are acknowledged.
        let ahead = segment.seq.since(self.rcv_nxt);
        if old || ahead > u32::from(u16::MAX) { Verdict::Challenge(ack) } else { Verdict::Drop }
    }

    /// RFC 6191 §2: whether the SYN is newer than all segments of the old connection.
    fn may_succeed(&self, syn: &Segment) -> bool {
        let is_later = syn.seq.ge(self.rcv_nxt);
        match syn.timestamps {
            Some(stamps) if self.marks.contains(Marks::TIMESTAMPS) => {
                let newer = stamps.value.wrapping_sub(self.ts_recent).cast_signed();
                newer > 0 || (newer == 0 && is_later)
            }
            Some(_) => true,
            None => is_later,
        }
    }

    fn ack(&self, now: Instant) -> Segment {
        let timestamps = self
            .marks
            .contains(Marks::TIMESTAMPS)
            .then(|| Timestamps { value: timestamp_clock(now, self.timestamp_offset), echo: self.ts_recent });
        Segment {
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: self.window,
            timestamps,
            ..Segment::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;
    use crate::tuple::tests::{v4, v6};

    const STATE: TimeWait = TimeWait {
        snd_nxt: Seq(5000),
        rcv_nxt: Seq(9000),
        ts_recent: Some(700),
        timestamp_offset: 33,
        window: 512,
    };

    fn waits(most: u32) -> TimeWaits {
        TimeWaits::new(Key::new([1; 16]), most, 60_000)
    }

    fn at(ms: i64) -> Instant {
        Instant::from_millis(1_000_000 + ms)
    }

    /// The peer's FIN once more.
    fn fin() -> Segment {
        Segment {
            seq: Seq(8999),
            ack: Seq(5000),
            flags: Flags::FIN | Flags::ACK,
            timestamps: Some(Timestamps { value: 710, echo: 0 }),
            ..Segment::default()
        }
    }

    fn syn(seq: u32, stamp: Option<u32>) -> Segment {
        let timestamps = stamp.map(|value| Timestamps { value, echo: 0 });
        Segment { seq: Seq(seq), flags: Flags::SYN, timestamps, ..Segment::default() }
    }

    #[test]
    fn the_fin_again_is_acknowledged_and_restarts_the_wait() {
        // RFC 9293 §3.10.7.4, eighth: "acknowledge it, and restart the 2 MSL timeout".
        let mut waits = waits(10);
        waits.insert(&v4(1), &STATE, at(0)).unwrap();
        let Some(Verdict::Ack(ack)) = waits.on_segment(&v4(1), &fin(), at(50_000)) else { panic!() };
        assert_eq!((ack.seq, ack.ack, ack.flags, ack.window), (Seq(5000), Seq(9000), Flags::ACK, 512));
        assert_eq!(ack.timestamps, Some(Timestamps { value: 1_050_000 + 33, echo: 700 }));
        assert_eq!(waits.next(at(50_000)), Some(at(60_000)));
        assert!(waits.on_segment(&v4(1), &fin(), at(109_999)).is_some());
        waits.insert(&v4(2), &STATE, at(200_000)).unwrap();
        assert_eq!((waits.on_segment(&v4(1), &fin(), at(200_000)), waits.len()), (None, 1));
    }

    #[test]
    fn a_reset_does_not_end_it() {
        // RFC 1337 §3.
        let mut waits = waits(10);
        waits.insert(&v4(1), &STATE, at(0)).unwrap();
        let rst = Segment { seq: Seq(9000), flags: Flags::RST, ..Segment::default() };
        assert_eq!((waits.on_segment(&v4(1), &rst, at(1)), waits.len()), (Some(Verdict::Drop), 1));
    }

    #[test]
    fn a_newer_syn_opens_a_successor() {
        // RFC 6191 §2, its cases in their order: (old had timestamps, SYN's number, SYN's timestamp) -> opens.
        let cases = [
            (true, 1, Some(701), true),
            (true, 9000, Some(700), true),
            (true, 8999, Some(700), false),
            (true, 9000, Some(699), false),
            (true, 9000, None, true),
            (true, 8999, None, false),
            (false, 1, Some(1), true),
            (false, 9000, None, true),
            (false, 8999, None, false),
        ];
        for (old, seq, stamp, opens) in cases {
            let mut waits = waits(10);
            let state = TimeWait { ts_recent: STATE.ts_recent.filter(|_| old), ..STATE };
            waits.insert(&v6(1), &state, at(0)).unwrap();
            let verdict = waits.on_segment(&v6(1), &syn(seq, stamp), at(1)).unwrap();
            let case = (old, seq, stamp);
            assert_eq!(verdict == Verdict::Open { past: Seq(5000) }, opens, "{case:?}");
            assert_eq!(
                (waits.is_empty(), matches!(verdict, Verdict::Challenge(_))),
                (opens, !opens),
                "{case:?}"
            );
        }
    }

    #[test]
    fn old_segments_are_answered_within_the_limit() {
        let mut waits = waits(10);
        waits.insert(&v4(1), &STATE, at(0)).unwrap();
        let data = Segment { seq: Seq(8000), payload_len: 100, flags: Flags::ACK, ..fin() };
        let paws = Segment { timestamps: Some(Timestamps { value: 699, echo: 0 }), ..fin() };
        let syn_ack = Segment { flags: Flags::SYN | Flags::ACK, ..syn(1 << 20, Some(900)) };
        for segment in [data, paws, syn_ack] {
            let verdict = waits.on_segment(&v4(1), &segment, at(1));
            assert!(matches!(verdict, Some(Verdict::Challenge(_))), "{segment:?}: {verdict:?}");
        }
        // In order and without a bit to answer: an answer could be answered for ever.
        let ack = Segment { seq: Seq(9000), flags: Flags::ACK, ..fin() };
        let no_ack = Segment { flags: Flags::FIN, ..fin() };
        for segment in [ack, no_ack] {
            assert_eq!(waits.on_segment(&v4(1), &segment, at(1)), Some(Verdict::Drop));
        }
        // None of them made it last longer.
        assert_eq!(waits.next(at(1)), Some(at(60_000)));
    }

    #[test]
    fn many_take_at_most_48_bytes_each() {
        let mut waits = waits(1_000_000);
        for n in 0..300_000 {
            waits.insert(&v4(n), &STATE, at(i64::from(n / 30))).unwrap();
            if n > 50_000 && n % 10_000 == 0 {
                let each = waits.memory() / usize::try_from(n).unwrap();
                assert!(each <= 48, "{each} at {n}");
            }
        }
        let full = waits.memory();
        assert!(waits.on_segment(&v4(299_999), &fin(), at(10_000)).is_some());
        waits.expire(at(65_000));
        assert_eq!(waits.len(), 300_000 - 150_000 - 30);
        waits.expire(at(200_000));
        assert_eq!((waits.len(), waits.next(at(200_000))), (0, None));
        assert!(waits.memory() < full / 20, "{} of {full}", waits.memory());
    }

    #[test]
    fn the_oldest_makes_way() {
        let mut waits = waits(1000);
        (0..3000).for_each(|n| waits.insert(&v4(n), &STATE, at(0)).unwrap());
        assert_eq!(waits.len(), 1000);
        assert!(waits.on_segment(&v4(1999), &fin(), at(1)).is_none());
        assert!(waits.on_segment(&v4(2000), &fin(), at(1)).is_some());
        // Holes count: FINs that come again and again do not make the queue grow.
        for _ in 0..5000 {
            assert!(waits.on_segment(&v4(2999), &fin(), at(2)).is_some());
        }
        assert!(waits.queued() <= 1000, "{}", waits.queued());
    }

    #[test]
    fn one_name_has_one_entry() {
        let mut waits = waits(10);
        waits.insert(&v4(1), &STATE, at(0)).unwrap();
        waits.insert(&v4(1), &TimeWait { snd_nxt: Seq(6000), ..STATE }, at(5)).unwrap();
        assert_eq!(waits.len(), 1);
        let Some(Verdict::Ack(ack)) = waits.on_segment(&v4(1), &fin(), at(6)) else { panic!() };
        assert_eq!(ack.seq, Seq(6000));
        waits.renew(Key::new([2; 16]));
        assert_eq!((waits.len(), waits.on_segment(&v4(1), &fin(), at(6))), (0, None));
    }
}
