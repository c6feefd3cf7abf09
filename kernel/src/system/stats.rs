//! A snapshot of all counters, as plain data.

use super::System;
use super::interface::Interface;
use crate::cpu::hypercall::KIND_NAMES;
pub use crate::mem::heap_stats::HeapStats;

use alloc::vec::Vec;
use net::NetStatus;
use xen::Memory;
use xen::gnttab::GrantStats;

/// Pages outside of image and heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageStats {
    /// Allocated: in pools and rings.
    pub taken: usize,
    /// Free.
    pub free: usize,
}

/// One network interface.
#[derive(Clone, Debug)]
pub struct InterfaceStats {
    /// The frontend: rings, pools, notifications.
    pub frontend: netfront::Stats,
    /// The stack: addresses, connections, drops.
    pub net: NetStatus,
}

/// All counters at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Nanoseconds since the kernel started.
    pub uptime_ns: u64,
    /// Wall clock time in nanoseconds since 1970 UTC, if Xen has set it.
    pub unix_ns: Option<u64>,
    /// The appliance's name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The domain's number, once it is known.
    pub domid: Option<u16>,
    /// RAM of the guest in bytes.
    pub memory_bytes: u64,
    /// The heap.
    pub heap: HeapStats,
    /// The pages.
    pub pages: PageStats,
    /// The grant table.
    pub grants: GrantStats,
    /// Events since the start.
    pub events_received: u64,
    /// Of those, events on ports without a listener.
    pub events_stray: u64,
    /// Hypercalls since the start by kind.
    pub hypercalls: [(&'static str, u64); 8],
    /// Since the start: requests to xenstore, watch events from it, notifications to it, and loop iterations that an event
    /// of xenstore alone began (each of them ended a sleep).
    pub xenstore: [(&'static str, u64); 4],
    /// Tasks that have not ended.
    pub tasks: usize,
    /// The interfaces.
    pub interfaces: Vec<InterfaceStats>,
}

impl System {
    /// Takes a snapshot of all counters.
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        let xen = self.xen();
        let (counts, store) = (xen.machine.hypercalls(), xen.store.stats());
        let named = |index: usize| {
            (
                KIND_NAMES.get(index).copied().unwrap_or_default(),
                counts.get(index).copied().unwrap_or_default(),
            )
        };
        // The loop borrows the interfaces while it serves them; a snapshot taken by a log line then has none.
        let interfaces = self.0.interfaces.try_borrow().map_or_else(
            |_| Vec::new(),
            |all| {
                let one = |interface: &dyn Interface| InterfaceStats {
                    frontend: interface.stats(),
                    net: interface.net().status(),
                };
                all.iter().map(|interface| one(&**interface)).collect()
            },
        );
        Snapshot {
            uptime_ns: self.since_boot(),
            unix_ns: xen.machine.unix_time_ns(),
            name: self.name(),
            version: env!("CARGO_PKG_VERSION"),
            domid: self.domid(),
            memory_bytes: self.memory_bytes(),
            heap: crate::mem::heap::usage(),
            pages: PageStats { taken: xen.machine.pages_taken(), free: xen.machine.free_pages() },
            grants: xen.grants.stats(),
            events_received: xen.events.received(),
            events_stray: xen.events.stray(),
            hypercalls: core::array::from_fn(named),
            xenstore: [
                ("requests", store.requests),
                ("events", store.events),
                ("notifications", store.notifications),
                ("iterations", self.loop_signals().store_iterations()),
            ],
            tasks: self.executor().nr_tasks(),
            interfaces,
        }
    }
}
