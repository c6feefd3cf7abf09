//! Bytes in pieces, reserved in the ledger: published content, and generated replies.
//!
//! ```text
//!   Content   ┌─ piece 0 ─┬─ piece 1 ──┬─ piece 2 ─┐      a piece for each block of a stream: nothing is moved
//!             0           start 1      start 2     len
//! ```
//!
//! The memory covers what is published, what arrives, and former revisions that clients still read.

use crate::memory::{Memory, NoRoom};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use kernel::net::Bytes;

/// What a piece costs besides its bytes: its place in a list, and the heap's own header.
const PIECE_COST: usize = 64;
/// Bytes of a piece of text that is being generated. The last one is half empty on average.
const TEXT_PIECE: usize = 4 * 1024;
/// Bytes that are handed to the stack at once: what it takes, it takes whole.
const SLICE: usize = 64 * 1024;

#[derive(Debug)]
enum Data {
    /// Bytes may be added.
    Open(Vec<u8>),
    /// Bytes may be shared.
    Sealed(Bytes),
    /// Bytes of the image.
    Static(&'static [u8]),
}

impl Data {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Open(bytes) => bytes,
            Self::Sealed(bytes) => bytes,
            Self::Static(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
struct Piece {
    /// Bytes in the pieces before it.
    start: usize,
    /// What it takes of the memory.
    cost: usize,
    data: Data,
}

/// Bytes that count until their last reader has finished.
#[derive(Debug)]
pub struct Content {
    pieces: Vec<Piece>,
    /// Charged besides the pieces.
    extra: usize,
    memory: Rc<Memory>,
}

impl Content {
    /// No bytes.
    #[must_use]
    pub fn new(memory: &Rc<Memory>) -> Self {
        Self { pieces: Vec::new(), extra: 0, memory: Rc::clone(memory) }
    }

    /// Makes room for `more` bytes: a piece of exactly that size.
    ///
    /// # Errors
    /// The memory does not have it.
    pub fn reserve(&mut self, more: usize) -> Result<(), NoRoom> {
        let cost = if self.pieces.is_empty() { more } else { more.saturating_add(PIECE_COST) };
        self.memory.take(cost)?;
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(more).is_err() || self.pieces.try_reserve(1).is_err() {
            self.memory.give_back(cost);
            return Err(NoRoom::Now);
        }
        self.pieces.push(Piece { start: self.len(), cost, data: Data::Open(bytes) });
        Ok(())
    }

    /// Appends bytes by reference: a piece that costs its place in the list. What is left of the piece before stays empty.
    ///
    /// # Errors
    /// The memory does not have it.
    pub fn push_static(&mut self, text: &'static str) -> Result<(), NoRoom> {
        self.memory.take(PIECE_COST)?;
        if self.pieces.try_reserve(1).is_err() {
            self.memory.give_back(PIECE_COST);
            return Err(NoRoom::Now);
        }
        let data = Data::Static(text.as_bytes());
        self.pieces.push(Piece { start: self.len(), cost: PIECE_COST, data });
        Ok(())
    }

    /// Charges bytes that this content costs elsewhere, for the names of its files.
    ///
    /// # Errors
    /// The memory does not have them.
    pub fn charge(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.memory.take(bytes)?;
        self.extra = self.extra.saturating_add(bytes);
        Ok(())
    }

    /// Appends bytes to the last piece, up to its size. Returns how many.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let Some(Piece { data: Data::Open(last), .. }) = self.pieces.last_mut() else { return 0 };
        let room = last.capacity().saturating_sub(last.len()).min(bytes.len());
        last.extend_from_slice(bytes.get(..room).unwrap_or_default());
        room
    }

    /// Appends parts beside each other, all of them or nothing: in a new piece if the last one has no room.
    ///
    /// # Errors
    /// The memory does not have it.
    pub fn append(&mut self, parts: &[&[u8]]) -> Result<(), NoRoom> {
        let len = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        let room = match self.pieces.last() {
            Some(Piece { data: Data::Open(last), .. }) => last.capacity().saturating_sub(last.len()),
            _ => 0,
        };
        if room < len {
            self.reserve(len.max(TEXT_PIECE))?;
        }
        for part in parts {
            self.extend(part);
        }
        Ok(())
    }

    /// From now on no bytes are added, and they can be shared.
    #[must_use]
    pub fn sealed(mut self) -> Rc<Self> {
        for piece in &mut self.pieces {
            if let Data::Open(bytes) = &mut piece.data {
                piece.data = Data::Sealed(self.memory.share(core::mem::take(bytes), piece.cost));
            }
        }
        Rc::new(self)
    }

    /// Drops the pieces that begin at `len` or after it.
    pub fn truncate(&mut self, len: usize) {
        while let Some(piece) = self.pieces.pop_if(|piece| piece.start >= len) {
            if !matches!(piece.data, Data::Sealed(_)) {
                self.memory.give_back(piece.cost);
            }
        }
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.last().map_or(0, |piece| piece.start.saturating_add(piece.data.bytes().len()))
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The piece in which a range begins, and the part of the range that is in it.
    fn find(&self, range: Range<usize>) -> Option<(&Piece, Range<usize>)> {
        let place = self.pieces.partition_point(|piece| piece.start <= range.start).checked_sub(1)?;
        let piece = self.pieces.get(place).filter(|_| !range.is_empty())?;
        let end = range.end.saturating_sub(piece.start).min(piece.data.bytes().len());
        Some((piece, range.start.saturating_sub(piece.start).min(end)..end))
    }

    /// The bytes of a range up to the end of the piece in which it begins; empty at the end of the range.
    #[must_use]
    pub fn run(&self, range: Range<usize>) -> &[u8] {
        let found = self.find(range);
        found.and_then(|(piece, part)| piece.data.bytes().get(part)).unwrap_or_default()
    }

    /// The same by reference, 64 KiB at most; empty if this content is not sealed.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        let Some((piece, part)) = self.find(range) else { return Bytes::new() };
        let part = part.start..part.end.min(part.start.saturating_add(SLICE));
        match &piece.data {
            Data::Sealed(bytes) => bytes.slice(part),
            Data::Static(bytes) => Bytes::from_static(bytes.get(part).unwrap_or_default()),
            Data::Open(_) => Bytes::new(),
        }
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

/// Generated text.
impl fmt::Write for Content {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        loop {
            rest = rest.get(self.extend(rest)..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            self.reserve(TEXT_PIECE).map_err(|_| fmt::Error)?;
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.truncate(0);
        self.memory.give_back(self.extra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    #[test]
    fn room_is_given_back_once_and_never_beyond_the_limit() {
        let memory = Rc::new(Memory::limited(100));
        let mut one = Content::new(&memory);
        assert_eq!(one.reserve(4), Ok(()));
        assert_eq!((one.reserve(97), one.reserve(101)), (Err(NoRoom::Never), Err(NoRoom::Never)));
        assert_eq!(one.reserve(33), Err(NoRoom::Now));
        assert_eq!(one.extend(b"abcdX"), 4);
        let mut other = Content::new(&memory);
        assert_eq!((other.reserve(90), other.charge(7)), (Ok(()), Err(NoRoom::Now)));
        assert_eq!((other.charge(6), memory.used()), (Ok(()), 100));
        drop(other);
        assert_eq!((memory.used(), one.reserve(3)), (4, Ok(())));
        one.extend(b"efg");
        let seven = (one.len(), one.copy(0..7).unwrap(), memory.used());
        assert_eq!(seven, (7, b"abcdefg".to_vec(), 7 + PIECE_COST));
        one.truncate(4);
        assert_eq!((one.len(), one.copy(0..7), memory.used()), (4, None, 4));
        drop(one);
        assert_eq!((memory.used(), memory.limit()), (0, 100));
    }

    #[test]
    fn a_range_over_pieces_is_read_in_runs() {
        let memory = Rc::new(Memory::limited(1000));
        let mut content = Content::new(&memory);
        for piece in [b"ab".as_slice(), b"c", b"defg"] {
            content.reserve(piece.len()).unwrap();
            content.extend(piece);
        }
        let runs: Vec<_> = content.runs(1..6).collect();
        assert_eq!(runs, [b"b".as_slice(), b"c", b"def"]);
        assert_eq!(content.run(7..9), b"");
        assert_eq!(content.runs(5..5).count(), 0);
        assert_eq!(content.slice(1..6), b"".as_slice(), "not sealed");
        let content = content.sealed();
        assert_eq!(
            (content.slice(1..6), content.slice(4..6)),
            (b"b".as_slice().into(), b"ef".as_slice().into())
        );
    }

    #[test]
    fn what_is_lent_costs_after_its_content_has_gone() {
        let memory = Rc::new(Memory::limited(200_000));
        let mut content = Content::new(&memory);
        content.reserve(150_000).unwrap();
        assert_eq!(content.extend(&[7; 150_000]), 150_000);
        let content = content.sealed();
        let slice = content.slice(140_000..150_000);
        assert_eq!((slice.len(), content.slice(0..150_000).len()), (10_000, SLICE));
        drop(content);
        assert_eq!((memory.used(), slice[9_999]), (150_000, 7));
        drop(slice);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn text_takes_pieces_until_there_is_no_room() {
        let memory = Rc::new(Memory::limited(2 * TEXT_PIECE + PIECE_COST));
        let mut text = Content::new(&memory);
        let mut lines = 0;
        while writeln!(text, "line {lines:4}").is_ok() {
            lines += 1;
        }
        assert_eq!((lines, text.len()), (2 * TEXT_PIECE / 10, 2 * TEXT_PIECE));
        assert_eq!(text.copy(4090..4110).unwrap(), b"line  409\nline  410\n");
    }

    #[test]
    fn static_text_costs_its_place_only() {
        let memory = Rc::new(Memory::limited(2 * TEXT_PIECE + 2 * PIECE_COST));
        let mut text = Content::new(&memory);
        text.write_str("before ").unwrap();
        text.push_static("static").unwrap();
        assert_eq!(memory.used(), TEXT_PIECE + PIECE_COST);
        text.write_str(" after").unwrap();
        assert_eq!((text.push_static("no room"), memory.used()), (Err(NoRoom::Now), memory.limit()));
        let text = text.sealed();
        assert_eq!(text.copy(0..19).unwrap(), b"before static after");
        assert_eq!(
            (text.slice(9..12), text.slice(9..19)),
            (b"ati".as_slice().into(), b"atic".as_slice().into())
        );
        drop(text);
        assert_eq!(memory.used(), 0);
    }
}
