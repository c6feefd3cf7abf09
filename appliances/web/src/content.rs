//! Bytes within a budget: what comes, what is published, and what somebody still reads of what was.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

/// So many bytes at most, whoever has them.
#[derive(Debug, PartialEq, Eq)]
pub struct Budget {
    limit: usize,
    used: Cell<usize>,
}

impl Budget {
    /// A budget of which nothing is used.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, used: Cell::new(0) }
    }

    /// What there is in all.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// What is used.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used.get()
    }
}

/// Bytes that count until the last one who reads them is done.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    bytes: Vec<u8>,
    /// What of the budget is ours.
    taken: usize,
    budget: Rc<Budget>,
}

impl Content {
    /// No bytes.
    #[must_use]
    pub fn new(budget: &Rc<Budget>) -> Self {
        Self { bytes: Vec::new(), taken: 0, budget: Rc::clone(budget) }
    }

    /// Makes room for so many more; `false` if budget or memory do not have it.
    #[must_use]
    pub fn reserve(&mut self, more: usize) -> bool {
        let used = self.budget.used().checked_add(more).filter(|used| *used <= self.budget.limit);
        let Some(used) = used else { return false };
        // Parts grow by doubling, or each would move all before it; what is whole takes what it needs.
        let is_part = !self.bytes.is_empty();
        let got = if is_part { self.bytes.try_reserve(more) } else { self.bytes.try_reserve_exact(more) };
        if got.is_ok() {
            self.budget.used.set(used);
            self.taken = self.taken.saturating_add(more);
        }
        got.is_ok()
    }

    /// Adds bytes, no more than room was made for.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets what is beyond `len`, and gives its room back.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.give_back(self.taken.saturating_sub(len));
    }

    fn give_back(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_sub(bytes);
        self.budget.used.set(self.budget.used().saturating_sub(bytes));
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_once_and_never_taken_beyond_the_limit() {
        let budget = Rc::new(Budget::new(10));
        let mut one = Content::new(&budget);
        assert!(one.reserve(4) && !one.reserve(7) && !one.reserve(usize::MAX));
        one.extend(b"abcd");
        let mut other = Content::new(&budget);
        assert!(other.reserve(6) && !other.reserve(1));
        assert_eq!(budget.used(), 10);
        drop(other);
        assert!(one.reserve(3));
        one.extend(b"efg");
        one.truncate(4);
        assert_eq!((one.bytes(), budget.used()), (b"abcd".as_slice(), 4));
        drop(one);
        assert_eq!((budget.used(), budget.limit()), (0, 10));
    }
}
