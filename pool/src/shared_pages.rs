//! A pool whose users keep pages without a limit of time: the rings of data channels.
//!
//! ```text
//!   take ──► free? ──► a channel's ring or control page ──put──► still mapped by the domain? ──► waiting ─┐
//!              ▲ no: one more is granted                            │ no                                  │ looked at by
//!              └────────────────────── cleared ◄────────────────────┴─────────────────────────────────────┘ each take, put
//! ```
//!
//! The rules are those of [`Pool`]: zeros before the first grant, granted once, cleared before the next user, counted
//! at any place. In addition, the domain may unmap a page late or never, so a page that comes back waits until Xen no
//! longer sees it in use. The number of waiting pages is limited to the largest number that channels ever had at
//! once, plus [`SPARE`]. At the limit, [`GrantedPages::take`] fails until the domain unmaps some.

use crate::{Limits, Mismatch, Pool, PoolCounts, PoolError};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use xen::context::ShareError;
use xen::granted_pages::{GrantedPage, GrantedPages, NoPage};
use xen::ids::PAGE_SIZE;
use xen::{DomId, Machine, ReadWrite, Xen};

/// Pages that may wait in addition to the largest number that channels ever had.
pub const SPARE: usize = 8;

/// The pool, and the pages outside of it.
#[derive(Debug)]
struct State {
    pool: Pool<ReadWrite>,
    /// Pages that came back while the domain had them mapped.
    waiting: Vec<GrantedPage>,
    /// Pages that channels use.
    in_use: usize,
    /// The largest value of `in_use`.
    most: usize,
}

/// Pages that one domain may read and write, for everything that shares memory with it.
pub struct SharedPagePool<M> {
    xen: Rc<Xen<M>>,
    domain: DomId,
    state: RefCell<State>,
}

impl<M> fmt::Debug for SharedPagePool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPagePool")
            .field("domain", &self.domain)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<M: Machine> SharedPagePool<M> {
    /// An empty pool for this domain.
    #[must_use]
    pub fn new(xen: &Rc<Xen<M>>, domain: DomId) -> Self {
        let mut pool = Pool::new(Limits { initial: 0, max: SPARE, quarantine: usize::MAX });
        pool.backend = Some(domain);
        let state = State { pool, waiting: Vec::new(), in_use: 0, most: 0 };
        Self { xen: Rc::clone(xen), domain, state: RefCell::new(state) }
    }

    /// Where the pages are. Waiting pages count as quarantined.
    ///
    /// # Errors
    /// The counts, when they do not add up.
    pub fn account(&self) -> Result<PoolCounts, Mismatch> {
        let state = self.state.borrow();
        let waiting = state.waiting.len();
        let counts = state.pool.account(0, state.in_use.saturating_add(waiting))?;
        Ok(PoolCounts {
            in_use: state.in_use,
            quarantined: counts.quarantined.saturating_add(waiting),
            ..counts
        })
    }
}

impl State {
    /// Takes back waiting pages that the domain has unmapped. Pages beyond the number that channels ever had go to the
    /// guest's memory.
    fn reclaim<M: Machine>(&mut self, xen: &Xen<M>) {
        let (wait, come): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.waiting).into_iter().partition(|page| xen.grants.is_in_use(page));
        self.waiting = wait;
        for page in come {
            page.shared().zero(0, PAGE_SIZE);
            self.pool.put(page);
        }
        let surplus = self.pool.free().saturating_add(self.in_use).saturating_sub(self.most);
        if surplus > 0 {
            self.pool.shrink(xen, surplus);
        }
    }

    fn take<M: Machine>(&mut self, xen: &Xen<M>) -> Result<GrantedPage, NoPage> {
        self.reclaim(xen);
        let most = self.most.max(self.in_use.saturating_add(1));
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
        self.in_use = self.in_use.saturating_add(1);
        self.most = most;
        Ok(page)
    }
}

impl<M: Machine> GrantedPages for SharedPagePool<M> {
    fn granted_to(&self) -> DomId {
        self.domain
    }

    fn take(&self) -> Result<GrantedPage, NoPage> {
        self.state.borrow_mut().take(&self.xen)
    }

    fn put(&self, page: GrantedPage) {
        let mut state = self.state.borrow_mut();
        state.in_use = state.in_use.saturating_sub(1);
        state.waiting.push(page);
        state.reclaim(&self.xen);
    }
}
