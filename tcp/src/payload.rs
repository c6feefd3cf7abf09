//! Received payload, as the caller keeps it.
//!
//! ```text
//!   packet ─► P (a retained pool page, or a copy) ─► on_segment ─► in order:     queue ─► Tcb::recv
//!                                                              └► out of order: reassembly list ─► queue
//! ```
//!
//! The engine counts and trims; it never looks at the bytes.

/// Octets of one segment.
#[allow(clippy::len_without_is_empty, reason = "the engine asks for the length only")]
pub trait Payload: Sized {
    /// Octets.
    fn len(&self) -> usize;

    /// Drops the first `count` octets, which are fewer than [`Payload::len`] or as many.
    fn trim_front(&mut self, count: usize);

    /// Drops the last `count` octets, which are fewer than [`Payload::len`] or as many.
    fn trim_back(&mut self, count: usize);

    /// Takes `next`, which follows `self` in the stream, into `self`, so that one piece is kept instead of two.
    ///
    /// Returns `next` if that is not possible. The default is never.
    fn append(&mut self, next: Self) -> Option<Self> {
        Some(next)
    }
}

impl Payload for bytes::Bytes {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn trim_front(&mut self, count: usize) {
        bytes::Buf::advance(self, count.min(Self::len(self)));
    }

    fn trim_back(&mut self, count: usize) {
        self.truncate(Self::len(self).saturating_sub(count));
    }
}
