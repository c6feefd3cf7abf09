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

#[cfg(all(target_arch = "x86_64", target_os = "none"))]
mod entry;
mod info;
mod multiboot;
mod pvh;

#[cfg(all(target_arch = "x86_64", target_os = "none"))]
pub use entry::{ImageLayout, image_layout, notes};
pub use info::{
    BootError, BootInfo, Loader, MAX_CMDLINE, MAX_REGIONS, MULTIBOOT2_MAGIC, MemoryRegion, PVH_MAGIC,
    PhysicalMemory, RegionKind,
};
