//! The stack's side of a UDP socket.
//!
//! ```text
//!   common set:  rx socket ─► recv_from
//!   lane 0:      tx socket ◄─ send_to        stuck (first peer's hardware address unknown)? then the next lane:
//!   lane 1:      tx socket ◄─ send_to
//! ```
//!
//! smoltcp sends a socket's datagrams in their order, and waits for ever when the first one's peer does not answer ARP.
//! So each UDP socket has two smoltcp sockets for sending, each in a set of its own. While one is stuck, datagrams go by
//! the other. When both are for longer than a living peer takes to answer, or when one gets too old, its datagrams are
//! dropped: the oldest first.

use alloc::vec;
use alloc::vec::Vec;
use core::task::Waker;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::base::options::UdpOptions;
use crate::base::sched::Slot;
use crate::base::time;
use crate::udp::inbox::Inbox;

/// How long datagrams wait for their peer's hardware address: long enough for two requests.
const STUCK_LIFE: Duration = Duration::from_millis(2500);

/// How long a sender waits for them when both lanes are stuck: longer than a living neighbour takes to answer ARP.
const PATIENCE: Duration = Duration::from_millis(20);

/// One way out.
pub(crate) struct Lane {
    pub(crate) sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// Since when its first datagram waits for a hardware address.
    pub(crate) stuck: Option<Instant>,
    /// Datagrams in it.
    pub(crate) queued: usize,
    /// Whom the first of them is for, while that is known.
    pub(crate) first: Option<IpAddress>,
}

/// A UDP socket.
pub(crate) struct UdpEntry {
    pub(crate) port: u16,
    /// In the common set.
    pub(crate) rx: SocketHandle,
    /// The one in use, and the one that was left when its first datagram got stuck: older datagrams.
    pub(crate) lanes: [Lane; 2],
    pub(crate) slot: Slot,
    /// Waits for room in a lane. Not smoltcp's waker: a lane that gets stuck gives room in the other one.
    pub(crate) sender: Option<Waker>,
    /// Who sent the last datagram that was taken, and to which address of ours.
    pub(crate) last: Option<(IpEndpoint, IpAddress)>,
    /// Datagrams that wait in place, if the application takes them so.
    pub(crate) inbox: Option<Inbox>,
    /// The application has dropped it; it goes when its lanes are empty.
    pub(crate) closing: bool,
}

impl Lane {
    fn new(port: u16, options: &UdpOptions) -> Self {
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(sender(port, options.tx_packets, options.tx_bytes));
        Self { sockets, handle, stuck: None, queued: 0, first: None }
    }

    pub(crate) fn socket_mut(&mut self) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Drops everything in it; returns how many datagrams that were.
    fn flush(&mut self, port: u16) -> usize {
        let socket = self.socket_mut();
        let (packets, bytes) = (socket.packet_send_capacity(), socket.payload_send_capacity());
        // A new set also forgets that smoltcp waits for a neighbour.
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        self.handle = sockets.add(sender(port, packets, bytes));
        self.sockets = sockets;
        self.stuck = None;
        core::mem::take(&mut self.queued)
    }
}

/// A socket that only sends; what it could receive finds the one in the common set.
fn sender(port: u16, packets: usize, bytes: usize) -> udp::Socket<'static> {
    bound(port, (1, 0), (packets, bytes))
}

/// A socket bound to `port`, which is not 0.
pub(crate) fn bound(port: u16, rx: (usize, usize), tx: (usize, usize)) -> udp::Socket<'static> {
    let buffer = |(packets, bytes): (usize, usize)| {
        udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; packets.max(1)], vec![0; bytes])
    };
    let mut socket = udp::Socket::new(buffer(rx), buffer(tx));
    // A new socket is not bound, and the port is not 0.
    let _ = socket.bind(port);
    socket
}

impl UdpEntry {
    pub(crate) fn new(port: u16, rx: SocketHandle, options: &UdpOptions) -> Self {
        let lanes = [Lane::new(port, options), Lane::new(port, options)];
        let inbox = options.in_place.then(|| Inbox::new(options.rx_packets));
        Self { port, rx, lanes, slot: Slot::default(), sender: None, last: None, inbox, closing: false }
    }

    /// The lane for the next datagram, and how many were dropped to have one.
    ///
    /// # Errors
    /// When to ask again: the peers of both lanes may still answer.
    pub(crate) fn lane(&mut self, now: Instant) -> Result<(&mut Lane, usize), Instant> {
        // Stays in its lane while it can, and changes to an empty one: else the order would change.
        let port = self.port;
        let [newer, older] = &mut self.lanes;
        let Some(since) = newer.stuck else { return Ok((newer, 0)) };
        if older.queued > 0 {
            let patience = time::after(older.stuck.map_or(now, |before| before.min(since)), PATIENCE);
            if patience > now {
                return Err(patience);
            }
        }
        core::mem::swap(newer, older);
        let dropped = if newer.queued > 0 { newer.flush(port) } else { 0 };
        Ok((newer, dropped))
    }

    /// Drops what is stuck for too long; returns how many datagrams those were.
    pub(crate) fn expire(&mut self, now: Instant) -> usize {
        let port = self.port;
        let overdue =
            |lane: &&mut Lane| lane.stuck.is_some_and(|since| time::after(since, STUCK_LIFE) <= now);
        self.lanes.iter_mut().filter(overdue).map(|lane| lane.flush(port)).fold(0, usize::saturating_add)
    }

    /// When the next stuck lane expires.
    pub(crate) fn expires(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.stuck).min().map(|since| time::after(since, STUCK_LIFE))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.queued == 0)
    }
}
