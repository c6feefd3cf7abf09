//! The quarantine: pages of rings and contiguous buffers that a backend still uses after the connection.
//!
//! ```text
//!   end of grant refused ─► kept here, counted against the limit ─► tried again: before each connection, and by time
//!                                          ▲                          │ still in use
//!                                          └─── after 1, 2, 4 … 60 s ─┤
//!                                                                     └ else: grant ended, page freed
//! ```
//!
//! When a driver domain is destroyed, it leaves xenstore before Xen has removed its mappings: its rings are in use for
//! some seconds more. Xen says whether a grant is in use, not the backend, so a page that comes back is private. Rings
//! hold no frames, and the pages of a buffer are cleared by their next user.

use alloc::vec::Vec;
use pool::contiguous::InUse;
use xen::backoff::Backoff;
use xen::{Access, Granted, GrantedPage, Machine, Page, SystemTime, Xen};

/// The quarantined pages, and the time of the next retry.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    rings: Vec<GrantedPage>,
    contiguous: InUse,
    backoff: Backoff<()>,
    next: Option<SystemTime>,
}

impl Quarantine {
    /// Keeps pages of rings.
    pub(super) fn keep_rings(&mut self, pages: impl IntoIterator<Item = GrantedPage>) {
        self.rings.extend(pages);
        self.backoff.reset();
        self.next = None;
    }

    /// Keeps pages of a contiguous buffer.
    pub(super) fn keep_contiguous(&mut self, pages: InUse) {
        self.contiguous.extend(pages);
        self.backoff.reset();
        self.next = None;
    }

    /// The number of pages.
    pub(super) const fn len(&self) -> usize {
        self.rings.len().saturating_add(self.contiguous.len())
    }

    /// The number of pages of contiguous buffers.
    pub(super) const fn contiguous_len(&self) -> usize {
        self.contiguous.len()
    }

    /// Tries to end every grant. Returns the number of ring pages that came back.
    pub(super) fn retry<M: Machine>(&mut self, xen: &Xen<M>) -> usize {
        retry(xen, &mut self.contiguous);
        retry(xen, &mut self.rings)
    }

    /// As [`Quarantine::retry`], when it is due. Returns the time of the next retry too, if pages are left.
    pub(super) fn poll<M: Machine>(&mut self, xen: &Xen<M>, now: SystemTime) -> (usize, Option<SystemTime>) {
        if self.len() == 0 {
            return (0, None);
        }
        let mut back = 0;
        match self.next {
            Some(next) if now < next => return (0, Some(next)),
            Some(_) => back = self.retry(xen),
            None => {}
        }
        self.next = (self.len() > 0).then(|| now.after(self.backoff.failed(()).ns));
        (back, self.next)
    }
}

/// Tries to end these grants. Returns the number of pages that came back.
fn retry<M: Machine, A: Access>(xen: &Xen<M>, pages: &mut Vec<Page<Granted<A>>>) -> usize {
    let before = pages.len();
    *pages = core::mem::take(pages).into_iter().filter_map(|page| xen.take_back_again(page)).collect();
    before.saturating_sub(pages.len())
}
