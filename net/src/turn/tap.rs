//! Taps: frames of a protocol that the stack does not speak go to their application and come from it.

use nic::Nic;
use smoltcp::phy::TxToken as _;
use smoltcp::wire::EthernetFrame;

use crate::base::counters::DropReason;
use crate::base::error::NetError;
use crate::base::observer::Show;
use crate::turn::state::State;
use crate::udp::tap_queue::Entry;

impl State {
    /// Opens a tap for a protocol that has none.
    pub(crate) fn open_tap(&mut self, protocol: u16, room: usize) -> Result<usize, NetError> {
        if self.taps.iter().any(|(_, entry)| entry.protocol == protocol) {
            return Err(NetError::PortInUse);
        }
        Ok(self.taps.insert(Entry::new(protocol, room)))
    }

    pub(crate) fn close_tap(&mut self, id: usize) {
        self.taps.try_remove(id);
    }

    pub(crate) fn tap_mut(&mut self, id: usize) -> Option<&mut Entry> {
        self.taps.get_mut(id)
    }

    /// Gives the frame that is next to its tap. `false`: it has none.
    pub(super) fn feed_tap<N: Nic>(&mut self, nic: &mut N) -> bool {
        if self.taps.is_empty() {
            return false;
        }
        let protocol = nic
            .peek()
            .and_then(|received| EthernetFrame::new_checked(received.frame).ok())
            .map(|frame| frame.ethertype());
        let Some(protocol) = protocol.map(u16::from) else { return false };
        let Some((_, entry)) = self.taps.iter_mut().find(|(_, entry)| entry.protocol == protocol) else {
            return false;
        };
        let full = entry.is_full();
        match if full { None } else { nic.retain() } {
            Some(packet) => entry.push(packet),
            None => {
                self.drops.bump(if full { DropReason::UnreadDatagrams } else { DropReason::RetentionLimit });
                nic.discard();
            }
        }
        true
    }

    /// Sends what taps have queued, as far as there are slots.
    pub(super) fn drain_taps<N: Nic>(&mut self, nic: &mut N) {
        for (_, entry) in &mut self.taps {
            while let Some(frame) = entry.next() {
                let Some(token) = nic.transmit(self.now) else { return };
                token.consume(frame.len(), |into| into.copy_from_slice(frame));
                Show::new(&self.observer, self.now).frame(frame);
                entry.sent();
            }
        }
    }
}
