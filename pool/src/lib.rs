//! The page pool: pages that are granted to a backend once and are then reused.
//!
//! ```text
//!   Memory ──alloc, zeroed──► grant ──► free ──take──► a request in the ring ──► the stack reads it ──put──► free
//!      ▲                                 │
//!      └──── grant ended ◄── shrink ◄────┘      (a grant that cannot be ended: quarantine)
//! ```
//!
//! [`Pool::take`] moves a page out, so a page has one user. The pool counts its pages; each user reports how many it
//! holds, and [`Pool::account`] compares the two. A pool grows when it is empty, up to a limit, and shrinks by the pages
//! that stayed free for a while ([`Pool::shrink_idle`]). Only growing and shrinking allocate memory or write to the grant
//! table.
//!
//! A backend never sees bytes that were not sent to it: a page comes zeroed from `Memory`, and is zeroed again before it
//! is granted to another backend.
//!
//! | module | contents |
//! |---|---|
//! | this one | [`Pool`]: take, put, grow, accounting |
//! | [`gref_set`] | the grant references of a pool, and which of them the backend keeps mapped |
//! | `shrink` | pages back to the guest's memory |
//! | [`packet`] | [`Packet`]: a received frame that an application retains, and the queue by which its page returns |
//! | [`piece`] | [`Piece`]: data within a page |
//! | [`contiguous`] | [`ContiguousBuffer`](contiguous::ContiguousBuffer): pages at consecutive addresses, for frames longer than a page |
//! | [`shared_pages`] | [`SharedPagePool`]: pages for the rings of data channels |

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

pub mod contiguous;
pub mod gref_set;
pub mod packet;
pub mod piece;
pub mod shared_pages;
mod shrink;

pub use packet::Packet;
pub use piece::Piece;
pub use shared_pages::SharedPagePool;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use gref_set::GrefAccounts;
use packet::ReturnQueue;
use xen::gnttab::{GrantError, GrantFailure, Quarantined};
use xen::{Access, DomId, Granted, Machine, Page, Private, Xen};

/// Pages by which a pool grows or shrinks at a time.
const STEP: usize = 32;
/// The minimum number of pages for a queue. It is more than the longest frame takes.
pub const MIN_PAGES: usize = 32;

/// The size limits of a pool, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size at the start. Shrinking stops here.
    pub initial: usize,
    /// The maximum size.
    pub max: usize,
    /// The number of quarantined pages at which the device stops.
    pub quarantine: usize,
}

/// Where the pages of a pool are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Free, in the pool.
    pub free: usize,
    /// In the ring: posted, queued or in flight.
    pub in_ring: usize,
    /// In use by the stack or by an application.
    pub in_use: usize,
    /// Quarantined: the backend still has the page mapped.
    pub quarantined: usize,
    /// All pages.
    pub total: usize,
    /// The maximum size of the pool.
    pub max: usize,
}

impl PoolCounts {
    /// Adds the pages of another pool.
    pub const fn add(&mut self, other: &Self) {
        self.free = self.free.saturating_add(other.free);
        self.in_ring = self.in_ring.saturating_add(other.in_ring);
        self.in_use = self.in_use.saturating_add(other.in_use);
        self.quarantined = self.quarantined.saturating_add(other.quarantined);
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.saturating_add(other.max);
    }
}

/// The counts of a pool do not add up: a page was lost or counted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch(pub PoolCounts);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolCounts { free, in_ring, in_use, quarantined, total, .. } = self.0;
        write!(
            f,
            "{free} free + {in_ring} in the ring + {in_use} in use + {quarantined} quarantined are not {total} pages"
        )
    }
}

impl core::error::Error for Mismatch {}

xen::counters! {
    /// What a pool counts.
    pub struct PoolStats {
        /// Times that the pool grew.
        grows,
        /// Times that the pool shrank.
        shrinks,
        /// Times that the pool was empty and could not grow: at its limit, out of memory, or out of grants.
        grow_failures,
        /// Pages that were granted to another backend than before.
        regranted,
    }
}

/// Why a pool could not be prepared for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// The guest has too little memory.
    Memory {
        /// Pages in the pool.
        have: usize,
        /// The minimum.
        need: usize,
    },
    /// The grant table refused.
    Grant(GrantFailure),
    /// Too many pages are quarantined; how many.
    Quarantine(usize),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { have, need } => {
                write!(
                    f,
                    "no memory for the pool: it has {have} pages and needs {need}; raise memory= or lower pool.*"
                )
            }
            Self::Grant(failure) => failure.fmt(f),
            Self::Quarantine(pages) => write!(f, "{pages} pages are quarantined"),
        }
    }
}

impl core::error::Error for PoolError {}

/// A pool of pages that one backend may access as `A` says.
///
/// The compiler refuses wrong uses. Each pair of examples differs in one line.
///
/// A page is put back once:
/// ```
/// # use pool::Pool;
/// # use xen::{Granted, Page, ReadOnly, ReadWrite};
/// fn back(pool: &mut Pool<ReadOnly>, page: Page<Granted<ReadOnly>>, other: Page<Granted<ReadOnly>>) {
///     pool.put(page);
///     pool.put(other);
/// }
/// ```
/// ```compile_fail,E0382
/// # use pool::Pool;
/// # use xen::{Granted, Page, ReadOnly, ReadWrite};
/// fn back(pool: &mut Pool<ReadOnly>, page: Page<Granted<ReadOnly>>, other: Page<Granted<ReadOnly>>) {
///     pool.put(page);
///     pool.put(page);
/// }
/// ```
///
/// A page that was taken has one owner:
/// ```
/// # use pool::Pool;
/// # use xen::{Granted, Page, ReadOnly, ReadWrite};
/// fn twice(pool: &mut Pool<ReadOnly>) -> Option<(Page<Granted<ReadOnly>>, Page<Granted<ReadOnly>>)> {
///     let page = pool.take()?;
///     let other = pool.take()?;
///     Some((page, other))
/// }
/// ```
/// ```compile_fail,E0599
/// # use pool::Pool;
/// # use xen::{Granted, Page, ReadOnly, ReadWrite};
/// fn twice(pool: &mut Pool<ReadOnly>) -> Option<(Page<Granted<ReadOnly>>, Page<Granted<ReadOnly>>)> {
///     let page = pool.take()?;
///     let other = page.clone();
///     Some((page, other))
/// }
/// ```
#[derive(Debug)]
pub struct Pool<A> {
    free: Vec<Page<Granted<A>>>,
    /// Pages to free once the backend has unmapped them.
    retiring: Vec<Page<Granted<A>>>,
    grefs: GrefAccounts,
    /// Whether the backend can be asked to unmap pages.
    can_retire: bool,
    quarantine: Vec<Page<Granted<A>>>,
    /// Pages that no domain may access, cleared, to be granted at the next [`Pool::prepare`].
    private: Vec<Page<Private>>,
    /// The way back for pages that applications retain.
    returns: Rc<ReturnQueue<A>>,
    /// All pages, wherever they are, the quarantined ones included.
    total: usize,
    limits: Limits,
    backend: Option<DomId>,
    /// The smallest number of free pages since the last [`Pool::shrink_idle`].
    low_water: usize,
    /// Growing failed. The pool does not try again before [`Pool::new_iteration`].
    exhausted: bool,
    stats: PoolStats,
}

impl<A: Access> Pool<A> {
    /// A pool without pages.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            free: Vec::new(),
            retiring: Vec::new(),
            grefs: GrefAccounts::default(),
            can_retire: false,
            quarantine: Vec::new(),
            private: Vec::new(),
            returns: Rc::default(),
            total: 0,
            limits,
            backend: None,
            low_water: 0,
            exhausted: false,
            stats: PoolStats::default(),
        }
    }

    /// Takes a page out.
    #[inline]
    pub fn take(&mut self) -> Option<Page<Granted<A>>> {
        let page = self.free.pop();
        self.low_water = self.low_water.min(self.free.len());
        page
    }

    /// Puts a page back. This does not allocate: the pool reserved the room when it grew.
    #[inline]
    pub fn put(&mut self, page: Page<Granted<A>>) {
        debug_assert!(self.free.len() < self.free.capacity(), "a page that was never in this pool");
        self.free.push(page);
    }

    /// The number of free pages.
    #[inline]
    #[must_use]
    pub const fn free(&self) -> usize {
        self.free.len()
    }

    /// The counters of the pool.
    #[must_use]
    pub const fn stats(&self) -> PoolStats {
        self.stats
    }

    /// The grant references of the pool's pages, and which of them the backend keeps mapped.
    #[must_use]
    pub const fn grefs(&self) -> &GrefAccounts {
        &self.grefs
    }

    /// Notes that the backend has mapped these pages (`mapped`) or unmapped them.
    pub fn mark_mapped(&mut self, grefs: &[xen::Gref], mapped: bool) {
        self.grefs.mark(grefs, mapped);
    }

    /// Compares the pool's total with the places of its pages: `in_ring` and `in_use` by the caller's count, the others
    /// by the pool's own. Retained packets count as in use.
    ///
    /// # Errors
    /// The counts, when they do not add up.
    pub fn account(&self, in_ring: usize, in_use: usize) -> Result<PoolCounts, Mismatch> {
        let free = self.free.len().saturating_add(self.retiring.len()).saturating_add(self.private.len());
        let in_use = in_use.saturating_add(self.returns.pages());
        let quarantined = self.quarantine.len();
        let counts =
            PoolCounts { free, in_ring, in_use, quarantined, total: self.total, max: self.limits.max };
        let sum = free.saturating_add(in_ring).saturating_add(in_use).saturating_add(quarantined);
        if sum == self.total { Ok(counts) } else { Err(Mismatch(counts)) }
    }

    /// Prepares the pool for `backend`: pages that are not granted to it are cleared and granted to it, and the pool grows
    /// to its initial size. All pages must be in the pool, except retained ones: these follow when
    /// they return.
    ///
    /// # Errors
    /// The pool has fewer than [`MIN_PAGES`] usable pages, or as many quarantined ones as the limit.
    pub fn prepare<M: Machine>(&mut self, xen: &Xen<M>, backend: DomId) -> Result<(), PoolError> {
        self.collect(xen);
        self.forget_mappings();
        debug_assert!(self.account(0, 0).is_ok(), "a page is not in the pool");
        self.retry_quarantine(xen);
        // The grants of another backend, or of the domain in which the guest was saved: the table is new since.
        let is_void = |page: &Page<Granted<A>>| !xen.grants.is_granted(page);
        if self.backend.is_some_and(|before| before != backend) || self.free.iter().any(is_void) {
            self.revoke(xen);
        }
        self.backend = Some(backend);
        self.exhausted = false;
        self.grant_private(xen, backend);
        let room = self.limits.max.saturating_sub(self.total.saturating_sub(self.quarantine.len()));
        let missing = self.limits.initial.saturating_sub(self.free.len()).min(room);
        let failure = self.add(xen, missing).err();
        self.low_water = self.free.len();
        if self.quarantine_full().is_some() {
            return Err(PoolError::Quarantine(self.quarantine.len()));
        }
        match failure {
            Some(failure) if self.free.len() < MIN_PAGES => Err(failure),
            Some(failure) => {
                log::warn!("the pool has {} of {} pages: {failure}", self.free.len(), self.limits.initial);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Ends the grants of all free pages and clears the pages: no domain may access them before the next
    /// [`Pool::prepare`]. Call this when the backend is gone.
    pub fn revoke<M: Machine>(&mut self, xen: &Xen<M>) {
        self.forget_mappings();
        self.collect(xen);
        let pages = core::mem::take(&mut self.free);
        self.private.reserve(pages.len());
        self.free.reserve_exact(pages.capacity());
        for page in pages {
            if let Some(mut page) = self.end(xen, page) {
                page.bytes_mut().fill(0);
                self.private.push(page);
            }
        }
    }

    /// Grants the private pages to the backend.
    fn grant_private<M: Machine>(&mut self, xen: &Xen<M>, backend: DomId) {
        for page in core::mem::take(&mut self.private) {
            match xen.grants.grant(page, backend) {
                Ok(page) => {
                    self.grefs.insert(page.gref());
                    self.free.push(page);
                    self.stats.regranted.bump();
                }
                Err(GrantError { page, .. }) => self.release(xen, page),
            }
        }
    }

    /// Frees the quarantined pages that no domain has mapped any more. Returns the number of pages.
    pub fn retry_quarantine<M: Machine>(&mut self, xen: &Xen<M>) -> usize {
        let before = self.quarantine.len();
        for page in core::mem::take(&mut self.quarantine) {
            match xen.grants.end_again(Quarantined(page)) {
                Ok(page) => self.release(xen, page),
                Err(Quarantined(page)) => self.quarantine.push(page),
            }
        }
        before.saturating_sub(self.quarantine.len())
    }

    /// Ends the grant of a page, clears the page, and grants it to another backend.
    fn regrant<M: Machine>(&mut self, xen: &Xen<M>, page: Page<Granted<A>>, backend: DomId) {
        let Some(mut page) = self.end(xen, page) else { return };
        page.bytes_mut().fill(0);
        match xen.grants.grant(page, backend) {
            Ok(page) => {
                self.grefs.insert(page.gref());
                self.free.push(page);
                self.stats.regranted.bump();
            }
            Err(GrantError { page, .. }) => self.release(xen, page),
        }
    }

    /// Grows by a step. Returns whether the pool has a free page now.
    pub fn grow<M: Machine>(&mut self, xen: &Xen<M>) -> bool {
        if self.exhausted {
            return !self.free.is_empty();
        }
        let usable = self.total.saturating_sub(self.quarantine.len());
        let step = STEP.min(self.limits.max.saturating_sub(usable));
        let before = self.free.len();
        let failed = step == 0 || self.add(xen, step).is_err();
        if self.free.len() > before {
            self.stats.grows.bump();
        }
        if failed {
            // Not again in this iteration: to try for each frame would cost more than the frame.
            self.exhausted = true;
            self.stats.grow_failures.bump();
        }
        !self.free.is_empty()
    }

    /// Begins an iteration of the loop: a pool that could not grow may try again.
    #[inline]
    pub const fn new_iteration(&mut self) {
        self.exhausted = false;
    }

    /// Allocates and grants up to `count` pages.
    fn add<M: Machine>(&mut self, xen: &Xen<M>, count: usize) -> Result<(), PoolError> {
        let Some(backend) = self.backend else { return Ok(()) };
        let after = self.total.saturating_add(count);
        let room = self.free.try_reserve_exact(after.saturating_sub(self.free.len())).is_ok();
        if !room || !self.returns.reserve(after) {
            return Err(self.out_of_memory());
        }
        for _ in 0..count {
            let page = xen.machine.alloc_page().ok_or_else(|| self.out_of_memory())?;
            match xen.grants.grant(page, backend) {
                Ok(page) => {
                    self.grefs.insert(page.gref());
                    self.free.push(page);
                    self.total = self.total.saturating_add(1);
                }
                Err(GrantError { page, reason }) => {
                    xen.machine.free_page(page);
                    return Err(PoolError::Grant(reason));
                }
            }
        }
        Ok(())
    }

    const fn out_of_memory(&self) -> PoolError {
        PoolError::Memory { have: self.free.len(), need: MIN_PAGES }
    }

    /// Ends the grant of a page. A page that the backend still uses is quarantined.
    fn end<M: Machine>(&mut self, xen: &Xen<M>, page: Page<Granted<A>>) -> Option<Page<Private>> {
        self.grefs.remove(page.gref());
        match xen.grants.end(page) {
            Ok(page) => Some(page),
            Err(Quarantined(page)) => {
                self.quarantine.push(page);
                None
            }
        }
    }

    /// Frees a page whose grant has ended.
    fn release<M: Machine>(&mut self, xen: &Xen<M>, page: Page<Private>) {
        xen.machine.free_page(page);
        self.total = self.total.saturating_sub(1);
    }

    /// The number of quarantined pages, when it has reached the limit.
    #[must_use]
    pub const fn quarantine_full(&self) -> Option<usize> {
        let pages = self.quarantine.len();
        if pages >= self.limits.quarantine { Some(pages) } else { None }
    }

    /// Whether the pool is larger than at the start and has a free page. `elsewhere` counts free pages that the caller
    /// keeps.
    #[must_use]
    pub const fn has_surplus(&self, elsewhere: usize) -> bool {
        self.total > self.limits.initial && self.free.len().saturating_add(elsewhere) > 0
    }
}
