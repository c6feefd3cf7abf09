//! Granted pages at consecutive addresses: room for a frame that is longer than a page.
//!
//! ```text
//!   gref 40        gref 41        gref 57
//!   | page 0       | page 1       | page 2       | …      one &mut [u8] over as many as a frame takes,
//!     slot 0         slot 1         slot 2                one slot of a ring for each
//! ```
//!
//! Each page has its own read-only grant; together they are one slice of our memory.

#![allow(unsafe_code, reason = "makes one slice of consecutive pages; see docs/soundness.md")]

use crate::ids::{Gref, PAGE_SIZE};
use crate::memory::page::{Granted, Page, ReadOnly};
use alloc::vec::Vec;

/// Pages at consecutive addresses that a peer may read.
#[derive(Debug)]
pub struct ContiguousPages {
    /// At consecutive addresses: checked by [`ContiguousPages::join`], and never changed.
    pages: Vec<Page<Granted<ReadOnly>>>,
}

impl ContiguousPages {
    /// Joins pages that come from one [`crate::Memory::alloc_contiguous`], in its order.
    ///
    /// # Errors
    /// The pages, if their addresses are not consecutive.
    pub fn join(pages: Vec<Page<Granted<ReadOnly>>>) -> Result<Self, Vec<Page<Granted<ReadOnly>>>> {
        let follows = |pair: &[Page<Granted<ReadOnly>>]| match pair {
            [one, next] => one.address().checked_add(PAGE_SIZE) == Some(next.address()),
            _ => true,
        };
        if pages.windows(2).all(follows) { Ok(Self { pages }) } else { Err(pages) }
    }

    /// The number of pages.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// A page.
    #[must_use]
    pub fn page(&self, page: usize) -> Option<&Page<Granted<ReadOnly>>> {
        self.pages.get(page)
    }

    /// The grant reference of a page.
    #[must_use]
    pub fn gref(&self, page: usize) -> Option<Gref> {
        self.pages.get(page).map(Page::gref)
    }

    /// The bytes of `count` pages from the one with number `first` on, to write. `None` if there are fewer.
    #[must_use]
    pub fn bytes_mut(&mut self, first: usize, count: usize) -> Option<&mut [u8]> {
        let pages = self.pages.get(first..first.checked_add(count)?)?;
        let len = count.checked_mul(PAGE_SIZE)?;
        // The way over the integer: the slice goes beyond the first page.
        let base = core::ptr::with_exposed_provenance_mut::<u8>(pages.first()?.address());
        // SAFETY: the pages are ours, granted for reading only, and follow each other (`join`), so that `len` bytes
        // from the first one on are theirs; `&mut self` makes the borrow the only one in this domain.
        Some(unsafe { core::slice::from_raw_parts_mut(base, len) })
    }

    /// The pages, each for itself again.
    #[must_use]
    pub fn into_pages(self) -> Vec<Page<Granted<ReadOnly>>> {
        self.pages
    }
}
