//! Memory of one consumer of the ledger, for bytes that others share.
//!
//! ```text
//!   take(cost) ─► Vec<u8>, filled ─ share ─► Bytes ─► replies, TCP until it is acknowledged
//!        ▲                                     └ the last one is dropped: the cost is noted …
//!        └────────── … and given back to the ledger at the next look ──────────────┘
//! ```
//!
//! `Bytes` is `Send`, so it cannot have a handle of the ledger, which is for one thread.

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::ledger::{Account, Consumer, Ledger, Reservation};
use kernel::net::Bytes;

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// More than the whole limit.
    Never,
    /// More than what is left of the limit, or of the heap.
    Now,
}

/// Memory of a consumer; all who use some share it.
#[derive(Debug)]
pub struct Memory {
    account: Account,
    reserved: RefCell<Reservation>,
    /// What bytes had cost that are gone since the last look.
    freed: Arc<AtomicUsize>,
    most: usize,
}

impl Memory {
    /// What the ledger gives to an account.
    #[must_use]
    pub fn new(account: Account) -> Self {
        let (reserved, most) = (RefCell::new(Reservation::none(&account)), account.limit());
        Self { account, reserved, freed: Arc::default(), most }
    }

    /// Memory outside of a guest: `most` bytes of a ledger of its own.
    #[must_use]
    pub fn limited(most: usize) -> Self {
        let ledger = Ledger::new(most.saturating_mul(4));
        Self { most, ..Self::new(ledger.open(Consumer::Content)) }
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.most
    }

    /// The bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.collect_freed();
        self.reserved.borrow().bytes()
    }

    /// Whether `more` bytes more fit.
    pub(crate) fn fits(&self, more: usize) -> bool {
        self.used().checked_add(more).is_some_and(|used| used <= self.most)
            && more <= self.account.available()
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// Limit or ledger do not have them.
    pub fn take(&self, more: usize) -> Result<(), NoRoom> {
        if more > self.most {
            return Err(NoRoom::Never);
        }
        if !self.fits(more) {
            return Err(NoRoom::Now);
        }
        self.reserved.borrow_mut().grow(more).map_err(|_| NoRoom::Now)
    }

    /// Gives bytes back that were taken.
    pub fn give_back(&self, bytes: usize) {
        let mut reserved = self.reserved.borrow_mut();
        let left = reserved.bytes().saturating_sub(bytes);
        reserved.shrink_to(left);
    }

    /// Makes bytes shared ones, for which `cost` was taken; it comes back when the last of them is dropped.
    #[must_use]
    pub fn share(&self, bytes: Vec<u8>, cost: usize) -> Bytes {
        Bytes::from_owner(Shared { bytes, cost, freed: Arc::clone(&self.freed) })
    }

    /// Gives back what is gone since the last look.
    fn collect_freed(&self) {
        let freed = self.freed.swap(0, Ordering::Relaxed);
        if freed > 0 {
            self.give_back(freed);
        }
    }
}

impl Default for Memory {
    /// None.
    fn default() -> Self {
        Self::limited(0)
    }
}

/// Whoever keeps bytes keeps a handle.
pub type SharedMemory = Rc<Memory>;

struct Shared {
    bytes: Vec<u8>,
    cost: usize,
    freed: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.freed.fetch_add(self.cost, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn shared_bytes_cost_until_the_last_is_dropped() {
        let memory = Memory::limited(100);
        assert_eq!((memory.take(101), memory.take(60)), (Err(NoRoom::Never), Ok(())));
        let bytes = memory.share(vec![1; 50], 60);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!((memory.used(), memory.take(41)), (60, Err(NoRoom::Now)));
        drop(part);
        assert_eq!((memory.take(100), memory.used(), memory.limit()), (Ok(()), 100, 100));
        memory.give_back(99);
        assert_eq!(memory.used(), 1);
    }

    #[test]
    fn the_ledger_has_the_last_word() {
        let ledger = Ledger::new(256 * 100);
        let memory = Memory::new(ledger.open(Consumer::Replies));
        assert_eq!(memory.limit(), 72 * 100);
        let _tcp = ledger.open(Consumer::Tcp).reserve(144 * 100).unwrap();
        let _content = ledger.open(Consumer::Content).reserve(256 * 100 - 144 * 100 - 8 * 100).unwrap();
        assert_eq!((memory.take(8 * 100 + 1), memory.take(8 * 100)), (Err(NoRoom::Now), Ok(())));
        drop(memory);
        assert!(ledger.usage().iter().all(|usage| usage.name != "replies" || usage.used == 0));
    }
}
