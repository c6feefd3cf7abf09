//! A domain's memory: pages of the host's heap, known by guest frame number.
//!
//! ```text
//!   gfn 0x400 …          0xfeff8 … 0xfefff         2^40 …
//!   | RAM: given out |   | console, xenstore |    | Xen's own: shared info, grant frames until they are mapped |
//! ```
//!
//! This is the only file of this crate with `unsafe`. All others see a page as [`Shared`]: values by atomic loads and
//! stores, so that two "domains" may touch one page without a data race. The guest's own references into a page are
//! made by [`Page`] from the same allocation, and end before the simulator looks.

#![allow(
    unsafe_code,
    reason = "hands out pages of the host's heap as pages of a guest; nothing else here does"
)]

use crate::guest::Guest;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use xen::foreign::{Foreign, MapHandle};
use xen::gnttab::GrantTable;
use xen::hypervisor::{Hypervisor as _, MapSpace};
use xen::ids::PAGE_SIZE;
use xen::{Errno, Gfn, Page, Private, Shared};

/// The first frame of RAM.
pub(crate) const RAM: u64 = 0x400;
/// The frames that the toolstack shares with the guest: xenstore at `0xfeffc`, console at `0xfefff`, as Xen 4.17 has
/// it.
const SPECIAL: u64 = 0xf_eff8;
const NR_SPECIAL: usize = 8;
/// Frame of the xenstore ring.
pub(crate) const XENSTORE: Gfn = Gfn(0xf_effc);
/// Frame of the console ring.
pub(crate) const CONSOLE: Gfn = Gfn(0xf_efff);
/// Frames that Xen has not put into the guest's map yet; above what a version 1 grant can name.
pub(crate) const HIDDEN: u64 = 1 << 40;

/// The bytes; they exist as long as any user.
#[derive(Debug)]
struct Heap {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the heap is an address and a size; other threads access the bytes by atomics.
unsafe impl Send for Heap {}
// SAFETY: as for Send.
unsafe impl Sync for Heap {}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated in `GuestMemory::new` with this layout, and freed once: here.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

/// The memory of one domain.
#[derive(Debug)]
pub(crate) struct GuestMemory {
    heap: Arc<Heap>,
    nr_ram: usize,
    nr_hidden: usize,
    /// Indexes of free RAM pages.
    free: RefCell<BTreeSet<usize>>,
}

impl GuestMemory {
    pub(crate) fn new(nr_ram: usize, nr_hidden: usize) -> Self {
        let pages = nr_ram + NR_SPECIAL + nr_hidden;
        let layout = Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).expect("a sane number of pages");
        // SAFETY: the layout is not empty: there are always special pages.
        let raw = unsafe { alloc(layout) };
        let Some(base) = NonNull::new(raw) else { handle_alloc_error(layout) };
        // RAM is cleared when it is given out. A machine that is made for each input of a fuzzer has much that never
        // is.
        let others = base.as_ptr().wrapping_add(nr_ram * PAGE_SIZE);
        // SAFETY: from there to the end of the heap are these pages, and nothing uses them yet.
        unsafe { others.write_bytes(0, (pages - nr_ram) * PAGE_SIZE) };
        let heap = Arc::new(Heap { base, layout });
        Self { heap, nr_ram, nr_hidden, free: RefCell::new((0..nr_ram).collect()) }
    }

    /// The position of a frame, in pages from the start of the heap.
    fn index(&self, gfn: Gfn) -> Option<usize> {
        let within = |first: u64, count: usize| {
            let index = usize::try_from(gfn.0.checked_sub(first)?).ok()?;
            (index < count).then_some(index)
        };
        within(RAM, self.nr_ram)
            .or_else(|| Some(within(SPECIAL, NR_SPECIAL)? + self.nr_ram))
            .or_else(|| Some(within(HIDDEN, self.nr_hidden)? + self.nr_ram + NR_SPECIAL))
    }

    fn address(&self, index: usize) -> NonNull<u8> {
        // The tag of the whole heap stays on the pointer: Miri sees every access as one to this allocation.
        NonNull::new(self.heap.base.as_ptr().wrapping_add(index * PAGE_SIZE)).expect("an address in the heap")
    }

    /// A page as another domain or Xen sees it; `None` if there is no memory at this frame.
    pub(crate) fn view(&self, gfn: Gfn) -> Option<Shared<'_>> {
        let base = self.address(self.index(gfn)?);
        // SAFETY: the page is in the heap, which lives as long as `self`, aligned to 4096. References that the guest
        // has into it end before it calls into the simulator or lets another domain run.
        Some(unsafe { Shared::new(base, PAGE_SIZE) })
    }

    /// `count` pages from `gfn` on, for the guest's own bookkeeping, which names no lifetime.
    pub(crate) fn view_for_ever(&self, gfn: Gfn, count: usize) -> Shared<'static> {
        let index = self.index(gfn).expect("memory of this guest");
        let base = self.address(index);
        // SAFETY: the pages are in the heap. It lives as long as the machine, and the user of this view has a
        // `Guest`, which owns the machine; a test that takes it apart must keep the guest.
        unsafe { Shared::new(base, count * PAGE_SIZE) }
    }

    /// A page as a mapping in another domain; `gfn` is one that was granted.
    pub(crate) fn foreign(&self, gfn: Gfn, handle: u32) -> Foreign {
        let base = self.address(self.index(gfn).expect("memory of this guest"));
        // SAFETY: the page is in the heap, aligned. A mapping keeps its owner, and with it the heap, until it
        // is unmapped. References that the owner has into it end before another domain runs.
        unsafe { Foreign::from_raw(base, gfn, MapHandle(handle)) }
    }

    /// Whether a frame can be granted: RAM that was given out, or one of the special frames.
    pub(crate) fn is_in_use(&self, gfn: Gfn) -> bool {
        let hidden = self.nr_ram + NR_SPECIAL;
        self.index(gfn).is_some_and(|index| index < hidden && !self.free.borrow().contains(&index))
    }

    pub(crate) fn nr_free(&self) -> usize {
        self.free.borrow().len()
    }

    /// `count` pages in a row, all zero.
    pub(crate) fn take(&self, count: usize) -> Option<Vec<Page<Private>>> {
        let first = self.free_run(count)?;
        let mut free = self.free.borrow_mut();
        let page = |index: usize| {
            free.remove(&index);
            let (gfn, base) = (Gfn(RAM + index as u64), self.address(index));
            // SAFETY: the page is in the heap, and unused: it was free.
            unsafe { base.write_bytes(0, PAGE_SIZE) };
            // SAFETY: as above, and its frame is `gfn`.
            unsafe { Page::from_raw(base, gfn) }
        };
        Some((first..first + count).map(page).collect())
    }

    /// The first of `count` free pages in a row.
    fn free_run(&self, count: usize) -> Option<usize> {
        let mut run = 0;
        let mut next = usize::MAX;
        for &index in self.free.borrow().iter() {
            run = if index == next { run + 1 } else { 1 };
            next = index + 1;
            if run >= count {
                return Some(next - count);
            }
        }
        None
    }

    /// Takes a page back.
    pub(crate) fn give_back(&self, page: Page<Private>) {
        let (_, gfn) = page.into_raw();
        let index = self.index(gfn).filter(|index| *index < self.nr_ram).expect("a page of this guest's RAM");
        assert!(self.free.borrow_mut().insert(index), "frame {gfn} was freed twice");
    }

    /// Moves one of Xen's frames, with its contents, to a frame that the guest chose.
    pub(crate) fn move_frame(&self, from: Gfn, to: Gfn) -> Option<()> {
        let (from, to) = (self.address(self.index(from)?), self.address(self.index(to)?));
        // SAFETY: both pages are in the heap. The guest gave up its own for this, and the other is Xen's; they may be
        // the same one. No other thread uses either of them.
        unsafe { to.copy_from(from, PAGE_SIZE) };
        Some(())
    }

    /// Pages in a row that the guest puts to another use than as pages of memory: as frames of Xen's.
    pub(crate) fn take_frames(&self, count: usize) -> Option<(Gfn, Shared<'static>)> {
        let gfns: Vec<Gfn> = self.take(count)?.into_iter().map(|page| page.into_raw().1).collect();
        let first = *gfns.first()?;
        Some((first, self.view_for_ever(first, count)))
    }

    /// A thread that alternately writes two values to the same place, as fast as it can, until it is dropped.
    pub(crate) fn flip(&self, gfn: Gfn, offset: usize, values: [u16; 2]) -> Flipper {
        assert!(offset.is_multiple_of(2) && offset < PAGE_SIZE, "a 16-bit field in a page");
        let at = self.index(gfn).expect("memory of this guest") * PAGE_SIZE + offset;
        let (heap, stop) = (Arc::clone(&self.heap), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let cell = heap.base.as_ptr().wrapping_add(at).cast::<AtomicU16>();
            // SAFETY: within the heap and aligned (asserted), and the thread owns a reference to the heap.
            let cell = unsafe { &*cell };
            while !stopped.load(Ordering::Relaxed) {
                for value in values {
                    cell.store(value, Ordering::SeqCst);
                    std::hint::spin_loop();
                }
            }
        });
        Flipper { stop, thread: Some(thread) }
    }
}

/// A peer that changes a field while we read it: for double fetches. It stops when it is dropped.
#[derive(Debug)]
pub struct Flipper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Flipper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the flipping thread only flips");
        }
    }
}

/// As the kernel at boot: maps the shared info page at a frame that was taken for it.
pub(crate) fn map_shared_info(guest: &Guest, gfn: Gfn) -> Result<(), Errno> {
    // SAFETY: the caller has just taken the frame out of free memory, for this.
    unsafe { guest.add_to_physmap(MapSpace::SharedInfo, 1, gfn) }
}

/// As the kernel at boot: takes frames and maps the grant table there.
pub(crate) fn set_up_grant_table(guest: &Guest, nr_frames: u32) -> Result<GrantTable, Errno> {
    let (gfn, memory) = guest.domain().memory.take_frames(nr_frames as usize).ok_or(Errno::ENOMEM)?;
    // SAFETY: the frames were just taken for this, and `memory` is the view of exactly them.
    unsafe { GrantTable::setup(guest, gfn, memory, nr_frames) }
}
