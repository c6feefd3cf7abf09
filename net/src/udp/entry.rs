//! The queues of a UDP socket.
//!
//! ```text
//!   frame ─► received: limited datagrams and bytes ─► recv_from, recv_owned
//!   send_to ─► outgoing: limited datagrams and bytes ─► next iteration; one with an unresolved neighbour lets others pass
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::Waker;

use ledger::Reservation;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::base::options::UdpOptions;
use crate::base::time;
use crate::udp::datagram::Datagram;

/// How long a datagram waits for its neighbour's hardware address.
const LIFE: Duration = Duration::from_millis(2500);

/// A datagram to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) to: IpEndpoint,
    /// The address to send it from, if a request named one.
    pub(crate) from: Option<IpAddress>,
    pub(crate) data: Vec<u8>,
    pub(crate) since: Instant,
    pub(crate) _memory: Reservation,
}

impl Outgoing {
    /// Bytes that it takes beside its data.
    pub(crate) const OWN: usize = size_of::<Self>().saturating_add(16);
}

/// A UDP socket.
#[derive(Debug)]
pub(crate) struct UdpEntry {
    pub(crate) port: u16,
    options: UdpOptions,
    received: VecDeque<Datagram>,
    received_bytes: usize,
    outgoing: VecDeque<Outgoing>,
    outgoing_bytes: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The sender of the last datagram that was taken, and our address to which it was sent.
    pub(crate) last: Option<(IpEndpoint, IpAddress)>,
    /// In the list of sockets with something to send.
    pub(crate) queued: bool,
    /// The application has dropped it; it goes when everything was sent.
    pub(crate) closing: bool,
}

impl UdpEntry {
    pub(crate) fn new(port: u16, options: UdpOptions) -> Self {
        Self {
            port,
            options,
            received: VecDeque::new(),
            received_bytes: 0,
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            reader: None,
            writer: None,
            last: None,
            queued: false,
            closing: false,
        }
    }

    /// Whether datagrams stay in the pages in which they came.
    pub(crate) const fn in_place(&self) -> bool {
        self.options.in_place
    }

    /// Whether a datagram of `len` bytes has no room.
    pub(crate) fn is_full(&self, len: usize) -> bool {
        let bytes = self.received_bytes.saturating_add(len);
        self.received.len() >= self.options.rx_packets.max(1)
            || (bytes > self.options.rx_bytes && !self.options.in_place)
    }

    pub(crate) fn push(&mut self, datagram: Datagram, to: IpAddress) {
        self.last = Some((datagram.from(), to));
        self.received_bytes = self.received_bytes.saturating_add(datagram.payload().len());
        self.received.push_back(datagram);
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    /// Takes a received datagram, or registers the task that waits for one.
    pub(crate) fn pop(&mut self, waker: &Waker) -> Option<Datagram> {
        let Some(datagram) = self.received.pop_front() else {
            self.reader = Some(waker.clone());
            return None;
        };
        self.received_bytes = self.received_bytes.saturating_sub(datagram.payload().len());
        Some(datagram)
    }

    /// Whether a datagram of `len` bytes can never be sent.
    pub(crate) const fn is_too_long(&self, len: usize) -> bool {
        len > self.options.tx_bytes
    }

    /// Queues a datagram. `false`: there is no room, and the task is registered.
    pub(crate) fn queue(&mut self, datagram: Outgoing, waker: &Waker) -> bool {
        let bytes = self.outgoing_bytes.saturating_add(datagram.data.len());
        if self.outgoing.len() >= self.options.tx_packets.max(1) || bytes > self.options.tx_bytes {
            self.writer = Some(waker.clone());
            return false;
        }
        self.outgoing_bytes = bytes;
        self.outgoing.push_back(datagram);
        true
    }

    /// The datagram at this place in the queue.
    pub(crate) fn outgoing(&self, place: usize) -> Option<&Outgoing> {
        self.outgoing.get(place)
    }

    /// Whether the application waits for room to send.
    pub(crate) const fn is_waited_for(&self) -> bool {
        self.writer.is_some()
    }

    /// Removes a datagram that was sent or cannot be.
    pub(crate) fn remove(&mut self, place: usize) {
        if let Some(datagram) = self.outgoing.remove(place) {
            self.outgoing_bytes = self.outgoing_bytes.saturating_sub(datagram.data.len());
            self.writer.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Whether a datagram has waited for too long.
    pub(crate) fn is_old(datagram: &Outgoing, now: Instant) -> bool {
        time::after(datagram.since, LIFE) <= now
    }

    /// The application has dropped the socket: received datagrams are dropped.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        self.received.clear();
        (self.reader, self.writer) = (None, None);
    }

    /// Whether the application has dropped it and everything was sent.
    pub(crate) fn is_done(&self) -> bool {
        self.closing && self.outgoing.is_empty()
    }
}
