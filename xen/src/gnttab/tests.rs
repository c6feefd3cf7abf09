//! The table after a suspend: a new one in a new domain, the old one in the same domain.

use super::{GrantTable, Quarantined};
use crate::Errno;
use crate::hypervisor::MapSpace;
use crate::ids::{DomId, Gfn, Gref, PAGE_SIZE};
use crate::memory::page::{Page, Private, ReadOnly, ReadWrite};
use crate::memory::shared::Shared;
use crate::tests::{TestXen, page};
use alloc::alloc::alloc_zeroed;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::SeqCst;

const DOM0: DomId = DomId(0);
/// Flags as `grant_table.h` has them: `GTF_permit_access`, `GTF_readonly`, `GTF_reading`.
const PERMIT: u16 = 1;
const READONLY: u16 = 4;
const READING: u16 = 8;

/// A page of its own, which the domain calls frame `gfn`.
fn private(gfn: u64) -> Page<Private> {
    let layout = Layout::from_size_align(PAGE_SIZE, PAGE_SIZE).unwrap();
    #[allow(unsafe_code, reason = "a test needs memory of its own")]
    // SAFETY: the layout is not of size 0.
    let base = unsafe { alloc_zeroed(layout) };
    #[allow(unsafe_code, reason = "a test needs memory of its own")]
    // SAFETY: a whole page, aligned and never freed, so ours alone.
    unsafe {
        Page::from_raw(NonNull::new(base).unwrap(), Gfn(gfn))
    }
}

fn table(xen: &TestXen, memory: Shared<'static>) -> GrantTable {
    #[allow(unsafe_code, reason = "a test plays the machine")]
    // SAFETY: the page is used by this table alone.
    unsafe { GrantTable::setup(xen, Gfn(0x100), memory, 1) }.unwrap()
}

/// Flags, domain and frame of an entry, as Xen reads them.
fn entry(memory: Shared<'static>, gref: Gref) -> (u16, u16, u32) {
    let at = usize::try_from(gref.0).unwrap() * 8;
    (memory.load(at, SeqCst), memory.load(at + 2, SeqCst), memory.load(at + 4, SeqCst))
}

/// What a new domain finds: an empty table with the toolstack's two entries.
fn renew(memory: Shared<'static>) {
    for word in 0..512 {
        memory.store(word * 8, 0_u64, SeqCst);
    }
    memory.store(0, u64::from(PERMIT), SeqCst);
    memory.store(8, u64::from(PERMIT), SeqCst);
}

#[test]
fn a_new_domain_gets_only_the_grants_to_dom0() {
    let (xen, memory) = (TestXen::default(), page());
    renew(memory);
    let grants = table(&xen, memory);
    let first = grants.grant::<ReadWrite>(private(0x55), DOM0).unwrap();
    let ended = grants.grant::<ReadWrite>(private(0x56), DOM0).unwrap();
    let third = grants.grant::<ReadOnly>(private(0x57), DomId(9)).unwrap();
    let gone = ended.gref();
    drop(grants.end(ended).unwrap());
    let stats = grants.stats();

    renew(memory);
    xen.frames.borrow_mut().clear();
    grants.resume(&xen).unwrap();
    assert_eq!(*xen.frames.borrow(), [(MapSpace::GrantTable, 1, Gfn(0x100))]);
    assert_eq!(entry(memory, first.gref()), (PERMIT, 0, 0x55));
    assert_eq!(entry(memory, third.gref()), (0, 0, 0), "in a new domain, 9 is the number of another one");
    assert!(grants.is_granted(&first) && !grants.is_granted(&third));
    assert_eq!(entry(memory, gone), (0, 0, 0));
    let used: Vec<u32> = (0..512).filter(|index| entry(memory, Gref(*index)).0 != 0).collect();
    assert_eq!(used, [0, 1, first.gref().0], "the toolstack's, and ours to dom0");
    assert_eq!(grants.stats(), stats, "nothing was issued or ended by that");

    // They end as they would have, and their entries serve again.
    drop(grants.end(first).unwrap());
    drop(grants.end(third).unwrap());
    assert_eq!(grants.stats().free, 512 - 8);
    let again = grants.grant::<ReadWrite>(private(0x58), DOM0).unwrap();
    assert_eq!(entry(memory, again.gref()), (PERMIT, 0, 0x58));
}

#[test]
fn in_the_same_domain_what_a_peer_uses_is_left_alone() {
    let (xen, memory) = (TestXen::default(), page());
    let grants = table(&xen, memory);
    let page = grants.grant::<ReadOnly>(private(0x55), DOM0).unwrap();
    let at = usize::try_from(page.gref().0).unwrap() * 8;
    memory.store(at, PERMIT | READONLY | READING, SeqCst);
    grants.resume(&xen).unwrap();
    assert_eq!(entry(memory, page.gref()).0, PERMIT | READONLY | READING, "the backend still has it mapped");
    let Err(Quarantined(page)) = grants.end(page) else { panic!("it is in use") };
    // Also in quarantine it stays the peer's: a new domain gets it again.
    renew(memory);
    grants.resume(&xen).unwrap();
    assert_eq!(entry(memory, page.gref()), (PERMIT | READONLY, 0, 0x55));
}

#[test]
fn frames_go_in_together_and_a_refusal_is_told() {
    let xen = TestXen::default();
    #[allow(unsafe_code, reason = "a test plays the machine")]
    // SAFETY: the test uses the first page of the three only.
    let grants = unsafe { GrantTable::setup(&xen, Gfn(7), page(), 3) }.unwrap();
    xen.frames.borrow_mut().clear();
    grants.resume(&xen).unwrap();
    assert_eq!(*xen.frames.borrow(), [(MapSpace::GrantTable, 3, Gfn(7))]);
    xen.refuse.set(true);
    assert_eq!(grants.resume(&xen), Err(Errno::ENOMEM));
}
