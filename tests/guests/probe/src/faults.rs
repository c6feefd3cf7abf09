//! Faults on purpose: each function does one thing that the page tables forbid, and comes back only if they do not.
//!
//! The forbidden access is a single instruction in assembly: to the compiler an invalid pointer would be undefined
//! behaviour; the processor's reaction to an invalid address is defined.

#![allow(unsafe_code, reason = "provokes the faults that the kernel is to report")]

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::arch::asm;
use core::hint::black_box;
use kernel::xen::Memory;

/// `ret`: the instruction of a call into the heap, if the heap could be executed.
const RET: u8 = 0xc3;

/// Writes to address 8, where a null pointer to a structure with a second field would.
pub(crate) fn write_to_null() -> String {
    write_byte(8);
    "a write to address 8 was possible".to_owned()
}

/// Writes to this image's own code.
pub(crate) fn write_to_text() -> String {
    let code: fn() -> String = write_to_text;
    #[allow(clippy::as_conversions, reason = "a function's address is had by a cast alone")]
    write_byte(code as usize);
    "a write to the code was possible".to_owned()
}

/// Calls a `ret` in the heap.
pub(crate) fn execute_heap() -> String {
    let code = black_box(Box::new([RET; 16]));
    call(code.as_ptr().expose_provenance());
    drop(code);
    "the heap was executed".to_owned()
}

/// Calls a `ret` on the stack.
pub(crate) fn execute_stack() -> String {
    let code = black_box([RET; 16]);
    call(code.as_ptr().expose_provenance());
    black_box(code);
    "the stack was executed".to_owned()
}

/// Calls a `ret` in a page of the kind that is granted to backends.
pub(crate) fn execute_page(machine: &impl Memory) -> String {
    let Some(mut page) = machine.alloc_page() else { return "there is no free page".to_owned() };
    page.bytes_mut().fill(RET);
    call(page.bytes().as_ptr().expose_provenance());
    machine.free_page(page);
    "a page that can be granted was executed".to_owned()
}

/// Reads address 0.
pub(crate) fn read_null() -> String {
    // SAFETY: page 0 is not mapped: this faults, and the kernel does not come back. If it is, a byte is read.
    unsafe { asm!("mov al, [{}]", in(reg) 0_usize, out("al") _, options(nostack, readonly)) };
    "address 0 could be read".to_owned()
}

/// Writes to a constant.
pub(crate) fn write_to_rodata() -> String {
    static CONSTANT: [u8; 64] = [1; 64];
    write_byte(black_box(&CONSTANT).as_ptr().expose_provenance());
    "a write to a constant was possible".to_owned()
}

/// Writes to the interrupt descriptor table, or to the segments' if `global`.
pub(crate) fn write_to_descriptors(global: bool) -> String {
    // The result of SIDT and SGDT: 2 bytes of limit, 8 of address.
    let mut stored = [0_u8; 10];
    let to = stored.as_mut_ptr();
    if global {
        // SAFETY: ten bytes are written to an array of ten.
        unsafe { asm!("sgdt [{}]", in(reg) to, options(nostack, preserves_flags)) };
    } else {
        // SAFETY: as above.
        unsafe { asm!("sidt [{}]", in(reg) to, options(nostack, preserves_flags)) };
    }
    let address = stored.last_chunk().map_or(0, |address| usize::from_le_bytes(*address));
    write_byte(address);
    "a write to a descriptor table was possible".to_owned()
}

/// Loses the stack pointer: the page fault of the next push finds no stack for its frame either.
pub(crate) fn double_fault() -> String {
    // SAFETY: the push faults, the kernel's report runs on a stack of its own, and does not come back.
    unsafe { asm!("mov rsp, 16", "push rax", "ud2", options(noreturn)) };
}

/// Writes to the word at an address and reads it back; the caller names memory that nothing uses.
pub(crate) fn write_and_read(address: usize, value: u64) -> u64 {
    let read: u64;
    // SAFETY: the caller names free memory; where there is none, the kernel reports the fault.
    unsafe {
        asm!("mov [{at}], {value}", "mov {read}, [{at}]", at = in(reg) address, value = in(reg) value,
             read = out(reg) read, options(nostack, preserves_flags));
    };
    read
}

/// Recurses until the stack is used up.
pub(crate) fn overflow_stack() -> String {
    let depth = recurse(1_000_000);
    alloc::format!("the stack took {depth} calls")
}

/// Frames are far smaller than the guard page, so that none can leap over it.
#[inline(never)]
fn recurse(left: u32) -> u32 {
    let frame = black_box([left; 64]);
    if left == 0 {
        return 0;
    }
    let below = recurse(left.saturating_sub(1));
    below.saturating_add(u32::from(black_box(frame).len() == 64))
}

fn call(address: usize) {
    // SAFETY: page tables as they should be make this fault, and the kernel does not come back. If they do not, the
    // call returns at once, having changed no register but the stack pointer, there and back.
    unsafe { asm!("call {}", in(reg) address) };
}

fn write_byte(address: usize) {
    // SAFETY: the callers pass an address that must not be writable: this faults, and the kernel does not return.
    // If it is writable, a byte of unused memory or of code that has been run is changed, and the guest ends with
    // that as its verdict.
    unsafe { asm!("mov byte ptr [{}], 0xc3", in(reg) address, options(nostack, preserves_flags)) };
}
