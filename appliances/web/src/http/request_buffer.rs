//! Received bytes that are not parsed yet: in the chunk in which they came, and copied only if a head is in several.
//!
//! ```text
//!   chunk    │ consumed │  next requests  │          the usual case: nothing is copied
//!
//!   joined   │ consumed │  part of a head │ ◄─ chunk: as much as the limit lets in
//! ```
//!
//! A connection between two requests has neither.

use alloc::vec::Vec;
use core::ops::Deref;

/// Bytes received.
#[derive(Debug)]
pub(crate) struct Input<C> {
    chunk: Option<C>,
    /// Bytes of the chunk that are consumed, or copied.
    at: usize,
    joined: Vec<u8>,
    /// Bytes of `joined` that are consumed.
    start: usize,
    limit: usize,
}

impl<C: Deref<Target = [u8]>> Input<C> {
    /// What has come so far. A head has up to `limit` bytes.
    pub(crate) const fn new(limit: usize, chunk: Option<C>) -> Self {
        Self { chunk, at: 0, joined: Vec::new(), start: 0, limit }
    }

    fn of_chunk(&self) -> &[u8] {
        self.chunk.as_deref().and_then(|bytes| bytes.get(self.at..)).unwrap_or_default()
    }

    /// The first bytes that are not consumed yet, up to the limit.
    pub(crate) fn filled(&self) -> &[u8] {
        let bytes = match self.joined.get(self.start..) {
            Some(joined) if !joined.is_empty() => joined,
            _ => self.of_chunk(),
        };
        bytes.get(..self.limit).unwrap_or(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled().is_empty()
    }

    /// The first byte that is not consumed yet.
    pub(crate) fn first(&self) -> Option<u8> {
        self.filled().first().copied()
    }

    /// Whether a head that is not complete now is too long.
    pub(crate) fn is_full(&self) -> bool {
        self.filled().len() >= self.limit
    }

    /// Takes bytes off the front. Memory without bytes is given back.
    pub(crate) fn consume(&mut self, len: usize) {
        if self.start < self.joined.len() {
            self.start = self.start.saturating_add(len).min(self.joined.len());
            if self.start == self.joined.len() {
                (self.joined, self.start) = (Vec::new(), 0);
            }
        } else {
            self.at = self.at.saturating_add(len);
        }
        if self.of_chunk().is_empty() {
            (self.chunk, self.at) = (None, 0);
        }
    }

    /// Whether the chunk has bytes that [`Input::filled`] does not show, because it shows the joined ones before them.
    pub(crate) fn has_hidden(&self) -> bool {
        self.start < self.joined.len() && !self.of_chunk().is_empty()
    }

    /// Copies what is there of a head, so that its chunk need not be kept until the rest comes. `false`: there is no memory.
    pub(crate) fn keep(&mut self) -> bool {
        self.is_empty() || self.join()
    }

    /// More bytes. `false`: there is no memory to join them with those before.
    pub(crate) fn add(&mut self, chunk: C) -> bool {
        (self.chunk, self.at) = (Some(chunk), 0);
        self.joined.is_empty() || self.join()
    }

    /// Copies of the chunk what a head may still have.
    fn join(&mut self) -> bool {
        if self.start > 0 {
            self.joined.drain(..self.start);
            self.start = 0;
        }
        let room = self.limit.saturating_sub(self.joined.len());
        let chunk = self.chunk.as_deref().and_then(|bytes| bytes.get(self.at..)).unwrap_or_default();
        let part = chunk.get(..room).unwrap_or(chunk);
        if self.joined.try_reserve(part.len()).is_err() {
            return false;
        }
        self.joined.extend_from_slice(part);
        self.at = self.at.saturating_add(part.len());
        if self.of_chunk().is_empty() {
            (self.chunk, self.at) = (None, 0);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is not consumed, as a head of several chunks is read.
    fn gather(input: &mut Input<Vec<u8>>, chunk: &[u8]) -> usize {
        assert!(input.keep() && input.add(chunk.to_vec()));
        input.filled().len()
    }

    #[test]
    fn what_goes_in_comes_out_in_order_whatever_the_pieces() {
        let sent: Vec<u8> = (0..10_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        for piece in [1, 7, 100, 1500] {
            let mut input = Input::new(2000, None);
            let mut received = Vec::new();
            for chunk in sent.chunks(piece) {
                gather(&mut input, chunk);
                while input.filled().len() > piece / 3 {
                    let len = input.filled().len().min(piece / 2 + 1);
                    received.extend_from_slice(&input.filled()[..len]);
                    input.consume(len);
                }
            }
            received.extend_from_slice(input.filled());
            assert_eq!(received, sent);
        }
    }

    #[test]
    fn one_chunk_is_not_copied_and_leaves_no_memory() {
        let mut input = Input::new(3000, None);
        assert!(input.add(alloc::vec![1; 5000]));
        assert!(input.is_full() && input.filled().len() == 3000);
        input.consume(4999);
        assert_eq!((input.filled(), input.is_full()), ([1].as_slice(), false));
        input.consume(1);
        assert!(input.is_empty() && input.chunk.is_none() && input.joined.capacity() == 0);
    }

    #[test]
    fn a_head_of_many_chunks_ends_at_the_limit() {
        let mut input = Input::new(3000, None);
        let mut len = 0;
        for _ in 0..8 {
            len = gather(&mut input, &[1; 400]);
        }
        assert_eq!((len, input.is_full()), (3000, true));
        input.consume(2999);
        assert_eq!(input.filled().len(), 1);
        input.consume(1);
        assert_eq!((input.filled().len(), input.joined.capacity()), (200, 0));
    }
}
