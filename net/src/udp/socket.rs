//! A UDP socket as an application holds it.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::error::NetError;
use crate::net::Net;
use crate::options::UdpOptions;
use crate::sched::Job;
use crate::state::State;
use crate::udp::entry::{UdpEntry, bound};

/// Bytes of the IPv4 and the UDP header.
const HEADERS: usize = 20 + 8;

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
        let mut state = self.net.state();
        let Some(rx) = state.udp.get(self.id).map(|entry| entry.rx) else {
            return Poll::Ready(Err(NetError::Closed));
        };
        let socket = state.common.get_mut::<udp::Socket<'_>>(rx);
        let Ok((payload, from)) = socket.recv() else {
            socket.register_recv_waker(cx.waker());
            return Poll::Pending;
        };
        let Some(space) = buffer.get_mut(..payload.len()) else {
            return Poll::Ready(Err(NetError::Truncated));
        };
        space.copy_from_slice(payload);
        Poll::Ready(Ok((payload.len(), from.endpoint)))
    }

    /// Queues a datagram for the next turn; waits for room while others are being sent.
    ///
    /// A peer that does not answer ARP does not block others: datagrams to it are dropped after a while.
    ///
    /// # Errors
    /// [`NetError::TooLong`] beyond the MTU less 28 bytes; [`NetError::NoAddress`], [`NetError::NoRoute`],
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
        let State { udp, sched, now, touched, .. } = &mut *state;
        let Some(entry) = udp.get_mut(self.id) else { return Poll::Ready(Err(NetError::Closed)) };
        let (lane, dropped) = match entry.lane(*now) {
            Ok(lane) => lane,
            Err(again) => {
                entry.sender = Some(cx.waker().clone());
                sched.hasten(Job::Udp(self.id), &mut entry.slot, again);
                *touched = true;
                return Poll::Pending;
            }
        };
        let socket = lane.socket_mut();
        if data.len() > socket.payload_send_capacity() {
            return Poll::Ready(Err(NetError::TooLong));
        }
        let result = match socket.send_slice(data, to) {
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
            state.touch(Job::Udp(self.id));
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
    if data.len() > state.mtu.saturating_sub(HEADERS) {
        return Err(NetError::TooLong);
    }
    if state.me.address.is_none() {
        return Err(NetError::NoAddress);
    }
    match to.addr {
        IpAddress::Ipv4(peer) if peer.is_broadcast() || peer.is_multicast() => Ok(()),
        IpAddress::Ipv4(peer) if to.port == 0 || peer.is_unspecified() || state.is_me(peer) => {
            Err(NetError::Unaddressable)
        }
        IpAddress::Ipv4(peer) if !state.reaches(peer) => Err(NetError::NoRoute),
        IpAddress::Ipv4(_) => Ok(()),
        IpAddress::Ipv6(_) => Err(NetError::Unaddressable),
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let mut state = self.net.state();
        let Some(entry) = state.udp.get_mut(self.id) else { return };
        entry.closing = true;
        let rx = entry.rx;
        state.common.remove(rx);
        state.touch(Job::Udp(self.id));
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("port", &self.port).finish_non_exhaustive()
    }
}
