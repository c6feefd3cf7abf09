//! Which pages of a pool the backend keeps mapped: a bit for each grant reference.
//!
//! ```text
//!   granted ─► in the books ─► told to the backend: mapped ─► told again: not mapped ─► the grant can end
//! ```
//!
//! Looked at when pages are mapped, or are to go; never on a packet's way.

use alloc::vec::Vec;
use xen::Gref;

/// A set of grant references.
#[derive(Debug, Default)]
struct GrefSet {
    words: Vec<u64>,
    len: usize,
}

impl GrefSet {
    /// Word and bit of a reference.
    fn position(gref: Gref) -> (usize, u64) {
        (usize::try_from(gref.0 / 64).unwrap_or(usize::MAX), 1 << (gref.0 % 64))
    }

    fn contains(&self, gref: Gref) -> bool {
        let (word, bit) = Self::position(gref);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Without memory for it, the reference is left out.
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

/// The pages of a pool, by their references.
#[derive(Debug, Default)]
pub(crate) struct Books {
    all: GrefSet,
    mapped: GrefSet,
}

impl Books {
    /// A page is granted.
    pub(crate) fn enter(&mut self, gref: Gref) {
        self.all.insert(gref);
    }

    /// A page's grant has ended, or cannot be ended.
    pub(crate) fn leave(&mut self, gref: Gref) {
        self.all.remove(gref);
        self.mapped.remove(gref);
    }

    /// Pages that there are, and those that the backend keeps mapped.
    pub(crate) const fn pages(&self) -> usize {
        self.all.len
    }

    /// See [`Self::pages`].
    pub(crate) const fn mapped(&self) -> usize {
        self.mapped.len
    }

    /// Whether the backend keeps a page mapped.
    pub(crate) fn is_mapped(&self, gref: Gref) -> bool {
        self.mapped.contains(gref)
    }

    /// Up to so many pages that the backend does not keep mapped.
    pub(crate) fn not_mapped(&self, most: usize) -> Vec<Gref> {
        if self.mapped.len >= self.all.len {
            return Vec::new();
        }
        self.all.iter().filter(|gref| !self.mapped.contains(*gref)).take(most).collect()
    }

    /// Up to so many that it does.
    pub(crate) fn all_mapped(&self, most: usize) -> Vec<Gref> {
        self.mapped.iter().take(most).collect()
    }

    /// The backend maps these from now on, or not any more. One that has left meanwhile stays away.
    pub(crate) fn mark(&mut self, grefs: &[Gref], mapped: bool) {
        for gref in grefs.iter().filter(|gref| self.all.contains(**gref)) {
            if mapped {
                self.mapped.insert(*gref);
            } else {
                self.mapped.remove(*gref);
            }
        }
    }

    /// The backend has gone, and its mappings with it.
    pub(crate) fn forget_mapped(&mut self) {
        self.mapped = GrefSet::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_mapped_while_it_is_there_and_the_backend_was_told_so() {
        let mut books = Books::default();
        for gref in [8, 9, 63, 64, 700] {
            books.enter(Gref(gref));
            books.enter(Gref(gref));
        }
        assert_eq!((books.pages(), books.mapped()), (5, 0));
        assert_eq!(books.not_mapped(3), [8, 9, 63].map(Gref));
        books.mark(&[Gref(63), Gref(700), Gref(5)], true);
        assert_eq!((books.pages(), books.mapped()), (5, 2));
        assert_eq!(books.not_mapped(9), [8, 9, 64].map(Gref));
        assert_eq!(books.all_mapped(9), [63, 700].map(Gref));
        books.leave(Gref(63));
        books.mark(&[Gref(63)], true);
        assert!(!books.is_mapped(Gref(63)) && books.is_mapped(Gref(700)));
        books.mark(&[Gref(700)], false);
        assert_eq!((books.pages(), books.mapped()), (4, 0));
        books.mark(&[Gref(8)], true);
        books.forget_mapped();
        assert_eq!((books.pages(), books.mapped()), (4, 0));
    }
}
