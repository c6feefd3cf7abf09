//! The machine beneath the appliances.
//!
//! ```text
//!   boot ─► start: GDT, IDT, page tables, frames, heap ─► DomU: hypercalls, pages, clock ─► Xen context
//!                                                                              │
//!   loop: dispatch events ─► xenstore, console ─► stack's turn ─► timers ─► tasks ─► nothing to do? block in Xen
//! ```
//!
//! An appliance is a binary that names its main task with [`main!`] and gets a [`System`]. Everything runs on one vCPU,
//! in one loop, with interrupts off but for the moment of sleep: what a queue per vCPU would have to undo is nothing.

#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod config;
mod executor;
mod frames;
mod hypercall;
mod lifecycle;
mod log_sink;
mod machine;
mod memory;
mod on_cpu;
mod panic;
mod random;
mod run;
pub mod stats;
mod system;
mod timers;

#[cfg(target_os = "none")]
mod early;
#[cfg(target_os = "none")]
mod exceptions;
#[cfg(target_os = "none")]
mod gdt;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod idt;
#[cfg(target_os = "none")]
mod paging;
#[cfg(target_os = "none")]
mod start;

pub use machine::DomU;
#[cfg(target_os = "none")]
pub use start::start;
pub use system::System;
pub use {log, net, netfront, xen};

/// Names the image's main task: an `async fn(System)`. When it ends, the guest powers off.
///
/// ```ignore
/// async fn run(system: kernel::System) {}
/// kernel::main!(run);
/// ```
#[macro_export]
macro_rules! main {
    ($main:path) => {
        /// Called by the boot code in 64-bit mode, with the physical address of `hvm_start_info`.
        #[allow(unsafe_code, reason = "the name by which the boot code calls; there is one in an image")]
        #[unsafe(no_mangle)]
        extern "C" fn kernel_main(start_info: u32) -> ! {
            $crate::start(start_info, env!("CARGO_PKG_NAME"), $main)
        }
    };
}
