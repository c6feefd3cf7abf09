//! The memory of a connection beside its [`Tcb`], for the caller's accounts.

use crate::active::Active;
use crate::tcb::Tcb;

/// The size in octets up to which a piece of payload may take twice its length: small pieces grow when they are joined.
const GROWING: usize = 2048;

/// Bytes of the lists of a connection that becomes active: their first allocations.
const FIRST_LISTS: usize = 512;

/// Bytes that the blocks of an active connection take in the heap beside their contents: headers and rounding of four.
const BLOCKS: usize = 128;

impl<P> Tcb<P> {
    /// Bytes of memory for active state, lists, received payload, and queued slices that nobody else holds. 0: the
    /// connection is idle.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.memory())
    }

    /// Bytes that an idle connection needs for a segment with payload, without the payload.
    #[must_use]
    pub const fn active_memory() -> usize {
        size_of::<Active<P>>().saturating_add(FIRST_LISTS).saturating_add(BLOCKS)
    }
}

impl<P> Active<P> {
    fn memory(&self) -> usize {
        let received = crate::seq::len_usize(self.received_len);
        let (pieces, lists) = self.reassembly.memory();
        let payload = received.saturating_add(pieces);
        let count = self.received.len().saturating_add(self.reassembly.len());
        let slack = payload.min(count.saturating_mul(GROWING));
        size_of::<Self>()
            .saturating_add(BLOCKS)
            .saturating_add(self.received.capacity().saturating_mul(size_of::<P>()))
            .saturating_add(lists)
            .saturating_add(self.rope.memory())
            .saturating_add(self.board.memory())
            .saturating_add(payload)
            .saturating_add(slack)
    }
}
