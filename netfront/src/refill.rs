//! Filling the rx ring: pages that wait in their slots go out again, empty slots are filled from the pool.
//!
//! ```text
//!   req_prod ─► slot has a page? ─ yes ─► request with its grant reference
//!                    │ no: taken out, by a chain or a holder
//!                    └─► pool ─► slot ─► request          pool empty, and cannot grow: pages of later slots come first
//! ```

use crate::rx::{Current, RxQueue};
use crate::slots::slot_of;
use xen::abi::io_netif::NetifRxRequest;

impl RxQueue {
    /// Writes requests until the ring is full or the pool is empty; whether the ring is full. The page that is lent was
    /// answered last, so that its slot is the last to be filled: it is left out.
    pub fn post(&mut self) -> bool {
        let lent = u32::from(matches!(self.current, Current::Lent(_)));
        while self.ring.free_requests() > lent {
            let slot = slot_of(self.ring.req_prod());
            let gref = match self.slots.get(slot) {
                Some(page) => page.gref(),
                None => {
                    let Some(page) = self.pool.take() else { return false };
                    let gref = page.gref();
                    self.slots.put(slot, page);
                    gref
                }
            };
            self.ring.write_request(&NetifRxRequest { id: u16::from(slot), pad: 0, gref: gref.0 });
        }
        true
    }

    /// Puts pages back into the pool that wait in slots whose turn has not come: for a pool that is empty and cannot
    /// grow. Whether there were any.
    #[cold]
    pub(crate) fn unpark(&mut self) -> bool {
        let lent = u32::from(matches!(self.current, Current::Lent(_)));
        let first = self.ring.req_prod();
        for ahead in 0..self.ring.free_requests().saturating_sub(lent) {
            if let Some(page) = self.slots.take(slot_of(first.wrapping_add(ahead))) {
                self.pool.put(page);
            }
        }
        self.pool.free() > 0
    }
}
