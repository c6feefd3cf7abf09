//! Bytes of published content, within a budget.
//!
//! ```text
//!   Content   ┌─ piece 0 ─┬─ piece 1 ──┬─ piece 2 ─┐      a piece for each block of a stream: nothing is moved
//!             0           start 1      start 2     len
//! ```
//!
//! The budget covers what is published, what arrives, and former revisions that clients still read.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

/// What a piece costs besides its bytes: its place in a list, and the heap's own header.
const PIECE_COST: usize = 64;

/// A limit on bytes, shared by all users.
#[derive(Debug, PartialEq, Eq)]
pub struct Budget {
    limit: usize,
    used: Cell<usize>,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// More than the whole budget.
    Never,
    /// More than the rest of the budget, or of the heap.
    Now,
}

impl Budget {
    /// An unused budget.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, used: Cell::new(0) }
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes in use.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used.get()
    }

    /// Whether `len` more bytes would fit.
    pub(crate) fn fits(&self, more: usize) -> bool {
        self.used().checked_add(more).is_some_and(|used| used <= self.limit)
    }

    fn take(&self, more: usize) -> Result<(), NoRoom> {
        if more > self.limit {
            return Err(NoRoom::Never);
        }
        if !self.fits(more) {
            return Err(NoRoom::Now);
        }
        self.used.set(self.used().saturating_add(more));
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.used.set(self.used().saturating_sub(bytes));
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Piece {
    /// Bytes in the pieces before it.
    start: usize,
    /// Its part of the budget.
    cost: usize,
    bytes: Vec<u8>,
}

/// Bytes that count until their last reader has finished.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    pieces: Vec<Piece>,
    /// Charged besides the pieces.
    extra: usize,
    budget: Rc<Budget>,
}

impl Content {
    /// No bytes.
    #[must_use]
    pub fn new(budget: &Rc<Budget>) -> Self {
        Self { pieces: Vec::new(), extra: 0, budget: Rc::clone(budget) }
    }

    /// Makes room for `more` bytes: a piece of exactly that size.
    ///
    /// # Errors
    /// Budget or heap do not have it.
    pub fn reserve(&mut self, more: usize) -> Result<(), NoRoom> {
        let cost = if self.pieces.is_empty() { more } else { more.saturating_add(PIECE_COST) };
        self.budget.take(cost)?;
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(more).is_err() || self.pieces.try_reserve(1).is_err() {
            self.budget.give_back(cost);
            return Err(NoRoom::Now);
        }
        self.pieces.push(Piece { start: self.len(), cost, bytes });
        Ok(())
    }

    /// Charges bytes that this content costs elsewhere, for the names of its files.
    ///
    /// # Errors
    /// The budget does not have them.
    pub fn charge(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.budget.take(bytes)?;
        self.extra = self.extra.saturating_add(bytes);
        Ok(())
    }

    /// Appends bytes to the last piece, up to its size.
    pub fn extend(&mut self, bytes: &[u8]) {
        if let Some(Piece { bytes: last, .. }) = self.pieces.last_mut() {
            let room = last.capacity().saturating_sub(last.len());
            last.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    /// Drops the pieces that begin at `len` or after it.
    pub fn truncate(&mut self, len: usize) {
        while let Some(piece) = self.pieces.pop_if(|piece| piece.start >= len) {
            self.budget.give_back(piece.cost);
        }
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.last().map_or(0, |piece| piece.start.saturating_add(piece.bytes.len()))
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a range up to the end of the piece in which it begins; empty at the end of the range.
    #[must_use]
    pub fn run(&self, range: Range<usize>) -> &[u8] {
        if range.is_empty() {
            return &[];
        }
        let place = self.pieces.partition_point(|piece| piece.start <= range.start).saturating_sub(1);
        let Some(piece) = self.pieces.get(place) else { return &[] };
        let from = range.start.saturating_sub(piece.start);
        let to = range.end.saturating_sub(piece.start).min(piece.bytes.len());
        piece.bytes.get(from..to).unwrap_or_default()
    }

    /// The bytes of a range, piece by piece.
    pub fn runs(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let mut left = range;
        core::iter::from_fn(move || {
            let run = self.run(left.clone());
            left.start = left.start.saturating_add(run.len());
            (!run.is_empty()).then_some(run)
        })
    }

    /// A copy of the bytes of a range; `None` if it has other than all of them, or memory is short.
    #[must_use]
    pub fn copy(&self, range: Range<usize>) -> Option<Vec<u8>> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(range.len()).ok()?;
        self.runs(range.clone()).for_each(|run| copy.extend_from_slice(run));
        (copy.len() == range.len()).then_some(copy)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.truncate(0);
        self.budget.give_back(self.extra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_once_and_never_beyond_the_limit() {
        let budget = Rc::new(Budget::new(100));
        let mut one = Content::new(&budget);
        assert_eq!(one.reserve(4), Ok(()));
        assert_eq!((one.reserve(97), one.reserve(101)), (Err(NoRoom::Never), Err(NoRoom::Never)));
        assert_eq!(one.reserve(33), Err(NoRoom::Now));
        one.extend(b"abcdX");
        let mut other = Content::new(&budget);
        assert_eq!((other.reserve(90), other.charge(7)), (Ok(()), Err(NoRoom::Now)));
        assert_eq!((other.charge(6), budget.used()), (Ok(()), 100));
        drop(other);
        assert_eq!((budget.used(), one.reserve(3)), (4, Ok(())));
        one.extend(b"efg");
        assert_eq!(
            (one.len(), one.copy(0..7).unwrap(), budget.used()),
            (7, b"abcdefg".to_vec(), 7 + PIECE_COST)
        );
        one.truncate(4);
        assert_eq!((one.len(), one.copy(0..7), budget.used()), (4, None, 4));
        drop(one);
        assert_eq!((budget.used(), budget.limit()), (0, 100));
    }

    #[test]
    fn a_range_over_pieces_is_read_in_runs() {
        let budget = Rc::new(Budget::new(1000));
        let mut content = Content::new(&budget);
        for piece in [b"ab".as_slice(), b"c", b"defg"] {
            content.reserve(piece.len()).unwrap();
            content.extend(piece);
        }
        let runs: Vec<_> = content.runs(1..6).collect();
        assert_eq!(runs, [b"b".as_slice(), b"c", b"def"]);
        assert_eq!(content.run(7..9), b"");
        assert_eq!(content.runs(5..5).count(), 0);
    }
}
