//! The slots of the rx ring: which page is behind which. This is our memory; no other domain sees or writes it.
//!
//! ```text
//!   rx   id = ring position mod 256     Posted ──response──► lent or copied out ──► parked ──post──► Posted
//!                                       Empty ◄──taken out: a chain, or a holder      (filled from the pool)
//! ```
//!
//! An id from a response is a number to look up here, nothing else. Rings have 256 slots, so an id that fits a byte is
//! in range, and one that does not is refused before it gets here. Those of the tx ring are in `sent.rs`.

use alloc::boxed::Box;
use xen::abi::io_netif::{NETIF_RX_RING_SIZE, NETIF_TX_RING_SIZE};
use xen::{Granted, Page, ReadWrite};

/// Slots of a table: one for each value of a byte.
pub const NR_SLOTS: usize = 256;
const _: () = assert!(NETIF_RX_RING_SIZE == 256 && NETIF_TX_RING_SIZE == 256);

/// The slot of a ring index.
#[inline]
#[must_use]
pub const fn slot_of(index: u32) -> u8 {
    let [low, ..] = index.to_le_bytes();
    low
}

/// The pages to receive into, by ring position: posted, or parked until their position comes round again.
///
/// Responses come in the order of positions, and so do requests: the page behind a response is the right one for the next
/// request in the same place, and stays there, unless somebody takes it out.
#[derive(Debug)]
pub struct RxSlots {
    pages: Box<[Option<Page<Granted<ReadWrite>>>; NR_SLOTS]>,
    len: usize,
}

impl Default for RxSlots {
    fn default() -> Self {
        Self { pages: Box::new([const { None }; NR_SLOTS]), len: 0 }
    }
}

impl RxSlots {
    /// A page for a slot that has none.
    #[inline]
    pub fn put(&mut self, slot: u8, page: Page<Granted<ReadWrite>>) {
        if let Some(entry) = self.pages.get_mut(usize::from(slot)) {
            debug_assert!(entry.is_none(), "two pages in slot {slot}");
            *entry = Some(page);
            self.len = self.len.saturating_add(1);
        }
    }

    /// The page of a slot, to be looked at.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: u8) -> Option<&Page<Granted<ReadWrite>>> {
        self.pages.get(usize::from(slot))?.as_ref()
    }

    /// Takes the page out of a slot whose request was answered. `None` if there is none.
    #[inline]
    pub fn take(&mut self, slot: u8) -> Option<Page<Granted<ReadWrite>>> {
        let page = self.pages.get_mut(usize::from(slot))?.take()?;
        self.len = self.len.saturating_sub(1);
        Some(page)
    }

    /// How many pages are in slots, as it was counted along.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no slot has a page.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many pages are in slots, by looking.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pages.iter().flatten().count()
    }

    /// Takes every page, at the end of the ring's life.
    pub fn drain(&mut self) -> impl Iterator<Item = Page<Granted<ReadWrite>>> + '_ {
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
    fn nothing_is_in_an_empty_slot() {
        assert!(RxSlots::default().take(0).is_none());
    }
}
