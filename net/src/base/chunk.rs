//! Received bytes that belong to their holder: a part of the page in which they came, or a copy.

use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, Range};

use nic::Packet;
use tcp::Payload;

use crate::base::copy::copy;

/// Copies are put together up to this size, bytes: many small segments must not cost an allocation each.
const TOGETHER: usize = 2048;

/// Bytes that were received. Dropping them gives the page back.
pub struct Chunk {
    store: Store,
    range: Range<usize>,
}

enum Store {
    Page(Packet),
    Copy(Vec<u8>),
}

impl Chunk {
    /// No bytes.
    pub(crate) const EMPTY: Self = Self { store: Store::Copy(Vec::new()), range: 0..0 };

    /// A part of a page.
    pub(crate) const fn page(packet: Packet, range: Range<usize>) -> Self {
        Self { store: Store::Page(packet), range }
    }

    /// A copy; `None`: there is no memory.
    pub(crate) fn copied(bytes: &[u8]) -> Option<Self> {
        Some(Self { store: Store::Copy(copy(bytes)?), range: 0..bytes.len() })
    }

    /// Whether the bytes are in the page in which they came.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        matches!(&self.store, Store::Page(packet) if packet.is_in_place())
    }

    /// Drops the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        self.range.start = self.range.start.saturating_add(count).min(self.range.end);
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes: &[u8] = match &self.store {
            Store::Page(packet) => packet,
            Store::Copy(bytes) => bytes,
        };
        bytes.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.range.len())
    }
}

impl Payload for Chunk {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn trim_front(&mut self, count: usize) {
        self.consume(count);
    }

    fn trim_back(&mut self, count: usize) {
        self.range.end = self.range.end.saturating_sub(count).max(self.range.start);
    }

    fn append(&mut self, next: Self) -> Option<Self> {
        let Store::Copy(bytes) = &mut self.store else { return Some(next) };
        let len = self.range.len().saturating_add(next.range.len());
        let mut no_room = || bytes.try_reserve(next.range.len()).is_err();
        if len > TOGETHER || matches!(next.store, Store::Page(_)) || no_room() {
            return Some(next);
        }
        bytes.truncate(self.range.end);
        bytes.drain(..self.range.start);
        bytes.extend_from_slice(&next);
        self.range = 0..bytes.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_copies_are_put_together() {
        let mut chunk = Chunk::copied(b"xxonexx").unwrap();
        chunk.trim_front(2);
        chunk.trim_back(2);
        assert!(chunk.append(Chunk::copied(b" and two").unwrap()).is_none());
        assert_eq!(&*chunk, b"one and two");
        assert!(chunk.append(Chunk::copied(&[7; TOGETHER]).unwrap()).is_some());
        chunk.consume(100);
        assert!(chunk.is_empty());
    }
}
