//! Output before there is a console: port 0xE9.
//!
//! Under Xen the bytes show on the hypervisor's console as `(d1) …` (with `guest_loglvl=all`), in plain QEMU on
//! `-debugcon`. Each byte costs a VM exit, so that only first and last words go here.

#![allow(unsafe_code, reason = "writes to an I/O port; see docs/soundness.md")]

use core::fmt::{self, Write};
use x86_64::instructions::port::Port;

/// The debug port.
#[derive(Debug)]
pub(crate) struct Early;

impl Write for Early {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut port = Port::<u8>::new(0xe9);
        for byte in text.bytes() {
            // SAFETY: a write to 0xE9 changes nothing in the machine; nobody else drives the port.
            unsafe { port.write(byte) };
        }
        Ok(())
    }
}

/// Ends QEMU through its `isa-debug-exit` device at port 0xF4, with exit code `code << 1 | 1`; stops the vCPU where
/// there is no such device.
pub(crate) fn exit_qemu(code: u32) -> ! {
    let mut port = Port::<u32>::new(0xf4);
    // SAFETY: a write to 0xF4 does nothing but what is wanted here.
    unsafe { port.write(code) };
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}
