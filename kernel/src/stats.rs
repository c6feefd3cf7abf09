//! Everything that is counted, at one moment: plain data for a status page.

use alloc::vec::Vec;
use net::NetStatus;
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
