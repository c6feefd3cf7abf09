//! The slots: which page is behind which id. This is our memory; no other domain sees or writes it.
//!
//! ```text
//!   rx   id = ring position mod 256     Posted ──response──► lent or copied out ──► parked ──post──► Posted
//!                                       Empty ◄──taken out: a chain, or a holder      (filled from the pool)
//!   tx   id from a stack of free ids    Idle ──queue──► Queued ──push──► InFlight ──response──► Idle
//! ```
//!
//! An id from a response is a number to look up here, nothing else. Rings have 256 slots, so an id that fits a byte is
//! in range, and one that does not is refused before it gets here. Queued and in flight differ by one number: how many
//! requests the backend was shown; so a push costs nothing per slot. Requests are counted by 64 bits, not by the ring's
//! index: one that a slow receiver holds may be answered after any number of later ones.

use alloc::boxed::Box;
use alloc::vec::Vec;
use xen::abi::io_netif::{NETIF_RX_RING_SIZE, NETIF_TX_RING_SIZE};
use xen::{Granted, Page, ReadOnly, ReadWrite};

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

/// The number of no page of a strip: the request is about a group. (A kind of its own would cost every packet a branch.)
pub const NO_PAGE: u8 = u8::MAX;

/// What a request to send keeps busy.
#[derive(Debug)]
pub enum Busy {
    /// A page of the pool.
    Page(Page<Granted<ReadOnly>>),
    /// A page of the strip, by number; or [`NO_PAGE`].
    Strip(u8),
}

/// A request to send that was written to the ring.
#[derive(Debug)]
pub struct Sent {
    /// Its page.
    pub page: Busy,
    /// How many requests were written before it.
    pub number: u64,
    /// Whether it is the first of its frame.
    pub first: bool,
}

/// The pages that are queued or in flight, by id.
#[derive(Debug)]
pub struct TxSlots {
    sent: Box<[Option<Sent>; NR_SLOTS]>,
    idle: Vec<u8>,
}

impl Default for TxSlots {
    fn default() -> Self {
        // The lowest ids first, as a reader of a trace expects.
        Self { sent: Box::new([const { None }; NR_SLOTS]), idle: (0..=u8::MAX).rev().collect() }
    }
}

impl TxSlots {
    /// Whether an id is free.
    #[inline]
    #[must_use]
    pub const fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Takes an id.
    #[inline]
    pub fn claim(&mut self) -> Option<u8> {
        self.idle.pop()
    }

    /// Gives an id back that was not used.
    #[inline]
    pub fn unclaim(&mut self, id: u8) {
        self.idle.push(id);
    }

    /// Queued: the page waits for a push.
    #[inline]
    pub fn put(&mut self, id: u8, sent: Sent) {
        if let Some(entry) = self.sent.get_mut(usize::from(id)) {
            debug_assert!(entry.is_none(), "two requests with id {id}");
            *entry = Some(sent);
        }
    }

    /// Answered: the page of a request that the backend was shown, that is, one of the first `pushed`. `None` if
    /// there is no such request; nothing changes then.
    #[inline]
    pub fn take(&mut self, id: u8, pushed: u64) -> Option<Busy> {
        let entry = self.sent.get_mut(usize::from(id))?;
        let sent = entry.take_if(|sent| sent.number < pushed)?;
        self.idle.push(id);
        Some(sent.page)
    }

    /// Whether a request is about a group, and has no page.
    #[must_use]
    pub fn is_group(&self, id: u16) -> bool {
        let sent = self.sent.get(usize::from(id)).and_then(Option::as_ref);
        sent.is_some_and(|sent| matches!(sent.page, Busy::Strip(NO_PAGE)))
    }

    /// How many pages are queued or in flight: of the pool, and of the strip.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let count =
            |which: fn(&Busy) -> bool| self.sent.iter().flatten().filter(|sent| which(&sent.page)).count();
        (
            count(|busy| matches!(busy, Busy::Page(_))),
            count(|busy| matches!(busy, Busy::Strip(page) if *page != NO_PAGE)),
        )
    }

    /// Takes every page, at the end of the ring's life.
    pub fn drain(&mut self) -> impl Iterator<Item = Sent> + '_ {
        self.sent.iter_mut().filter_map(Option::take)
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
    fn every_id_is_claimed_once() {
        let mut slots = TxSlots::default();
        let ids: Vec<u8> = core::iter::from_fn(|| slots.claim()).collect();
        assert!(ids.iter().copied().eq(0..=255));
        assert!(!slots.has_idle());
        slots.unclaim(7);
        assert_eq!(slots.claim(), Some(7));
    }

    #[test]
    fn nothing_is_behind_an_idle_id() {
        assert!(TxSlots::default().take(0, 1).is_none());
        assert!(RxSlots::default().take(0).is_none());
    }
}
