//! Output before the console is connected: the debug port 0xE9.
//!
//! Xen shows the bytes on the hypervisor's console as `(d1) …` (with `guest_loglvl=all`); plain QEMU shows them with
//! `-debugcon`. Each byte costs a VM exit, so that only errors of the start and crash reports go here.

#![allow(unsafe_code, reason = "writes to an I/O port; see docs/soundness.md")]

use core::fmt::{self, Write};
use x86_64::instructions::port::Port;

/// The debug port.
#[derive(Debug)]
pub(crate) struct EarlyConsole;

impl Write for EarlyConsole {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut port = Port::<u8>::new(0xe9);
        for byte in text.bytes() {
            // SAFETY: a write to 0xE9 changes no state of the machine, and nothing else uses the port.
            unsafe { port.write(byte) };
        }
        Ok(())
    }
}

/// The code of a crash for [`exit_qemu`]: QEMU ends with exit code 71.
pub(crate) const CRASHED: u32 = 35;

/// Ends plain QEMU through its `isa-debug-exit` device at port 0xF4, with exit code `code << 1 | 1`. Without such a
/// device the vCPU stops.
pub(crate) fn exit_qemu(code: u32) -> ! {
    let mut port = Port::<u32>::new(0xf4);
    // SAFETY: only `isa-debug-exit` listens at 0xF4, and it ends the machine.
    unsafe { port.write(code) };
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}
