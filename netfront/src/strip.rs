//! Pages in a row to send from: frames that are longer than a page.
//!
//! ```text
//!   one stretch of up to 128 pages, granted once
//!   | in flight | in flight | free … next, at least a frame of 16 pages … | in flight |
//!                             ▲ claim(n): where smoltcp writes a frame of up to 64 KiB in one piece
//! ```
//!
//! Each page is a slot of the ring and comes back by itself, in whatever order. Frames are laid one after the other
//! round and round, so that free pages lie together. There is a strip only where a stretch of memory was to be had.

use crate::books::Books;
use crate::pool::PoolCounts;
use crate::sent::NO_PAGE;
use alloc::vec::Vec;
use xen::gnttab::{GrantError, Quarantined};
use xen::{DomId, Granted, Gref, Machine, Page, Private, ReadOnly, Stretch, Xen};

/// Pages of the longest frame.
pub(crate) const LONGEST: usize = 16;
/// Pages that a strip can have: one bit of a word each.
pub(crate) const MOST: usize = 128;

/// Pages in a row, for one backend.
#[derive(Debug)]
pub(crate) struct Strip {
    pages: Stretch,
    backend: DomId,
    /// A bit for each page that is in the ring, and for those that there are not.
    taken: u128,
    /// Where the next frame goes, if there is room for the longest.
    next: Option<usize>,
    /// Behind the last frame.
    end: usize,
    /// Which of the pages the backend keeps mapped.
    pub(crate) books: Books,
}

/// Pages of a strip that the backend did not let go of.
pub(crate) type Lost = Vec<Page<Granted<ReadOnly>>>;

impl Strip {
    /// A strip of `count` pages; none when there is no such stretch of memory, or no grants for it. Then a backend may
    /// hold pages that it was not even told of, those that are returned.
    pub(crate) fn new<M: Machine>(xen: &Xen<M>, backend: DomId, count: usize) -> (Option<Self>, Lost) {
        let count = count.min(MOST);
        let pages = (count >= LONGEST).then(|| xen.machine.alloc_contiguous(count)).flatten();
        pages.map_or((None, Lost::new()), |pages| Self::over(xen, backend, pages))
    }

    /// Grants pages that follow each other.
    fn over<M: Machine>(xen: &Xen<M>, backend: DomId, pages: Vec<Page<Private>>) -> (Option<Self>, Lost) {
        let count = pages.len();
        let (mut granted, mut lost) = (Vec::with_capacity(count), Lost::new());
        let mut refused = None;
        for page in pages {
            match xen.grants.grant(page, backend) {
                Ok(page) if refused.is_none() => granted.push(page),
                Ok(page) => lost.extend(xen.take_back(page)),
                Err(GrantError { page, reason }) => {
                    xen.machine.free_page(page);
                    refused = Some(reason);
                }
            }
        }
        let pages = if refused.is_none() { Stretch::join(granted) } else { Err(granted) };
        match pages {
            Ok(pages) => {
                let absent =
                    u32::try_from(count).ok().and_then(|count| u128::MAX.checked_shl(count)).unwrap_or(0);
                let mut books = Books::default();
                (0..count).filter_map(|page| pages.gref(page)).for_each(|gref| books.enter(gref));
                (Some(Self { pages, backend, taken: absent, next: Some(0), end: 0, books }), lost)
            }
            Err(pages) => {
                // Nobody was told of these grants; a backend that guesses references may hold one all the same.
                lost.extend(pages.into_iter().filter_map(|page| xen.take_back(page)));
                (None, lost)
            }
        }
    }

    /// Who may read it.
    pub(crate) const fn backend(&self) -> DomId {
        self.backend
    }

    /// Whether the longest frame has room.
    #[inline]
    pub(crate) fn is_ready(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.room();
        }
        self.next.is_some()
    }

    /// Where the longest frame has room: behind the last one, or as far in front as possible.
    fn room(&self) -> Option<usize> {
        // A bit for each page with 15 free ones behind it.
        let mut runs = !self.taken;
        for step in [1, 2, 4, 8] {
            runs &= runs >> step;
        }
        let behind =
            u32::try_from(self.end).ok().and_then(|end| u128::MAX.checked_shl(end)).unwrap_or(0) & runs;
        let found = if behind == 0 { runs } else { behind };
        (found != 0).then(|| usize::try_from(found.trailing_zeros()).unwrap_or(usize::MAX))
    }

    /// The place for the next frame, which can have up to [`LONGEST`] pages.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> Option<(usize, &mut [u8])> {
        if !self.is_ready() {
            return None;
        }
        let first = self.next?;
        self.pages.bytes_mut(first, LONGEST).map(|bytes| (first, bytes))
    }

    /// The reference of a page.
    pub(crate) fn gref(&self, page: usize) -> Option<Gref> {
        self.pages.gref(page)
    }

    /// A page goes into the ring.
    #[inline]
    pub(crate) const fn take(&mut self, page: usize) {
        self.taken |= bit(page);
        self.end = page.saturating_add(1);
        self.next = None;
    }

    /// A page is back.
    #[inline]
    pub(crate) fn put(&mut self, page: u8) {
        if page != NO_PAGE {
            self.taken &= !bit(usize::from(page));
        }
    }

    /// Where its pages are.
    pub(crate) fn counts(&self) -> PoolCounts {
        let total = self.pages.len();
        let absent = MOST.saturating_sub(total);
        let ones = usize::try_from(self.taken.count_ones()).unwrap_or(usize::MAX);
        let in_ring = ones.saturating_sub(absent);
        PoolCounts {
            free: total.saturating_sub(in_ring),
            in_ring,
            lent: 0,
            quarantined: 0,
            total,
            max: total,
        }
    }

    /// The strip for another backend, cleared. A page that the one before still uses ends it: the others are freed, and
    /// that one is returned.
    pub(crate) fn change_hands<M: Machine>(self, xen: &Xen<M>, backend: DomId) -> (Option<Self>, Lost) {
        let (mut pages, mut lost) = (Vec::with_capacity(self.pages.len()), Lost::new());
        for page in self.pages.into_pages() {
            match xen.grants.end(page) {
                Ok(mut page) => {
                    page.bytes_mut().fill(0);
                    pages.push(page);
                }
                Err(Quarantined(page)) => lost.push(page),
            }
        }
        if lost.is_empty() {
            return Self::over(xen, backend, pages);
        }
        pages.into_iter().for_each(|page| xen.machine.free_page(page));
        (None, lost)
    }
}

const fn bit(page: usize) -> u128 {
    #[allow(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "a page of a strip: less than 128"
    )]
    let shift = (page & 127) as u32;
    1 << shift
}
