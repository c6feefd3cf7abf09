//! Received datagrams that stay in the pages in which they came.

use nic::Nic;

use crate::base::counters::{DropReason, FrameKind};
use crate::turn::state::State;
use crate::udp::inbox::find;

impl State {
    /// Moves the datagram that is next to the inbox of its socket, if the socket takes datagrams in place. `false`: it
    /// goes to smoltcp.
    pub(super) fn keep_datagram<N: Nic>(&mut self, nic: &mut N) -> bool {
        if !self.udp.iter().any(|(_, entry)| entry.inbox.is_some()) {
            return false;
        }
        // Classification has verified it, if the interface tells for each frame whether its checksum is verified.
        let verify = !self.verifies();
        let Some(found) = nic.peek().and_then(|received| find(received.frame, verify)) else { return false };
        let ours = self.me.has(found.to.addr);
        let socket = self.udp.iter_mut().find(|(_, entry)| entry.port == found.to.port && !entry.closing);
        let Some(inbox) = socket.filter(|_| ours).and_then(|(_, entry)| {
            entry.last = Some((found.from, found.to.addr));
            entry.inbox.as_mut()
        }) else {
            return false;
        };
        self.counters.received(FrameKind::Udp);
        if inbox.is_full() {
            self.drops.bump(DropReason::UnreadDatagrams);
            nic.discard();
            return true;
        }
        let Some(packet) = nic.retain() else {
            self.drops.bump(DropReason::RetentionLimit);
            nic.discard();
            return true;
        };
        inbox.push(packet, found.payload, found.from);
        true
    }
}
