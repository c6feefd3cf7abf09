//! Where things lie in physical memory: the loader's information, and a hole for what Xen maps for us.

#![allow(unsafe_code, reason = "reads what the loader left in memory; see docs/soundness.md")]

use crate::frames::{PAGE, Region};
use boot::{BootInfo, PhysicalMemory};

/// Physical memory through the boot code's identity map of the first 4 GiB.
#[derive(Debug)]
pub(crate) struct BootMemory;

impl PhysicalMemory for BootMemory {
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]> {
        let end = address.checked_add(u64::try_from(len).ok()?)?;
        if address == 0 || end > 1 << 32 {
            return None;
        }
        let first = core::ptr::with_exposed_provenance::<u8>(usize::try_from(address).ok()?);
        // SAFETY: below 4 GiB everything is mapped by the boot code, readable, and not null; the loader's data is not
        // written while it is parsed. Addresses that are no memory read as ones under Xen and are then refused.
        Some(unsafe { core::slice::from_raw_parts(first, len) })
    }
}

/// Finds `len` bytes of physical addresses below 4 GiB that no entry of the memory map mentions, for frames that Xen
/// puts there: the first such hole above all RAM that lies below 4 GiB, on a 2 MiB boundary.
///
/// A hole and not RAM: a page of RAM given up for it would shatter a superpage in Xen's tables and be lost.
pub(crate) fn find_hole(info: &BootInfo, len: u64) -> Option<Region> {
    const STEP: u64 = 2 << 20;
    const LOWEST: u64 = 2 << 20;
    // From here on lie the local APIC, the I/O APIC, Xen's special pages and ACPI tables.
    const HIGHEST: u64 = 0xfc00_0000;
    let free = |hole: &Region| {
        info.regions().iter().all(|region| region.end <= hole.start || hole.end <= region.start)
    };
    let len = len.checked_add(PAGE - 1)? & !(PAGE - 1);
    let mut start = LOWEST;
    while start.checked_add(len)? <= HIGHEST {
        let hole = Region { start, end: start.checked_add(len)? };
        if free(&hole) {
            return Some(hole);
        }
        start = start.checked_add(STEP)?;
    }
    None
}

/// The two words at a frame pointer: the caller's frame pointer, and the return address.
///
/// The caller has checked that both lie in the image's stack.
pub(crate) fn read_frame(frame: u64) -> (u64, u64) {
    let pointer = core::ptr::with_exposed_provenance::<[u64; 2]>(usize::try_from(frame).unwrap_or_default());
    // SAFETY: 16 bytes of the stack, which is mapped, aligned to 8; what they mean is the reader's matter.
    let [next, back] = unsafe { pointer.read_volatile() };
    (next, back)
}

/// The frame pointer of the caller.
#[inline(always)]
pub(crate) fn frame_pointer() -> u64 {
    let frame: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    frame
}
