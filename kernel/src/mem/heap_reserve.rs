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

/// Bytes outside of the heap at most, besides page tables. Pools and rings are granted pages, for which 32 frames of the grant
/// table have 16,384 references: 64 MiB. The rest is for pages that are not granted yet.
const MOST_PAGES: u64 = 72 << 20;
/// The largest heap in bytes.
const MAX_HEAP: u64 = 1 << 30;

/// Bytes of the heap in a guest with `free` bytes, of which `longest` are in one piece: half of them, and in a large guest
/// all that pools and rings cannot use.
#[must_use]
pub const fn heap_bytes(free: u64, longest: u64) -> u64 {
    let half = free / 2;
    let rest = free.saturating_sub(MOST_PAGES);
    let wish = if rest > half { rest } else { half };
    let wish = if wish > MAX_HEAP { MAX_HEAP } else { wish };
    if wish > longest { longest } else { wish }
}

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
    fn a_large_guest_has_more_than_half_of_its_memory_as_heap() {
        const MIB: u64 = 1 << 20;
        assert_eq!(heap_bytes(32 * MIB, 31 * MIB), 16 * MIB);
        assert_eq!(heap_bytes(144 * MIB, 144 * MIB), 72 * MIB);
        assert_eq!(heap_bytes(832 * MIB, 832 * MIB), 760 * MIB);
        assert_eq!(heap_bytes(832 * MIB, 500 * MIB), 500 * MIB);
        assert_eq!(heap_bytes(4096 * MIB, 4096 * MIB), 1024 * MIB);
    }

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
