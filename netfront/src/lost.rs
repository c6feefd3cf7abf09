//! Pages of rings and strips that a backend did not let go of, and what becomes of them.
//!
//! ```text
//!   end of grant refused ─► kept here, and counted against the cap ─► tried again: before each connection, and by time
//!                                          ▲                          │ still in use
//!                                          └──────── later and later ─┤
//!                                                                     └ not any more: grant ended, the page is freed
//! ```
//!
//! A driver domain that is destroyed goes from xenstore before Xen has taken its mappings from it: its rings are in use
//! for some seconds more. Whether a grant is in use is for Xen to say and not for the backend, so that a page which comes
//! back here is as private as any. No frame was ever in a ring, and those of a strip are cleared by who gets the page.

use crate::rx::RxPage;
use crate::strip;
use alloc::vec::Vec;
use xen::{Access, Granted, Machine, Page, SystemTime, Xen};

/// Nanoseconds before the first new try; doubled each time, up to [`LONGEST`].
const FIRST: u64 = 1_000_000_000;
const LONGEST: u64 = 64_000_000_000;

/// The pages, and when they are tried again.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    rings: Vec<RxPage>,
    strip: strip::Lost,
    pause: u64,
    next: Option<SystemTime>,
}

impl Lost {
    /// Keeps pages of rings.
    pub(crate) fn keep_rings(&mut self, pages: impl IntoIterator<Item = RxPage>) {
        self.rings.extend(pages);
        self.pause = 0;
        self.next = None;
    }

    /// Keeps pages of a strip.
    pub(crate) fn keep_strip(&mut self, pages: strip::Lost) {
        self.strip.extend(pages);
        self.pause = 0;
        self.next = None;
    }

    /// How many pages there are.
    pub(crate) const fn len(&self) -> usize {
        self.rings.len().saturating_add(self.strip.len())
    }

    /// Those of a strip.
    pub(crate) const fn of_strip(&self) -> usize {
        self.strip.len()
    }

    /// Tries again to end every grant; how many pages of rings came back.
    pub(crate) fn retry<M: Machine>(&mut self, xen: &Xen<M>) -> usize {
        again(xen, &mut self.strip);
        again(xen, &mut self.rings)
    }

    /// The same, if the time has come; when it comes next, if there is anything left.
    pub(crate) fn tend<M: Machine>(&mut self, xen: &Xen<M>, now: SystemTime) -> (usize, Option<SystemTime>) {
        if self.len() == 0 {
            return (0, None);
        }
        let mut back = 0;
        match self.next {
            Some(next) if now < next => return (0, Some(next)),
            Some(_) => back = self.retry(xen),
            None => {}
        }
        self.pause = self.pause.saturating_mul(2).clamp(FIRST, LONGEST);
        self.next = (self.len() > 0).then(|| now.after(self.pause));
        (back, self.next)
    }
}

/// Tries again to end these grants; how many went.
fn again<M: Machine, A: Access>(xen: &Xen<M>, pages: &mut Vec<Page<Granted<A>>>) -> usize {
    let before = pages.len();
    *pages = core::mem::take(pages).into_iter().filter_map(|page| xen.take_back_again(page)).collect();
    before.saturating_sub(pages.len())
}
