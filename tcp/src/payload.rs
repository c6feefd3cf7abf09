//! Received payload, in a type of the caller.
//!
//! ```text
//!   packet ─► P (a retained pool page, or a copy) ─► on_segment ─► in order:     queue ─► Tcb::recv
//!                                                              └► out of order: reassembly list ─► queue
//! ```
//!
//! The engine counts and trims octets; it never reads them.

/// The payload of a segment.
#[allow(clippy::len_without_is_empty, reason = "the engine asks for the length only")]
pub trait Payload: Sized {
    /// Its length in octets.
    fn len(&self) -> usize;

    /// Drops the first `count` octets, at most [`Payload::len`].
    fn trim_front(&mut self, count: usize);

    /// Drops the last `count` octets, at most [`Payload::len`].
    fn trim_back(&mut self, count: usize);

    /// Appends `next`, which follows `self` in the stream, so that two pieces become one.
    ///
    /// Returns `next` if that is not possible, which is the default.
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
