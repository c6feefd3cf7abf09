//! The grant table, read as Xen reads it, and memory that must not leak.

use std::cell::RefCell;
use std::rc::Rc;
use xen::abi::grant_table::GrantStatus;
use xen::hypervisor::Memory as _;
use xen::{DomId, Gref, Hypervisor as _, Page, Private, ReadOnly, ReadWrite, Xen};
use xen_sim::{Guest, Sim};

const DOM0: DomId = DomId(0);

fn booted() -> (Sim, Rc<Xen<Guest>>) {
    let machine = Sim::builder().memory_pages(32).build();
    let xen = machine.xen();
    (machine, xen)
}

fn page_of(xen: &Xen<Guest>, byte: u8) -> Page<Private> {
    let mut page = xen.machine.alloc_page().unwrap();
    page.bytes_mut().fill(byte);
    page
}

#[test]
fn a_granted_page_is_read_and_written_by_copy_and_by_map() {
    let (machine, xen) = booted();
    let dom0 = machine.peer(DOM0);
    let page = xen.grants.grant::<ReadWrite>(page_of(&xen, 7), DOM0).unwrap();
    assert_eq!(dom0.copy_from(DomId(1), page.gref(), 4090, 6), Ok(vec![7; 6]));
    dom0.copy_to(DomId(1), page.gref(), 0, b"hello").unwrap();
    let map = dom0.map(DomId(1), page.gref(), true).unwrap();
    map.write(5, b" world");
    let mut bytes = [0; 11];
    page.shared().read_bytes(0, &mut bytes);
    assert_eq!(&bytes, b"hello world");
    drop(map);
    let page = xen.grants.end(page).unwrap();
    assert_eq!(&page.bytes()[..11], b"hello world");
    xen.machine.free_page(page);
}

#[test]
fn xen_refuses_what_the_entry_does_not_permit() {
    let (machine, xen) = booted();
    let dom0 = machine.peer(DOM0);
    let page = xen.grants.grant::<ReadOnly>(page_of(&xen, 7), DOM0).unwrap();
    let other = machine.peer(DomId(9));
    assert_eq!(dom0.copy_to(DomId(1), page.gref(), 0, b"x"), Err(GrantStatus::GeneralError), "read-only");
    assert!(dom0.map(DomId(1), page.gref(), true).is_err(), "read-only");
    assert!(dom0.map(DomId(1), page.gref(), false).is_ok());
    assert!(other.copy_from(DomId(1), page.gref(), 0, 1).is_err(), "granted to another domain");
    assert!(dom0.copy_from(DomId(1), Gref(100), 0, 1).is_err(), "not granted");
    assert_eq!(
        dom0.copy_from(DomId(1), Gref(1 << 20), 0, 1),
        Err(GrantStatus::BadGntref),
        "beyond the table"
    );
    assert_eq!(dom0.copy_from(DomId(1), page.gref(), 4090, 7), Err(GrantStatus::BadCopyArg), "over the end");
    assert_eq!(dom0.copy_from(DomId(8), page.gref(), 0, 1), Err(GrantStatus::BadDomain));
    let gref = page.gref();
    xen.machine.free_page(xen.grants.end(page).unwrap());
    assert!(dom0.copy_from(DomId(1), gref, 0, 1).is_err(), "ended");
}

#[test]
#[should_panic(expected = "mapped read-only")]
fn a_write_through_a_read_only_map_is_a_page_fault() {
    let (machine, xen) = booted();
    let page = xen.grants.grant::<ReadOnly>(page_of(&xen, 0), DOM0).unwrap();
    machine.peer(DOM0).map(DomId(1), page.gref(), false).unwrap().write(0, b"x");
}

#[test]
fn a_grant_in_use_cannot_be_ended() {
    let (machine, xen) = booted();
    let dom0 = machine.peer(DOM0);
    let page = xen.grants.grant::<ReadWrite>(page_of(&xen, 0), DOM0).unwrap();
    let (first, second) = (dom0.map(DomId(1), page.gref(), true), dom0.map(DomId(1), page.gref(), false));
    drop(first);
    assert_eq!(xen.machine.grants_in_use(), [page.gref()], "one of two maps is left");
    let quarantined = xen.grants.end(page).unwrap_err();
    drop(second);
    assert!(xen.grants.end(quarantined.0).is_ok(), "nobody uses it any more");
    assert!(xen.machine.granted().is_empty());
}

#[test]
fn reserved_entries_are_there_before_the_guest_starts() {
    let machine = Sim::builder().memory_pages(32).build();
    let dom0 = machine.peer(DOM0);
    for reserved in [Gref(0), Gref(1)] {
        assert!(dom0.copy_from(DomId(1), reserved, 0, 16).is_ok(), "before the table is mapped");
    }
    let _xen = machine.xen();
    for reserved in [Gref(0), Gref(1)] {
        assert!(dom0.copy_from(DomId(1), reserved, 0, 16).is_ok(), "and after");
    }
}

#[test]
fn the_table_has_as_many_entries_as_frames_were_asked_for() {
    let (machine, xen) = booted();
    assert_eq!(xen.machine.grant_table_size().unwrap().nr_frames, 4);
    assert_eq!(xen.grants.stats().free, 4 * 512 - 8);
    let small = Sim::builder().memory_pages(32).max_grant_frames(1).build();
    assert_eq!(small.xen().grants.stats().free, 512 - 8);
    drop(machine);
}

#[test]
fn pages_are_zero_when_they_are_taken_and_come_in_rows() {
    let (machine, xen) = booted();
    let guest = machine.guest();
    let before = guest.free_pages();
    guest.free_page(page_of(&xen, 0xff));
    assert_eq!(guest.free_pages(), before);
    let pages = guest.alloc_contiguous(8).unwrap();
    for pair in pages.windows(2) {
        assert_eq!(pair[0].gfn().0 + 1, pair[1].gfn().0);
        assert_eq!(pair[0].bytes().as_ptr_range().end, pair[1].bytes().as_ptr());
    }
    assert!(pages.iter().all(|page| page.bytes().iter().all(|byte| *byte == 0)));
    assert!(guest.alloc_contiguous(1000).is_none());
    let rest = RefCell::new(Vec::new());
    while let Some(page) = guest.alloc_page() {
        rest.borrow_mut().push(page);
    }
    assert_eq!(guest.free_pages(), 0);
}

#[test]
fn the_leak_scan_finds_a_canary_in_what_a_domain_can_read() {
    let (machine, xen) = booted();
    machine.canary(b"a secret of ours");
    let mut page = page_of(&xen, 0);
    page.bytes_mut()[100..116].copy_from_slice(b"a secret of ours");
    assert!(machine.leaks_to(DOM0).is_empty(), "a private page");
    let page = xen.grants.grant::<ReadOnly>(page, DOM0).unwrap();
    let leaks = machine.leaks_to(DOM0);
    assert_eq!((leaks.len(), leaks[0].gref, leaks[0].offset), (1, page.gref(), 100));
    assert!(machine.leaks_to(DomId(3)).is_empty(), "granted to another domain");
}
