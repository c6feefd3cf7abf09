//! Received bytes that are not parsed yet: memory that grows with need, up to a limit.
//!
//! ```text
//!   0        start          end        len     limit
//!   │ consumed │   filled    │  spare   │  . . . │
//! ```
//!
//! A connection keeps its buffer, so requests cost no allocation. It starts small, because each of ten thousand idle
//! connections has one.

use alloc::vec::Vec;

/// Bytes at the start: most requests are shorter.
const START: usize = 1024;

/// Bytes received.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl Buffer {
    /// A buffer that takes up to `limit` bytes.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, limit }
    }

    /// The bytes that are not consumed yet.
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// The first byte that is not consumed yet.
    pub(crate) fn first(&self) -> Option<u8> {
        if self.is_empty() { None } else { self.bytes.get(self.start).copied() }
    }

    /// Whether no more bytes fit.
    pub(crate) const fn is_full(&self) -> bool {
        self.end.saturating_sub(self.start) >= self.limit
    }

    /// Takes bytes off the front.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room for more bytes; empty if the limit is reached or memory is short.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            self.grow();
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// `len` bytes were written to [`Buffer::spare`].
    pub(crate) fn fill(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.bytes.len());
    }

    fn grow(&mut self) {
        let len = self.bytes.len().saturating_mul(2).clamp(START.min(self.limit), self.limit);
        let more = len.saturating_sub(self.bytes.len());
        if self.bytes.try_reserve_exact(more).is_ok() {
            self.bytes.resize(len, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, bytes: &[u8]) -> usize {
        let spare = buffer.spare();
        let len = spare.len().min(bytes.len());
        spare[..len].copy_from_slice(&bytes[..len]);
        buffer.fill(len);
        len
    }

    #[test]
    fn what_goes_in_comes_out_in_order_whatever_the_pieces() {
        let sent: Vec<u8> = (0..10_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        for piece in [1, 7, 100, 1500] {
            let mut buffer = Buffer::new(2000);
            let (mut taken, mut received) = (0, Vec::new());
            while received.len() < sent.len() {
                taken += put(&mut buffer, &sent[taken..sent.len().min(taken + piece)]);
                let len = buffer.filled().len().min(piece / 2 + 1);
                received.extend_from_slice(&buffer.filled()[..len]);
                buffer.consume(len);
            }
            assert_eq!(received, sent);
        }
    }

    #[test]
    fn grows_to_its_limit_and_no_further() {
        let mut buffer = Buffer::new(3000);
        let total: usize = (0..10).map(|_| put(&mut buffer, &[1; 4096])).sum();
        assert_eq!(total, 3000);
        assert!(buffer.is_full() && buffer.spare().is_empty());
        buffer.consume(1);
        assert!(!buffer.is_full());
        assert_eq!(buffer.spare().len(), 1);
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
        assert_eq!(buffer.spare().len(), 3000);
    }
}
