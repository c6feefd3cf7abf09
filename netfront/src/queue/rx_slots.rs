//! The slots of the rx ring, and the page of each. This is our memory; no other domain reads or writes it.
//!
//! ```text
//!   id = ring position mod 256     posted ──response──► in place or copied out ──► parked ──post──► posted
//!                                  empty ◄──taken out by a chain or an application ──► filled from the pool
//! ```
//!
//! The id of a response only selects a slot here. Rings have 256 slots, so an id that fits into a byte is in range; any
//! other is refused before. The slots of the tx ring are in `tx_slots`.

use alloc::boxed::Box;
use xen::abi::io_netif::{NETIF_RX_RING_SIZE, NETIF_TX_RING_SIZE};
use xen::{Granted, Page, ReadWrite};

/// The number of slots: one for each value of a byte.
pub(super) const NR_SLOTS: usize = 256;
const _: () = assert!(NETIF_RX_RING_SIZE == 256 && NETIF_TX_RING_SIZE == 256);

/// The slot of a ring index.
#[inline]
pub(super) const fn slot_of(index: u32) -> u8 {
    let [low, ..] = index.to_le_bytes();
    low
}

/// The pages to receive into, by ring position: posted, or parked until their position is posted again.
///
/// Responses come in the order of positions, and so do requests: the page of a response is the right one for the next
/// request at the same position. It stays in its slot unless a chain or an application takes it out.
#[derive(Debug)]
pub(super) struct RxSlots {
    pages: Box<[Option<Page<Granted<ReadWrite>>>; NR_SLOTS]>,
    len: usize,
}

impl Default for RxSlots {
    fn default() -> Self {
        Self { pages: Box::new([const { None }; NR_SLOTS]), len: 0 }
    }
}

impl RxSlots {
    /// Puts a page into an empty slot.
    #[inline]
    pub(super) fn put(&mut self, slot: u8, page: Page<Granted<ReadWrite>>) {
        if let Some(entry) = self.pages.get_mut(usize::from(slot)) {
            debug_assert!(entry.is_none(), "two pages in slot {slot}");
            *entry = Some(page);
            self.len = self.len.saturating_add(1);
        }
    }

    /// The page of a slot.
    #[inline]
    pub(super) fn get(&self, slot: u8) -> Option<&Page<Granted<ReadWrite>>> {
        self.pages.get(usize::from(slot))?.as_ref()
    }

    /// Takes the page out of a slot.
    #[inline]
    pub(super) fn take(&mut self, slot: u8) -> Option<Page<Granted<ReadWrite>>> {
        let page = self.pages.get_mut(usize::from(slot))?.take()?;
        self.len = self.len.saturating_sub(1);
        Some(page)
    }

    /// The number of pages in slots, from a running count.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The number of pages in slots, from a count of the slots.
    pub(super) fn count(&self) -> usize {
        self.pages.iter().flatten().count()
    }

    /// Takes out every page, at the end of the connection.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Page<Granted<ReadWrite>>> + '_ {
        self.len = 0;
        self.pages.iter_mut().filter_map(Option::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_the_low_byte_of_an_index() {
        assert_eq!(slot_of(0), 0);
        assert_eq!(slot_of(257), 1);
        assert_eq!(slot_of(u32::MAX), 255);
    }

    #[test]
    fn an_empty_slot_has_no_page() {
        assert!(RxSlots::default().take(0).is_none());
    }
}
