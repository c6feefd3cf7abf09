//! UDP sockets: binding, sending, receiving, closing.

use core::task::{Context, Poll};

use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::base::counters::DropReason;
use crate::base::error::NetError;
use crate::base::options::UdpOptions;
use crate::base::sched::Job;
use crate::frame::local::is_unicast_v6;
use crate::turn::state::State;
use crate::udp::inbox::Datagram;
use crate::udp::lanes::{UdpEntry, bound};

/// Bytes of the UDP header and of IP's, by family.
const fn headers(to: IpAddress) -> usize {
    match to {
        IpAddress::Ipv4(_) => 20 + 8,
        IpAddress::Ipv6(_) => 40 + 8,
    }
}

/// A datagram where it was found.
pub(crate) enum Next<'a> {
    InPlace(Datagram),
    Copied(&'a [u8], IpEndpoint),
}

impl State {
    pub(super) fn count_unreachable(&mut self, datagrams: usize) {
        (0..datagrams).for_each(|_| self.drops.bump(DropReason::Unreachable));
    }

    /// Drops what waited for too long, and the socket if it is done. `false`: it is gone.
    pub(super) fn settle_udp(&mut self, id: usize) -> bool {
        let now = self.now;
        let Some(entry) = self.udp.get_mut(id) else { return false };
        let dropped = entry.expire(now);
        let done = entry.closing && entry.is_empty();
        self.count_unreachable(dropped);
        if done && let Some(mut entry) = self.udp.try_remove(id) {
            self.sched.forget(Job::Udp(id), &mut entry.slot);
        }
        !done
    }

    /// Binds a socket; its number and its port.
    pub(crate) fn bind_udp(&mut self, port: u16, options: &UdpOptions) -> Result<(usize, u16), NetError> {
        let port = free_port(self, port)?;
        let rx = bound(port, (options.rx_packets, options.rx_bytes), (1, 0));
        let rx = self.common.add(rx);
        Ok((self.udp.insert(UdpEntry::new(port, rx, options)), port))
    }

    /// Closes the port. What was queued is still sent.
    pub(crate) fn close_udp(&mut self, id: usize) {
        let Some(entry) = self.udp.get_mut(id) else { return };
        entry.closing = true;
        entry.inbox = None;
        let rx = entry.rx;
        self.common.remove(rx);
        self.mark(Job::Udp(id));
    }

    /// Takes the next datagram of a socket.
    pub(crate) fn poll_udp_recv<T>(
        &mut self,
        cx: &Context<'_>,
        id: usize,
        take: impl FnOnce(Next<'_>) -> Result<T, NetError>,
    ) -> Poll<Result<T, NetError>> {
        let Self { udp, common, .. } = self;
        let Some(entry) = udp.get_mut(id) else { return Poll::Ready(Err(NetError::Closed)) };
        if let Some(inbox) = &mut entry.inbox {
            if let Some(datagram) = inbox.pop() {
                return Poll::Ready(take(Next::InPlace(datagram)));
            }
            inbox.reader = Some(cx.waker().clone());
        }
        let socket = common.get_mut::<udp::Socket<'_>>(entry.rx);
        let Ok((payload, from)) = socket.recv() else {
            socket.register_recv_waker(cx.waker());
            return Poll::Pending;
        };
        entry.last = from.local_address.map(|local| (from.endpoint, local));
        Poll::Ready(take(Next::Copied(payload, from.endpoint)))
    }

    /// Queues a datagram.
    pub(crate) fn poll_udp_send(
        &mut self,
        cx: &Context<'_>,
        id: usize,
        data: &[u8],
        to: IpEndpoint,
    ) -> Poll<Result<(), NetError>> {
        if let Err(error) = sendable(self, data, to) {
            return Poll::Ready(Err(error));
        }
        let Self { udp, sched, now, me, .. } = self;
        let Some(entry) = udp.get_mut(id) else { return Poll::Ready(Err(NetError::Closed)) };
        let last = entry.last.filter(|(_, local)| matches!(local, IpAddress::Ipv6(v6) if me.six.has(*v6)));
        let (lane, dropped) = match entry.lane(*now) {
            Ok(lane) => lane,
            Err(again) => {
                entry.sender = Some(cx.waker().clone());
                sched.hasten(Job::Udp(id), &mut entry.slot, again);
                return Poll::Pending;
            }
        };
        // An answer comes from the address that was asked.
        let local_address = last.filter(|(peer, _)| *peer == to).map(|(_, local)| local);
        let socket = lane.socket_mut();
        if data.len() > socket.payload_send_capacity() {
            return Poll::Ready(Err(NetError::TooLong));
        }
        let result = match socket.send_slice(data, udp::UdpMetadata { local_address, ..to.into() }) {
            Ok(()) => {
                if lane.queued == 0 {
                    lane.first = Some(to.addr);
                }
                lane.queued = lane.queued.saturating_add(1);
                Poll::Ready(Ok(()))
            }
            Err(udp::SendError::Unaddressable) => Poll::Ready(Err(NetError::Unaddressable)),
            Err(udp::SendError::BufferFull) => {
                entry.sender = Some(cx.waker().clone());
                Poll::Pending
            }
        };
        self.count_unreachable(dropped);
        if result.is_ready() {
            self.mark(Job::Udp(id));
        }
        result
    }
}

fn free_port(state: &mut State, port: u16) -> Result<u16, NetError> {
    let taken = |port: u16| state.udp.iter().any(|(_, entry)| entry.port == port && !entry.closing);
    match port {
        0 => state.rng.ephemeral_ports().find(|port| !taken(*port)).ok_or(NetError::NoPorts),
        port if taken(port) => Err(NetError::PortInUse),
        port => Ok(port),
    }
}

fn sendable(state: &State, data: &[u8], to: IpEndpoint) -> Result<(), NetError> {
    if data.len() > state.mtu.saturating_sub(headers(to.addr)) {
        return Err(NetError::TooLong);
    }
    if !state.me.speaks(to.addr) {
        return Err(NetError::NoAddress);
    }
    match to.addr {
        peer if peer.is_broadcast() || peer.is_multicast() => Ok(()),
        peer if to.port == 0 || peer.is_unspecified() || state.me.has(peer) => Err(NetError::Unaddressable),
        IpAddress::Ipv6(peer) if !is_unicast_v6(peer) => Err(NetError::Unaddressable),
        peer => state.next_hop(peer).map(|_| ()).ok_or(NetError::NoRoute),
    }
}
