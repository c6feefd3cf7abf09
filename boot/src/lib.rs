//! From Xen's entry to Rust: the ELF note, the way to 64-bit mode, and what the loader tells, as [`BootInfo`].
//!
//! ```text
//!   Xen ──ebx: hvm_start_info──► pvh_start (32 bit, no paging) ──► long mode, identity map of 4 GiB ──► kernel_main
//!                                                                                                   │
//!                                        BootInfo::from_pvh(physical memory, address) ◄─────────────┘
//! ```
//!
//! Parsing is pure: it reads physical memory through [`PhysicalMemory`], so that the host tests (and fuzzes) it.

#![no_std]
#![deny(unsafe_code)]

#[cfg(all(target_arch = "x86_64", target_os = "none"))]
mod entry;
mod info;
mod pvh;

#[cfg(all(target_arch = "x86_64", target_os = "none"))]
pub use entry::{ImageLayout, PVH_MAGIC, image_layout};
pub use info::{BootError, BootInfo, MAX_REGIONS, MemoryRegion, PhysicalMemory, RegionKind};
