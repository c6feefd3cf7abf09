//! The heap: `linked_list_allocator` over a region of RAM.

#![allow(unsafe_code, reason = "gives memory to the allocator; see docs/soundness.md")]

use super::heap_stats::HeapStats;
use super::regions::Region;
use crate::cpu::on_cpu::OnCpu;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::RefCell;
use core::ptr::NonNull;
use linked_list_allocator::Heap;

/// The global allocator. It has no lock: there is one vCPU, and no interrupt stub allocates.
struct Allocator {
    heap: OnCpu<RefCell<Heap>>,
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator { heap: OnCpu::new() };

// SAFETY: `Heap` gives disjoint blocks of the requested layout. While the heap is borrowed, `alloc` gives null.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(mut heap) = self.heap.get().and_then(|heap| heap.try_borrow_mut().ok()) else {
            return core::ptr::null_mut();
        };
        heap.allocate_first_fit(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let heap = self.heap.get().and_then(|heap| heap.try_borrow_mut().ok());
        if let (Some(mut heap), Some(pointer)) = (heap, NonNull::new(pointer)) {
            // SAFETY: the block came from `alloc` with this layout, hence from this heap.
            unsafe { heap.deallocate(pointer, layout) };
        }
    }
}

/// Gives the heap its memory. To be called once.
pub(crate) fn init(region: Region) {
    let size = usize::try_from(region.len()).unwrap_or_default();
    let start =
        core::ptr::with_exposed_provenance_mut::<u8>(usize::try_from(region.start).unwrap_or_default());
    // SAFETY: the region was taken from the free regions, is mapped, and has no other use.
    let heap = unsafe { Heap::new(start, size) };
    ALLOCATOR.heap.set(RefCell::new(heap));
}

/// How full the heap is.
pub(crate) fn usage() -> HeapStats {
    let Some(heap) = ALLOCATOR.heap.get().and_then(|heap| heap.try_borrow().ok()) else {
        return HeapStats::default();
    };
    HeapStats { used: heap.used(), free: heap.free() }
}
