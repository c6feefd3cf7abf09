//! What is counted, as plain data: a copy to print or to publish.
//!
//! Counters run from the making of the interface, over all its connections. Packets and bytes are whole Ethernet
//! frames. `rx` is backend → us, `tx` is us → backend.

use crate::config::Config;
use crate::feature::Feature;
use crate::misbehaviour::Tally;
use crate::pool::{Mismatch, PoolCounts, PoolStats};
use crate::vif::Rate;
use xen::DomId;

/// Declares counters that can be added up.
macro_rules! counters {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $field:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: u64,)+
        }

        impl $name {
            /// Adds other counters to these.
            pub const fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)+
            }
        }
    };
}

counters! {
    /// Counters of the way in.
    pub struct RxStats {
        /// Frames given to the stack.
        packets,
        /// Their bytes.
        bytes,
        /// Frames copied out of their page: below the threshold, or from a backend that is not trusted.
        copied_packets,
        /// Their bytes.
        copied_bytes,
        /// Frames lent in place.
        lent_packets,
        /// Their bytes.
        lent_bytes,
        /// Frames given to holders, for longer than a turn.
        held_packets,
        /// Frames that no holder got, because they have as many as they may.
        held_refused,
        /// Frames over several slots; each was put together in one copy.
        chains,
        /// Frames of several segments that the backend has merged.
        gso_packets,
        /// Frames whose checksum was left blank: they never were on a wire.
        checksum_blank,
        /// Frames that came with their hash.
        hashed,
        /// Those of them that came on another queue than their hash says.
        hash_elsewhere,
        /// Those of which the hash was computed here too, and how many of these differed.
        hash_checked,
        /// See `hash_checked`.
        hash_wrong,
        /// Bytes cleared in pages before these went back.
        cleared_bytes,
        /// Frames dropped, for whatever reason.
        dropped,
        /// Frames that the backend said it could not deliver.
        backend_errors,
        /// Responses taken from the ring.
        responses,
        /// Requests written to the ring.
        requests,
        /// Notifications sent.
        notifications,
        /// Turns in which the pool was empty before the ring was full.
        starved,
    }
}

counters! {
    /// Counters of the way out.
    pub struct TxStats {
        /// Frames queued.
        packets,
        /// Their bytes.
        bytes,
        /// Responses taken from the ring.
        responses,
        /// Frames that the backend dropped.
        backend_dropped,
        /// Frames that the backend failed to send.
        backend_errors,
        /// Frames that were not fit to send: shorter than a header, or longer than can be sent.
        refused,
        /// Frames over several slots.
        chains,
        /// Frames that the backend is to cut into TCP segments.
        gso_packets,
        /// Frames whose checksum the backend is to finish.
        checksum_blank,
        /// Groups that the backend was asked to let in, or to keep out again.
        group_requests,
        /// Those of them that it refused.
        groups_refused,
        /// Frames queued and not yet pushed when the backend went away.
        lost_queued,
        /// Frames pushed and not yet answered when the backend went away.
        lost_in_flight,
        /// Notifications sent.
        notifications,
        /// Times that no token could be given, for want of a slot or of a page.
        exhausted,
    }
}

counters! {
    /// Counters of the device.
    pub struct DeviceStats {
        /// Turns begun.
        turns,
        /// Events received on the queues' channels.
        events,
        /// Events after which there was nothing to take.
        idle_events,
        /// Times that a channel was masked for a while, because events came faster than work.
        event_masks,
        /// Times that rings were set up with a backend.
        connects,
        /// Times that the device broke.
        breaks,
        /// Notifications that Xen refused.
        notify_errors,
        /// Ring pages that a backend did not let go of.
        quarantined_rings,
        /// Those of them that it let go of later.
        recovered_rings,
        /// Requests on the control ring that the backend answered.
        ctrl_answered,
        /// Those of them that it refused.
        ctrl_refused,
        /// Times that it did not answer in time.
        ctrl_silent,
        /// Accounts that did not balance.
        mismatches,
    }
}

/// Queues that are counted one by one: as many as there can be.
pub const MOST_QUEUES: usize = 8;

/// Frames of one queue, since this connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Given to the stack.
    pub rx_packets: u64,
    /// Queued.
    pub tx_packets: u64,
}

/// What was agreed with the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// The backend copies into our pages. Nothing works without.
    pub rx_copy: bool,
    /// An event channel for each direction.
    pub split_event_channels: bool,
    /// Frames over several slots, on the way in.
    pub scatter_gather: bool,
    /// Queues in use.
    pub queues: u32,
    /// Frames to groups come only where we joined them.
    pub multicast_control: bool,
    /// The backend chooses queues by a hash whose key is ours.
    pub hash: bool,
    /// What the backend was told that we accept.
    pub rx: Feature,
    /// What the backend accepts, and we use.
    pub tx: Feature,
}

/// Everything about an interface at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// The way in.
    pub rx: RxStats,
    /// The way out.
    pub tx: TxStats,
    /// The device.
    pub device: DeviceStats,
    /// The queues, one by one, of this connection; as many as there are, and zeros.
    pub queues: [QueueStats; MOST_QUEUES],
    /// The pages to receive into; of all queues together.
    pub rx_pool: PoolCounts,
    /// The pages to send from.
    pub tx_pool: PoolCounts,
    /// The pages in a row, for frames that are longer than a page.
    pub tx_strip: PoolCounts,
    /// What the rx pools have done.
    pub rx_pool_stats: PoolStats,
    /// What the tx pools have done.
    pub tx_pool_stats: PoolStats,
    /// Broken rules by kind.
    pub misbehaviour: Tally,
    /// The first account that does not balance, if there is one.
    pub mismatch: Option<Mismatch>,
    /// Whether frames can flow.
    pub link_up: bool,
    /// Whether the link behind the backend is up, as far as that says.
    pub carrier: bool,
    /// What the toolstack lets us send.
    pub rate: Option<Rate>,
    /// Times that the link came up.
    pub link_generation: u32,
    /// The backend's domain, while there is one.
    pub backend: Option<DomId>,
    /// Whether the backend is trusted.
    pub trusted: bool,
    /// What was chosen.
    pub config: Config,
    /// Pages that the backend keeps mapped.
    pub mapped_pages: usize,
    /// IP bytes of the longest packet.
    pub mtu: u16,
    /// What was agreed with the backend.
    pub features: Features,
}

impl PoolCounts {
    /// Adds the pages of another pool.
    pub const fn add(&mut self, other: &Self) {
        self.free = self.free.saturating_add(other.free);
        self.in_ring = self.in_ring.saturating_add(other.in_ring);
        self.lent = self.lent.saturating_add(other.lent);
        self.quarantined = self.quarantined.saturating_add(other.quarantined);
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.saturating_add(other.max);
    }
}

impl PoolStats {
    /// Adds what another pool has done.
    pub const fn add(&mut self, other: &Self) {
        self.grows = self.grows.wrapping_add(other.grows);
        self.shrinks = self.shrinks.wrapping_add(other.shrinks);
        self.grow_failures = self.grow_failures.wrapping_add(other.grow_failures);
        self.regranted = self.regranted.wrapping_add(other.regranted);
    }
}
