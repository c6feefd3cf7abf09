//! The current frame of a receive queue: read in place or copied out, released or retained.
//!
//! ```text
//!   present ─┬─ >= threshold, trusted ─► InPlace: the page stays in its slot ─┬─ release ─► posted again
//!            └─ else ─► copied to scratch; bytes cleared ─► Copied            └─ retain  ─► Packet
//! ```

use crate::queue::current::{Current, Extent};
use crate::queue::rx::RxQueue;
use crate::wire::policy::Clearing;
use nic::{Checksum, Packet, Received};
use pool::packet::Lease;
use pool::{MIN_PAGES, Piece};
use xen::GrantedPage;
use xen::abi::io_netif::NetRxFlags;
use xen::ids::PAGE_SIZE;

impl RxQueue {
    /// Makes a good frame in one page current.
    #[inline]
    pub(super) fn present(&mut self, extent: Extent) {
        let len = usize::from(extent.len);
        self.note_checksum(NetRxFlags::from_bits_retain(extent.flags));
        if !self.is_zero_copy(len) {
            return self.copy_out(extent);
        }
        self.stats.zero_copy_packets.bump();
        self.stats.zero_copy_bytes.add_len(len);
        self.current = Current::InPlace(extent);
    }

    /// Copies a frame out of its page.
    #[inline(never)]
    fn copy_out(&mut self, extent: Extent) {
        let (offset, len) = (usize::from(extent.offset), usize::from(extent.len));
        let clear = self.policy.clearing >= self.policy.clearing_of(len);
        if let (Some(into), Some(page)) = (self.scratch.get_mut(..len), self.slots.get(extent.slot())) {
            if clear {
                page.shared().take_bytes(offset, into);
            } else {
                page.shared().read_bytes(offset, into);
            }
        }
        self.stats.copied_packets.bump();
        self.stats.copied_bytes.add_len(len);
        if clear {
            self.stats.cleared_bytes.add_len(len);
        }
        let flags = NetRxFlags::from_bits_retain(extent.flags);
        self.current = Current::Copied { len, flags };
    }

    /// Counts a frame with a blank checksum.
    #[inline]
    pub(super) const fn note_checksum(&mut self, flags: NetRxFlags) {
        if flags.contains(NetRxFlags::CSUM_BLANK) {
            self.stats.checksum_blank.bump();
        }
    }

    /// The bytes of the current frame. Empty if there is none.
    #[inline]
    pub(super) fn frame(&self) -> &[u8] {
        if let (Current::InPlace(extent), Some(trusted)) = (&self.current, self.policy.trusted) {
            let page = self.slots.get(extent.slot());
            let bytes =
                page.and_then(|page| page.lend(extent.offset.into(), usize::from(extent.len), trusted));
            return bytes.unwrap_or_default();
        }
        match &self.current {
            Current::Copied { len, .. } => self.scratch.get(..*len).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The current frame, with what is known of its checksum.
    #[inline]
    pub(super) fn received(&self) -> Received<'_> {
        let flags = self.current.flags();
        let checksum = if flags.contains(NetRxFlags::CSUM_BLANK) {
            Checksum::Blank
        } else if flags.contains(NetRxFlags::DATA_VALIDATED) {
            Checksum::Validated
        } else {
            Checksum::Unknown
        };
        Received { frame: self.frame(), checksum }
    }

    /// Drops the current frame. A page that was read in place can be posted again.
    #[inline]
    pub(super) fn release(&mut self) {
        if self.policy.clearing >= Clearing::All {
            self.clear_in_place();
        }
        self.current = Current::None;
    }

    /// Clears the current frame in its page, if it was read in place.
    #[cold]
    fn clear_in_place(&mut self) {
        if let Current::InPlace(extent) = &self.current {
            let (offset, len) = (usize::from(extent.offset), usize::from(extent.len));
            if let Some(page) = self.slots.get(extent.slot()) {
                page.shared().zero(offset, len);
            }
            self.stats.cleared_bytes.add_len(len);
        }
    }

    /// Takes the current frame for an application that retains it: its page if it is read in place, else a copy. `None`,
    /// and the frame stays, if there is none, if the retention limit is reached, if the ring needs the page, or if there
    /// is no memory for the copy.
    pub(super) fn retain(&mut self) -> Option<Packet> {
        if matches!(self.current, Current::None) {
            return None;
        }
        let packet = self.try_retain();
        match packet {
            Some(_) => {
                self.current = Current::None;
                self.stats.retained_packets.bump();
            }
            None => self.stats.retained_refused.bump(),
        }
        packet
    }

    /// The packet of [`RxQueue::retain`]. `None`: nothing has changed.
    fn try_retain(&mut self) -> Option<Packet> {
        let left = self.slots.len().saturating_add(self.pool.free());
        if self.pool.retained() >= self.policy.retained_max || left < MIN_PAGES {
            return None;
        }
        match self.current {
            Current::None => None,
            Current::InPlace(extent) => {
                let trusted = self.policy.trusted?;
                let page = self.slots.take(extent.slot())?;
                let piece = Piece { page, offset: extent.offset.into(), len: extent.len.into() };
                let clear = self.policy.clearing == Clearing::All;
                let lease = Lease { trusted, granted_to: self.policy.backend, clear };
                Some(self.pool.retain_page(piece, lease))
            }
            Current::Copied { len, .. } => self.pool.retain_copy(self.scratch.get(..len)?),
        }
    }

    /// Puts a page back into the pool. Clears its data first, if the policy clears frames of this `kind`.
    #[inline]
    pub(super) fn return_piece(&mut self, piece: Piece, kind: Clearing) {
        if self.policy.clearing >= kind {
            piece.page.shared().zero(piece.offset, piece.len);
            self.stats.cleared_bytes.add_len(piece.len);
        }
        self.pool.put(piece.page);
    }

    /// Puts a page back into the pool whose used bytes are not known.
    pub(super) fn discard_page(&mut self, page: GrantedPage) {
        let piece = Piece { page, offset: 0, len: PAGE_SIZE };
        self.return_piece(piece, Clearing::Small);
    }
}
