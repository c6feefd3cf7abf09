//! The machine beneath the appliances.
//!
//! ```text
//!   boot ─► start: GDT, IDT, page tables, frames, heap ─► DomU: hypercalls, pages, clock ─► Xen context
//!                                                                              │
//!   loop: dispatch events ─► xenstore, console ─► stack's turn ─► timers ─► tasks ─► nothing to do? block in Xen
//! ```
//!
//! An appliance is a binary that names its main task with [`main!`] and gets a `System`. Everything runs on one vCPU,
//! in one loop, with interrupts off but for the moment of sleep: what a queue per vCPU would have to undo is nothing.

#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;
#[cfg(test)]
extern crate std;

// What is pure is built, and tested, on the host too.
pub mod config;
#[cfg(any(test, target_os = "none"))]
mod executor;
#[cfg(any(test, target_os = "none"))]
mod facts;
pub mod holes;
#[cfg(any(test, target_os = "none"))]
mod notes;
#[cfg(any(test, target_os = "none"))]
mod recent;
pub mod regions;
#[cfg(any(test, target_os = "none"))]
mod reservation;
#[cfg(any(test, target_os = "none"))]
mod timer_queue;

// The rest needs the machine.
#[cfg(target_os = "none")]
mod boot_memory;
#[cfg(target_os = "none")]
pub mod build;
#[cfg(target_os = "none")]
pub mod datafront;
#[cfg(target_os = "none")]
mod early;
#[cfg(target_os = "none")]
mod exceptions;
#[cfg(target_os = "none")]
mod frames;
#[cfg(target_os = "none")]
mod gdt;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod hypercall;
#[cfg(target_os = "none")]
mod idt;
#[cfg(target_os = "none")]
mod lifecycle;
#[cfg(target_os = "none")]
mod log_sink;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod on_cpu;
#[cfg(target_os = "none")]
mod paging;
#[cfg(target_os = "none")]
mod panic;
#[cfg(any(test, target_os = "none"))]
mod places;
#[cfg(target_os = "none")]
mod random;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod shell;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
pub mod stats;
#[cfg(target_os = "none")]
mod suspend;
#[cfg(target_os = "none")]
mod system;
#[cfg(target_os = "none")]
mod timers;
#[cfg(target_os = "none")]
mod watchdog;

pub use {log, net, netfront, xen};
#[cfg(target_os = "none")]
pub use {machine::DomU, start::start, system::System};

/// Names the image's main task: an `async fn(System)`. When it ends, the guest powers off.
///
/// ```ignore
/// async fn run(system: kernel::System) {}
/// kernel::main!(run);
/// ```
#[macro_export]
macro_rules! main {
    ($main:path) => {
        /// Called by the boot code in 64-bit mode, with the physical address of the loader's information and the magic
        /// number that says which loader it is.
        #[allow(unsafe_code, reason = "the name by which the boot code calls; there is one in an image")]
        #[unsafe(no_mangle)]
        extern "C" fn kernel_main(information: u32, magic: u32) -> ! {
            $crate::start(information, magic, env!("CARGO_PKG_NAME"), $main)
        }
    };
}

/// Puts the image's package note into it, as its build script wrote it (`bill::write_note`): what `readelf -n` and
/// `/status.json` tell of version, commit and dependencies.
#[macro_export]
macro_rules! note {
    () => {
        const _: () = {
            const BYTES: &[u8] = include_bytes!(env!("MILLPOND_NOTE"));
            #[repr(C, align(4))]
            struct Note([u8; BYTES.len()]);
            #[allow(unsafe_code, reason = "a section by name, which the linker script puts among the notes")]
            #[used]
            #[unsafe(link_section = ".note.package")]
            static NOTE: Note = Note(*include_bytes!(env!("MILLPOND_NOTE")));
        };
    };
}
