//! What a guest asked of the simulated Xen, counted by kind.

/// Hypercalls and events of one guest since it was built. [`Counters::since`] counts those of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `EVTCHNOP_send`.
    pub notifications_sent: u64,
    /// Events that became pending for this guest (a second one before the first was taken does not count).
    pub notifications_received: u64,
    /// Event-channel operations other than send.
    pub evtchn_ops: u64,
    /// `SCHEDOP_block`.
    pub blocks: u64,
    /// `SCHEDOP_yield`.
    pub yields: u64,
    /// `VCPUOP_set_singleshot_timer`.
    pub timer_sets: u64,
    /// HVM parameters read or written.
    pub param_ops: u64,
    /// `GNTTABOP_*` of the guest.
    pub grant_ops: u64,
    /// `XENMEM_add_to_physmap`.
    pub physmap_ops: u64,
    /// Pages taken from free memory.
    pub pages_taken: u64,
    /// Pages given back.
    pub pages_freed: u64,
    /// Mappings of this guest's pages that other domains made.
    pub maps_by_peers: u64,
    /// Copies to or from this guest's pages that other domains made.
    pub copies_by_peers: u64,
}

impl Counters {
    /// All hypercalls.
    #[must_use]
    pub const fn hypercalls(&self) -> u64 {
        self.notifications_sent
            + self.evtchn_ops
            + self.blocks
            + self.yields
            + self.timer_sets
            + self.param_ops
            + self.grant_ops
            + self.physmap_ops
    }

    /// The difference to `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            notifications_sent: self.notifications_sent - earlier.notifications_sent,
            notifications_received: self.notifications_received - earlier.notifications_received,
            evtchn_ops: self.evtchn_ops - earlier.evtchn_ops,
            blocks: self.blocks - earlier.blocks,
            yields: self.yields - earlier.yields,
            timer_sets: self.timer_sets - earlier.timer_sets,
            param_ops: self.param_ops - earlier.param_ops,
            grant_ops: self.grant_ops - earlier.grant_ops,
            physmap_ops: self.physmap_ops - earlier.physmap_ops,
            pages_taken: self.pages_taken - earlier.pages_taken,
            pages_freed: self.pages_freed - earlier.pages_freed,
            maps_by_peers: self.maps_by_peers - earlier.maps_by_peers,
            copies_by_peers: self.copies_by_peers - earlier.copies_by_peers,
        }
    }
}
