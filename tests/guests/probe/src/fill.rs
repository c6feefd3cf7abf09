//! Uses every page that the guest calls its own, as a guest under load would in the course of its life.
//!
//! Xen ends a domain that touches more memory than it has; this shows that memory which the kernel calls free is free.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use kernel::System;
use kernel::xen::Memory as _;

/// Bytes of a block of heap.
const BLOCK: usize = 64 << 10;
/// Heap that is left to live on.
const HEAP_LEFT: usize = 256 << 10;
/// Pages that are left to live on.
const PAGES_LEFT: usize = 16;
/// The written value.
const BYTE: u8 = 0x5a;

/// Fills heap and pages, looks whether all is still there, and gives it back.
pub(crate) fn fill(system: &System) -> Result<(), String> {
    let machine = &system.xen().machine;
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut pages = Vec::with_capacity(machine.free_pages());
    while system.stats().heap.free > HEAP_LEFT {
        let mut block = Vec::new();
        // In pieces too small for a block it may be free.
        if block.try_reserve_exact(BLOCK).is_err() {
            break;
        }
        block.resize(BLOCK, BYTE);
        blocks.push(block);
    }
    while machine.free_pages() > PAGES_LEFT {
        let Some(mut page) = machine.alloc_page() else { break };
        page.bytes_mut().fill(BYTE);
        pages.push(page);
    }
    let whole = vec![BYTE; 4096];
    let heap = blocks.iter().flat_map(|block| block.chunks(whole.len())).all(|chunk| chunk == whole);
    let kept = heap && pages.iter().all(|page| *page.bytes() == *whole);
    let kib = blocks.len().saturating_mul(BLOCK >> 10).saturating_add(pages.len().saturating_mul(4));
    kernel::log::info!("filled {kib} KiB: {} blocks of the heap, {} pages", blocks.len(), pages.len());
    pages.into_iter().for_each(|page| machine.free_page(page));
    if kept { Ok(()) } else { Err(format!("{kib} KiB were written, and not all of it is there")) }
}
