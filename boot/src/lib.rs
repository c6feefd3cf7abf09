//! The entry: the ELF note for Xen, the switch to 64-bit mode, and the loader's information as [`BootInfo`].
//!
//! ```text
//!   Xen ──ebx: hvm_start_info──► pvh_start ─────┐ (32 bit, no paging)
//!   GRUB ──eax: magic, ebx──► multiboot2_start ──┴──► long mode, identity map of 4 GiB ──► kernel_main
//!                                                                                             │
//!                             BootInfo::from_loader(physical memory, magic, address) ◄────────┘
//! ```
//!
//! The parsers read physical memory through [`PhysicalMemory`], so that they are tested and fuzzed on the host.

#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

#[cfg(all(target_arch = "x86_64", bare))]
mod entry;
mod info;
mod multiboot;
mod pvh;

#[cfg(all(target_arch = "x86_64", bare))]
pub use entry::{ImageLayout, image_layout, notes};
pub use info::{
    BootError, BootInfo, Loader, MAX_CMDLINE, MAX_REGIONS, MULTIBOOT2_MAGIC, MemoryRegion, PVH_MAGIC,
    PhysicalMemory, RegionKind,
};
