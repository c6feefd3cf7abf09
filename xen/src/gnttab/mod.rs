//! The grant table, version 1: which pages of ours which other domain may access.
//!
//! ```text
//!   Page<Private> ──grant──► entry {flags, domid, frame} in a page shared with Xen ──► Page<Granted<A>>
//!   Page<Granted<A>> ──end──► compare-exchange of the flags ──► Page<Private>, or Quarantined while in use
//! ```
//!
//! Granting and ending are writes to memory, no hypercalls. A grant that the peer still uses cannot be ended: its page
//! goes into quarantine and is never reused (XSA-396); the count has a cap, at which a device stops (CVE-2023-54081).

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::drop_non_drop,
    reason = "a test that overflows fails; what is dropped is shown to be"
)]
mod tests;

pub mod granted_pages;

use crate::Errno;
use crate::abi::grant_table::{GNTTAB_NR_RESERVED_ENTRIES, GrantFlags, offset};
use crate::counter::Counter;
use crate::hypervisor::{Hypervisor, MapSpace};
use crate::ids::{DomId, Gfn, Gref, PAGE_SIZE};
use crate::memory::page::{Access, Granted, Page, Private};
use crate::memory::shared::Shared;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

/// Why a page could not be granted. The page comes back with it.
#[derive(Debug)]
pub struct GrantError {
    /// The page, still private.
    pub page: Page<Private>,
    /// What was in the way.
    pub reason: GrantFailure,
}

/// What is in the way of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantFailure {
    /// Every entry of the table is in use; `max_grant_frames` in the domain's configuration raises the number.
    TableFull,
    /// The frame number has more than 32 bits: v1 entries cannot name it.
    FrameTooHigh,
}

impl fmt::Display for GrantFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableFull => {
                write!(f, "the grant table is full; raise max_grant_frames or make the pools smaller")
            }
            Self::FrameTooHigh => {
                write!(f, "the page lies above 16 TiB, where a version 1 grant cannot name it")
            }
        }
    }
}

/// A grant that could not be ended because the peer still uses the page. It keeps the page, until it can be ended.
#[derive(Debug)]
#[must_use = "count it against the device's cap"]
pub struct Quarantined<A>(pub Page<Granted<A>>);

/// What the table has done since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantStats {
    /// Grants issued.
    pub issued: Counter,
    /// Grants ended.
    pub ended: Counter,
    /// Grants that could not be ended, and still cannot.
    pub quarantined: u64,
    /// Entries that could still be used.
    pub free: u32,
}

/// An entry as we wrote it: what is left when the table is not.
#[derive(Clone, Copy, Debug)]
struct Record {
    to: DomId,
    frame: u32,
    flags: GrantFlags,
}

/// This domain's grant table.
#[derive(Debug)]
pub struct GrantTable {
    entries: Shared<'static>,
    gfn: Gfn,
    nr_frames: u32,
    /// The grants in force, by reference: a restored domain has an empty table.
    records: RefCell<Vec<Option<Record>>>,
    free: RefCell<Vec<u32>>,
    issued: Cell<Counter>,
    ended: Cell<Counter>,
    quarantined: Cell<u64>,
}

impl GrantTable {
    /// What Xen sets while the peer uses a page.
    const IN_USE: u16 = GrantFlags::READING.union(GrantFlags::WRITING).bits();

    /// Puts `nr_frames` frames of the table at `gfn`, mapped as `memory`, and takes them into use. The highest goes in
    /// first, so that Xen grows the table once. Entries that the toolstack filled in (console and xenstore, within the
    /// first 8) are kept.
    ///
    /// # Errors
    /// What Xen says to `XENMEM_add_to_physmap_batch`.
    ///
    /// # Safety
    /// `memory` is the mapping of the frames from `gfn` on, holds at least `nr_frames` pages, and has no other use.
    #[allow(unsafe_code, reason = "its caller gives up frames for good; see docs/soundness.md")]
    pub unsafe fn setup<H: Hypervisor>(
        hypervisor: &H,
        gfn: Gfn,
        memory: Shared<'static>,
        nr_frames: u32,
    ) -> Result<Self, Errno> {
        // SAFETY: the caller gives us the frames from `gfn` on; they have no other use, then and later.
        unsafe { hypervisor.add_to_physmap(MapSpace::GrantTable, nr_frames, gfn) }?;
        let per_frame = u32::try_from(PAGE_SIZE / offset::ENTRY_BYTES).unwrap_or_default();
        let nr_entries = nr_frames.saturating_mul(per_frame);
        // The lowest references first: the pool's entries then share cache lines.
        let free = (GNTTAB_NR_RESERVED_ENTRIES..nr_entries).rev().collect();
        Ok(Self {
            entries: memory,
            gfn,
            nr_frames,
            records: RefCell::default(),
            free: RefCell::new(free),
            issued: Cell::default(),
            ended: Cell::default(),
            quarantined: Cell::new(0),
        })
    }

    /// Puts the table back in its place after a suspend. In the same domain its entries are still there; they may be in
    /// use and are left alone. In a new domain the table is empty: the grants to dom0 are written again, and all others
    /// are void, because there another domain may have the backend's number. The owner of a void grant's page ends it and
    /// grants the page to the backend of its next connection ([`GrantTable::is_granted`]).
    ///
    /// # Errors
    /// What Xen says to `XENMEM_add_to_physmap_batch`.
    #[allow(unsafe_code, reason = "changes what is behind addresses of this domain; see docs/soundness.md")]
    pub fn resume<H: Hypervisor>(&self, hypervisor: &H) -> Result<(), Errno> {
        // SAFETY: `setup`'s caller gave us the frames; they have no other use.
        unsafe { hypervisor.add_to_physmap(MapSpace::GrantTable, self.nr_frames, self.gfn) }?;
        for (index, record) in self.records.borrow().iter().enumerate() {
            let gref = Gref(u32::try_from(index).unwrap_or(u32::MAX));
            let at = Self::entry(gref).wrapping_add(offset::FLAGS);
            let is_dom0 = |record: &Record| record.to == DomId(0);
            if let Some(record) = record.filter(is_dom0).filter(|_| self.entries.load::<u16>(at, SeqCst) == 0)
            {
                self.write(gref, record);
            }
        }
        Ok(())
    }

    /// # Ordering
    /// Domain and frame are written before the flags (release): Xen reads the flags first.
    fn write(&self, gref: Gref, record: Record) {
        let entry = Self::entry(gref);
        self.entries.store(entry.wrapping_add(offset::DOMID), record.to.0, Relaxed);
        self.entries.store(entry.wrapping_add(offset::FRAME), record.frame, Relaxed);
        self.entries.store(entry.wrapping_add(offset::FLAGS), record.flags.bits(), Release);
    }

    /// Notes what an entry is to be; the list grows with the highest reference in use.
    fn record(&self, gref: Gref, record: Option<Record>) {
        let index = usize::try_from(gref.0).unwrap_or(usize::MAX);
        let mut records = self.records.borrow_mut();
        if index >= records.len() {
            records.resize(index.saturating_add(1), None);
        }
        if let Some(entry) = records.get_mut(index) {
            *entry = record;
        }
    }

    const fn entry(gref: Gref) -> usize {
        #[allow(clippy::as_conversions, reason = "u32 to usize in a const fn; 64-bit only")]
        let index = gref.0 as usize;
        index.wrapping_mul(offset::ENTRY_BYTES)
    }

    /// Grants `to` access to a page.
    ///
    /// # Errors
    /// The page and the reason, when there is no free entry.
    pub fn grant<A: Access>(&self, page: Page<Private>, to: DomId) -> Result<Page<Granted<A>>, GrantError> {
        let Ok(frame) = u32::try_from(page.gfn().0) else {
            return Err(GrantError { page, reason: GrantFailure::FrameTooHigh });
        };
        let Some(gref) = self.free.borrow_mut().pop().map(Gref) else {
            return Err(GrantError { page, reason: GrantFailure::TableFull });
        };
        let readonly = if A::READ_ONLY { GrantFlags::READONLY } else { GrantFlags::empty() };
        let record = Record { to, frame, flags: GrantFlags::PERMIT_ACCESS.union(readonly) };
        self.record(gref, Some(record));
        self.write(gref, record);
        Counter::bump_in(&self.issued);
        Ok(page.into_granted(gref))
    }

    /// Ends a grant: one compare-exchange that fails while the peer has the page mapped or copies to it.
    ///
    /// # Errors
    /// The page in quarantine, when the peer still uses it.
    pub fn end<A: Access>(&self, page: Page<Granted<A>>) -> Result<Page<Private>, Quarantined<A>> {
        let ended = self.try_end(page);
        if ended.is_err() {
            self.quarantined.set(self.quarantined.get().saturating_add(1));
        }
        ended
    }

    /// Tries again to end a grant that could not be ended before: if it can be now, one page less is in quarantine.
    ///
    /// # Errors
    /// The page, still in quarantine.
    pub fn end_again<A: Access>(
        &self,
        Quarantined(page): Quarantined<A>,
    ) -> Result<Page<Private>, Quarantined<A>> {
        let ended = self.try_end(page);
        if ended.is_ok() {
            self.quarantined.set(self.quarantined.get().saturating_sub(1));
        }
        ended
    }

    /// Whether the table has the grant of a page. It has not after a resume in a new domain, unless dom0 is the peer.
    #[must_use]
    pub fn is_granted<A: Access>(&self, page: &Page<Granted<A>>) -> bool {
        self.entries.load::<u16>(Self::entry(page.gref()).wrapping_add(offset::FLAGS), SeqCst) != 0
    }

    /// Whether the peer has a page mapped, or copies to or from it, at this moment.
    #[must_use]
    pub fn is_in_use<A: Access>(&self, page: &Page<Granted<A>>) -> bool {
        let flags = self.entries.load::<u16>(Self::entry(page.gref()).wrapping_add(offset::FLAGS), SeqCst);
        flags & Self::IN_USE != 0
    }

    fn try_end<A: Access>(&self, page: Page<Granted<A>>) -> Result<Page<Private>, Quarantined<A>> {
        let at = Self::entry(page.gref()).wrapping_add(offset::FLAGS);
        let mut flags = self.entries.load::<u16>(at, SeqCst);
        loop {
            if flags & Self::IN_USE != 0 {
                return Err(Quarantined(page));
            }
            match self.entries.compare_exchange::<u16>(at, flags, 0) {
                Ok(_) => break,
                Err(found) => flags = found,
            }
        }
        self.record(page.gref(), None);
        self.free.borrow_mut().push(page.gref().0);
        Counter::bump_in(&self.ended);
        Ok(page.into_private())
    }

    /// What the table has done since boot.
    #[must_use]
    pub fn stats(&self) -> GrantStats {
        GrantStats {
            issued: self.issued.get(),
            ended: self.ended.get(),
            quarantined: self.quarantined.get(),
            free: u32::try_from(self.free.borrow().len()).unwrap_or(u32::MAX),
        }
    }
}
