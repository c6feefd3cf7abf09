//! Payload received out of order (RFC 9293 §3.10.7.4, seventh; RFC 2018 §4).
//!
//! ```text
//!   RCV.NXT      run          run
//!   │    hole    │ P P P │hole│ P │          pieces: in order, no overlap; runs: pieces without a hole between them
//! ```
//!
//! Overlaps are trimmed: octets received first are kept. The number of pieces is limited.

use alloc::collections::VecDeque;

use crate::payload::Payload;
use crate::segment::SackBlocks;
use crate::seq::{Seq, len_usize, len32};
use crate::work;

#[derive(Debug)]
struct Piece<P> {
    start: Seq,
    end: Seq,
    payload: P,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    start: Seq,
    end: Seq,
}

#[derive(Debug)]
pub(crate) struct Reassembly<P> {
    pieces: VecDeque<Piece<P>>,
    runs: VecDeque<Run>,
    /// A sequence number of each of the runs that grew last, newest first (RFC 2018 §4).
    recent: [Seq; 4],
    /// The sequence number of the peer's FIN, if it was received out of order.
    fin: Option<Seq>,
}

impl<P: Payload> Reassembly<P> {
    /// Keeps `payload`, whose first octet is `start`, after RCV.NXT. Returns the octets of it that were received before,
    /// as a range for D-SACK, and whether it was dropped at the limit of `max` pieces.
    pub(crate) fn insert(&mut self, start: Seq, payload: P, max: usize) -> (Option<(Seq, Seq)>, bool) {
        let end = start.add(len32(payload.len()));
        let mut index = self.pieces.len();
        // Most payload is appended.
        if self.pieces.back().is_some_and(|last| last.end.gt(start)) {
            index = self.pieces.partition_point(|piece| piece.end.le(start));
        }
        let (mut start, mut payload, mut known) = (start, payload, None);
        // Trims the payload by each piece; the rest behind the last one is kept.
        while let Some(piece) = self.pieces.get_mut(index) {
            work::step();
            if piece.start.ge(end) {
                break;
            }
            let overlap = (piece.start.max(start), piece.end.min(end));
            known.get_or_insert(overlap);
            if piece.start.gt(start) {
                // Fills the hole up to the piece; the rest continues behind it.
                let (hole_end, piece_end) = (piece.start, piece.end);
                if piece_end.ge(end) {
                    payload.trim_back(len_usize(end.since(hole_end)));
                    return (known, self.put(index, start, payload, max));
                }
                // The payload covers the whole piece. The piece is replaced, since a payload cannot be cut in two.
                self.remove(index);
                continue;
            }
            if piece.end.ge(end) {
                self.touch(start);
                return (known, false);
            }
            payload.trim_front(len_usize(piece.end.since(start)));
            start = piece.end;
            index = index.saturating_add(1);
        }
        let refused = self.put(index, start, payload, max);
        (known, refused)
    }

    fn remove(&mut self, index: usize) {
        // The run does not change: the new payload covers the piece.
        self.pieces.remove(index);
    }

    /// Inserts a piece at `index`. Returns `true` if there is no room.
    fn put(&mut self, index: usize, start: Seq, payload: P, max: usize) -> bool {
        let len = len32(payload.len());
        if len == 0 {
            return false;
        }
        let end = start.add(len);
        let mut payload = payload;
        if let Some(before) = index.checked_sub(1).and_then(|before| self.pieces.get_mut(before))
            && before.end == start
        {
            match before.payload.append(payload) {
                None => {
                    before.end = end;
                    self.join(start, end);
                    return false;
                }
                Some(back) => payload = back,
            }
        }
        if self.pieces.len() >= max
            || self.pieces.try_reserve(1).is_err()
            || self.runs.try_reserve(1).is_err()
        {
            return true;
        }
        self.pieces.insert(index, Piece { start, end, payload });
        self.join(start, end);
        false
    }

    /// Adds `start..end` to the runs.
    fn join(&mut self, start: Seq, end: Seq) {
        let index = self.runs.partition_point(|run| run.end.lt(start));
        let mut joined = Run { start, end };
        while let Some(run) = self.runs.get(index).copied() {
            work::step();
            if run.start.gt(end) {
                break;
            }
            joined = Run { start: run.start.min(joined.start), end: run.end.max(joined.end) };
            self.runs.remove(index);
        }
        self.runs.insert(index, joined);
        self.touch(start);
    }

    /// Makes the run of `seq` the newest.
    fn touch(&mut self, seq: Seq) {
        let run = self.run_of(seq);
        let known = self.recent.iter().position(|recent| self.run_of(*recent) == run).unwrap_or(3);
        if let Some(newest) = self.recent.get_mut(..=known) {
            newest.rotate_right(1);
        }
        self.recent[0] = seq;
    }

    /// Takes the first piece if it begins at or before `next`. Octets before `next` are cut off.
    #[inline]
    pub(crate) fn pop(&mut self, next: Seq) -> Option<P> {
        loop {
            let first = self.pieces.front()?;
            if first.start.gt(next) {
                return None;
            }
            work::step();
            let mut piece = self.pieces.pop_front()?;
            if self.runs.front().is_some_and(|run| run.end.le(piece.end)) {
                self.runs.pop_front();
            }
            if piece.end.gt(next) {
                piece.payload.trim_front(len_usize(next.since(piece.start)));
                return Some(piece.payload);
            }
        }
    }
}

impl<P> Reassembly<P> {
    /// The capacity that an empty list keeps.
    const KEPT: usize = 16;

    pub(crate) const fn new() -> Self {
        Self { pieces: VecDeque::new(), runs: VecDeque::new(), recent: [Seq(0); 4], fin: None }
    }

    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.pieces.shrink_to(Self::KEPT);
        self.runs.clear();
        self.runs.shrink_to(Self::KEPT);
        self.fin = None;
    }

    /// Pieces.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The memory at most: octets of payload, with holes, and bytes of the lists.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let ends = self.pieces.front().zip(self.pieces.back());
        let octets = ends.map_or(0, |(first, last)| len_usize(last.end.since(first.start)));
        let pieces = self.pieces.capacity().saturating_mul(size_of::<Piece<P>>());
        (octets, pieces.saturating_add(self.runs.capacity().saturating_mul(size_of::<Run>())))
    }

    /// Whether there is no piece.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.fin.is_none()
    }

    /// Notes the end of the peer's stream.
    pub(crate) fn set_fin(&mut self, at: Seq) {
        self.fin.get_or_insert(at);
    }

    /// Whether the peer's stream ends at `at`.
    pub(crate) fn is_fin(&self, at: Seq) -> bool {
        self.fin == Some(at)
    }

    fn run_of(&self, seq: Seq) -> Option<Run> {
        let index = self.runs.partition_point(|run| run.end.le(seq));
        self.runs.get(index).copied().filter(|run| run.start.le(seq))
    }

    /// Adds SACK blocks, newest run first (RFC 2018 §4).
    pub(crate) fn blocks(&self, next: Seq, blocks: &mut SackBlocks) {
        let mut added: [Option<Run>; 4] = [None; 4];
        for (index, seq) in self.recent.iter().enumerate() {
            let Some(run) = self.run_of(*seq) else { continue };
            if run.end.le(next) || added.contains(&Some(run)) {
                continue;
            }
            if let Some(slot) = added.get_mut(index) {
                *slot = Some(run);
            }
            blocks.push(run.start.max(next), run.end);
        }
    }
}
