//! A contiguous buffer: pages at consecutive addresses, for frames that are longer than a page.
//!
//! ```text
//!   up to 128 pages, granted once
//!   | in flight | in flight | free … room for the next frame of up to 16 pages … | in flight |
//!                             ▲ bytes_mut(): the stack writes a frame of up to 64 KiB as one slice
//! ```
//!
//! Each page takes a slot of the ring and comes back by itself, in any order. Frames are placed one after the other,
//! around the buffer, so that free pages stay together. The buffer exists only where the guest has enough contiguous
//! memory.

use crate::PoolCounts;
use crate::gref_set::GrefAccounts;
use alloc::vec::Vec;
use xen::gnttab::{GrantError, Quarantined};
use xen::{ContiguousPages, DomId, Granted, Gref, Machine, Page, Private, ReadOnly, Xen};

/// Pages of the longest frame.
pub const MAX_FRAME_PAGES: usize = 16;
/// The largest buffer, in pages: a bit of a `u128` each.
pub const MAX_PAGES: usize = 128;
/// The page number that stands for "no page of the buffer".
pub const NO_PAGE: u8 = u8::MAX;

/// Contiguous pages that one backend may read.
#[derive(Debug)]
pub struct ContiguousBuffer {
    pages: ContiguousPages,
    backend: DomId,
    /// A bit for each page that is in the ring, and for each page that the buffer does not have.
    taken: u128,
    /// The first page of the next frame, if there is room for the longest.
    next: Option<usize>,
    /// The page after the last frame.
    end: usize,
    grefs: GrefAccounts,
}

/// Pages that the backend still uses, after the end of a buffer.
pub type InUse = Vec<Page<Granted<ReadOnly>>>;

impl ContiguousBuffer {
    /// A buffer of `count` pages, at most [`MAX_PAGES`]. `None` without that much contiguous memory, or without grants
    /// for it. The second value holds the pages that the backend has in use although it was not told of them.
    pub fn new<M: Machine>(xen: &Xen<M>, backend: DomId, count: usize) -> (Option<Self>, InUse) {
        let count = count.min(MAX_PAGES);
        let pages = (count >= MAX_FRAME_PAGES).then(|| xen.machine.alloc_contiguous(count)).flatten();
        pages.map_or((None, InUse::new()), |pages| Self::over(xen, backend, pages))
    }

    /// Grants contiguous pages.
    fn over<M: Machine>(xen: &Xen<M>, backend: DomId, pages: Vec<Page<Private>>) -> (Option<Self>, InUse) {
        let count = pages.len();
        let (mut granted, mut in_use) = (Vec::with_capacity(count), InUse::new());
        let mut refused = None;
        for page in pages {
            match xen.grants.grant(page, backend) {
                Ok(page) if refused.is_none() => granted.push(page),
                Ok(page) => in_use.extend(xen.take_back(page)),
                Err(GrantError { page, reason }) => {
                    xen.machine.free_page(page);
                    refused = Some(reason);
                }
            }
        }
        let pages = if refused.is_none() { ContiguousPages::join(granted) } else { Err(granted) };
        match pages {
            Ok(pages) => {
                let absent =
                    u32::try_from(count).ok().and_then(|count| u128::MAX.checked_shl(count)).unwrap_or(0);
                let mut grefs = GrefAccounts::default();
                (0..count).filter_map(|page| pages.gref(page)).for_each(|gref| grefs.insert(gref));
                (Some(Self { pages, backend, taken: absent, next: Some(0), end: 0, grefs }), in_use)
            }
            Err(pages) => {
                // The backend was not told of these grants. One that guesses references may use them all the same.
                in_use.extend(pages.into_iter().filter_map(|page| xen.take_back(page)));
                (None, in_use)
            }
        }
    }

    /// Whether `backend` may read the buffer. After a resume in a new domain, no domain may: the grant table is new.
    #[must_use]
    pub fn is_granted_to<M: Machine>(&self, xen: &Xen<M>, backend: DomId) -> bool {
        self.backend == backend && self.pages.page(0).is_some_and(|page| xen.grants.is_granted(page))
    }

    /// Ends all grants and frees the pages. Returns those that the backend still uses.
    pub fn free<M: Machine>(self, xen: &Xen<M>) -> InUse {
        self.pages.into_pages().into_iter().filter_map(|page| xen.take_back(page)).collect()
    }

    /// The grant references of the pages, and which of them the backend keeps mapped.
    #[must_use]
    pub const fn grefs(&self) -> &GrefAccounts {
        &self.grefs
    }

    /// Notes that the backend has mapped these pages (`mapped`) or unmapped them.
    pub fn mark_mapped(&mut self, grefs: &[Gref], mapped: bool) {
        self.grefs.mark(grefs, mapped);
    }

    /// Forgets all mappings, at the end of a connection.
    pub fn forget_mappings(&mut self) {
        self.grefs.forget_mapped();
    }

    /// Whether there is room for the longest frame.
    #[inline]
    #[must_use]
    pub fn is_ready(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.room();
        }
        self.next.is_some()
    }

    /// The first page with room for the longest frame: after the last frame, or else the lowest.
    fn room(&self) -> Option<usize> {
        // A bit for each page that is free together with the next 15.
        let mut runs = !self.taken;
        for step in [1, 2, 4, 8] {
            runs &= runs >> step;
        }
        let behind =
            u32::try_from(self.end).ok().and_then(|end| u128::MAX.checked_shl(end)).unwrap_or(0) & runs;
        let found = if behind == 0 { runs } else { behind };
        (found != 0).then(|| usize::try_from(found.trailing_zeros()).unwrap_or(usize::MAX))
    }

    /// The first page and the bytes of the room for the next frame: [`MAX_FRAME_PAGES`] pages.
    #[inline]
    pub fn bytes_mut(&mut self) -> Option<(usize, &mut [u8])> {
        if !self.is_ready() {
            return None;
        }
        let first = self.next?;
        self.pages.bytes_mut(first, MAX_FRAME_PAGES).map(|bytes| (first, bytes))
    }

    /// The grant reference of a page.
    #[must_use]
    pub fn gref(&self, page: usize) -> Option<Gref> {
        self.pages.gref(page)
    }

    /// Marks a page as in the ring.
    #[inline]
    pub const fn take(&mut self, page: usize) {
        self.taken |= bit(page);
        self.end = page.saturating_add(1);
        self.next = None;
    }

    /// Marks a page as free. Does nothing for [`NO_PAGE`].
    #[inline]
    pub fn put(&mut self, page: u8) {
        if page != NO_PAGE {
            self.taken &= !bit(usize::from(page));
        }
    }

    /// Where the pages are.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        let total = self.pages.len();
        let absent = MAX_PAGES.saturating_sub(total);
        let ones = usize::try_from(self.taken.count_ones()).unwrap_or(usize::MAX);
        let in_ring = ones.saturating_sub(absent);
        PoolCounts {
            free: total.saturating_sub(in_ring),
            in_ring,
            in_use: 0,
            quarantined: 0,
            total,
            max: total,
        }
    }

    /// Clears the buffer and grants it to another backend. If the former backend still uses a page, the buffer ends:
    /// the other pages are freed, and the pages in use are returned.
    pub fn regrant<M: Machine>(self, xen: &Xen<M>, backend: DomId) -> (Option<Self>, InUse) {
        let (mut pages, mut in_use) = (Vec::with_capacity(self.pages.len()), InUse::new());
        for page in self.pages.into_pages() {
            match xen.grants.end(page) {
                Ok(mut page) => {
                    page.bytes_mut().fill(0);
                    pages.push(page);
                }
                Err(Quarantined(page)) => in_use.push(page),
            }
        }
        if in_use.is_empty() {
            return Self::over(xen, backend, pages);
        }
        pages.into_iter().for_each(|page| xen.machine.free_page(page));
        (None, in_use)
    }
}

const fn bit(page: usize) -> u128 {
    #[allow(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "a page of the buffer: less than 128"
    )]
    let shift = (page & 127) as u32;
    1 << shift
}
