//! A snapshot of all counters, as plain data and as named numbers.
//!
//! | file | idea |
//! |---|---|
//! | here | the snapshot |
//! | `numbers` | named numbers in groups |
//! | `groups` | the snapshot as groups, from which pages and shell are made |

pub mod groups;
pub mod numbers;

pub use crate::cpu::hypercall_kind::{Hypercalls, Kind};
pub use crate::mem::heap_stats::HeapStats;
use alloc::vec::Vec;
use net::NetStatus;
use xen::Counter;
use xen::console::ConsoleStats;
use xen::evtchn::EventStats;
use xen::gnttab::GrantStats;
use xen::xenstore::XsStats;

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

xen::counters! {
    /// Iterations of the loop.
    pub struct LoopStats {
        /// Iterations of the loop.
        iterations,
        /// Iterations that the timer began before the loop's next deadline: one was cancelled after the timer had been
        /// set, or is still to come by the guest's clock.
        stale_timers,
        /// Iterations that the rest of an event began: an iteration before had taken the event while Xen sent it.
        late_events,
        /// Iterations without work: no deadline had passed, and no event came.
        without_work,
    }
}

/// Name, help text and value of a counter.
pub type Named = (&'static str, &'static str, u64);

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
    pub events: EventStats,
    /// Hypercalls since the start by kind.
    pub hypercalls: [Named; Kind::ALL.len()],
    /// Traffic with xenstore since the start.
    pub xenstore: XsStats,
    /// Loop iterations that an event of xenstore alone began; each of them ended a sleep.
    pub xenstore_iterations: Counter,
    /// The console since the start.
    pub console: ConsoleStats,
    /// Iterations of the loop since the start.
    pub iterations: LoopStats,
    /// Memory whose size peers or dom0 decide, by consumer.
    pub ledger: [ledger::Usage; ledger::SHARES.len()],
    /// Tasks that have not ended.
    pub tasks: usize,
    /// The interfaces.
    pub interfaces: Vec<InterfaceStats>,
}
