//! A UDP socket as an application holds it.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use smoltcp::wire::IpEndpoint;

use crate::base::error::NetError;
use crate::base::options::UdpOptions;
use crate::turn::state::Shared;
use crate::udp::datagram::Datagram;

/// Sends and receives UDP datagrams on one port. One task may receive and one may send at a time.
///
/// Dropping it closes the port; what was sent still leaves.
pub struct UdpSocket {
    state: Shared,
    id: usize,
    port: u16,
}

impl UdpSocket {
    pub(crate) fn new(state: &Shared, port: u16, options: UdpOptions) -> Result<Self, NetError> {
        let (id, port) = state.borrow_mut().bind_udp(port, options)?;
        Ok(Self { state: Rc::clone(state), id, port })
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
        let datagram = self.recv_owned().await?;
        let payload = datagram.payload();
        let space = buffer.get_mut(..payload.len()).ok_or(NetError::Truncated)?;
        space.copy_from_slice(payload);
        Ok((payload.len(), datagram.from()))
    }

    /// Waits for a datagram that is the application's own, for as long as it likes: with [`UdpOptions::in_place`] in
    /// the page in which it came, if the interface can do that. Drop it to give the page back. An application that holds
    /// too many gets no more of them; others lose nothing.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn recv_owned(&self) -> Result<Datagram, NetError> {
        poll_fn(|cx| self.state.borrow_mut().poll_udp_recv(cx, self.id)).await
    }

    /// Queues a datagram for the next iteration; waits for room while others are being sent.
    ///
    /// A peer whose hardware address is not known does not delay others. Datagrams to it are dropped after 3 s.
    ///
    /// # Errors
    /// [`NetError::TooLong`] beyond the MTU less 28 bytes, with IPv6 48; [`NetError::NoAddress`], [`NetError::NoRoute`],
    /// [`NetError::Unaddressable`] when it has no way to go.
    pub async fn send_to(&self, data: &[u8], to: impl Into<IpEndpoint>) -> Result<(), NetError> {
        let to = to.into();
        poll_fn(|cx| self.poll_send(cx, data, to)).await
    }

    fn poll_send(&self, cx: &Context<'_>, data: &[u8], to: IpEndpoint) -> Poll<Result<(), NetError>> {
        self.state.borrow_mut().poll_udp_send(cx, self.id, data, to)
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.state.borrow_mut().close_udp(self.id);
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("port", &self.port).finish_non_exhaustive()
    }
}
