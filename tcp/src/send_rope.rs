//! Bytes to be sent: slices of shared memory in order, by reference.
//!
//! ```text
//!   start           start+len
//!   │ Bytes │ Bytes │ Bytes │      ack drops from the front, send adds at the back
//!   ▲               ▲
//!   SND.UNA         ranges are found by binary search, for first transmissions and retransmissions alike
//! ```
//!
//! A slice whose memory nobody else holds when it is queued is the connection's own: its bytes count until all of them are
//! acknowledged. Those of others, which many connections may send at once, are counted by whoever holds them too.

use alloc::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::seq::{Seq, len_usize, len32};

#[derive(Debug)]
struct Chunk {
    start: Seq,
    /// Its length when it was queued, if it is the connection's own; or else 0.
    own: u32,
    bytes: Bytes,
}

/// The rope. Its length stays below [`SendRope::MAX_LEN`].
#[derive(Debug)]
pub(crate) struct SendRope {
    chunks: VecDeque<Chunk>,
    start: Seq,
    len: u32,
    /// The sum of the lengths of the connection's own slices.
    own: u32,
}

impl SendRope {
    /// The largest length at which sequence numbers of the rope are comparable.
    pub(crate) const MAX_LEN: u32 = 1 << 30;
    /// The capacity in slices that an empty rope keeps.
    const KEPT: usize = 16;

    pub(crate) const fn new() -> Self {
        Self { chunks: VecDeque::new(), start: Seq(0), len: 0, own: 0 }
    }

    /// Sets the sequence number of the first octet of an empty rope.
    pub(crate) fn begin(&mut self, start: Seq) {
        self.start = start;
    }

    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.chunks.shrink_to(Self::KEPT);
        self.len = 0;
        self.own = 0;
    }

    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Bytes of the list of slices, and of the connection's own slices.
    pub(crate) fn memory(&self) -> usize {
        self.chunks.capacity().saturating_mul(size_of::<Chunk>()).saturating_add(len_usize(self.own))
    }

    #[inline]
    pub(crate) const fn end(&self) -> Seq {
        self.start.add(self.len)
    }

    /// Appends `bytes`. Returns them if the rope would be too long.
    #[inline]
    pub(crate) fn push(&mut self, bytes: Bytes) -> Result<(), Bytes> {
        let len = len32(bytes.len());
        if len > Self::MAX_LEN.saturating_sub(self.len) || self.chunks.try_reserve(1).is_err() {
            return Err(bytes);
        }
        if len > 0 {
            let own = if bytes.is_unique() { len } else { 0 };
            self.chunks.push_back(Chunk { start: self.end(), own, bytes });
            self.len = self.len.saturating_add(len);
            self.own = self.own.saturating_add(own);
        }
        Ok(())
    }

    /// Drops the octets before `ack`.
    #[inline]
    pub(crate) fn acknowledge(&mut self, ack: Seq) {
        let mut count = ack.past(self.start).min(self.len);
        self.start = self.start.add(count);
        self.len = self.len.saturating_sub(count);
        while count > 0 {
            let Some(chunk) = self.chunks.front_mut() else { return };
            let len = len32(chunk.bytes.len());
            if len > count {
                chunk.bytes.advance(len_usize(count));
                chunk.start = chunk.start.add(count);
                return;
            }
            count = count.saturating_sub(len);
            self.own = self.own.saturating_sub(chunk.own);
            self.chunks.pop_front();
        }
    }

    /// The octets from `from` to `to`, as slices.
    #[inline]
    pub(crate) fn range(&self, from: Seq, to: Seq) -> Slices<'_> {
        let from = from.max(self.start);
        let len = len_usize(to.min(self.end()).past(from));
        let offset = from.since(self.start);
        let index = match self.chunks.front() {
            Some(first) if offset < len32(first.bytes.len()) => 0,
            _ => {
                self.chunks.partition_point(|chunk| chunk.start.since(self.start) <= offset).saturating_sub(1)
            }
        };
        let skip = self.chunks.get(index).map_or(0, |chunk| from.past(chunk.start));
        Slices { rope: Some(self), index, skip: len_usize(skip), len }
    }
}

/// Octets of the send rope in order: an iterator over slices, none of them empty.
#[derive(Debug, Clone)]
pub struct Slices<'a> {
    rope: Option<&'a SendRope>,
    index: usize,
    skip: usize,
    len: usize,
}

impl Slices<'_> {
    pub(crate) const EMPTY: Self = Slices { rope: None, index: 0, skip: 0, len: 0 };

    /// Octets that are left.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no octet is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies octets to the front of `into`. Returns the number that fitted.
    pub fn copy_to(self, into: &mut [u8]) -> usize {
        let mut at: usize = 0;
        for slice in self {
            let Some(room) = into.get_mut(at..) else { break };
            let len = slice.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..len), slice.get(..len)) {
                to.copy_from_slice(from);
            }
            at = at.saturating_add(len);
        }
        at
    }
}

impl<'a> Iterator for Slices<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.len == 0 {
            return None;
        }
        let chunk = self.rope?.chunks.get(self.index)?;
        let slice = chunk.bytes.get(self.skip..)?;
        let slice = slice.get(..self.len.min(slice.len()))?;
        self.index = self.index.saturating_add(1);
        self.skip = 0;
        self.len = self.len.saturating_sub(slice.len());
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn bytes(rope: &SendRope, from: u32, to: u32) -> Vec<u8> {
        let base = Seq(u32::MAX - 4);
        rope.range(base.add(from), base.add(to)).flatten().copied().collect()
    }

    #[test]
    fn ranges_are_found_before_and_after_an_ack() {
        let base = Seq(u32::MAX - 4);
        let mut rope = SendRope::new();
        rope.begin(base);
        for piece in [&b"abc"[..], b"", b"d", b"efghij"] {
            rope.push(Bytes::copy_from_slice(piece)).unwrap();
        }
        assert_eq!(rope.len(), 10);
        for from in 0..10 {
            for to in from..12 {
                let end = usize::try_from(to.min(10)).unwrap();
                assert_eq!(bytes(&rope, from, to), b"abcdefghij"[usize::try_from(from).unwrap()..end]);
            }
        }
        for ack in 1..=10 {
            rope.acknowledge(base.add(ack));
            assert_eq!(rope.len(), 10 - ack);
            assert_eq!(bytes(&rope, 0, 10), b"abcdefghij"[usize::try_from(ack).unwrap()..]);
        }
        assert!(rope.chunks.is_empty());
    }

    #[test]
    fn own_slices_count_until_all_of_each_is_acknowledged() {
        let mut rope = SendRope::new();
        let shared = Bytes::copy_from_slice(b"others");
        for bytes in
            [Bytes::copy_from_slice(b"own"), shared.clone(), Bytes::from_static(b"s"), vec![1; 5].into()]
        {
            rope.push(bytes).unwrap();
        }
        let list = rope.chunks.capacity() * size_of::<Chunk>();
        let own = |rope: &SendRope| rope.memory() - list;
        assert_eq!(own(&rope), 3 + 5);
        // Whether a slice is the connection's own is decided when it is queued.
        drop(shared);
        for (ack, left) in [(2, 8), (3, 5), (9, 5), (10, 5), (14, 5), (15, 0)] {
            rope.acknowledge(Seq(ack));
            assert_eq!(own(&rope), left, "after {ack}");
        }
        rope.push(vec![1; 7].into()).unwrap();
        assert_eq!(own(&rope), 7);
        rope.clear();
        assert_eq!(own(&rope), 0);
    }

    #[test]
    fn copying_stops_at_the_end_of_the_buffer() {
        let mut rope = SendRope::new();
        rope.push(Bytes::from_static(b"abc")).unwrap();
        rope.push(Bytes::from_static(b"def")).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(rope.range(Seq(1), Seq(6)).len(), 5);
        assert_eq!(rope.range(Seq(1), Seq(6)).copy_to(&mut buffer), 4);
        assert_eq!(&buffer, b"bcde");
    }

    #[test]
    fn a_rope_that_would_be_too_long_is_refused() {
        static PAGE: [u8; 1 << 20] = [0; 1 << 20];
        let mut rope = SendRope::new();
        for _ in 0..1024 {
            rope.push(Bytes::from_static(&PAGE)).unwrap();
        }
        assert!(rope.push(Bytes::from_static(b"x")).is_err());
        assert_eq!(rope.len(), SendRope::MAX_LEN);
    }
}
