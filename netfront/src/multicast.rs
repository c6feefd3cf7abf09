//! Multicast control: the backend lets frames to a group in only where we joined it.
//!
//! ```text
//!   stack ──set_multicast──► wanted ┐
//!                                   ├─ difference ─► a request without data, and an extra ─► tx ring of the first queue
//!   what the backend was told: told ┘               MCAST_ADD or MCAST_DEL
//! ```
//!
//! What is wanted outlives connections; what was told does not. A backend has room for a number of groups that nobody
//! knows (Linux's for 64). One that refuses a group is asked to let all of them in, where it can do that while it is
//! connected (`feature-dynamic-multicast-control`).

use crate::device::NetDevice;
use crate::handshake::MULTICAST_KEY;
use crate::life::Life;
use crate::mailbox::Notice;
use crate::polite::check_group;
use crate::sent::NO_PAGE;
use crate::tx::TxQueue;
use crate::vif::{ConnectError, read_number};
use alloc::vec::Vec;
use smoltcp::wire::EthernetAddress;
use xen::Machine;
use xen::abi::io_netif::{NetTxFlags, NetifExtra, NetifTxRequest};
use xen::xenbus::Frontend;

/// Groups that can be wanted; more are not asked for, so that a stack's list cannot fill the ring for ever.
const MOST: usize = 256;
/// Slots of a request about a group.
const SLOTS: u32 = 2;

/// Whose frames are wanted, and whose the backend lets in.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    wanted: Vec<EthernetAddress>,
    told: Vec<EthernetAddress>,
    /// The backend keeps out what it was not told to let in.
    controlled: bool,
    /// The two lists differ, and the backend is there to be told.
    pending: bool,
    /// Refusals that were looked after.
    refused: u64,
}

impl Groups {
    /// These and no others are wanted.
    pub(crate) fn want(&mut self, groups: &[EthernetAddress]) {
        self.wanted = groups.iter().copied().filter(EthernetAddress::is_multicast).take(MOST).collect();
        self.pending = self.controlled;
    }

    /// A new connection: its backend was told nothing.
    pub(crate) fn begin(&mut self, controlled: bool) {
        self.told.clear();
        self.controlled = controlled;
        self.pending = controlled;
    }

    /// Whether there is something to tell: the one look of each turn.
    #[inline]
    pub(crate) const fn is_pending(&self) -> bool {
        self.pending
    }

    /// What the backend is to be told next. Those to leave come first: there is not room for any number of them.
    fn next(&self) -> Option<NetifExtra> {
        let missing = |these: &[EthernetAddress], those: &[EthernetAddress]| {
            these.iter().find(|group| !those.contains(group)).copied()
        };
        let leave = missing(&self.told, &self.wanted).map(|group| NetifExtra::McastDel(group.0));
        leave.or_else(|| missing(&self.wanted, &self.told).map(|group| NetifExtra::McastAdd(group.0)))
    }

    /// The backend was told so.
    fn note(&mut self, extra: NetifExtra) {
        match extra {
            NetifExtra::McastAdd(group) => self.told.push(EthernetAddress(group)),
            NetifExtra::McastDel(group) => self.told.retain(|told| told.0 != group),
            _ => {}
        }
    }
}

impl<M: Machine> Life<M> {
    /// Multicast control is of no use with a backend that takes too few groups: better frames that nobody wants than
    /// none that somebody does.
    pub(crate) async fn let_all_groups_in(&self, frontend: &Frontend) -> Result<(), ConnectError> {
        let dynamic = frontend.backend_node("feature-dynamic-multicast-control");
        if read_number(&self.xen.store, &dynamic).await?.is_some_and(|value| value != 0) {
            log::warn!(
                "{}: the backend takes no more groups: from here on it lets all of them in",
                self.front
            );
            self.xen.store.write(&frontend.node(MULTICAST_KEY), "0").await?;
        } else {
            log::warn!("{}: the backend takes no more groups: frames to some are lost", self.front);
        }
        Ok(())
    }
}

impl<M: Machine> NetDevice<M> {
    /// Tells the backend of groups, as far as there is room.
    #[cold]
    pub(crate) fn ask_for_groups(&mut self) {
        if !self.link_up {
            return;
        }
        let Some(queue) = self.queues.first_mut() else { return };
        while let Some(extra) = self.groups.next() {
            if !queue.tx.tell_group(extra) {
                return;
            }
            self.groups.note(extra);
        }
        self.groups.pending = false;
    }

    /// Whether the backend has refused a group since the last time.
    pub(crate) fn look_after_groups(&mut self) {
        let of_queues = self.queues.first().map_or(0, |queue| queue.tx.stats.groups_refused);
        let refused = self.past_tx.groups_refused.wrapping_add(of_queues);
        if refused != self.groups.refused {
            self.groups.refused = refused;
            if self.groups.controlled {
                self.groups.begin(false);
                self.features.multicast_control = false;
                self.mailbox.tell(Notice::GroupsRefused);
            }
        }
    }
}

impl TxQueue {
    /// Queues a request without data and its extra; `false` if there is no room now.
    fn tell_group(&mut self, extra: NetifExtra) -> bool {
        if self.ring.free_requests() < SLOTS {
            return false;
        }
        let Some(id) = self.claim() else { return false };
        let request = NetifTxRequest {
            id: u16::from(id),
            flags: NetTxFlags::EXTRA_INFO.bits(),
            ..NetifTxRequest::default()
        };
        debug_assert!(check_group(&request, &extra).is_ok(), "{extra:?}");
        if self.ring.write_request(&request).is_none() {
            self.slots.unclaim(id);
            return false;
        }
        self.slots.queue_strip(id, self.written, NO_PAGE, false);
        self.written = self.written.wrapping_add(1);
        self.write_extra(extra);
        self.stats.group_requests = self.stats.group_requests.wrapping_add(1);
        true
    }
}
