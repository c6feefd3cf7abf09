//! Xen for guests, without a machine beneath it.
//!
//! Layouts ([`abi`]), the hypercalls as a trait ([`Hypervisor`]), memory that is shared with another domain ([`shared`],
//! [`page`]), and what every guest builds from them: rings, the grant table, event channels, the xenstore client,
//! xenbus states, the console and the clocks.
//!
//! ```text
//!   kernel (VMCALL / VMMCALL)      xen-sim (a Xen in a test)
//!              \                        /
//!               trait Hypervisor + Memory
//!                          |
//!    gnttab  evtchn  ring  xenstore  xenbus  console  clock
//!                          |
//!                 netfront, datafront
//! ```
//!
//! It issues no hypercall itself, knows no address of the machine and no thread; it runs unchanged on the host.
//! `unsafe` is confined to the modules that `docs/soundness.md` lists.

#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod abi;
pub mod clock;
pub mod console;
pub mod context;
pub mod crc32c;
pub mod evtchn;
pub mod gnttab;
pub mod hypervisor;
pub mod ids;
pub mod memory;
pub mod ring;
pub mod signal;
pub mod xenbus;
pub mod xenstore;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod test_machine;

pub use abi::errno::Errno;
pub use context::Xen;
pub use gnttab::granted_pages::{self, GrantedPage, GrantedPages};
pub use hypervisor::{Clock, Hypervisor, Machine, Memory};
pub use ids::{DomId, EvtchnPort, Gfn, Gref, SystemTime, VcpuId};
pub use memory::contiguous::Stretch;
pub use memory::foreign::{self, Foreign};
pub use memory::page::{self, Access, Granted, Page, Private, ReadOnly, ReadWrite, TrustedBackend};
pub use memory::shared::{self, Shared, SharedPage};
