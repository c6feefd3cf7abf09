//! Sets of grant references: the pages of a pool, and those of them that the backend keeps mapped.
//!
//! ```text
//!   granted ─► insert ─► the backend maps it: mark(mapped) ─► the backend unmaps it: mark(not mapped) ─► remove
//!   word  gref / 64 │ bit  gref % 64
//! ```
//!
//! A set has a bit for each reference. It is used when pages are mapped or freed, not for each packet.

use alloc::vec::Vec;
use xen::Gref;

/// A set of grant references.
#[derive(Debug, Default)]
struct GrefSet {
    words: Vec<u64>,
    len: usize,
}

impl GrefSet {
    /// The word and the bit of a reference.
    fn position(gref: Gref) -> (usize, u64) {
        (usize::try_from(gref.0 / 64).unwrap_or(usize::MAX), 1 << (gref.0 % 64))
    }

    fn contains(&self, gref: Gref) -> bool {
        let (word, bit) = Self::position(gref);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds a reference. Without memory for it, the set stays as it is.
    fn insert(&mut self, gref: Gref) {
        let (word, bit) = Self::position(gref);
        if word >= self.words.len() {
            let wanted = word.saturating_add(1);
            if self.words.try_reserve(wanted.saturating_sub(self.words.len())).is_err() {
                return;
            }
            self.words.resize(wanted, 0);
        }
        if let Some(bits) = self.words.get_mut(word).filter(|bits| **bits & bit == 0) {
            *bits |= bit;
            self.len = self.len.saturating_add(1);
        }
    }

    fn remove(&mut self, gref: Gref) {
        let (word, bit) = Self::position(gref);
        if let Some(bits) = self.words.get_mut(word).filter(|bits| **bits & bit != 0) {
            *bits &= !bit;
            self.len = self.len.saturating_sub(1);
        }
    }

    fn iter(&self) -> impl Iterator<Item = Gref> + '_ {
        (0_u32..).step_by(64).zip(&self.words).flat_map(|(first, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| Gref(first.saturating_add(bit)))
        })
    }
}

/// The grant references of a pool's pages, and which of them the backend keeps mapped.
#[derive(Debug, Default)]
pub struct GrefAccounts {
    all: GrefSet,
    mapped: GrefSet,
}

impl GrefAccounts {
    /// Adds a page that was granted.
    pub fn insert(&mut self, gref: Gref) {
        self.all.insert(gref);
    }

    /// Removes a page whose grant has ended, or cannot be ended.
    pub fn remove(&mut self, gref: Gref) {
        self.all.remove(gref);
        self.mapped.remove(gref);
    }

    /// The number of pages.
    #[must_use]
    pub const fn pages(&self) -> usize {
        self.all.len
    }

    /// The number of pages that the backend keeps mapped.
    #[must_use]
    pub const fn mapped(&self) -> usize {
        self.mapped.len
    }

    /// Whether the backend keeps this page mapped.
    #[must_use]
    pub fn is_mapped(&self, gref: Gref) -> bool {
        self.mapped.contains(gref)
    }

    /// Up to `most` pages that the backend does not keep mapped.
    #[must_use]
    pub fn list_unmapped(&self, most: usize) -> Vec<Gref> {
        if self.mapped.len >= self.all.len {
            return Vec::new();
        }
        self.all.iter().filter(|gref| !self.mapped.contains(*gref)).take(most).collect()
    }

    /// Up to `most` pages that the backend keeps mapped.
    #[must_use]
    pub fn list_mapped(&self, most: usize) -> Vec<Gref> {
        self.mapped.iter().take(most).collect()
    }

    /// Notes that the backend has mapped these pages (`mapped`) or unmapped them. References that are not in the set are
    /// ignored.
    pub fn mark(&mut self, grefs: &[Gref], mapped: bool) {
        for gref in grefs.iter().filter(|gref| self.all.contains(**gref)) {
            if mapped {
                self.mapped.insert(*gref);
            } else {
                self.mapped.remove(*gref);
            }
        }
    }

    /// Forgets all mappings, at the end of a connection.
    pub fn forget_mapped(&mut self) {
        self.mapped = GrefSet::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_set_can_be_mapped() {
        let mut accounts = GrefAccounts::default();
        for gref in [8, 9, 63, 64, 700] {
            accounts.insert(Gref(gref));
            accounts.insert(Gref(gref));
        }
        assert_eq!((accounts.pages(), accounts.mapped()), (5, 0));
        assert_eq!(accounts.list_unmapped(3), [8, 9, 63].map(Gref));
        accounts.mark(&[Gref(63), Gref(700), Gref(5)], true);
        assert_eq!((accounts.pages(), accounts.mapped()), (5, 2));
        assert_eq!(accounts.list_unmapped(9), [8, 9, 64].map(Gref));
        assert_eq!(accounts.list_mapped(9), [63, 700].map(Gref));
        accounts.remove(Gref(63));
        // One that is not in the set, beside others in its word.
        accounts.remove(Gref(10));
        accounts.mark(&[Gref(63)], true);
        assert!(!accounts.is_mapped(Gref(63)) && accounts.is_mapped(Gref(700)));
        accounts.mark(&[Gref(700)], false);
        assert_eq!((accounts.pages(), accounts.mapped()), (4, 0));
        accounts.mark(&[Gref(8)], true);
        accounts.forget_mapped();
        assert_eq!((accounts.pages(), accounts.mapped()), (4, 0));
    }
}
