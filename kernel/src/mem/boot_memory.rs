//! Reads of memory at given addresses: the loader's data, and stack frames for a backtrace.

#![allow(unsafe_code, reason = "reads memory at given addresses; see docs/soundness.md")]

use boot::PhysicalMemory;

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
        // SAFETY: the boot code maps the first 4 GiB, and the address is not null; nothing writes to the loader's data
        // while it is parsed. Under Xen, addresses without memory read as ones, which the parser refuses.
        Some(unsafe { core::slice::from_raw_parts(first, len) })
    }
}

/// The two words at a frame pointer: the frame pointer of the calling function, and the return address.
///
/// The caller has checked that both words lie in the image's stack.
pub(crate) fn read_frame(frame: u64) -> (u64, u64) {
    let pointer = core::ptr::with_exposed_provenance::<[u64; 2]>(usize::try_from(frame).unwrap_or_default());
    // SAFETY: 16 bytes of the stack, mapped and aligned to 8; any bytes are valid words.
    let [next, back] = unsafe { pointer.read_volatile() };
    (next, back)
}

/// The frame pointer of the calling function.
#[inline(always)]
pub(crate) fn frame_pointer() -> u64 {
    let frame: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    frame
}
