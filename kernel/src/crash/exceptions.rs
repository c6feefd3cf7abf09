//! The report of a processor exception: its name, address and registers.

use super::panic::{self, Backtrace};
use crate::cpu::idt::Frame;
use x86_64::registers::control::Cr2;

/// Names of the vectors (AMD64 Architecture Programmer's Manual 2, table 8-1).
const NAMES: [&str; 22] = [
    "divide error",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "x87 exception",
    "alignment check",
    "machine check",
    "SIMD exception",
    "virtualisation",
    "control protection",
];

/// The reason of a page fault, from its error code and address.
fn page_fault_reason(frame: &Frame, address: u64) -> &'static str {
    let image = boot::image_layout();
    let guard = image.stack_guard..image.stack_bottom;
    match (frame.error & 1, frame.error & 2, frame.error & 16) {
        _ if guard.contains(&address) => "stack overflow: the guard page below the stack was hit",
        _ if address < 4096 => "null pointer",
        (_, _, 16) => "execution of memory that is not executable",
        (0, 0, _) => "read of memory that is not mapped",
        (0, _, _) => "write to memory that is not mapped",
        (_, 2, _) => "write to read-only memory",
        _ => "read of protected memory",
    }
}

/// Reports an exception and ends the domain with `SHUTDOWN_crash`. The handler for `idt::load`.
pub(crate) fn report(frame: &Frame) -> ! {
    let name =
        usize::try_from(frame.vector).ok().and_then(|vector| NAMES.get(vector)).unwrap_or(&"unknown vector");
    let address = Cr2::read_raw();
    let reason = if matches!(frame.vector, 8 | 14) { page_fault_reason(frame, address) } else { "" };
    let what = format_args!(
        "reason: {name} (vector {}, error {:#x}) {reason}\n\
         address: {address:#x} rip: {:#x} rsp: {:#x} rflags: {:#x} cs: {:#x} ss: {:#x}\n\
         rax: {:#x} rbx: {:#x} rcx: {:#x} rdx: {:#x} rsi: {:#x} rdi: {:#x} rbp: {:#x}\n\
         r8: {:#x} r9: {:#x} r10: {:#x} r11: {:#x} r12: {:#x} r13: {:#x} r14: {:#x} r15: {:#x}\n\
         backtrace:{}",
        frame.vector,
        frame.error,
        frame.rip,
        frame.rsp,
        frame.rflags,
        frame.cs,
        frame.ss,
        frame.rax,
        frame.rbx,
        frame.rcx,
        frame.rdx,
        frame.rsi,
        frame.rdi,
        frame.rbp,
        frame.r8,
        frame.r9,
        frame.r10,
        frame.r11,
        frame.r12,
        frame.r13,
        frame.r14,
        frame.r15,
        Backtrace(frame.rbp),
    );
    panic::report("exception", what);
    panic::crash()
}
