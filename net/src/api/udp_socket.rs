//! A UDP socket as an application holds it.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::base::error::NetError;
use crate::addr::ip6;
use crate::api::net::Net;
use crate::base::options::UdpOptions;
use crate::base::sched::Job;
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
enum Next<'a> {
    InPlace(Datagram),
    Copied(&'a [u8], IpEndpoint),
}

/// Sends and receives UDP datagrams on one port. One task may receive and one may send at a time.
///
/// Dropping it closes the port; what was sent still leaves.
pub struct UdpSocket {
    net: Net,
    id: usize,
    port: u16,
}

impl UdpSocket {
    pub(crate) fn new(net: &Net, port: u16, options: &UdpOptions) -> Result<Self, NetError> {
        let mut state = net.state();
        let port = free_port(&mut state, port)?;
        let rx = bound(port, (options.rx_packets, options.rx_bytes), (1, 0));
        let rx = state.common.add(rx);
        let id = state.udp.insert(UdpEntry::new(port, rx, options));
        drop(state);
        Ok(Self { net: net.clone(), id, port })
    }

    /// The local port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Waits for a datagram; returns its length and who sent it.
    ///
    /// # Errors
    /// [`NetError::Truncated`]: it was longer than `buffer`, and is lost.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, IpEndpoint), NetError> {
        poll_fn(|cx| self.poll_recv(cx, buffer)).await
    }

    fn poll_recv(&self, cx: &Context<'_>, buffer: &mut [u8]) -> Poll<Result<(usize, IpEndpoint), NetError>> {
        let mut copy = |payload: &[u8], from: IpEndpoint| {
            let space = buffer.get_mut(..payload.len()).ok_or(NetError::Truncated)?;
            space.copy_from_slice(payload);
            Ok((payload.len(), from))
        };
        self.poll_next(cx, |next| match next {
            Next::InPlace(datagram) => copy(datagram.payload(), datagram.from()),
            Next::Copied(payload, from) => copy(payload, from),
        })
    }

    /// Waits for a datagram that is the application's own, for as long as it likes: with [`UdpOptions::in_place`] in
    /// the page in which it came, if the interface can do that. Drop it to give the page back; an application that keeps
    /// too many gets no more of them, and the others lose nothing by that.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn recv_owned(&self) -> Result<Datagram, NetError> {
        let own = |next: Next<'_>| match next {
            Next::InPlace(datagram) => Ok(datagram),
            Next::Copied(payload, from) => Ok(Datagram::copied(payload, from)),
        };
        poll_fn(|cx| self.poll_next(cx, own)).await
    }

    /// Takes the next datagram, from wherever it is.
    fn poll_next<T>(
        &self,
        cx: &Context<'_>,
        take: impl FnOnce(Next<'_>) -> Result<T, NetError>,
    ) -> Poll<Result<T, NetError>> {
        let mut state = self.net.state();
        let State { udp, common, .. } = &mut *state;
        let Some(entry) = udp.get_mut(self.id) else { return Poll::Ready(Err(NetError::Closed)) };
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

    /// Queues a datagram for the next turn; waits for room while others are being sent.
    ///
    /// A peer that does not answer ARP does not block others: datagrams to it are dropped after a while.
    ///
    /// # Errors
    /// [`NetError::TooLong`] beyond the MTU less 28 bytes, with IPv6 48; [`NetError::NoAddress`], [`NetError::NoRoute`],
    /// [`NetError::Unaddressable`] when it has no way to go.
    pub async fn send_to(&self, data: &[u8], to: impl Into<IpEndpoint>) -> Result<(), NetError> {
        let to = to.into();
        poll_fn(|cx| self.poll_send(cx, data, to)).await
    }

    fn poll_send(&self, cx: &Context<'_>, data: &[u8], to: IpEndpoint) -> Poll<Result<(), NetError>> {
        let mut state = self.net.state();
        if let Err(error) = sendable(&state, data, to) {
            return Poll::Ready(Err(error));
        }
        let State { udp, sched, now, me, .. } = &mut *state;
        let Some(entry) = udp.get_mut(self.id) else { return Poll::Ready(Err(NetError::Closed)) };
        let last = entry.last.filter(|(_, local)| matches!(local, IpAddress::Ipv6(v6) if me.ip6.has(*v6)));
        let (lane, dropped) = match entry.lane(*now) {
            Ok(lane) => lane,
            Err(again) => {
                entry.sender = Some(cx.waker().clone());
                sched.hasten(Job::Udp(self.id), &mut entry.slot, again);
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
        state.count_unreachable(dropped);
        if result.is_ready() {
            state.mark(Job::Udp(self.id));
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
    if !state.speaks(to.addr) {
        return Err(NetError::NoAddress);
    }
    match to.addr {
        peer if peer.is_broadcast() || peer.is_multicast() => Ok(()),
        peer if to.port == 0 || peer.is_unspecified() || state.is_local(peer) => Err(NetError::Unaddressable),
        IpAddress::Ipv6(peer) if !ip6::is_unicast(peer) => Err(NetError::Unaddressable),
        peer => state.next_hop(peer).map(|_| ()).ok_or(NetError::NoRoute),
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let mut state = self.net.state();
        let Some(entry) = state.udp.get_mut(self.id) else { return };
        entry.closing = true;
        entry.inbox = None;
        let rx = entry.rx;
        state.common.remove(rx);
        state.mark(Job::Udp(self.id));
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("port", &self.port).finish_non_exhaustive()
    }
}
