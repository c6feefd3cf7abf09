//! The slots of the tx ring, by id: which requests are outstanding, and the pages to send from. This is our memory; no
//! other domain reads or writes it.
//!
//! ```text
//!   stack of idle ids, the last used on top    top ──queue──► queued ──push──► in flight ──response──► top
//!   page of the pool ──park──► stays with its id, idle or not, until it is taken out
//! ```
//!
//! The page of an id stays with it for the next frame: a packet moves one byte of the stack and nothing else. The id that
//! was used last is used first, so as many pages are parked as were ever outstanding at once.
//!
//! The id of a response only selects a slot here. Queued and in flight differ by one number, the requests that the backend
//! was shown, so a push costs nothing for each slot. Requests are numbered by 64 bits, not by the ring's index: the backend
//! may answer a request after any number of later ones.

use crate::queue::rx_slots::NR_SLOTS;
use alloc::boxed::Box;
use pool::contiguous::NO_PAGE;
use xen::abi::io_netif::NetifTxResponse;
use xen::{Granted, Page, ReadOnly};
use zerocopy::{FromBytes, IntoBytes};

/// A page to send from.
type TxPage = Page<Granted<ReadOnly>>;

/// The number of an idle slot. No request reaches this number.
const IDLE: u64 = u64::MAX;

/// The slot of an id.
#[derive(Debug)]
struct Slot {
    /// The number of requests that were written before this one.
    number: u64,
    /// The page of the pool: parked while the slot is idle. A request without one uses the contiguous buffer, or no page.
    page: Option<TxPage>,
    /// The page of the contiguous buffer, by number, or [`NO_PAGE`].
    contiguous: u8,
    /// Whether the request is the first of its frame.
    first: bool,
}

impl Slot {
    const EMPTY: Self = Self { number: IDLE, page: None, contiguous: NO_PAGE, first: true };

    const fn is_idle(&self) -> bool {
        self.number == IDLE
    }
}

/// What a response has freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// A page of the pool, now parked.
    Page,
    /// A page of the contiguous buffer, by number, or [`NO_PAGE`].
    Contiguous(u8),
}

/// A slot at the end of the connection.
#[derive(Debug)]
pub(super) struct Ended {
    /// The page of the pool, if it had one.
    pub(super) page: Option<TxPage>,
    /// The page of the contiguous buffer, or [`NO_PAGE`].
    pub(super) contiguous: u8,
    /// The number of the request, if it was outstanding and the first of its frame.
    pub(super) lost: Option<u64>,
}

/// Where the pages are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotCounts {
    /// Pages of the pool in the ring.
    pub(super) pool: usize,
    /// Pages of the pool that are parked.
    pub(super) parked: usize,
    /// Pages of the contiguous buffer in the ring.
    pub(super) contiguous: usize,
}

/// The slots of all ids.
#[derive(Debug)]
pub(super) struct TxSlots {
    slots: Box<[Slot; NR_SLOTS]>,
    /// The first `nr_idle` entries are the idle ids; the last of them is used next.
    idle: Box<[u8; NR_SLOTS]>,
    nr_idle: usize,
    /// From here to the top, every id of the stack has a page.
    bare_below: usize,
    /// Ids with a page of the pool.
    with_page: usize,
    /// Outstanding ids without a page of the pool.
    without: usize,
}

impl Default for TxSlots {
    fn default() -> Self {
        // The lowest ids first, as a reader of a trace expects.
        let mut idle = [0; NR_SLOTS];
        idle.iter_mut().zip((0..=u8::MAX).rev()).for_each(|(entry, id)| *entry = id);
        let slots = Box::new([const { Slot::EMPTY }; NR_SLOTS]);
        Self {
            slots,
            idle: Box::new(idle),
            nr_idle: NR_SLOTS,
            bare_below: NR_SLOTS,
            with_page: 0,
            without: 0,
        }
    }
}

impl TxSlots {
    /// The number of idle ids.
    #[inline]
    pub(super) const fn nr_idle(&self) -> usize {
        self.nr_idle
    }

    /// The next id.
    #[inline]
    fn top(&self) -> Option<u8> {
        self.idle.get(self.nr_idle.wrapping_sub(1)).copied()
    }

    /// The next id with its page, where a frame can be built. `None` if no id is idle, or if the next one has no page.
    #[inline]
    pub(super) fn next_page(&mut self) -> Option<(u8, &mut TxPage)> {
        let id = self.top()?;
        Some((id, self.slots.get_mut(usize::from(id))?.page.as_mut()?))
    }

    /// A lower bound on the number of next ids that have a page, without a gap.
    pub(super) fn row(&mut self) -> usize {
        if self.bare_below >= self.nr_idle {
            let idle = self.idle.get(..self.nr_idle).unwrap_or_default();
            let has_page = |id: &u8| self.slots.get(usize::from(*id)).is_some_and(|slot| slot.page.is_some());
            let row = idle.iter().rev().take_while(|id| has_page(id)).count();
            self.bare_below = self.nr_idle.saturating_sub(row);
        }
        self.nr_idle.saturating_sub(self.bare_below)
    }

    /// Gives the next id a page: from `spare`, or else by moving an idle id with a page to the top. Returns whether it has
    /// one now.
    #[cold]
    pub(super) fn park(&mut self, spare: impl FnOnce() -> Option<TxPage>) -> bool {
        if self.row() > 0 {
            return true;
        }
        let Some(slot) = self.top().and_then(|id| self.slots.get_mut(usize::from(id))) else { return false };
        slot.page = spare();
        if slot.page.is_some() {
            self.with_page = self.with_page.saturating_add(1);
            return true;
        }
        let idle = self.idle.get_mut(..self.nr_idle).unwrap_or_default();
        let has_page = |id: &u8| self.slots.get(usize::from(*id)).is_some_and(|slot| slot.page.is_some());
        let Some(found) = idle.iter().rposition(has_page) else { return false };
        idle.swap(found, self.nr_idle.saturating_sub(1));
        // An id without a page is now at its former place.
        self.bare_below = NR_SLOTS;
        true
    }

    /// Marks the next id as queued, with its page, under the number of its request; `first`: the
    /// first request of its frame.
    #[inline]
    pub(super) fn queue_next(&mut self, id: u8, number: u64, first: bool) {
        debug_assert_eq!(self.top(), Some(id), "the next id");
        if let Some(slot) = self.slots.get_mut(usize::from(id)) {
            (slot.number, slot.first) = (number, first);
            self.nr_idle = self.nr_idle.wrapping_sub(1);
        }
    }

    /// Takes an id for a request without a page of the pool. Returns the page that was parked there, too.
    pub(super) fn claim(&mut self) -> Option<(u8, Option<TxPage>)> {
        let id = self.top()?;
        let page = self.slots.get_mut(usize::from(id))?.page.take();
        self.nr_idle = self.nr_idle.wrapping_sub(1);
        self.without = self.without.saturating_add(1);
        self.bare_below = self.bare_below.min(self.nr_idle);
        self.with_page = self.with_page.saturating_sub(usize::from(page.is_some()));
        Some((id, page))
    }

    /// Returns a claimed id that was not used.
    pub(super) fn unclaim(&mut self, id: u8) {
        self.without = self.without.saturating_sub(1);
        self.push(id);
    }

    /// Puts an id on top of the stack. It may have no page.
    fn push(&mut self, id: u8) {
        if let Some(entry) = self.idle.get_mut(self.nr_idle) {
            *entry = id;
            self.nr_idle = self.nr_idle.wrapping_add(1);
        }
        self.bare_below = self.nr_idle;
    }

    /// Marks a claimed id as queued, with a page of the contiguous buffer or none.
    pub(super) fn queue_contiguous(&mut self, id: u8, number: u64, page: u8, first: bool) {
        if let Some(slot) = self.slots.get_mut(usize::from(id)) {
            debug_assert!(slot.is_idle() && slot.page.is_none(), "a claimed id");
            (slot.number, slot.contiguous, slot.first) = (number, page, first);
        }
    }

    /// Takes responses of status okay to requests with a page of the pool that the backend was shown, that is, of the first
    /// `pushed` ones. Returns the first other response, which the caller has to handle.
    #[inline]
    pub(super) fn complete_pages(
        &mut self,
        responses: &mut impl Iterator<Item = NetifTxResponse>,
        pushed: u64,
    ) -> Option<NetifTxResponse> {
        let mut nr_idle = self.nr_idle;
        let other = responses.find(|response| {
            // One comparison for both fields: the status okay is 0.
            let both = u32::read_from_bytes(response.as_bytes()).map_or(u32::MAX, u32::from_le);
            let Ok(id) = u8::try_from(both) else { return true };
            let Some(slot) = self.slots.get_mut(usize::from(id)) else { return true };
            let Some(entry) = self.idle.get_mut(nr_idle) else { return true };
            if slot.number >= pushed || slot.page.is_none() {
                return true;
            }
            slot.number = IDLE;
            *entry = id;
            nr_idle = nr_idle.wrapping_add(1);
            false
        });
        self.nr_idle = nr_idle;
        other
    }

    /// Takes a response to any request that the backend was shown. `None`, and nothing changes, if there is no such request.
    pub(super) fn complete(&mut self, id: u8, pushed: u64) -> Option<Done> {
        let slot = self.slots.get_mut(usize::from(id))?;
        if slot.number >= pushed {
            return None;
        }
        slot.number = IDLE;
        slot.first = true;
        let done = if slot.page.is_some() { Done::Page } else { Done::Contiguous(slot.contiguous) };
        if done != Done::Page {
            self.without = self.without.saturating_sub(1);
        }
        self.push(id);
        Some(done)
    }

    /// Whether an outstanding request is a multicast request: it has no page.
    pub(super) fn is_group(&self, id: u16) -> bool {
        let slot = self.slots.get(usize::from(id));
        slot.is_some_and(|slot| !slot.is_idle() && slot.page.is_none() && slot.contiguous == NO_PAGE)
    }

    /// Where the pages are, from a count of the slots.
    pub(super) fn count(&self) -> SlotCounts {
        let mut counts = SlotCounts::default();
        for slot in self.slots.iter() {
            let count = match (&slot.page, slot.is_idle()) {
                (Some(_), true) => &mut counts.parked,
                (Some(_), false) => &mut counts.pool,
                (None, false) if slot.contiguous != NO_PAGE => &mut counts.contiguous,
                _ => continue,
            };
            *count = count.saturating_add(1);
        }
        counts
    }

    /// The number of parked pages, from a running count.
    pub(super) const fn parked(&self) -> usize {
        let outstanding = NR_SLOTS.saturating_sub(self.nr_idle).saturating_sub(self.without);
        self.with_page.saturating_sub(outstanding)
    }

    /// Takes out a parked page: the first from the `nth` idle id on, the last used id first. Returns which id that was, too.
    pub(super) fn unpark(&mut self, nth: usize) -> Option<(usize, TxPage)> {
        if self.parked() == 0 {
            return None;
        }
        let idle = self.idle.get(..self.nr_idle).unwrap_or_default();
        for (at, id) in idle.iter().rev().enumerate().skip(nth) {
            let page = self.slots.get_mut(usize::from(*id)).and_then(|slot| slot.page.take());
            if let Some(page) = page {
                self.bare_below = NR_SLOTS;
                self.with_page = self.with_page.saturating_sub(1);
                return Some((at, page));
            }
        }
        None
    }

    /// Takes out everything, at the end of the connection.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Ended> + '_ {
        (self.with_page, self.without, self.bare_below) = (0, 0, NR_SLOTS);
        self.slots.iter_mut().map(|slot| {
            let slot = core::mem::replace(slot, Slot::EMPTY);
            let outstanding = !slot.is_idle();
            Ended {
                contiguous: if outstanding && slot.page.is_none() { slot.contiguous } else { NO_PAGE },
                lost: (outstanding && slot.first).then_some(slot.number),
                page: slot.page,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_id_is_claimed_once() {
        let mut slots = TxSlots::default();
        // Bounded: ids that repeat would never end.
        let ids: Vec<u8> =
            core::iter::from_fn(|| slots.claim()).map(|(id, _)| id).take(NR_SLOTS + 1).collect();
        assert!(ids.iter().copied().eq(0..=255));
        assert_eq!(slots.nr_idle(), 0);
        slots.unclaim(7);
        assert_eq!(slots.claim().map(|(id, _)| id), Some(7));
    }

    #[test]
    fn an_idle_id_cannot_be_completed() {
        assert_eq!(TxSlots::default().complete(0, u64::MAX), None);
    }

    #[test]
    fn a_request_completes_once_and_not_before_it_was_shown() {
        let mut slots = TxSlots::default();
        let (id, _) = slots.claim().expect("an id");
        slots.queue_contiguous(id, 5, 3, true);
        assert_eq!(slots.complete(id, 5), None, "queued");
        assert_eq!(slots.complete(id, 6), Some(Done::Contiguous(3)));
        assert_eq!(slots.complete(id, 6), None, "answered");
        assert_eq!((slots.nr_idle(), slots.count()), (256, SlotCounts::default()));
    }
}
