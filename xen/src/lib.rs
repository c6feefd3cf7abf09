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
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

pub mod abi;
mod byte_ring;
pub mod clock;
pub mod console;
pub mod context;
pub mod counter;
pub mod crc32c;
pub mod evtchn;
pub mod foreign;
pub mod gnttab;
pub mod granted_pages;
pub mod hypervisor;
pub mod ids;
pub mod page;
pub mod ring;
pub mod shared;
pub mod signal;
pub mod stretch;
pub mod xenbus;
pub mod xenstore;

pub use abi::errno::Errno;
pub use context::Xen;
pub use counter::{Counter, Counters};
pub use foreign::Foreign;
pub use granted_pages::{GrantedPage, GrantedPages};
pub use hypervisor::{Clock, Hypervisor, Machine, Memory};
pub use ids::{DomId, EvtchnPort, Gfn, Gref, SystemTime, VcpuId};
pub use page::{Access, Granted, Page, Private, ReadOnly, ReadWrite, TrustedBackend};
pub use shared::Shared;
pub use stretch::Stretch;
