//! Multicast requests: packets without data that tell the backend which groups to let in.
//!
//! ```text
//!   request {size 0, EXTRA_INFO} │ extra MCAST_ADD or MCAST_DEL {address}      two slots, no page
//! ```

use crate::queue::tx::TxQueue;
use crate::wire::check_tx::check_group;
use pool::contiguous::NO_PAGE;
use xen::abi::io_netif::{NetTxFlags, NetifExtra, NetifTxRequest};

/// Slots of a multicast request.
const SLOTS: u32 = 2;

impl TxQueue {
    /// Queues a multicast request. Returns `false` if there is no room now.
    pub(super) fn send_group(&mut self, extra: NetifExtra) -> bool {
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
        self.slots.queue_contiguous(id, self.written, NO_PAGE, false);
        self.written = self.written.wrapping_add(1);
        self.write_extra(extra);
        self.stats.group_requests.bump();
        true
    }
}
