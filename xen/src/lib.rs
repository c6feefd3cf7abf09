//! Xen for guests, without a machine beneath it.
//!
//! Layouts ([`abi`]), the hypercalls as a trait ([`Hypervisor`]), memory that is shared with another domain
//! ([`memory`]), and what every guest builds from them: rings, the grant table, event channels, the xenstore client,
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
//! Groups, top to bottom; a file imports its own group and those below:
//!
//! ```text
//!   context, xenbus > xenstore, console, gnttab, evtchn, clock > ring > hypervisor > memory > abi > ids, signal, crc32c, counter
//! ```
//!
//! | group | idea |
//! |---|---|
//! | [`context`] | everything below in one struct, for drivers |
//! | [`xenbus`] | device states and the frontend's side of the handshake |
//! | [`xenstore`], [`console`] | clients of the two rings that the toolstack sets up |
//! | [`gnttab`], [`evtchn`], [`clock`] | grant table, event channels, time |
//! | [`ring`] | request and response rings in both roles, byte rings |
//! | [`hypervisor`] | the trait behind which Xen is |
//! | [`memory`] | pages, foreign pages, shared memory |
//! | [`abi`] | layouts and numbers, one file a public header |
//! | [`ids`], [`signal`], [`crc32c`], [`counter`] | small types without Xen |
//!
//! The crate issues no hypercall itself, has no address of the machine and no thread; it runs unchanged on the host.
//! `unsafe` is confined to the modules that `docs/soundness.md` lists.

#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

pub mod abi;
pub mod backoff;
pub mod clock;
pub mod console;
pub mod context;
pub mod counter;
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

pub use abi::errno::Errno;
pub use context::Xen;
pub use counter::{Counter, Counters};
pub use gnttab::granted_pages::{self, GrantedPage, GrantedPages};
pub use hypervisor::{Clock, Hypervisor, Machine, Memory};
pub use ids::{DomId, EvtchnPort, Gfn, Gref, SystemTime, VcpuId};
pub use memory::contiguous::ContiguousPages;
pub use memory::foreign::{self, Foreign};
pub use memory::page::{self, Access, Granted, Page, Private, ReadOnly, ReadWrite, TrustedBackend};
pub use memory::shared::{self, Shared, SharedPage};

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
