//! A simulated Xen, as a library: what a guest's drivers are tested against, on the host, in virtual time.
//!
//! ```text
//!     the code under test (xen, netfront, net, …)
//!            │ Hypervisor, Memory, Clock                    │ writes to its own pages
//!          Guest ──────────────┐                            ▼
//!            │                 │            GuestMemory: rings, grant table, shared info
//!       event channels     grant table read as Xen reads it ▲
//!            │                 │                            │ atomic loads and stores only
//!            ▼                 ▼                            │
//!         Peer: the operations of backend domains      ──┘
//!       ┌────┴─────┬───────────┐
//!   Xenstored    Netback    Console          ◄──── scripted by the test: frames, nodes, keys, faults
//! ```
//!
//! A [`Sim`] is one machine; every test builds its own. Nothing runs by itself: other domains work when the guest
//! blocks or yields, or when the test calls [`Sim::run`], and then only on what an event announced. So a
//! notification that the guest forgot makes the test hang, which it reports. The same inputs give the same run.
//!
//! The simulator is stricter than Xen. Freeing a granted page, a request that the real netback would punish, a byte
//! written to a page that the backend has: each stops the test with the name of the rule. It shares
//! no code with the drivers under test: of the `xen` crate it uses the traits, the identifiers, [`xen::Shared`] and the
//! layouts.
//!
//! ```
//! use xen::{Hypervisor as _, Memory as _};
//! let machine = xen_sim::Sim::builder().memory_pages(64).build();
//! let guest = machine.guest();
//! let port = guest.evtchn_alloc_unbound(xen::DomId(0)).unwrap();
//! guest.evtchn_send(port).unwrap();
//! assert_eq!(guest.counters().notifications_sent, 1);
//! assert_eq!(guest.free_pages(), 64);
//! ```

//!
//! A vif, its traffic, and faults of its backend:
//!
//! ```
//! use xen_sim::netback::{Index, Order, Side};
//! use xen_sim::{Delivery, Sim, VifConfig};
//! let machine = Sim::builder().memory_pages(64).build();
//! let netback = machine.add_vif(VifConfig::default().trusted(Some("0")).without("feature-sg"));
//! let xen = machine.xen(); // as after the kernel's boot; a driver's test begins here
//!
//! netback.send(vec![0; 60]); // waits until the guest has connected and posted pages
//! netback.faults(|faults| {
//!     faults.order = Order::Permuted(7);
//!     faults.keep_mapped = true;
//!     faults.tx_responses = Some(Box::new(|responses| responses[0].id = 0xffff));
//! });
//! machine.store().fail_commits(2);
//! machine.store().set_delivery(xen.machine.id(), Delivery::Pieces(1));
//! let late = netback.clone();
//! machine.after(1_000_000_000, move || late.ring(Side::Rx).set_index(Index::RspProd, 9));
//! assert!(machine.leaks_to(xen::DomId(0)).is_empty());
//! ```

#![deny(unsafe_code)]

mod agenda;
mod boot;
mod builder;
mod calls;
mod console;
mod counters;
mod domain;
mod evtchn;
mod grants;
mod guest;
mod machine;
mod memory;
pub mod netback;
mod peer;
mod restore;
mod store;
mod toolstack;
mod world;

pub use boot::{block_on, boot, iterate};
pub use builder::{Builder, GuestConfig};
pub use calls::Call;
pub use console::Console;
pub use counters::Counters;
pub use grants::GrantedFrame;
pub use guest::Guest;
pub use machine::{Leak, Sim};
pub use memory::Flipper;
pub use netback::{Netback, Packet, VifConfig};
pub use peer::{MappedPage, Peer};
pub use restore::{Restored, resume};
pub use store::{Delivery, LogEntry, Quota, Store};
