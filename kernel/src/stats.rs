//! Everything that is counted, at one moment: plain data for a status page.

use crate::hypercall::KIND_NAMES;
use crate::system::System;
use alloc::vec::Vec;
use net::NetStatus;
use xen::Memory;
use xen::gnttab::GrantStats;

/// How full the heap is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// In use.
    pub used: usize,
    /// Free.
    pub free: usize,
}

/// Pages of the guest outside image and heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageStats {
    /// Out: in pools and rings.
    pub taken: usize,
    /// Free.
    pub free: usize,
}

/// One network interface.
#[derive(Clone, Debug)]
pub struct InterfaceStats {
    /// The frontend: ring, pools, notifications.
    pub frontend: netfront::Stats,
    /// The stack: addresses, connections, drops.
    pub net: NetStatus,
}

/// The guest at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Nanoseconds since the kernel started.
    pub uptime_ns: u64,
    /// Wall clock, nanoseconds since 1970 UTC, if Xen has it.
    pub unix_ns: Option<u64>,
    /// The appliance.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The domain's number, once known.
    pub domid: Option<u16>,
    /// RAM that the guest was given, in bytes.
    pub memory_bytes: u64,
    /// The heap.
    pub heap: HeapStats,
    /// The pages.
    pub pages: PageStats,
    /// The grant table.
    pub grants: GrantStats,
    /// Events taken since boot.
    pub events_received: u64,
    /// Events on ports that nobody listened to.
    pub events_stray: u64,
    /// Hypercalls since boot by kind.
    pub hypercalls: [(&'static str, u64); 8],
    /// Since boot: requests to xenstore, watch events of it, notifications to it, and turns that it alone began, each of
    /// them one sleep.
    pub xenstore: [(&'static str, u64); 4],
    /// Tasks that have not ended.
    pub tasks: usize,
    /// The interfaces.
    pub interfaces: Vec<InterfaceStats>,
}

impl System {
    /// Takes a snapshot of everything that is counted.
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
        let interfaces = self.0.interfaces.try_borrow().map_or_else(
            |_| Vec::new(),
            |all| {
                let one = |interface: &alloc::boxed::Box<dyn crate::run::Interface>| InterfaceStats {
                    frontend: interface.stats(),
                    net: interface.net().status(),
                };
                all.iter().map(one).collect()
            },
        );
        Snapshot {
            uptime_ns: self.since_boot(),
            unix_ns: xen.machine.unix_time_ns(),
            name: self.name(),
            version: env!("CARGO_PKG_VERSION"),
            domid: self.domid(),
            memory_bytes: self.0.memory_bytes,
            heap: crate::heap::usage(),
            pages: PageStats { taken: xen.machine.pages_taken(), free: xen.machine.free_pages() },
            grants: xen.grants.stats(),
            events_received: xen.events.received(),
            events_stray: xen.events.stray(),
            hypercalls: core::array::from_fn(named),
            xenstore: [
                ("requests", store.requests),
                ("events", store.events),
                ("notifications", store.notifications),
                ("turns", self.0.bells.borrow().turns_of_store()),
            ],
            tasks: self.0.executor.nr_tasks(),
            interfaces,
        }
    }
}
