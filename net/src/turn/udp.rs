//! UDP: binding, receiving, sending.

use core::task::{Context, Poll};

use nic::Nic;
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::base::chunk::Chunk;
use crate::base::copy::copy;
use crate::base::counters::{DropReason, FrameKind};
use crate::base::error::NetError;
use crate::base::observer::Show;
use crate::base::options::UdpOptions;
use crate::base::time;
use crate::frame::classify::{DHCP_CLIENT, Datagram as Found};
use crate::frame::emit::{self, Ends, group_mac};
use crate::frame::local::is_unicast_v6;
use crate::link::neighbours::Lookup;
use crate::link::wire::Wire;
use crate::turn::frame::Frame;
use crate::turn::icmp::Trouble;
use crate::turn::state::State;
use crate::udp::datagram::Datagram;
use crate::udp::entry::{Outgoing, UdpEntry};

/// Datagrams that a socket may send before the next one is served.
const BURST: usize = 8;

/// The time for which the oldest datagram of a full queue waits for its neighbour: longer than a host takes to answer.
const NEIGHBOUR_TIMEOUT: Duration = Duration::from_millis(20);

/// Bytes of the UDP header and of IP's, by family.
const fn headers(to: IpAddress) -> usize {
    match to {
        IpAddress::Ipv4(_) => 20 + 8,
        IpAddress::Ipv6(_) => 40 + 8,
    }
}

impl State {
    /// Binds a socket; its number and its port.
    pub(crate) fn bind_udp(&mut self, port: u16, options: UdpOptions) -> Result<(usize, u16), NetError> {
        let taken = |port: u16| self.udp.iter().any(|(_, entry)| entry.port == port && !entry.closing);
        let port = match port {
            0 => self.rng.ephemeral_ports().find(|port| !taken(*port)).ok_or(NetError::NoPorts)?,
            port if taken(port) => return Err(NetError::PortInUse),
            port => port,
        };
        Ok((self.udp.insert(UdpEntry::new(port, options)), port))
    }

    /// Closes the port. Queued datagrams are still sent.
    pub(crate) fn close_udp(&mut self, id: usize) {
        if let Some(entry) = self.udp.get_mut(id) {
            entry.close();
            self.mark_udp(id);
        }
    }

    pub(crate) fn poll_udp_recv(&mut self, cx: &Context<'_>, id: usize) -> Poll<Result<Datagram, NetError>> {
        let Some(entry) = self.udp.get_mut(id) else { return Poll::Ready(Err(NetError::Closed)) };
        entry.pop(cx.waker()).map_or(Poll::Pending, |datagram| Poll::Ready(Ok(datagram)))
    }

    /// Queues a datagram.
    pub(crate) fn poll_udp_send(
        &mut self,
        cx: &Context<'_>,
        id: usize,
        data: &[u8],
        to: IpEndpoint,
    ) -> Poll<Result<(), NetError>> {
        if let Err(error) = self.is_sendable(data, to) {
            return Poll::Ready(Err(error));
        }
        let Some(entry) = self.udp.get_mut(id) else { return Poll::Ready(Err(NetError::Closed)) };
        if entry.is_too_long(data.len()) {
            return Poll::Ready(Err(NetError::TooLong));
        }
        // An answer comes from the address that was asked.
        let from = entry.last.filter(|(peer, _)| *peer == to).map(|(_, local)| local);
        let memory = self.udp_memory.reserve(Outgoing::OWN.saturating_add(data.len())).ok();
        let Some((data, memory)) = copy(data).zip(memory) else {
            return Poll::Ready(Err(NetError::NoMemory));
        };
        let datagram = Outgoing { to, from, data, since: self.now, _memory: memory };
        let queued = entry.queue(datagram, cx.waker());
        self.mark_udp(id);
        if queued { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn is_sendable(&self, data: &[u8], to: IpEndpoint) -> Result<(), NetError> {
        if data.len() > self.link.mtu.saturating_sub(headers(to.addr)) {
            return Err(NetError::TooLong);
        }
        if !self.me.speaks(to.addr) {
            return Err(NetError::NoAddress);
        }
        match to.addr {
            peer if to.port == 0 || peer.is_unspecified() || self.me.has(peer) => {
                Err(NetError::Unaddressable)
            }
            peer if peer.is_broadcast() || peer.is_multicast() => Ok(()),
            IpAddress::Ipv6(peer) if !is_unicast_v6(peer) => Err(NetError::Unaddressable),
            peer => self.next_hop(peer).map(|_| ()).ok_or(NetError::NoRoute),
        }
    }

    /// Takes a datagram. One to a port without a socket is answered with an error, if it was sent to us alone.
    pub(super) fn udp_frame<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, found: &Found) {
        self.counters.received(FrameKind::Udp);
        if found.to.port == DHCP_CLIENT && self.v4.dhcp.is_some() {
            return self.dhcp_frame(nic, frame, found);
        }
        let local = found.to.addr;
        let socket = self.udp.iter_mut().find(|(_, entry)| entry.port == found.to.port && !entry.closing);
        let Some((_, entry)) = socket else { return self.refuse(nic, frame, Trouble::Port, found.unicast) };
        if !(found.unicast
            || local.is_multicast()
            || matches!(local, IpAddress::Ipv4(v4) if self.me.is_broadcast(v4)))
        {
            // A datagram for the DHCP client of another address is dropped.
            self.drops.bump(DropReason::NotForUs);
            return frame.discard(nic);
        }
        if entry.is_full(found.payload.len()) {
            self.drops.bump(DropReason::UnreadDatagrams);
            return frame.discard(nic);
        }
        let in_place = entry.in_place() && matches!(frame, Frame::InPlace);
        let copied = if in_place { 0 } else { found.payload.len() };
        let Ok(memory) = self.udp_memory.reserve(Datagram::OWN.saturating_add(copied)) else {
            self.drops.bump(DropReason::Memory);
            return frame.discard(nic);
        };
        let payload = if in_place {
            nic.retain()
                .map(|packet| Chunk::page(packet, found.payload.clone()))
                .ok_or(DropReason::RetentionLimit)
        } else {
            let bytes = frame.bytes(nic).and_then(|bytes| bytes.get(found.payload.clone()));
            Chunk::copied(bytes.unwrap_or_default()).ok_or(DropReason::Memory)
        };
        if !in_place || payload.is_err() {
            frame.discard(nic);
        }
        match payload {
            Ok(payload) => entry.push(Datagram::new(payload, found.from, memory), local),
            Err(reason) => self.drops.bump(reason),
        }
    }

    /// Sends what a socket has queued, up to a burst; the number of frames.
    pub(super) fn transmit_udp<N: Nic>(&mut self, nic: &mut N, id: usize) -> usize {
        let Some(entry) = self.udp.get_mut(id) else { return 0 };
        entry.queued = false;
        // All datagrams of a socket leave by one queue, so that those of a flow do.
        nic.steer(u32::from(entry.port));
        let (mut place, mut sent, mut waits) = (0, 0_usize, false);
        while let Some((ends, fate)) = self.fate(id, place) {
            let Some(entry) = self.udp.get_mut(id) else { return sent };
            match (ends, fate) {
                (_, Fate::Wait) => {
                    (place, waits) = (place.saturating_add(1), true);
                    continue;
                }
                (Some(ends), Fate::Send) if sent < BURST => {
                    let Some(datagram) = entry.outgoing(place) else { return sent };
                    let ports = (entry.port, datagram.to.port);
                    let mut wire = Wire {
                        nic,
                        now: self.now,
                        mac: self.me.mac,
                        show: Show::new(&self.observer, self.now),
                    };
                    if emit::udp(&mut wire, ends, ports, &datagram.data).is_none() {
                        entry.queued = true;
                        self.dirty_udp.push_front(id);
                        return sent;
                    }
                    sent = sent.saturating_add(1);
                }
                (_, Fate::Send) => {
                    self.mark_udp(id);
                    return sent;
                }
                (_, Fate::Drop) => self.drops.bump(DropReason::Unreachable),
            }
            entry.remove(place);
        }
        if waits {
            self.wait_for_neighbours(id);
        } else if self.udp.get(id).is_some_and(UdpEntry::is_done) {
            self.udp.remove(id);
        }
        sent
    }

    /// Datagrams of the socket wait for a neighbour. While the application waits for room, the oldest goes after a
    /// while.
    fn wait_for_neighbours(&mut self, id: usize) {
        if !self.waiting_udp.contains(&id) {
            self.waiting_udp.push(id);
        }
        let Some(entry) = self.udp.get_mut(id) else { return };
        let Some(since) = entry.outgoing(0).map(|oldest| oldest.since).filter(|_| entry.is_waited_for())
        else {
            return;
        };
        let until = time::after(since, NEIGHBOUR_TIMEOUT);
        if until > self.now {
            self.udp_due = Some(self.udp_due.map_or(until, |due| due.min(until)));
        } else {
            entry.remove(0);
            self.drops.bump(DropReason::Unreachable);
        }
    }

    /// The action for a datagram of a queue; `None`: the queue is at its end.
    fn fate(&mut self, id: usize, place: usize) -> Option<(Option<Ends>, Fate)> {
        let datagram = self.udp.get(id)?.outgoing(place)?;
        let (to, wish, old) = (datagram.to.addr, datagram.from, UdpEntry::is_old(datagram, self.now));
        let from = wish.filter(|wish| self.me.has(*wish)).or_else(|| self.me.source_for(to));
        let Some(from) = from else { return Some((None, Fate::Drop)) };
        let broadcast = matches!(to, IpAddress::Ipv4(v4) if self.me.is_broadcast(v4));
        if let Some(mac) = group_mac(to, broadcast) {
            return Some((Some(Ends { from, to, mac }), Fate::Send));
        }
        let Some(hop) = self.next_hop(to) else { return Some((None, Fate::Drop)) };
        if old && self.neighbours.known(hop).is_none() {
            return Some((None, Fate::Drop));
        }
        Some(match self.neighbours.lookup(hop, self.now) {
            Lookup::Known(mac) => (Some(Ends { from, to, mac }), Fate::Send),
            Lookup::Pending => (None, Fate::Wait),
            Lookup::Full => (None, Fate::Drop),
        })
    }
}

/// The result for a queued datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Send,
    /// Its neighbour is being resolved.
    Wait,
    Drop,
}
