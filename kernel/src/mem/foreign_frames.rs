//! Guest frames for foreign pages: where grant mappings of other domains' pages go.
//!
//! The frames are the rest of the hole behind `shared_info` and the grant table (see [`holes`](super::holes)).

use super::regions::{PAGE, Region};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ptr::NonNull;
use xen::Gfn;

/// Foreign pages that can be mapped at a time: two vchan clients, each with a control page and two rings of 1 MiB.
#[cfg_attr(test, allow(dead_code, reason = "the part of the start that uses it is not built for tests"))]
pub(crate) const FOREIGN_PAGES: u64 = 2 * (1 + 256 + 256);

/// The frames: each has one user at a time.
#[derive(Debug)]
pub(crate) struct ForeignFrames {
    never_used: RefCell<Region>,
    free: RefCell<Vec<Gfn>>,
}

impl ForeignFrames {
    /// Hands out the frames of `window`, which is mapped and has no other use.
    pub(crate) const fn new(window: Region) -> Self {
        Self { never_used: RefCell::new(window), free: RefCell::new(Vec::new()) }
    }

    /// Takes a frame; its number and its address.
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

    /// Returns a frame at which nothing is mapped any more.
    pub(crate) fn put_back(&self, gfn: Gfn) {
        self.free.borrow_mut().push(gfn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_one_user_at_a_time() {
        let frames = ForeignFrames::new(Region { start: 0x3000, end: 0x5000 });
        let taken = [frames.take().unwrap().0, frames.take().unwrap().0];
        assert_eq!(taken, [Gfn(3), Gfn(4)]);
        assert!(frames.take().is_none());
        frames.put_back(Gfn(3));
        assert_eq!(frames.take().map(|(gfn, _)| gfn), Some(Gfn(3)));
        assert!(frames.take().is_none());
    }
}
