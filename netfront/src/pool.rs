//! The pool: pages that are granted once and go round from then on.
//!
//! ```text
//!   Memory ──alloc, all zero──► grant ──► free ──take──► a request in the ring ──► lent to the stack ──put──► free
//!      ▲                                   │
//!      └──── end of the grant ◄── shrink ──┘    (a grant that cannot be ended: quarantine, for ever)
//! ```
//!
//! Taking a page moves it out, so two users of one page cannot exist. The pool knows how many pages there are in all;
//! whoever holds pages says how many, and [`Pool::account`] compares. It grows when it is empty, up to a cap, and
//! shrinks by what nobody needed for a while (`upkeep.rs`). Growing and shrinking are the only moments at which it
//! allocates or touches the grant table.
//!
//! No byte that was not sent to a backend is ever in a page that it can read: a page comes zeroed from `Memory`, and is
//! zeroed again when it changes hands from one backend to another.

mod pond;
mod shrink;

pub use pond::{Pond, SPARE};

use crate::books::Books;
use crate::held::Home;
use crate::misbehaviour::Misbehaviour;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use xen::gnttab::{GrantError, GrantFailure, Quarantined};
use xen::{Access, DomId, Granted, Machine, Page, Private, Xen};

/// Pages by which a pool grows or shrinks at a time.
const STEP: usize = 32;
/// The fewest pages with which a queue is worth running: more than the largest frame takes.
pub const FEWEST: usize = 32;

/// How large a pool may be, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At the start, and what shrinking leaves.
    pub initial: usize,
    /// What growing stops at.
    pub max: usize,
    /// Pages in quarantine at which the device stops.
    pub quarantine: usize,
}

/// Where the pages of a pool are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// In the pool.
    pub free: usize,
    /// In the ring: posted, queued or in flight.
    pub in_ring: usize,
    /// With the stack, or with the application.
    pub lent: usize,
    /// Lost to a backend that does not let go.
    pub quarantined: usize,
    /// All of them.
    pub total: usize,
    /// The cap.
    pub max: usize,
}

/// Pages are missing, or there are too many: the books do not balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch(pub PoolCounts);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolCounts { free, in_ring, lent, quarantined, total, .. } = self.0;
        write!(
            f,
            "{free} free + {in_ring} in the ring + {lent} lent + {quarantined} quarantined are not {total} pages"
        )
    }
}

impl core::error::Error for Mismatch {}

/// What a pool has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Times that it grew.
    pub grows: u64,
    /// Times that it shrank.
    pub shrinks: u64,
    /// Times that it was empty and could not grow: at the cap, out of memory, or out of grants.
    pub grow_failures: u64,
    /// Pages that changed hands to another backend.
    pub regranted: u64,
}

/// Why a pool could not be made ready for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// The guest has too little memory.
    Memory {
        /// Pages that there are.
        have: usize,
        /// Pages that there must be at least.
        need: usize,
    },
    /// The grant table refused.
    Grant(GrantFailure),
    /// Too many pages are in quarantine.
    Quarantine(usize),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { have, need } => {
                write!(
                    f,
                    "no memory for the pool: {have} pages where {need} are needed; raise memory= or lower pool.*"
                )
            }
            Self::Grant(failure) => failure.fmt(f),
            Self::Quarantine(pages) => write!(f, "{pages} pages are in quarantine"),
        }
    }
}

impl core::error::Error for PoolError {}

/// Pages that one backend may access as `A` says.
///
/// What the compiler refuses, each time beside what it takes; the pair differs in one line.
///
/// A page is put back once:
/// ```
/// # use netfront::pool::Pool;
/// # use xen::{Granted, Page, ReadOnly, ReadWrite};
/// fn back(pool: &mut Pool<ReadOnly>, page: Page<Granted<ReadOnly>>, other: Page<Granted<ReadOnly>>) {
///     pool.put(page);
///     pool.put(other);
/// }
/// ```
/// ```compile_fail,E0382
/// # use netfront::pool::Pool;
/// # use xen::{Granted, Page, ReadOnly, ReadWrite};
/// fn back(pool: &mut Pool<ReadOnly>, page: Page<Granted<ReadOnly>>, other: Page<Granted<ReadOnly>>) {
///     pool.put(page);
///     pool.put(page);
/// }
/// ```
///
/// A page that was taken has one holder:
/// ```
/// # use netfront::pool::Pool;
/// # use xen::{Granted, Page, ReadOnly, ReadWrite};
/// fn twice(pool: &mut Pool<ReadOnly>) -> Option<(Page<Granted<ReadOnly>>, Page<Granted<ReadOnly>>)> {
///     let page = pool.take()?;
///     let other = pool.take()?;
///     Some((page, other))
/// }
/// ```
/// ```compile_fail,E0599
/// # use netfront::pool::Pool;
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
    /// Pages that are to go, as soon as the backend does not keep them mapped any more.
    retiring: Vec<Page<Granted<A>>>,
    /// Which of the pages it keeps mapped.
    pub(crate) books: Books,
    /// It can be told of pages that are to go.
    can_retire: bool,
    quarantine: Vec<Page<Granted<A>>>,
    /// Where pages are that somebody keeps.
    pub(crate) home: Rc<Home<A>>,
    /// All pages, wherever they are, those in quarantine too.
    total: usize,
    limits: Limits,
    pub(crate) backend: Option<DomId>,
    /// The fewest free pages since the last [`Pool::shrink_idle`].
    low_water: usize,
    /// Growing failed, and is not tried again before [`Pool::new_turn`].
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
            books: Books::default(),
            can_retire: false,
            quarantine: Vec::new(),
            home: Rc::default(),
            total: 0,
            limits,
            backend: None,
            low_water: 0,
            exhausted: false,
            stats: PoolStats { grows: 0, shrinks: 0, grow_failures: 0, regranted: 0 },
        }
    }

    /// Takes a page out.
    #[inline]
    pub fn take(&mut self) -> Option<Page<Granted<A>>> {
        let page = self.free.pop();
        self.low_water = self.low_water.min(self.free.len());
        page
    }

    /// Puts a page back. There is always room: growing made it.
    #[inline]
    pub fn put(&mut self, page: Page<Granted<A>>) {
        debug_assert!(self.free.len() < self.free.capacity(), "a page that was never in this pool");
        self.free.push(page);
    }

    /// Pages in the pool.
    #[inline]
    #[must_use]
    pub const fn free(&self) -> usize {
        self.free.len()
    }

    /// What the pool has done.
    #[must_use]
    pub const fn stats(&self) -> PoolStats {
        self.stats
    }

    /// Compares what the pool knows with where its pages are said to be; it knows itself of those that are held.
    ///
    /// # Errors
    /// The counts, when they do not add up.
    pub fn account(&self, in_ring: usize, lent: usize) -> Result<PoolCounts, Mismatch> {
        let free = self.free.len().saturating_add(self.retiring.len());
        let lent = lent.saturating_add(self.home.pages());
        let quarantined = self.quarantine.len();
        let counts = PoolCounts { free, in_ring, lent, quarantined, total: self.total, max: self.limits.max };
        let sum = free.saturating_add(in_ring).saturating_add(lent).saturating_add(quarantined);
        if sum == self.total { Ok(counts) } else { Err(Mismatch(counts)) }
    }

    /// Makes the pool ready for `backend`: pages that another one could access change hands, and there are as many as
    /// at the start. No page may be out but those that are held: they follow when they come back.
    ///
    /// # Errors
    /// When there are fewer than [`FEWEST`] usable pages, or as many in quarantine as are allowed.
    pub fn prepare<M: Machine>(&mut self, xen: &Xen<M>, backend: DomId) -> Result<(), PoolError> {
        self.collect(xen);
        self.forget_mappings();
        debug_assert!(self.account(0, 0).is_ok(), "a page is out");
        if self.backend.is_some_and(|before| before != backend) {
            self.change_hands(xen, backend);
        }
        self.backend = Some(backend);
        self.exhausted = false;
        let room = self.limits.max.saturating_sub(self.total.saturating_sub(self.quarantine.len()));
        let missing = self.limits.initial.saturating_sub(self.free.len()).min(room);
        let failure = self.add(xen, missing).err();
        self.low_water = self.free.len();
        if self.quarantine_full().is_some() {
            return Err(PoolError::Quarantine(self.quarantine.len()));
        }
        match failure {
            Some(failure) if self.free.len() < FEWEST => Err(failure),
            Some(failure) => {
                log::warn!("the pool has {} of {} pages: {failure}", self.free.len(), self.limits.initial);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Ends every grant and grants the pages, cleared, to another backend.
    fn change_hands<M: Machine>(&mut self, xen: &Xen<M>, backend: DomId) {
        let pages = core::mem::take(&mut self.free);
        self.free.reserve_exact(pages.capacity());
        pages.into_iter().for_each(|page| self.regrant(xen, page, backend));
    }

    /// Grants a page, cleared, to another backend.
    pub(crate) fn regrant<M: Machine>(&mut self, xen: &Xen<M>, page: Page<Granted<A>>, backend: DomId) {
        let Some(mut page) = self.end(xen, page) else { return };
        page.bytes_mut().fill(0);
        match xen.grants.grant(page, backend) {
            Ok(page) => {
                self.books.enter(page.gref());
                self.free.push(page);
                self.stats.regranted = self.stats.regranted.wrapping_add(1);
            }
            Err(GrantError { page, .. }) => self.give_up(xen, page),
        }
    }

    /// Grows by a step, when the pool is empty; whether there are pages now.
    pub fn grow<M: Machine>(&mut self, xen: &Xen<M>) -> bool {
        if self.exhausted {
            return !self.free.is_empty();
        }
        let usable = self.total.saturating_sub(self.quarantine.len());
        let step = STEP.min(self.limits.max.saturating_sub(usable));
        let before = self.free.len();
        let failed = step == 0 || self.add(xen, step).is_err();
        if self.free.len() > before {
            self.stats.grows = self.stats.grows.wrapping_add(1);
        }
        if failed {
            // Not again in this turn: asking once a frame would cost more than the frame.
            self.exhausted = true;
            self.stats.grow_failures = self.stats.grow_failures.wrapping_add(1);
        }
        !self.free.is_empty()
    }

    /// A new turn: a pool that could not grow may try again.
    #[inline]
    pub const fn new_turn(&mut self) {
        self.exhausted = false;
    }

    /// Allocates and grants `count` pages; as many as it gets.
    fn add<M: Machine>(&mut self, xen: &Xen<M>, count: usize) -> Result<(), PoolError> {
        let Some(backend) = self.backend else { return Ok(()) };
        let after = self.total.saturating_add(count);
        let room = self.free.try_reserve_exact(after.saturating_sub(self.free.len())).is_ok();
        if !room || !self.home.reserve(after) {
            return Err(self.out_of_memory());
        }
        for _ in 0..count {
            let page = xen.machine.alloc_page().ok_or_else(|| self.out_of_memory())?;
            match xen.grants.grant(page, backend) {
                Ok(page) => {
                    self.books.enter(page.gref());
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
        PoolError::Memory { have: self.free.len(), need: FEWEST }
    }

    /// Ends the grant of a page; one that the backend still uses goes to quarantine.
    fn end<M: Machine>(&mut self, xen: &Xen<M>, page: Page<Granted<A>>) -> Option<Page<Private>> {
        self.books.leave(page.gref());
        match xen.grants.end(page) {
            Ok(page) => Some(page),
            Err(Quarantined(page)) => {
                self.quarantine.push(page);
                None
            }
        }
    }

    /// Frees a page that is not in the pool any more.
    fn give_up<M: Machine>(&mut self, xen: &Xen<M>, page: Page<Private>) {
        xen.machine.free_page(page);
        self.total = self.total.saturating_sub(1);
    }

    /// The rule that is broken when too many pages are in quarantine.
    #[must_use]
    pub fn quarantine_full(&self) -> Option<Misbehaviour> {
        let pages = self.quarantine.len();
        (pages >= self.limits.quarantine)
            .then(|| Misbehaviour::Quarantine(u32::try_from(pages).unwrap_or(u32::MAX)))
    }

    /// Whether there are free pages beyond those of the start; so many more are parked elsewhere.
    #[must_use]
    pub const fn has_surplus(&self, parked: usize) -> bool {
        self.total > self.limits.initial && self.free.len().saturating_add(parked) > 0
    }
}
