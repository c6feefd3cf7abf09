//! The grant table as Xen reads it: version 1 entries, in the guest's own pages.
//!
//! ```text
//!   peer: map or copy ─► entry {flags, domid, frame} ─ permit_access? for this domain? writable? ─► set reading/writing
//!                                                                                                  │ compare-exchange
//!         page of the guest ◄─ the frame that was read then, kept in the active entry ◄────────────┘
//!   unmap: last user gone ─► clear reading/writing
//! ```
//!
//! After `_set_status_v1`, `map_grant_ref` and `acquire_grant_for_copy` of `xen/common/grant_table.c`, 4.17.

use crate::domain::Domain;
use crate::memory::HIDDEN;
use std::sync::atomic::Ordering::SeqCst;
use xen::abi::grant_table::{
    GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE, GrantFlags, GrantStatus, offset,
};
use xen::ids::PAGE_SIZE;
use xen::{DomId, Errno, Gfn, Gref, Shared};

/// Entries in a frame of the table.
pub(crate) const ENTRIES_PER_FRAME: u32 = (PAGE_SIZE / offset::ENTRY_BYTES) as u32;

/// A grant in use. The frame is the one that was valid at first use: Xen does not look again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    pub(crate) by: DomId,
    pub(crate) frame: Gfn,
    readers: u32,
    writers: u32,
}

/// An entry that permits access, for scans and checks at the end of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedFrame {
    /// Its reference.
    pub gref: Gref,
    /// The domain that may access it.
    pub to: DomId,
    /// The frame.
    pub gfn: Gfn,
    /// Whether only to read.
    pub read_only: bool,
}

impl Domain {
    /// The shared word-addressed view of an entry, and its offset in the page.
    fn grant_entry(&self, gref: Gref) -> Option<(Shared<'_>, usize)> {
        let frames = self.grant_frames.borrow();
        let gfn = *frames.get((gref.0 / ENTRIES_PER_FRAME) as usize)?;
        let at = (gref.0 % ENTRIES_PER_FRAME) as usize * offset::ENTRY_BYTES;
        Some((self.memory.view(gfn)?, at))
    }

    /// The toolstack's entries before the guest starts: access to the console and xenstore rings for dom0.
    pub(crate) fn seed_reserved_grants(&self, console: Gfn, xenstore: Gfn) {
        for (gref, gfn) in [(GNTTAB_RESERVED_CONSOLE, console), (GNTTAB_RESERVED_XENSTORE, xenstore)] {
            let (page, at) = self.grant_entry(Gref(gref)).expect("the first frame of the table");
            page.store::<u16>(at + offset::DOMID, 0, SeqCst);
            page.store::<u32>(at + offset::FRAME, gfn.0 as u32, SeqCst);
            page.store::<u16>(at + offset::FLAGS, GrantFlags::PERMIT_ACCESS.bits(), SeqCst);
        }
    }

    /// `XENMEM_add_to_physmap` of a grant frame: the table grows to that frame.
    pub(crate) fn place_grant_frame(&self, index: u64, gfn: Gfn) -> Result<(), Errno> {
        let index = u32::try_from(index).map_err(|_| Errno::EINVAL)?;
        if index >= self.max_grant_frames {
            return Err(Errno::EINVAL);
        }
        let mut frames = self.grant_frames.borrow_mut();
        while frames.len() <= index as usize {
            let hidden = Gfn(HIDDEN + 1 + frames.len() as u64);
            frames.push(hidden);
        }
        self.memory.move_frame(frames[index as usize], gfn).ok_or(Errno::EINVAL)?;
        frames[index as usize] = gfn;
        Ok(())
    }

    /// Begins a use of a grant by another domain.
    pub(crate) fn use_grant(&self, gref: Gref, by: DomId, write: bool) -> Result<Gfn, GrantStatus> {
        let (page, at) = self.grant_entry(gref).ok_or(GrantStatus::BadGntref)?;
        let mut active = self.active_grants.borrow_mut();
        let mut want = GrantFlags::READING;
        want.set(GrantFlags::WRITING, write);
        loop {
            let raw = page.load::<u16>(at + offset::FLAGS, SeqCst);
            let flags = GrantFlags::from_bits_retain(raw);
            let domid = page.load::<u16>(at + offset::DOMID, SeqCst);
            if flags & GrantFlags::TYPE_MASK != GrantFlags::PERMIT_ACCESS || domid != by.0 {
                return Err(GrantStatus::GeneralError);
            }
            if write && flags.contains(GrantFlags::READONLY) {
                return Err(GrantStatus::GeneralError);
            }
            if page.compare_exchange::<u16>(at + offset::FLAGS, raw, (flags | want).bits()).is_ok() {
                break;
            }
        }
        let frame = Gfn(u64::from(page.load::<u32>(at + offset::FRAME, SeqCst)));
        let entry = active.entry(gref.0).or_insert(Active { by, frame, readers: 0, writers: 0 });
        if entry.by != by || !self.memory.is_in_use(entry.frame) {
            let idle = entry.readers + entry.writers == 0;
            if idle {
                active.remove(&gref.0);
                page.fetch_and::<u16>(
                    at + offset::FLAGS,
                    !(GrantFlags::READING | GrantFlags::WRITING).bits(),
                );
            }
            return Err(GrantStatus::BadPage);
        }
        if write {
            entry.writers += 1;
        } else {
            entry.readers += 1;
        }
        Ok(entry.frame)
    }

    /// Ends a use; clears the flags that no user is left for.
    pub(crate) fn end_grant_use(&self, gref: Gref, write: bool) {
        let mut active = self.active_grants.borrow_mut();
        let entry = active.get_mut(&gref.0).expect("a grant in use");
        if write {
            entry.writers -= 1;
        } else {
            entry.readers -= 1;
        }
        let mut clear = GrantFlags::empty();
        clear.set(GrantFlags::WRITING, entry.writers == 0);
        clear.set(GrantFlags::READING, entry.writers + entry.readers == 0);
        if entry.writers + entry.readers == 0 {
            active.remove(&gref.0);
        }
        if let Some((page, at)) = self.grant_entry(gref) {
            page.fetch_and::<u16>(at + offset::FLAGS, !clear.bits());
        }
    }

    /// Every entry that permits access, in the order of references.
    pub(crate) fn granted(&self) -> Vec<GrantedFrame> {
        let mut granted = Vec::new();
        self.each_granted(|entry| granted.push(entry));
        granted
    }

    /// Runs something with every entry that permits access.
    fn each_granted(&self, mut see: impl FnMut(GrantedFrame)) {
        for (gfn, first) in self.grant_frames.borrow().iter().zip((0..).step_by(ENTRIES_PER_FRAME as usize)) {
            let page = self.memory.view(*gfn).expect("a frame of the grant table");
            for at in 0..ENTRIES_PER_FRAME {
                if let Some((to, gfn, read_only)) = entry_at(&page, at as usize * offset::ENTRY_BYTES) {
                    see(GrantedFrame { gref: Gref(first + at), to, gfn, read_only });
                }
            }
        }
    }

    /// The domain that can still access a frame: freeing the frame would be a leak.
    pub(crate) fn who_reaches(&self, gfn: Gfn) -> Option<String> {
        let mut granted = None;
        self.each_granted(|entry| {
            if entry.gfn == gfn {
                granted = Some(entry);
            }
        });
        if let Some(entry) = granted {
            return Some(format!("it is granted to domain {} as {}", entry.to, entry.gref));
        }
        let active = self.active_grants.borrow();
        let user = active.iter().find(|(_, entry)| entry.frame == gfn)?;
        Some(format!("domain {} still uses it as {}", user.1.by, user.0))
    }
}

/// The entry at an offset of a page of the table, if it permits access: to whom, to what, and whether only to read.
fn entry_at(page: &Shared<'_>, at: usize) -> Option<(DomId, Gfn, bool)> {
    let flags = GrantFlags::from_bits_retain(page.load::<u16>(at + offset::FLAGS, SeqCst));
    if flags & GrantFlags::TYPE_MASK != GrantFlags::PERMIT_ACCESS {
        return None;
    }
    let to = DomId(page.load::<u16>(at + offset::DOMID, SeqCst));
    let gfn = Gfn(u64::from(page.load::<u32>(at + offset::FRAME, SeqCst)));
    Some((to, gfn, flags.contains(GrantFlags::READONLY)))
}

#[cfg(test)]
mod tests {
    use crate::Sim;
    use xen::hypervisor::Memory as _;
    use xen::{DomId, ReadWrite};

    #[test]
    fn a_page_is_reached_while_it_is_granted_or_used() {
        let machine = Sim::builder().memory_pages(16).build();
        let xen = machine.xen();
        let (guest, dom0) = (machine.guest(), machine.peer(DomId(0)));
        let page = guest.alloc_page().unwrap();
        let gfn = page.gfn();
        assert_eq!(guest.domain().who_reaches(gfn), None);
        let page = xen.grants.grant::<ReadWrite>(page, DomId(0)).unwrap();
        assert!(guest.domain().who_reaches(gfn).unwrap().contains("granted to domain 0"));
        let map = dom0.map(guest.id(), page.gref(), true).unwrap();
        // An entry that is overwritten while it is in use hides nothing: Xen's active entry still has the page.
        let (entries, at) = guest.domain().grant_entry(page.gref()).unwrap();
        entries.zero(at, 8);
        assert!(guest.domain().who_reaches(gfn).unwrap().contains("still uses it"));
        drop(map);
        assert_eq!(guest.domain().who_reaches(gfn), None);
    }
}
