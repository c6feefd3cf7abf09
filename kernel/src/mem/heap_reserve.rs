//! How the heap is divided: what the ledger may give out, and what small allocations have for themselves.
//!
//! ```text
//!   heap:  [ ledger: 3/4 less a fixed part, │ the guest itself: tasks, nodes, │ reserve: 1/16, for small ]
//!          [ for sizes that others decide   │ wakers, headers of blocks       │ allocations only         ]
//! ```
//!
//! Sizes that peers or dom0 decide are reserved in the ledger and allocated fallibly. What remains are allocations of a
//! size that the code fixes: they are small, and cannot fail without ending the guest. The last part of the heap is for
//! them: a large allocation that would use it fails.

/// The largest allocation that may use the reserve, in bytes: more than the largest task has.
pub const SMALL_BYTES: usize = 8 * 1024;
/// Bytes for the allocations of a crash report, outside of the heap.
pub const CRASH_BYTES: usize = 32 * 1024;

/// Bytes of a heap that are kept for small allocations.
#[must_use]
pub const fn reserve(heap_bytes: usize) -> usize {
    heap_bytes / 16
}

/// Bytes that a guest without peers has in use beside what a quarter of a small heap would leave it.
const OWN_BYTES: usize = 128 * 1024;

/// Bytes of a heap that the ledger may give out: three quarters of it, less what the guest itself needs, and half of it at
/// least.
#[must_use]
pub const fn ledger_bytes(heap_bytes: usize) -> usize {
    let most = (heap_bytes / 4).saturating_mul(3).saturating_sub(OWN_BYTES);
    let least = heap_bytes / 2;
    if most > least { most } else { least }
}

/// Whether a heap of `heap_bytes`, of which `free` are free, gives out `size` bytes.
#[must_use]
pub const fn permits(heap_bytes: usize, free: usize, size: usize) -> bool {
    size <= SMALL_BYTES || size <= free.saturating_sub(reserve(heap_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_allocation_leaves_the_reserve() {
        let heap = 16 << 20;
        assert!(permits(heap, heap, heap - (1 << 20)));
        assert!(!permits(heap, heap, heap - (1 << 20) + 1));
        assert!(!permits(heap, 1 << 20, SMALL_BYTES + 1));
        assert!(permits(heap, 0, SMALL_BYTES), "the heap itself refuses it");
    }

    #[test]
    fn the_ledger_leaves_room_beside_the_reserve() {
        for heap in [256 << 10, 1 << 20, 14 << 20, 1 << 30] {
            assert!(ledger_bytes(heap) + reserve(heap) <= heap / 16 * 13);
        }
    }
}
