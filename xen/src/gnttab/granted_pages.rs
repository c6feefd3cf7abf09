//! Pages that are already granted to one other domain: a user takes them out and puts them back.
//!
//! ```text
//!   pool, which grants the pages ══ GrantedPages ══ user, such as the rings of a channel
//! ```

use crate::gnttab::GrantFailure;
use crate::ids::DomId;
use crate::memory::page::{Granted, Page, ReadWrite};
use alloc::vec::Vec;
use core::fmt;

/// A page that the other domain may read and write.
pub type GrantedPage = Page<Granted<ReadWrite>>;

/// Why there is no page for another domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareError {
    /// There is no free page.
    Memory,
    /// The page cannot be granted; it was freed.
    Grant(GrantFailure),
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPage {
    /// There is none, and no other one can be granted.
    Share(ShareError),
    /// The domain still has this many mapped that were put back. It may unmap them later.
    StillMapped(usize),
}

/// Where such pages come from.
pub trait GrantedPages {
    /// The domain that they are granted to.
    fn granted_to(&self) -> DomId;

    /// Takes a page out: zeros, but for what that domain wrote there meanwhile.
    ///
    /// # Errors
    /// There is none, and there can be no more.
    fn take(&self) -> Result<GrantedPage, NoPage>;

    /// Puts a page back. Nobody gets it before that domain has it mapped no more.
    fn put(&self, page: GrantedPage);

    /// Takes `count` pages, or none.
    ///
    /// # Errors
    /// As [`GrantedPages::take`].
    fn take_all(&self, count: usize) -> Result<Vec<GrantedPage>, NoPage> {
        let mut pages = Vec::new();
        while pages.len() < count {
            match self.take() {
                Ok(page) => pages.push(page),
                Err(error) => {
                    pages.into_iter().for_each(|page| self.put(page));
                    return Err(error);
                }
            }
        }
        Ok(pages)
    }
}

/// Not a part of the trait: it would bring the text of everything beneath into each image.
impl fmt::Debug for dyn GrantedPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantedPages({})", self.granted_to())
    }
}
