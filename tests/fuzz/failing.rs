//! An allocator whose n-th allocation fails, in this thread, for as long as a test asks for it.

#![allow(unsafe_code, reason = "the trait of an allocator is unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// The least size that counts, and how many of those succeed before one fails; 0 for the size: none fails.
    static PLAN: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, but for what [`FailingAllocator::fail`] lets fail.
#[derive(Debug)]
pub struct FailingAllocator;

impl FailingAllocator {
    /// Runs `work`; of its allocations of at least `size` bytes, the one with the number `nth` fails. Returns whether there
    /// was one.
    pub fn fail<T>(size: usize, nth: usize, work: impl FnOnce() -> T) -> (T, bool) {
        PLAN.set((size.max(1), nth));
        let result = work();
        let (left, _) = PLAN.replace((0, 0));
        (result, left == 0)
    }

    fn fails(size: usize) -> bool {
        let (least, left) = PLAN.get();
        if least == 0 || size < least {
            return false;
        }
        PLAN.set(if left == 0 { (0, 0) } else { (least, left - 1) });
        left == 0
    }
}

// SAFETY: every call is the system allocator's, or returns null, which says that it failed.
unsafe impl GlobalAlloc for FailingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::fails(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::fails(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}
