//! Faults on purpose: each function does one thing that the page tables forbid, and comes back only if they do not.
//!
//! The forbidden access is a single instruction in assembly: to the compiler a bad pointer would be undefined
//! behaviour, which it may turn into anything; the processor's answer to a bad address is defined.

#![allow(unsafe_code, reason = "provokes the faults that the kernel is to report")]

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::arch::asm;
use core::hint::black_box;

/// `ret`: what a call of the heap would run if the heap could be executed.
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
    let address = code.as_ptr().expose_provenance();
    // SAFETY: page tables as they should be make this fault, and the kernel does not come back. If they do not, the
    // call returns at once, having changed no register but the stack pointer, there and back.
    unsafe { asm!("call {}", in(reg) address) };
    drop(code);
    "the heap was executed".to_owned()
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

fn write_byte(address: usize) {
    // SAFETY: both callers pass an address that must not be writable: this faults, and the kernel does not come back.
    // If it is writable, a byte of unused memory or of code that has been run is changed, and the guest ends with
    // that as its verdict.
    unsafe { asm!("mov byte ptr [{}], 0xc3", in(reg) address, options(nostack, preserves_flags)) };
}
