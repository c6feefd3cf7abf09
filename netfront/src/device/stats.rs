//! What is counted and negotiated, as plain data: a copy to print or to publish.
//!
//! ```text
//!   Stats ─┬─ rx, tx, device, misbehaviour, rx_pool_stats, tx_pool_stats: counters, with names and help texts
//!          └─ rx_pool, tx_pool, tx_contiguous, queues, features, …: the present state
//! ```
//!
//! Counters run from the making of the interface, over all its connections.

use super::config::Config;
use crate::queue::counters::{RxStats, TxStats};
use crate::wire::feature::Feature;
use crate::wire::misbehaviour::MisbehaviourCounts;
use crate::wire::rate::Rate;
use pool::{Mismatch, PoolCounts, PoolStats};
use xen::{Counter, DomId};

xen::counters! {
    /// What the device counts.
    pub struct DeviceStats {
        /// Iterations of the loop.
        iterations,
        /// Events received on the channels of the queues.
        events,
        /// Events after which there was no response to take.
        idle_events,
        /// Times that a channel was masked for a while because its events came without work.
        event_masks,
        /// Times that rings were set up with a backend.
        connects,
        /// Times that the backend broke the device.
        breaks,
        /// Notifications that Xen refused.
        notify_errors,
        /// Ring pages that a backend still used after the connection.
        quarantined_rings,
        /// Quarantined ring pages that came back later.
        recovered_rings,
        /// Requests on the control ring that the backend answered.
        ctrl_answered,
        /// Requests on the control ring that the backend refused.
        ctrl_refused,
        /// Times that the backend did not answer on the control ring in time.
        ctrl_silent,
        /// Audits that found the pages of a pool not accounted for: a bug of the guest.
        mismatches,
    }
}

/// The largest number of queues.
pub const MAX_QUEUES: usize = 8;

/// The frames of one queue, since the beginning of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Frames given to the stack.
    pub rx_packets: Counter,
    /// Frames queued.
    pub tx_packets: Counter,
}

/// What was negotiated with the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// The backend copies into our pages. This frontend needs it.
    pub rx_copy: bool,
    /// Each direction has an event channel.
    pub split_event_channels: bool,
    /// Received frames can have several slots.
    pub scatter_gather: bool,
    /// The number of queues.
    pub queues: u32,
    /// Frames to multicast groups come only for groups that we joined.
    pub multicast_control: bool,
    /// The backend chooses queues by a hash with our key.
    pub hash: bool,
    /// The features that the backend was told.
    pub rx: Feature,
    /// The features of the backend that we use.
    pub tx: Feature,
}

/// Everything about an interface at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Counters of the way in.
    pub rx: RxStats,
    /// Counters of the way out.
    pub tx: TxStats,
    /// Counters of the device.
    pub device: DeviceStats,
    /// The queues of this connection, one by one. Unused entries are zero.
    pub queues: [QueueStats; MAX_QUEUES],
    /// Where the pages to receive into are, of all queues together.
    pub rx_pool: PoolCounts,
    /// Where the pages to send from are.
    pub tx_pool: PoolCounts,
    /// Where the contiguous pages to send from are.
    pub tx_contiguous: PoolCounts,
    /// Counters of the rx pools.
    pub rx_pool_stats: PoolStats,
    /// Counters of the tx pools.
    pub tx_pool_stats: PoolStats,
    /// Broken rules by kind.
    pub misbehaviour: MisbehaviourCounts,
    /// The first pool whose pages are not accounted for, if there is one.
    pub mismatch: Option<Mismatch>,
    /// Whether frames can flow.
    pub link_up: bool,
    /// Whether the link behind the backend is up, as far as the backend says.
    pub carrier: bool,
    /// The transmit limit of the vif.
    pub rate: Option<Rate>,
    /// The number of times that the link came up.
    pub link_generation: u32,
    /// The backend's domain, during a connection.
    pub backend: Option<DomId>,
    /// Whether the backend is trusted.
    pub trusted: bool,
    /// The configuration.
    pub config: Config,
    /// Pages that the backend keeps mapped.
    pub mapped_pages: usize,
    /// IP bytes of the longest packet.
    pub mtu: u16,
    /// What was negotiated with the backend.
    pub features: Features,
}
