//! Memory of a part of the stack, reserved from the ledger in steps.
//!
//! ```text
//!   Account ──8 KiB at a time──► reservation ┌──── used ────┬─ free here ─┐ ─── available in the account ───►
//! ```
//!
//! Only a new step asks the ledger. Taking and returning bytes within a step is an addition.

use ledger::{Account, Reservation};

/// Bytes of one step.
const STEP: usize = 8 * 1024;

/// The use of an account.
#[derive(Debug)]
pub(crate) struct Budget {
    account: Account,
    reservation: Reservation,
    used: usize,
}

impl Budget {
    /// An account without use.
    pub(crate) fn new(account: Account) -> Self {
        let reservation = Reservation::none(&account);
        Self { account, reservation, used: 0 }
    }

    /// Bytes that the account may use at most.
    pub(crate) fn limit(&self) -> usize {
        self.account.limit()
    }

    /// Bytes that can be taken now.
    pub(crate) fn free(&self) -> usize {
        let reserved = self.reservation.bytes();
        reserved.saturating_add(self.account.available()).saturating_sub(self.used)
    }

    /// Bytes in use that are not reserved: the overdraft.
    pub(crate) fn overdraft(&self) -> usize {
        self.used.saturating_sub(self.reservation.bytes())
    }

    /// Takes bytes. Fails if the ledger refuses them.
    #[must_use]
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let reserved = self.cover(self.used.saturating_add(bytes));
        if reserved {
            self.used = self.used.saturating_add(bytes);
        }
        reserved
    }

    /// Counts memory that is allocated already. The part that cannot be reserved is an overdraft.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
        self.cover(self.used);
    }

    /// Returns bytes.
    pub(crate) fn give(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
        let kept = self.used.div_ceil(STEP).saturating_mul(STEP);
        if self.used == 0 || kept.saturating_add(STEP) < self.reservation.bytes() {
            self.reservation.shrink_to(kept);
        }
    }

    /// Whether `bytes` bytes are reserved; reserves another step if necessary.
    fn cover(&mut self, bytes: usize) -> bool {
        let missing = bytes.saturating_sub(self.reservation.bytes());
        missing == 0
            || (missing < STEP && STEP <= self.account.available() && self.reservation.grow(STEP).is_ok())
            || self.reservation.grow(missing).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Consumer, Ledger};

    #[test]
    fn all_of_the_account_can_be_taken_and_comes_back() {
        let ledger = Ledger::new(256 * 1000);
        let account = ledger.open(Consumer::Udp);
        let (mut budget, limit) = (Budget::new(account.clone()), account.limit());
        let mut taken = 0;
        while budget.take(100) {
            taken += 100;
            assert!(account.used() >= taken && account.used() <= taken + STEP);
        }
        assert!(taken > limit - 100 && budget.free() < 100, "{taken} of {limit}");
        budget.add(1000);
        assert!(budget.overdraft() > 900 && !budget.take(1) && account.used() <= limit);
        budget.give(1000);
        assert_eq!(budget.overdraft(), 0);
        budget.give(taken - 100);
        assert_eq!(account.used(), STEP);
        budget.give(100);
        assert_eq!((account.used(), budget.free()), (0, limit));
    }

    #[test]
    fn a_change_within_a_step_does_not_touch_the_ledger() {
        let ledger = Ledger::new(1 << 20);
        let mut budget = Budget::new(ledger.open(Consumer::Tcp));
        assert!(budget.take(300));
        for _ in 0..10 {
            assert!(budget.take(5000));
            assert_eq!(ledger.usage()[0].used, STEP);
            budget.give(5000);
        }
    }
}
