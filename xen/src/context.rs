//! What a driver needs of the system, in one hand.

use crate::evtchn::EventChannels;
use crate::gnttab::GrantTable;
use crate::xenstore::XenStore;

/// One domain's view of Xen: made once at boot, shared by all drivers of a vCPU by `Rc`.
#[derive(Debug)]
pub struct Xen<M> {
    /// Hypercalls, pages and the clock.
    pub machine: M,
    /// The grant table.
    pub grants: GrantTable,
    /// The event channels.
    pub events: EventChannels,
    /// The xenstore client.
    pub store: XenStore,
}
