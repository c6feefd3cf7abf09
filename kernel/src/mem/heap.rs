//! The heap: `rlsf`, two-level segregated fits, over a region of RAM, with a reserve for small allocations (see
//! [`heap_reserve`](super::heap_reserve)). To allocate and to free takes a bounded number of instructions, however peers
//! have divided the free memory.
//!
//! ```text
//!   alloc ─► heap                              fails: Vec::try_reserve gives an error; anything else panics, see `crash`
//!   alloc during a crash report ─► arena       memory of its own, never freed: the heap may be full or damaged
//! ```

#![allow(unsafe_code, reason = "gives memory to the allocator; see docs/soundness.md")]

use super::heap_reserve::{CRASH_BYTES, permits};
use super::heap_stats::HeapStats;
use super::regions::Region;
use crate::cpu::on_cpu::OnCpu;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{RefCell, UnsafeCell};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use rlsf::{GRANULARITY, Tlsf};

/// Size classes of the heap, each with [`PARTS`] lists: blocks up to 32 GiB.
const CLASSES: usize = 30;
/// Lists of a size class. A block that is larger by a part of its class is found for certain.
const PARTS: usize = 32;

/// The heap, and its use.
struct Heap {
    blocks: Tlsf<'static, u32, u32, CLASSES, PARTS>,
    size: usize,
    used: usize,
}

/// The bytes that a block takes from the heap: with its header, in units of the heap.
const fn block_bytes(layout: Layout) -> usize {
    let header = GRANULARITY / 2;
    let padding = if layout.align() >= GRANULARITY { layout.align() } else { 0 };
    layout.size().saturating_add(header).saturating_add(padding).next_multiple_of(GRANULARITY)
}

/// The global allocator. It has no lock: there is one vCPU, and no interrupt stub allocates.
struct Allocator {
    heap: OnCpu<RefCell<Heap>>,
    /// Set while a crash report is made.
    crashing: AtomicBool,
    arena: Arena,
    /// Bytes of the arena that are in use.
    arena_used: AtomicUsize,
}

/// Memory for the allocations of a crash report.
#[repr(align(64))]
struct Arena(UnsafeCell<[u8; CRASH_BYTES]>);

// SAFETY: each byte is given out once, by `Allocator::in_arena`.
unsafe impl Sync for Arena {}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    heap: OnCpu::new(),
    crashing: AtomicBool::new(false),
    arena: Arena(UnsafeCell::new([0; CRASH_BYTES])),
    arena_used: AtomicUsize::new(0),
};

impl Allocator {
    /// A block of the arena; null if it is used up.
    fn in_arena(&self, layout: Layout) -> *mut u8 {
        let base = self.arena.0.get().cast::<u8>();
        let start = self.arena_used.load(Relaxed).checked_next_multiple_of(layout.align());
        let block = start.and_then(|start| Some((start, start.checked_add(layout.size())?)));
        // The arena is aligned to 64 bytes, more than any layout here asks for.
        match block.filter(|(_, end)| *end <= CRASH_BYTES && layout.align() <= align_of::<Arena>()) {
            Some((start, end)) => {
                self.arena_used.store(end, Relaxed);
                base.wrapping_add(start)
            }
            None => core::ptr::null_mut(),
        }
    }
}

// SAFETY: `Tlsf` gives disjoint blocks of the requested layout, and so does the arena. While the heap is borrowed, `alloc`
// gives null.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.crashing.load(Relaxed) {
            return self.in_arena(layout);
        }
        let Some(mut heap) = self.heap.get().and_then(|heap| heap.try_borrow_mut().ok()) else {
            return core::ptr::null_mut();
        };
        let free = heap.size.saturating_sub(heap.used);
        if !permits(heap.size, free, layout.size()) {
            return core::ptr::null_mut();
        }
        let Some(block) = heap.blocks.allocate(layout) else { return core::ptr::null_mut() };
        heap.used = heap.used.saturating_add(block_bytes(layout));
        block.as_ptr()
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // The domain is about to end, and the heap may be damaged.
        if self.crashing.load(Relaxed) {
            return;
        }
        let heap = self.heap.get().and_then(|heap| heap.try_borrow_mut().ok());
        if let (Some(mut heap), Some(pointer)) = (heap, NonNull::new(pointer)) {
            // SAFETY: the block came from `alloc` with this layout, hence from this heap.
            unsafe { heap.blocks.deallocate(pointer, layout.align()) };
            heap.used = heap.used.saturating_sub(block_bytes(layout));
        }
    }
}

/// Gives the heap its memory. To be called once.
pub(crate) fn init(region: Region) {
    let size = usize::try_from(region.len()).unwrap_or_default();
    let start =
        core::ptr::with_exposed_provenance_mut::<u8>(usize::try_from(region.start).unwrap_or_default());
    let mut heap = Heap { blocks: Tlsf::new(), size: 0, used: 0 };
    if let Some(start) = NonNull::new(start) {
        let block = NonNull::slice_from_raw_parts(start, size);
        // SAFETY: the region was taken from the free regions, is mapped, and has no other use.
        let taken = unsafe { heap.blocks.insert_free_block_ptr(block) };
        heap.size = taken.map_or(0, core::num::NonZeroUsize::get);
    }
    ALLOCATOR.heap.set(RefCell::new(heap));
}

/// From now on allocations come from memory that is kept for a crash report.
pub(crate) fn enter_crash() {
    ALLOCATOR.crashing.store(true, Relaxed);
}

/// How full the heap is.
pub(crate) fn usage() -> HeapStats {
    let Some(heap) = ALLOCATOR.heap.get().and_then(|heap| heap.try_borrow().ok()) else {
        return HeapStats::default();
    };
    HeapStats { used: heap.used, free: heap.size.saturating_sub(heap.used) }
}
