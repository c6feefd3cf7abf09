//! Requests to send: which are under way, and the pages to send from, by id. This is our memory; no other domain sees or
//! writes it.
//!
//! ```text
//!   stack of idle ids, the last used on top    top ──queue──► Queued ──push──► InFlight ──response──► top
//!   page of the pool ──park──► stays with its id, idle or not, until somebody takes it out
//! ```
//!
//! A page that a frame was sent from is the right one for the next frame, and stays where it is: nothing moves for a
//! packet but one byte of the stack. Since the id that was used last is used first, as many pages are parked as were
//! ever under way at once.
//!
//! An id from a response is a number to look up here, nothing else. Queued and in flight differ by one number: how many
//! requests the backend was shown; so a push costs nothing per slot. Requests are counted by 64 bits, not by the ring's
//! index: one that a slow receiver holds may be answered after any number of later ones.

use crate::slots::NR_SLOTS;
use alloc::boxed::Box;
use xen::abi::io_netif::NetifTxResponse;
use xen::{Granted, Page, ReadOnly};

/// A page to send from.
type TxPage = Page<Granted<ReadOnly>>;

/// The number of a request that is none; no request is shown before as many.
const IDLE: u64 = u64::MAX;

/// The number of no page of a strip: the request is about a group.
pub const NO_PAGE: u8 = u8::MAX;

/// An id.
#[derive(Debug)]
struct Slot {
    /// How many requests were written before the one with this id.
    number: u64,
    /// Its page of the pool: parked while it is idle. A request without one is of the strip.
    page: Option<TxPage>,
    /// Its page of the strip, by number; or [`NO_PAGE`].
    strip: u8,
    /// Whether it is the first of its frame, as every page of the pool is.
    first: bool,
}

impl Slot {
    const EMPTY: Self = Self { number: IDLE, page: None, strip: NO_PAGE, first: true };

    const fn is_idle(&self) -> bool {
        self.number == IDLE
    }
}

/// What a response was to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// A page of the pool, which is parked.
    Page,
    /// A page of the strip, by number; or [`NO_PAGE`].
    Strip(u8),
}

/// What was taken out at the end of the ring's life.
#[derive(Debug)]
pub struct Ended {
    /// The page of the pool, if there was one.
    pub page: Option<TxPage>,
    /// The page of the strip, or [`NO_PAGE`].
    pub strip: u8,
    /// The number of the request, if it was under way and the first of its frame.
    pub lost: Option<u64>,
}

/// How many pages are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentCounts {
    /// Pages of the pool in the ring.
    pub pool: usize,
    /// Pages of the pool that are parked.
    pub parked: usize,
    /// Pages of the strip in the ring.
    pub strip: usize,
}

/// Every id.
#[derive(Debug)]
pub struct TxSlots {
    slots: Box<[Slot; NR_SLOTS]>,
    /// The first `nr_idle` are the ids that are idle, the one to be used next last.
    idle: Box<[u8; NR_SLOTS]>,
    nr_idle: usize,
    /// From here on up, every id of the stack has a page.
    bare_below: usize,
    /// Ids with a page of the pool, and ids under way without one.
    with_page: usize,
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
    /// How many ids are idle.
    #[inline]
    #[must_use]
    pub const fn nr_idle(&self) -> usize {
        self.nr_idle
    }

    /// The id that is next.
    #[inline]
    fn top(&self) -> Option<u8> {
        self.idle.get(self.nr_idle.wrapping_sub(1)).copied()
    }

    /// The id that is next, with its page: where a frame can be built. `None` if no id is idle, or that one has no page.
    #[inline]
    pub fn next_page(&mut self) -> Option<(u8, &mut TxPage)> {
        let id = self.top()?;
        Some((id, self.slots.get_mut(usize::from(id))?.page.as_mut()?))
    }

    /// How many of the ids that are next have a page, one after the other; at least so many do.
    pub fn row(&mut self) -> usize {
        if self.bare_below >= self.nr_idle {
            let idle = self.idle.get(..self.nr_idle).unwrap_or_default();
            let has_page = |id: &u8| self.slots.get(usize::from(*id)).is_some_and(|slot| slot.page.is_some());
            let row = idle.iter().rev().take_while(|id| has_page(id)).count();
            self.bare_below = self.nr_idle.saturating_sub(row);
        }
        self.nr_idle.saturating_sub(self.bare_below)
    }

    /// Gives the id that is next a page; without one (`spare` is empty), moves an idle id to the top that has one.
    /// Whether it has one now.
    #[cold]
    pub fn park(&mut self, spare: impl FnOnce() -> Option<TxPage>) -> bool {
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
        // Where it came from is one without.
        self.bare_below = NR_SLOTS;
        true
    }

    /// Queued: the id that is next, with its page, under the number of its request.
    #[inline]
    pub fn queue_next(&mut self, id: u8, number: u64) {
        debug_assert_eq!(self.top(), Some(id), "the id that is next");
        if let Some(slot) = self.slots.get_mut(usize::from(id)) {
            slot.number = number;
            self.nr_idle = self.nr_idle.wrapping_sub(1);
        }
    }

    /// Takes an id for a request without a page of the pool, and the page that was parked there.
    pub fn claim(&mut self) -> Option<(u8, Option<TxPage>)> {
        let id = self.top()?;
        let page = self.slots.get_mut(usize::from(id))?.page.take();
        self.nr_idle = self.nr_idle.wrapping_sub(1);
        self.without = self.without.saturating_add(1);
        self.bare_below = self.bare_below.min(self.nr_idle);
        self.with_page = self.with_page.saturating_sub(usize::from(page.is_some()));
        Some((id, page))
    }

    /// Gives a claimed id back that was not used.
    pub fn unclaim(&mut self, id: u8) {
        self.without = self.without.saturating_sub(1);
        self.push(id);
    }

    /// Puts an id on top, which may have no page.
    fn push(&mut self, id: u8) {
        if let Some(entry) = self.idle.get_mut(self.nr_idle) {
            *entry = id;
            self.nr_idle = self.nr_idle.wrapping_add(1);
        }
        self.bare_below = self.nr_idle;
    }

    /// Queued: a claimed id, with a page of the strip or none.
    pub fn queue_strip(&mut self, id: u8, number: u64, strip: u8, first: bool) {
        if let Some(slot) = self.slots.get_mut(usize::from(id)) {
            debug_assert!(slot.is_idle() && slot.page.is_none(), "a claimed id");
            (slot.number, slot.strip, slot.first) = (number, strip, first);
        }
    }

    /// Answered: requests that the backend was shown, that is, of the first `pushed`, in pages of the pool, and nothing
    /// to be said of them. The first response that is any other, and is still to be seen to.
    #[inline]
    pub fn complete_pages(
        &mut self,
        responses: &mut impl Iterator<Item = NetifTxResponse>,
        pushed: u64,
    ) -> Option<NetifTxResponse> {
        let mut nr_idle = self.nr_idle;
        let other = responses.find(|response| {
            // One comparison: a good status is 0.
            let (id, status) = (u32::from(response.id), u32::from(response.status.cast_unsigned()));
            let Ok(id) = u8::try_from(status << 16 | id) else { return true };
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

    /// Answered: any request that the backend was shown. `None` if there is no such request; nothing changes then.
    pub fn complete(&mut self, id: u8, pushed: u64) -> Option<Done> {
        let slot = self.slots.get_mut(usize::from(id))?;
        if slot.number >= pushed {
            return None;
        }
        slot.number = IDLE;
        slot.first = true;
        let done = if slot.page.is_some() { Done::Page } else { Done::Strip(slot.strip) };
        if done != Done::Page {
            self.without = self.without.saturating_sub(1);
        }
        self.push(id);
        Some(done)
    }

    /// Whether a request is about a group, and has no page.
    #[must_use]
    pub fn is_group(&self, id: u16) -> bool {
        let slot = self.slots.get(usize::from(id));
        slot.is_some_and(|slot| !slot.is_idle() && slot.page.is_none() && slot.strip == NO_PAGE)
    }

    /// Where the pages are, by looking.
    #[must_use]
    pub fn count(&self) -> SentCounts {
        let mut counts = SentCounts::default();
        for slot in self.slots.iter() {
            let count = match (&slot.page, slot.is_idle()) {
                (Some(_), true) => &mut counts.parked,
                (Some(_), false) => &mut counts.pool,
                (None, false) if slot.strip != NO_PAGE => &mut counts.strip,
                _ => continue,
            };
            *count = count.saturating_add(1);
        }
        counts
    }

    /// Pages that are parked, as it was counted along.
    #[must_use]
    pub const fn parked(&self) -> usize {
        let under_way = NR_SLOTS.saturating_sub(self.nr_idle).saturating_sub(self.without);
        self.with_page.saturating_sub(under_way)
    }

    /// Takes a page out that is parked, of those that were used last, from the `nth` idle id on; and which that was.
    pub fn unpark(&mut self, nth: usize) -> Option<(usize, TxPage)> {
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

    /// Takes out everything, at the end of the ring's life.
    pub fn drain(&mut self) -> impl Iterator<Item = Ended> + '_ {
        (self.with_page, self.without, self.bare_below) = (0, 0, NR_SLOTS);
        self.slots.iter_mut().map(|slot| {
            let slot = core::mem::replace(slot, Slot::EMPTY);
            let under_way = !slot.is_idle();
            Ended {
                strip: if under_way && slot.page.is_none() { slot.strip } else { NO_PAGE },
                lost: (under_way && slot.first).then_some(slot.number),
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
        // Bounded: ids that are given twice would never end.
        let ids: Vec<u8> =
            core::iter::from_fn(|| slots.claim()).map(|(id, _)| id).take(NR_SLOTS + 1).collect();
        assert!(ids.iter().copied().eq(0..=255));
        assert_eq!(slots.nr_idle(), 0);
        slots.unclaim(7);
        assert_eq!(slots.claim().map(|(id, _)| id), Some(7));
    }

    #[test]
    fn nothing_is_behind_an_idle_id() {
        assert_eq!(TxSlots::default().complete(0, u64::MAX), None);
    }

    #[test]
    fn a_request_is_answered_once_and_not_before_it_was_shown() {
        let mut slots = TxSlots::default();
        let (id, _) = slots.claim().expect("an id");
        slots.queue_strip(id, 5, 3, true);
        assert_eq!(slots.complete(id, 5), None, "queued");
        assert_eq!(slots.complete(id, 6), Some(Done::Strip(3)));
        assert_eq!(slots.complete(id, 6), None, "answered");
        assert_eq!((slots.nr_idle(), slots.count()), (256, SentCounts::default()));
    }
}
