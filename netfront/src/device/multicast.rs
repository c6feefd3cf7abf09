//! Multicast control: the backend lets frames to a group in only if we joined it.
//!
//! ```text
//!   stack ──set_multicast──► wanted ┐
//!                                   ├─ difference ─► a request without data, and an extra ─► tx ring of the first queue
//!   what the backend was told: told ┘               MCAST_ADD or MCAST_DEL
//! ```
//!
//! The wanted groups outlive connections; what the backend was told does not. A backend has room for a limited number of
//! groups (Linux's for 64). If it refuses one, the connection task asks it to let all groups in, where the backend can do
//! that during a connection (`feature-dynamic-multicast-control`).

use super::NetDevice;
use super::mailbox::Notice;
use alloc::vec::Vec;
use smoltcp::wire::EthernetAddress;
use xen::Machine;
use xen::abi::io_netif::NetifExtra;

/// The largest number of wanted groups. The limit keeps a long list from filling the ring for ever.
const MAX_GROUPS: usize = 256;

/// The wanted groups, and those that the backend lets in.
#[derive(Debug, Default)]
pub(super) struct Groups {
    wanted: Vec<EthernetAddress>,
    told: Vec<EthernetAddress>,
    /// The backend keeps other groups out.
    controlled: bool,
    /// The two lists differ, and the backend is to be told.
    pending: bool,
    /// The number of refusals that were handled.
    refused: u64,
}

impl Groups {
    /// Sets the wanted groups.
    pub(super) fn want(&mut self, groups: &[EthernetAddress]) {
        self.wanted = groups.iter().copied().filter(EthernetAddress::is_multicast).take(MAX_GROUPS).collect();
        self.pending = self.controlled;
    }

    /// Begins a connection: the backend was told nothing yet.
    pub(super) fn begin(&mut self, controlled: bool) {
        self.told.clear();
        self.controlled = controlled;
        self.pending = controlled;
    }

    /// Whether the backend is to be told of groups. The device reads this once an iteration.
    #[inline]
    pub(super) const fn is_pending(&self) -> bool {
        self.pending
    }

    /// The next request. Groups that we left come first, because the backend's room is limited.
    fn next(&self) -> Option<NetifExtra> {
        let missing = |these: &[EthernetAddress], those: &[EthernetAddress]| {
            these.iter().find(|group| !those.contains(group)).copied()
        };
        let leave = missing(&self.told, &self.wanted).map(|group| NetifExtra::McastDel(group.0));
        leave.or_else(|| missing(&self.wanted, &self.told).map(|group| NetifExtra::McastAdd(group.0)))
    }

    /// Notes a request that was sent.
    fn note(&mut self, extra: NetifExtra) {
        match extra {
            NetifExtra::McastAdd(group) => self.told.push(EthernetAddress(group)),
            NetifExtra::McastDel(group) => self.told.retain(|told| told.0 != group),
            _ => {}
        }
    }
}

impl<M: Machine> NetDevice<M> {
    /// Sends the pending requests, as far as the ring has room.
    #[cold]
    pub(super) fn send_group_requests(&mut self) {
        if !self.is_up() {
            return;
        }
        let Some(queue) = self.queues.first_mut() else { return };
        while let Some(extra) = self.groups.next() {
            if !queue.send_group(extra) {
                return;
            }
            self.groups.note(extra);
        }
        self.groups.pending = false;
    }

    /// Notifies the connection task if the backend has refused a group since the last call.
    pub(super) fn check_groups(&mut self) {
        let of_queue = self.queues.first().map_or(0, |queue| queue.stats().1.groups_refused.get());
        let refused = self.past_tx.groups_refused.get().wrapping_add(of_queue);
        if refused != self.groups.refused {
            self.groups.refused = refused;
            if self.groups.controlled {
                self.groups.begin(false);
                self.features.multicast_control = false;
                self.mailbox.notify(Notice::GroupsRefused);
            }
        }
    }
}
