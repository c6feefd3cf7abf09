//! Frames of a protocol that the stack does not speak, for an application that does.
//!
//! ```text
//!   frame of that EtherType ─► Nic::hold ─► queue ─► Tap::recv: the whole frame, in its page, for as long as it is kept
//!   Tap::send ─► queue ─► next turn ─► a page to send from
//! ```
//!
//! One tap for a protocol; IPv4, ARP and IPv6 are the stack's own.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use netfront::{Nic, Packet};
use smoltcp::phy::TxToken as _;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol};

use crate::base::error::NetError;
use crate::api::net::Net;
use crate::turn::state::State;
use crate::base::status::DropReason;

/// Bytes of an Ethernet header.
const HEADER: usize = 14;

/// The stack's side of a tap.
#[derive(Debug)]
pub(crate) struct Entry {
    protocol: u16,
    received: VecDeque<Packet>,
    outgoing: VecDeque<Vec<u8>>,
    /// Frames that may wait, each way.
    room: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Sends and receives whole Ethernet frames of one protocol. Dropping it ends that.
pub struct Tap {
    net: Net,
    id: usize,
}

impl Tap {
    pub(crate) fn new(net: &Net, protocol: u16, room: usize) -> Result<Self, NetError> {
        let own = [0x0800, 0x0806, 0x86dd].contains(&protocol);
        // Below 0x600 the field is a length (IEEE 802.3, 3.2.6).
        if own || protocol < 0x600 {
            return Err(NetError::Unaddressable);
        }
        let mut state = net.state();
        if state.taps.iter().any(|(_, entry)| entry.protocol == protocol) {
            return Err(NetError::PortInUse);
        }
        let (received, outgoing) = (VecDeque::with_capacity(room), VecDeque::new());
        let entry = Entry { protocol, received, outgoing, room: room.max(1), reader: None, writer: None };
        let id = state.taps.insert(entry);
        drop(state);
        Ok(Self { net: net.clone(), id })
    }

    /// Waits for a frame to us or to all; whole, from its Ethernet header on. Drop it to give its page back.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn recv(&self) -> Result<Packet, NetError> {
        poll_fn(|cx| {
            self.poll(cx, |entry, waker| {
                entry.reader = Some(waker.clone());
                entry.received.pop_front()
            })
        })
        .await
    }

    /// Queues a frame for the next turn, with our address as its source; waits for room.
    ///
    /// # Errors
    /// [`NetError::TooLong`] beyond the MTU.
    pub async fn send(&self, to: EthernetAddress, payload: &[u8]) -> Result<(), NetError> {
        let mut frame = alloc::vec![0; HEADER.saturating_add(payload.len())];
        let (from, mtu) = {
            let state = self.net.state();
            (state.me.mac, state.mtu)
        };
        if payload.len() > mtu {
            return Err(NetError::TooLong);
        }
        let mut view = EthernetFrame::new_unchecked(&mut frame);
        view.set_dst_addr(to);
        view.set_src_addr(from);
        view.payload_mut().copy_from_slice(payload);
        let mut frame = Some(frame);
        poll_fn(|cx| {
            self.poll(cx, |entry, waker| {
                if entry.outgoing.len() >= entry.room {
                    entry.writer = Some(waker.clone());
                    return None;
                }
                let mut frame = frame.take()?;
                EthernetFrame::new_unchecked(&mut frame)
                    .set_ethertype(EthernetProtocol::from(entry.protocol));
                entry.outgoing.push_back(frame);
                Some(())
            })
        })
        .await
    }

    fn poll<T>(
        &self,
        cx: &Context<'_>,
        look: impl FnOnce(&mut Entry, &Waker) -> Option<T>,
    ) -> Poll<Result<T, NetError>> {
        let mut state = self.net.state();
        let Some(entry) = state.taps.get_mut(self.id) else { return Poll::Ready(Err(NetError::Closed)) };
        look(entry, cx.waker()).map_or(Poll::Pending, |value| Poll::Ready(Ok(value)))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.net.state().taps.try_remove(self.id);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("id", &self.id).finish_non_exhaustive()
    }
}

impl State {
    /// Gives the frame that is next to its tap. `false`: there is none.
    pub(crate) fn feed_tap<N: Nic>(&mut self, nic: &mut N) -> bool {
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
        let full = entry.received.len() >= entry.room;
        match if full { None } else { nic.hold() } {
            Some(packet) => {
                entry.received.push_back(packet);
                if let Some(reader) = entry.reader.take() {
                    reader.wake();
                }
            }
            None => {
                self.counters.drop(if full { DropReason::UnreadDatagrams } else { DropReason::Hoarded });
                nic.discard();
            }
        }
        true
    }

    /// Sends what taps have queued, as far as there are slots.
    pub(crate) fn drain_taps<N: Nic>(&mut self, nic: &mut N) {
        for (_, entry) in &mut self.taps {
            while let Some(frame) = entry.outgoing.front() {
                let Some(token) = nic.transmit(self.now) else { return };
                token.consume(frame.len(), |into| into.copy_from_slice(frame));
                entry.outgoing.pop_front();
                if let Some(writer) = entry.writer.take() {
                    writer.wake();
                }
            }
        }
    }
}
