//! The ledger, its accounts, and reservations.

use crate::share::{Consumer, SHARES, Share};
use alloc::rc::Rc;
use core::cell::Cell;
use core::fmt;

/// The bytes that may be reserved, and the reservations of each consumer. Clones are handles of one ledger.
#[derive(Clone, Debug)]
pub struct Ledger(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes: usize,
    /// The sum of max(used, floor) over the open accounts.
    committed: Cell<usize>,
    /// In the order of [`SHARES`].
    entries: [Entry; SHARES.len()],
}

#[derive(Debug)]
struct Entry {
    /// 0 until the account is opened.
    floor: Cell<usize>,
    limit: usize,
    used: Cell<usize>,
    peak: Cell<usize>,
    refused: Cell<u64>,
}

/// How much memory a consumer uses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The consumer's name.
    pub name: &'static str,
    /// What it can use whatever the others do; 0 if its account is not open.
    pub floor: usize,
    /// What it can use at most.
    pub limit: usize,
    /// What it uses now.
    pub used: usize,
    /// The most that it has used.
    pub peak: usize,
    /// Reservations that were refused.
    pub refused: u64,
}

/// A reservation, or an allocation, that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The consumer's name.
    pub consumer: &'static str,
    /// Bytes that it wanted in addition.
    pub wanted: usize,
    /// Bytes that it used.
    pub used: usize,
    /// Bytes that it may use.
    pub limit: usize,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consumer, wanted, used, limit } = self;
        write!(
            f,
            "no memory for {consumer}: {wanted} bytes wanted, {used} used, at most {limit}; raise memory="
        )
    }
}

impl core::error::Error for Refused {}

impl Ledger {
    /// A ledger over `bytes` of the heap.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let entries = SHARES.map(|share| Entry {
            floor: Cell::new(0),
            limit: fraction(bytes, share.limit),
            used: Cell::new(0),
            peak: Cell::new(0),
            refused: Cell::new(0),
        });
        Self(Rc::new(Inner { bytes, committed: Cell::new(0), entries }))
    }

    /// The bytes that may be reserved in all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// Opens the account of a consumer. From then on its floor is kept free for it. Opening it again gives the same
    /// account.
    #[must_use]
    pub fn open(&self, consumer: Consumer) -> Account {
        let account = Account { ledger: Rc::clone(&self.0), consumer };
        let floor = fraction(self.0.bytes, account.share().floor);
        self.0.change(account.entry(), |entry| entry.floor.set(floor));
        account
    }

    /// The usage of each consumer, in the order of [`SHARES`].
    #[must_use]
    pub fn usage(&self) -> [Usage; SHARES.len()] {
        SHARES.map(|share| {
            let entry = self.0.entry(share.consumer);
            Usage {
                name: share.name,
                floor: entry.floor.get(),
                limit: entry.limit,
                used: entry.used.get(),
                peak: entry.peak.get(),
                refused: entry.refused.get(),
            }
        })
    }
}

impl Inner {
    fn entry(&self, consumer: Consumer) -> &Entry {
        let [first, ..] = &self.entries;
        self.entries.get(consumer.index()).unwrap_or(first)
    }

    /// Changes an entry, and with it the sum of what is committed.
    fn change(&self, entry: &Entry, change: impl FnOnce(&Entry)) {
        let before = entry.committed();
        change(entry);
        let committed = self.committed.get().saturating_sub(before).saturating_add(entry.committed());
        self.committed.set(committed);
    }
}

impl Entry {
    fn committed(&self) -> usize {
        self.used.get().max(self.floor.get())
    }
}

/// `parts` 256ths of `bytes`.
fn fraction(bytes: usize, parts: u8) -> usize {
    (bytes / 256).saturating_mul(parts.into())
}

/// The account of a consumer. Cloning it is cheap; all clones are one account.
#[derive(Clone, Debug)]
pub struct Account {
    ledger: Rc<Inner>,
    consumer: Consumer,
}

impl Account {
    /// Reserves `bytes`.
    ///
    /// # Errors
    /// The consumer would exceed its limit, or use the floor of another one.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, Refused> {
        let mut reservation = Reservation::none(self);
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    /// Bytes that the consumer uses.
    #[must_use]
    pub fn used(&self) -> usize {
        self.entry().used.get()
    }

    /// Bytes that the consumer may use.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.entry().limit
    }

    /// Bytes that the consumer could reserve now.
    #[must_use]
    pub fn available(&self) -> usize {
        let entry = self.entry();
        let below_limit = entry.limit.saturating_sub(entry.used.get());
        let below_floor = entry.floor.get().saturating_sub(entry.used.get());
        let common = self.ledger.bytes.saturating_sub(self.ledger.committed.get());
        below_limit.min(common.saturating_add(below_floor))
    }

    /// Counts a refusal, and says what was refused.
    pub(crate) fn refuse(&self, wanted: usize) -> Refused {
        let entry = self.entry();
        entry.refused.set(entry.refused.get().saturating_add(1));
        Refused { consumer: self.share().name, wanted, used: entry.used.get(), limit: entry.limit }
    }

    fn share(&self) -> &'static Share {
        let [first, ..] = &SHARES;
        SHARES.get(self.consumer.index()).unwrap_or(first)
    }

    fn entry(&self) -> &Entry {
        self.ledger.entry(self.consumer)
    }

    fn set_used(&self, used: usize) {
        self.ledger.change(self.entry(), |entry| {
            entry.used.set(used);
            entry.peak.set(entry.peak.get().max(used));
        });
    }
}

/// Bytes that are reserved until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Account,
    bytes: usize,
}

impl Reservation {
    /// Without bytes, to be grown.
    #[must_use]
    pub fn none(account: &Account) -> Self {
        Self { account: account.clone(), bytes: 0 }
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reserves `more` bytes in addition.
    ///
    /// # Errors
    /// As [`Account::reserve`]; the reservation then stays as it is.
    pub fn grow(&mut self, more: usize) -> Result<(), Refused> {
        if more > self.account.available() {
            return Err(self.account.refuse(more));
        }
        self.account.set_used(self.account.used().saturating_add(more));
        self.bytes = self.bytes.saturating_add(more);
        Ok(())
    }

    /// Gives back all but `bytes`. If fewer are reserved, nothing happens.
    pub fn shrink_to(&mut self, bytes: usize) {
        let back = self.bytes.saturating_sub(bytes);
        self.account.set_used(self.account.used().saturating_sub(back));
        self.bytes = self.bytes.saturating_sub(back);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
