//! Filling the rx ring: pages that are parked in their slots are posted again, and empty slots are filled from the pool.
//!
//! ```text
//!   req_prod ─► slot has a page? ─ yes ─► request with its grant reference
//!                    │ no: a chain or an application took it
//!                    └─► pool ─► slot ─► request        the pool is empty and cannot grow: parked pages of later slots
//! ```

use crate::queue::current::Current;
use crate::queue::rx::RxQueue;
use crate::queue::rx_slots::slot_of;
use xen::abi::io_netif::NetifRxRequest;
use xen::{GrantedPage, Machine, Xen};

impl RxQueue {
    /// Fills the ring. Grows the pool if it runs empty.
    pub(super) fn fill<M: Machine>(&mut self, xen: &Xen<M>) {
        self.pool.collect(xen);
        while !self.post() {
            if !self.pool.grow(xen) && !self.unpark() {
                self.stats.starved.bump();
                return;
            }
        }
    }

    /// Writes requests until the ring is full or the pool is empty. Returns whether the ring is full. The page of the
    /// current frame was answered last, so its slot is the last to be filled; it is left out.
    #[inline(never)]
    fn post(&mut self) -> bool {
        let in_place = u32::from(matches!(self.current, Current::InPlace(_)));
        while self.ring.free_requests() > in_place {
            let slot = slot_of(self.ring.req_prod());
            let Some(gref) = self.slots.get(slot).map(GrantedPage::gref) else {
                if self.fill_slot(slot) {
                    continue;
                }
                return false;
            };
            self.ring.write_request(&NetifRxRequest { id: u16::from(slot), pad: 0, gref: gref.0 });
        }
        true
    }

    /// Puts a page of the pool into an empty slot. Returns whether there was one.
    #[cold]
    fn fill_slot(&mut self, slot: u8) -> bool {
        let Some(page) = self.pool.take() else { return false };
        self.slots.put(slot, page);
        true
    }

    /// Puts parked pages back into the pool: those in slots that have not been posted yet. Returns whether the pool has a
    /// free page.
    #[cold]
    fn unpark(&mut self) -> bool {
        let in_place = u32::from(matches!(self.current, Current::InPlace(_)));
        let first = self.ring.req_prod();
        for ahead in 0..self.ring.free_requests().saturating_sub(in_place) {
            if let Some(page) = self.slots.take(slot_of(first.wrapping_add(ahead))) {
                self.pool.put(page);
            }
        }
        self.pool.free() > 0
    }

    /// Frees pages that were not needed since the last call.
    pub(super) fn shrink_idle<M: Machine>(&mut self, xen: &Xen<M>) {
        self.pool.shrink_idle(xen);
    }

    /// Frees every free page. Returns the number of pages.
    pub(super) fn trim<M: Machine>(&mut self, xen: &Xen<M>) -> usize {
        self.unpark();
        self.pool.shrink(xen, usize::MAX)
    }
}
