//! The machine beneath the appliances.
//!
//! ```text
//!   boot ─► start: GDT, IDT, page tables, frames, heap ─► DomU: hypercalls, pages, clock ─► System
//!                                                                              │
//!   loop: dispatch events ─► xenstore, console ─► receive ─► timers ─► tasks ─► send ─► no work left: block in Xen
//! ```
//!
//! An appliance is a binary that names its main task with [`main!`], which gets a `System`. Everything runs on one vCPU
//! in one loop. Interrupts are on only while the vCPU sleeps.
//!
//! The modules are groups in an order, see ARCHITECTURE.md: a file imports its own group and the groups below.

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

// The lowest groups first. What needs no machine is built, and tested, on the host too.
pub mod config;
mod cpu;
mod image;
mod mem;
pub mod stats;
#[cfg(any(test, bare))]
mod task;

#[cfg(bare)]
mod domain;

#[cfg(any(test, bare))]
mod crash;
#[cfg(bare)]
mod system;

#[cfg(bare)]
mod run;

#[cfg(any(test, bare))]
mod toolstack;

#[cfg(bare)]
mod start;

pub use mem::{heap_reserve, holes, regions};
pub use {cmdline, ledger, log, net, netfront, nic, pool, xen};
#[cfg(bare)]
pub use {
    domain::domu::DomU,
    image::build,
    start::start,
    system::{ChannelHandler, SendSettings, System, channels as datafront},
};

/// Names the image's main task: an `async fn(System)`. When it returns, the guest powers off.
///
/// ```ignore
/// async fn run(system: kernel::System) {}
/// kernel::main!(run);
/// ```
#[macro_export]
macro_rules! main {
    ($main:path) => {
        /// Called by the boot code in 64-bit mode, with the physical address of the loader's information, and the magic
        /// number of the loader.
        #[allow(unsafe_code, reason = "the symbol that the boot code calls; an image has one")]
        #[unsafe(no_mangle)]
        extern "C" fn kernel_main(information: u32, magic: u32) -> ! {
            $crate::start(information, magic, env!("CARGO_PKG_NAME"), $main)
        }
    };
}

/// Puts the package note into the image, as its build script wrote it (`bill::write_note`): version, commit and
/// dependencies, for `readelf -n` and `/status.json`.
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
