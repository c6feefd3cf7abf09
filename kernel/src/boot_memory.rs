//! Memory at given addresses: what the loader left, and the frames of the stack for a backtrace.

#![allow(unsafe_code, reason = "reads what the loader left in memory; see docs/soundness.md")]

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
        // SAFETY: below 4 GiB everything is mapped by the boot code, readable, and not null; the loader's data is not
        // written while it is parsed. Addresses that are no memory read as ones under Xen and are then refused.
        Some(unsafe { core::slice::from_raw_parts(first, len) })
    }
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
