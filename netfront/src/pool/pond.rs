//! A pool that lends its pages for as long as somebody likes: to the rings of data channels.
//!
//! ```text
//!   take ──► free? ──► a channel's ring or control page ──put──► still mapped over there? ──► waits ─┐
//!              ▲ none: one more is granted                          │ no                             │ looked at with
//!              └────────────────────── cleared ◄────────────────────┴────────────────────────────────┘ each take and put
//! ```
//!
//! The rules are the pool's: zeros before the first grant, granted once, cleared before anybody else gets it, counted
//! wherever it is. What is different: who had a page mapped may be slow to let go of it, or may never, so a page that
//! comes back waits until Xen says that nobody has it in use. No more pages wait than channels ever had at once, and
//! [`SPARE`]: then there are no new ones, until some are let go. More than that are not kept either.

use super::{Limits, Mismatch, Pool, PoolCounts, PoolError};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use xen::context::ShareError;
use xen::granted_pages::{GrantedPage, GrantedPages, NoPage};
use xen::ids::PAGE_SIZE;
use xen::{DomId, Machine, ReadWrite, Xen};

/// Pages that may wait beyond as many as channels ever had.
pub const SPARE: usize = 8;

/// The pool, and where the pages are that are not in it.
#[derive(Debug)]
struct Inside {
    pool: Pool<ReadWrite>,
    /// Put back, and still mapped when it was looked at last.
    waiting: Vec<GrantedPage>,
    /// With channels.
    lent: usize,
    /// The most that ever were.
    most: usize,
}

/// Pages that one domain may read and write, for whoever shares memory with it.
pub struct Pond<M> {
    xen: Rc<Xen<M>>,
    domain: DomId,
    inside: RefCell<Inside>,
}

impl<M> fmt::Debug for Pond<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pond")
            .field("domain", &self.domain)
            .field("inside", &self.inside)
            .finish_non_exhaustive()
    }
}

impl<M: Machine> Pond<M> {
    /// Without pages, for this domain.
    #[must_use]
    pub fn new(xen: &Rc<Xen<M>>, domain: DomId) -> Self {
        let mut pool = Pool::new(Limits { initial: 0, max: SPARE, quarantine: usize::MAX });
        pool.backend = Some(domain);
        let inside = Inside { pool, waiting: Vec::new(), lent: 0, most: 0 };
        Self { xen: Rc::clone(xen), domain, inside: RefCell::new(inside) }
    }

    /// Where its pages are; those that wait are in quarantine.
    ///
    /// # Errors
    /// The counts, when they do not add up.
    pub fn account(&self) -> Result<PoolCounts, Mismatch> {
        let inside = self.inside.borrow();
        let waiting = inside.waiting.len();
        let counts = inside.pool.account(0, inside.lent.saturating_add(waiting))?;
        Ok(PoolCounts {
            lent: inside.lent,
            quarantined: counts.quarantined.saturating_add(waiting),
            ..counts
        })
    }
}

impl Inside {
    /// Pages that wait and are not in use any more go back; more than are ever needed go to the guest's memory.
    fn tidy<M: Machine>(&mut self, xen: &Xen<M>) {
        let (wait, come): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.waiting).into_iter().partition(|page| xen.grants.is_in_use(page));
        self.waiting = wait;
        for page in come {
            page.shared().zero(0, PAGE_SIZE);
            self.pool.put(page);
        }
        let surplus = self.pool.free().saturating_add(self.lent).saturating_sub(self.most);
        if surplus > 0 {
            self.pool.shrink(xen, surplus);
        }
    }

    fn take<M: Machine>(&mut self, xen: &Xen<M>) -> Result<GrantedPage, NoPage> {
        self.tidy(xen);
        let most = self.most.max(self.lent.saturating_add(1));
        if self.pool.free() == 0 {
            if self.waiting.len() >= most.saturating_add(SPARE) {
                return Err(NoPage::StillMapped(self.waiting.len()));
            }
            self.pool.limits.max = most.saturating_mul(2).saturating_add(SPARE);
            self.pool.add(xen, 1).map_err(|error| match error {
                PoolError::Grant(failure) => NoPage::Share(ShareError::Grant(failure)),
                PoolError::Memory { .. } | PoolError::Quarantine(_) => NoPage::Share(ShareError::Memory),
            })?;
        }
        let page = self.pool.take().ok_or(NoPage::Share(ShareError::Memory))?;
        self.lent = self.lent.saturating_add(1);
        self.most = most;
        Ok(page)
    }
}

impl<M: Machine> GrantedPages for Pond<M> {
    fn granted_to(&self) -> DomId {
        self.domain
    }

    fn take(&self) -> Result<GrantedPage, NoPage> {
        self.inside.borrow_mut().take(&self.xen)
    }

    fn put(&self, page: GrantedPage) {
        let mut inside = self.inside.borrow_mut();
        inside.lent = inside.lent.saturating_sub(1);
        inside.waiting.push(page);
        inside.tidy(&self.xen);
    }
}
