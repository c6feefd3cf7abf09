//! Places for pages of other domains, in the hole that the kernel keeps for what Xen maps.

use crate::regions::{PAGE, Region};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ptr::NonNull;
use xen::Gfn;

/// Pages of other domains that can be mapped at one time: two vchan clients with rings of 1 MiB each way.
#[cfg_attr(test, allow(dead_code, reason = "the part of the start that uses it is not built for tests"))]
pub(crate) const FOREIGN_PAGES: u64 = 2 * (1 + 256 + 256);

/// The places for pages of other domains: each has one user at a time.
#[derive(Debug)]
pub(crate) struct Places {
    never_used: RefCell<Region>,
    free: RefCell<Vec<Gfn>>,
}

impl Places {
    /// All of a stretch of the hole, which is mapped and has no other use.
    pub(crate) const fn new(window: Region) -> Self {
        Self { never_used: RefCell::new(window), free: RefCell::new(Vec::new()) }
    }

    /// Takes a place: its frame, and its address.
    pub(crate) fn take(&self) -> Option<(Gfn, NonNull<u8>)> {
        let gfn = self.free.borrow_mut().pop().or_else(|| self.take_new())?;
        let address = usize::try_from(gfn.0.checked_mul(PAGE)?).ok()?;
        Some((gfn, NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address))?))
    }

    fn take_new(&self) -> Option<Gfn> {
        let mut rest = self.never_used.borrow_mut();
        let start = rest.start;
        rest.start = start.checked_add(PAGE).filter(|end| *end <= rest.end)?;
        Some(Gfn(start / PAGE))
    }

    /// Gives a place back, where nothing is mapped any more.
    pub(crate) fn give_back(&self, gfn: Gfn) {
        self.free.borrow_mut().push(gfn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_user_at_a_time() {
        let places = Places::new(Region { start: 0x3000, end: 0x5000 });
        let taken = [places.take().unwrap().0, places.take().unwrap().0];
        assert_eq!(taken, [Gfn(3), Gfn(4)]);
        assert!(places.take().is_none());
        places.give_back(Gfn(3));
        assert_eq!(places.take().map(|(gfn, _)| gfn), Some(Gfn(3)));
        assert!(places.take().is_none());
    }
}
