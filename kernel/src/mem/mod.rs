//! Memory: physical memory before there is a heap, page tables, the heap, pages, and frames for pages of other domains.
//!
//! ```text
//!   memory map ─► regions ─┬─► paging: page tables      holes ─► shared_info, grant table, foreign_frames
//!                          ├─► heap
//!                          └─► frames: pages for pools and rings
//! ```

#[cfg(bare)]
pub(crate) mod boot_memory;
#[cfg(any(test, bare))]
pub(crate) mod foreign_frames;
#[cfg(any(test, bare))]
pub(crate) mod frames;
#[cfg(bare)]
pub(crate) mod heap;
pub mod heap_reserve;
pub(crate) mod heap_stats;
pub mod holes;
#[cfg(bare)]
pub(crate) mod paging;
pub mod regions;
#[cfg(any(test, bare))]
pub(crate) mod reservation;
