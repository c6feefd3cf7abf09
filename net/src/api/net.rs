//! The applications' side: sockets, addresses, counters.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;

use smoltcp::wire::IpEndpoint;

use crate::api::tap::Tap;
use crate::api::tcp_listener::TcpListener;
use crate::api::tcp_stream::TcpStream;
use crate::api::udp_socket::UdpSocket;
use crate::base::error::NetError;
use crate::base::observer::Observer;
use crate::base::options::{TcpOptions, UdpOptions};
use crate::base::status::{NetStatus, TcpStatus};
use crate::turn::state::Shared;

/// The network, as applications see it. Cheap to clone; single-threaded.
#[derive(Clone)]
pub struct Net(Shared);

impl Net {
    pub(crate) const fn new(state: Shared) -> Self {
        Self(state)
    }

    /// Listens for TCP connections on `port`, on every address of ours.
    ///
    /// # Errors
    /// [`NetError::PortInUse`]; [`NetError::Unaddressable`] for port 0.
    pub fn tcp_listen(&self, port: u16, options: TcpOptions) -> Result<TcpListener, NetError> {
        TcpListener::new(&self.0, port, options)
    }

    /// Opens a TCP connection to `remote` and waits until it is established.
    ///
    /// # Errors
    /// [`NetError::Refused`], [`NetError::TimedOut`], or why it could not be tried: [`NetError::NoAddress`],
    /// [`NetError::NoRoute`], [`NetError::Unaddressable`], [`NetError::NoPorts`], [`NetError::TooManyConnections`].
    pub async fn tcp_connect(
        &self,
        remote: impl Into<IpEndpoint>,
        options: TcpOptions,
    ) -> Result<TcpStream, NetError> {
        let (id, ends) = self.0.borrow_mut().connect(remote.into(), options)?;
        // From here on a drop gives the attempt up.
        let stream = TcpStream::new(&self.0, id, ends, true);
        stream.connected().await?;
        Ok(stream)
    }

    /// Binds a UDP socket to `port`; port 0 chooses a free one.
    ///
    /// # Errors
    /// [`NetError::PortInUse`], [`NetError::NoPorts`].
    pub fn udp_bind(&self, port: u16, options: UdpOptions) -> Result<UdpSocket, NetError> {
        UdpSocket::new(&self.0, port, options)
    }

    /// Takes the frames of a protocol that the stack does not speak, by its EtherType. At most `frames` wait, each way.
    ///
    /// # Errors
    /// [`NetError::PortInUse`] if a tap for it is open; [`NetError::Unaddressable`] for IPv4, ARP, IPv6, and what is
    /// no EtherType.
    pub fn tap(&self, ethertype: u16, frames: usize) -> Result<Tap, NetError> {
        Tap::new(&self.0, ethertype, frames)
    }

    /// Shows every frame to `observer` from now on, in place of the one before; `None`: to nobody.
    pub fn observe(&self, observer: Option<Rc<dyn Observer>>) {
        // Whoever goes may own what calls the stack when it is dropped.
        let _before = self.0.borrow_mut().replace_observer(observer);
    }

    /// Waits until the interface has an address that hosts beyond its neighbours can talk to, of either family.
    pub async fn configured(&self) {
        poll_fn(|cx| self.0.borrow_mut().poll_configured(cx, false)).await;
    }

    /// Waits until it has one of each family. Without IPv6 in the network it waits for ever.
    pub async fn configured_both(&self) {
        poll_fn(|cx| self.0.borrow_mut().poll_configured(cx, true)).await;
    }

    /// The state of the stack now.
    #[must_use]
    pub fn status(&self) -> NetStatus {
        self.0.borrow().status()
    }

    /// The first `limit` TCP connections, in the order of their slots.
    #[must_use]
    pub fn tcp_connections(&self, limit: usize) -> Vec<TcpStatus> {
        self.0.borrow().tcp_connections(limit)
    }

    /// The ports with a listener for TCP connections.
    #[must_use]
    pub fn tcp_listeners(&self) -> Vec<u16> {
        self.0.borrow().tcp_listeners()
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}
