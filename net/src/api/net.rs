//! The applications' side: sockets, addresses, counters.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use smoltcp::wire::{IpAddress, IpEndpoint, Ipv4Address};

use crate::frame::classify::is_unicast;
use crate::base::error::NetError;
use crate::addr::ip6;
use crate::base::options::{TcpOptions, UdpOptions};
use crate::turn::state::State;
use crate::base::status::{NetStatus, TcpStatus};
use crate::udp::tap_queue::Tap;
use crate::tcp::conn::Conn;
use crate::tcp::listener::TcpListener;
use crate::tcp::stream::TcpStream;
use crate::base::time;
use crate::api::udp_socket::UdpSocket;

/// The network, as applications see it. Cheap to clone; single-threaded.
#[derive(Clone)]
pub struct Net(Rc<RefCell<State>>);

impl Net {
    pub(crate) const fn new(state: Rc<RefCell<State>>) -> Self {
        Self(state)
    }

    /// The shared part. No caller keeps it over an `await` or hands it to foreign code, so it is never borrowed twice.
    pub(crate) fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Listens for TCP connections on `port`, on every address of ours.
    ///
    /// # Errors
    /// [`NetError::PortInUse`]; [`NetError::Unaddressable`] for port 0.
    pub fn tcp_listen(&self, port: u16, options: TcpOptions) -> Result<TcpListener, NetError> {
        TcpListener::new(self, port, options)
    }

    /// Opens a TCP connection to `remote`, and waits until it is there.
    ///
    /// # Errors
    /// [`NetError::Refused`], [`NetError::TimedOut`], or why it could not be tried: [`NetError::NoAddress`],
    /// [`NetError::NoRoute`], [`NetError::Unaddressable`], [`NetError::NoPorts`], [`NetError::TooManyConnections`].
    pub async fn tcp_connect(
        &self,
        remote: impl Into<IpEndpoint>,
        options: TcpOptions,
    ) -> Result<TcpStream, NetError> {
        let (id, ends) = self.state().open_active(remote.into(), &options)?;
        // From here on a drop gives the attempt up.
        let stream = TcpStream::new(self.clone(), id, ends);
        stream.connected().await?;
        Ok(stream)
    }

    /// Binds a UDP socket to `port`; port 0 chooses a free one.
    ///
    /// # Errors
    /// [`NetError::PortInUse`], [`NetError::NoPorts`].
    pub fn udp_bind(&self, port: u16, options: UdpOptions) -> Result<UdpSocket, NetError> {
        UdpSocket::new(self, port, &options)
    }

    /// Takes frames of a protocol that the stack does not speak, by its EtherType; so many may wait, each way.
    ///
    /// # Errors
    /// [`NetError::PortInUse`] if somebody takes them already; [`NetError::Unaddressable`] for IPv4, ARP, IPv6, and what is
    /// no EtherType.
    pub fn tap(&self, ethertype: u16, frames: usize) -> Result<Tap, NetError> {
        Tap::new(self, ethertype, frames)
    }

    /// Waits until the interface has an address that others than its neighbours can talk to, of either family.
    pub async fn configured(&self) {
        self.wait_for(|state| state.me.address.is_some() || state.me.ip6.is_configured()).await;
    }

    /// Waits until it has one of each family. Without IPv6 in the network, that is for ever.
    pub async fn configured_both(&self) {
        self.wait_for(|state| state.me.address.is_some() && state.me.ip6.is_configured()).await;
    }

    async fn wait_for(&self, there: impl Fn(&State) -> bool) {
        poll_fn(|cx| {
            let mut state = self.state();
            if there(&state) {
                return Poll::Ready(());
            }
            state.address.register(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// The state of the stack now.
    #[must_use]
    pub fn status(&self) -> NetStatus {
        let state = self.0.borrow();
        NetStatus {
            mac: state.me.mac,
            hostname: state.address.hostname.clone(),
            link_up: state.link_up,
            mtu: state.mtu,
            address: state.me.address,
            gateway: state.address.gateway,
            ipv6: state.me.ip6.status(),
            ipv6_gateway: state.me.ip6.gateway(),
            dns: state.address.dns.clone(),
            dhcp: state.address.status(state.now),
            connections: state.conns.len(),
            half_open: state.conns.half_open,
            time_wait: state.conns.time_wait.len(),
            listeners: state.listeners.len(),
            udp_sockets: state.udp.len(),
            timers: state.sched.timers(),
            counters: state.counters,
        }
    }

    /// The first `limit` TCP connections, in the order of their slots.
    #[must_use]
    pub fn tcp_connections(&self, limit: usize) -> Vec<TcpStatus> {
        let state = self.0.borrow();
        let one = |conn: &Conn| TcpStatus {
            local: conn.tuple.local,
            remote: conn.tuple.remote,
            state: conn.state_name(),
            unread: conn.socket().recv_queue(),
            unacknowledged: conn.socket().send_queue(),
            silent_for: time::until(conn.heard, state.now),
        };
        state.conns.iter().take(limit).map(one).collect()
    }

    /// The ports on which somebody listens for TCP connections.
    #[must_use]
    pub fn tcp_listeners(&self) -> Vec<u16> {
        self.0.borrow().listeners.keys().copied().collect()
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

impl State {
    /// Whether the address is ours.
    pub(crate) fn is_me(&self, address: Ipv4Address) -> bool {
        self.me.address.is_some_and(|cidr| cidr.address() == address)
    }

    /// Whether a connection to this address can be thought of.
    pub(crate) fn is_peer(&self, peer: IpAddress) -> bool {
        let possible = match peer {
            IpAddress::Ipv4(v4) => {
                let broadcast = self.me.address.and_then(|cidr| cidr.broadcast()) == Some(v4);
                is_unicast(v4) && !v4.is_loopback() && !broadcast
            }
            IpAddress::Ipv6(v6) => ip6::is_unicast(v6),
        };
        possible && !self.is_local(peer)
    }

    /// Whether we have an address of the same family as `peer`.
    pub(crate) fn speaks(&self, peer: IpAddress) -> bool {
        match peer {
            IpAddress::Ipv4(_) => self.me.address.is_some(),
            IpAddress::Ipv6(_) => self.me.ip6.valid().next().is_some(),
        }
    }
}
