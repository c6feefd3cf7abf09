//! Takes a snapshot of all counters of the running guest.

use super::System;
use super::interface::Interface;
use crate::stats::{InterfaceStats, Kind, PageStats, Snapshot};
use alloc::vec::Vec;
use xen::Memory;

impl System {
    /// Takes a snapshot of all counters.
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        let xen = self.xen();
        let counts = xen.machine.hypercalls();
        let mut hypercalls = Kind::ALL.map(|kind| (kind.name(), kind.help(), 0));
        for (named, count) in hypercalls.iter_mut().zip(counts) {
            named.2 = count;
        }
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
            events: xen.events.stats(),
            hypercalls,
            xenstore: xen.store.stats(),
            xenstore_iterations: self.loop_signals().store_iterations(),
            console: self.console().stats(),
            iterations: self.loop_stats(),
            ledger: self.ledger().usage(),
            tasks: self.executor().nr_tasks(),
            interfaces,
        }
    }
}
