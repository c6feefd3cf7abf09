//! Takes a [`Snapshot`] of the running guest.

use crate::hypercall::KIND_NAMES;
use crate::stats::{InterfaceStats, PageStats, Snapshot};
use crate::system::System;
use alloc::vec::Vec;
use xen::Memory;

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
