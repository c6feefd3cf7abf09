//! Frames of a protocol that the stack does not speak, for an application that does.
//!
//! ```text
//!   frame of that EtherType ─► Nic::hold ─► queue ─► Tap::recv: the whole frame, in its page, while it is kept
//!   Tap::send ─► queue ─► next iteration ─► a page to send from
//! ```
//!
//! One tap for a protocol. IPv4, ARP and IPv6 are the stack's own.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use nic::Packet;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol};

use crate::base::error::NetError;
use crate::turn::state::Shared;
use crate::udp::tap_queue::Entry;

/// Bytes of an Ethernet header.
const HEADER: usize = 14;

/// Sends and receives whole Ethernet frames of one protocol. Dropping it closes it.
pub struct Tap {
    state: Shared,
    id: usize,
    protocol: u16,
}

impl Tap {
    pub(crate) fn new(state: &Shared, protocol: u16, room: usize) -> Result<Self, NetError> {
        let own = [0x0800, 0x0806, 0x86dd].contains(&protocol);
        // Below 0x600 the field is a length (IEEE 802.3, 3.2.6).
        if own || protocol < 0x600 {
            return Err(NetError::Unaddressable);
        }
        let id = state.borrow_mut().open_tap(protocol, room)?;
        Ok(Self { state: Rc::clone(state), id, protocol })
    }

    /// Waits for a frame to this host or to all: the whole frame with its Ethernet header. Drop it to give its page back.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn recv(&self) -> Result<Packet, NetError> {
        poll_fn(|cx| self.poll(cx, Entry::pop)).await
    }

    /// Queues a frame for the next iteration, with our address as its source; waits for room.
    ///
    /// # Errors
    /// [`NetError::TooLong`] beyond the MTU.
    pub async fn send(&self, to: EthernetAddress, payload: &[u8]) -> Result<(), NetError> {
        let (from, mtu) = self.state.borrow().link();
        if payload.len() > mtu {
            return Err(NetError::TooLong);
        }
        let mut frame = alloc::vec![0; HEADER.saturating_add(payload.len())];
        let mut view = EthernetFrame::new_unchecked(&mut frame);
        view.set_dst_addr(to);
        view.set_src_addr(from);
        view.set_ethertype(EthernetProtocol::from(self.protocol));
        view.payload_mut().copy_from_slice(payload);
        let mut frame = Some(frame);
        poll_fn(|cx| self.poll(cx, |entry, waker| entry.queue(&mut frame, waker))).await
    }

    fn poll<T>(
        &self,
        cx: &Context<'_>,
        look: impl FnOnce(&mut Entry, &Waker) -> Option<T>,
    ) -> Poll<Result<T, NetError>> {
        let mut state = self.state.borrow_mut();
        let Some(entry) = state.tap_mut(self.id) else { return Poll::Ready(Err(NetError::Closed)) };
        look(entry, cx.waker()).map_or(Poll::Pending, |value| Poll::Ready(Ok(value)))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.state.borrow_mut().close_tap(self.id);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("id", &self.id).finish_non_exhaustive()
    }
}
