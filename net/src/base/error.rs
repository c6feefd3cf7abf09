//! Errors of the network API: one variant for each cause.

use core::fmt;

use embedded_io_async::ErrorKind;

/// An operation on the network failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// The interface has no address yet (or lost it). Wait for [`crate::Net::configured`].
    NoAddress,
    /// No route leads to the peer: it is not on our network and there is no gateway.
    NoRoute,
    /// The address or the port is invalid as a destination: unspecified, our own, or port 0.
    Unaddressable,
    /// The local port is in use.
    PortInUse,
    /// All ephemeral ports are in use.
    NoPorts,
    /// The limit of connections is reached ([`crate::Limits::connections`]).
    TooManyConnections,
    /// The peer refused the connection: its port has no listener.
    Refused,
    /// The peer reset the connection.
    Reset,
    /// The peer did not answer within the timeout.
    TimedOut,
    /// The address that the connection was bound to is not ours any more.
    AddressLost,
    /// The connection was closed or aborted on this side.
    Closed,
    /// The datagram does not fit into one frame of the link.
    TooLong,
    /// There is no memory for the operation now.
    NoMemory,
    /// The received datagram is longer than the buffer. It is lost.
    Truncated,
}

impl NetError {
    /// A description of the cause.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAddress => "no address",
            Self::NoRoute => "no route to the peer",
            Self::Unaddressable => "the peer cannot be addressed",
            Self::PortInUse => "port in use",
            Self::NoPorts => "no free port",
            Self::TooManyConnections => "too many connections",
            Self::Refused => "connection refused",
            Self::Reset => "connection reset by the peer",
            Self::TimedOut => "timed out",
            Self::AddressLost => "the local address is gone",
            Self::Closed => "closed",
            Self::TooLong => "datagram too long",
            Self::NoMemory => "no memory",
            Self::Truncated => "datagram truncated",
        }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for NetError {}

impl embedded_io_async::Error for NetError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAddress | Self::NoRoute | Self::AddressLost => ErrorKind::AddrNotAvailable,
            Self::Unaddressable | Self::TooLong => ErrorKind::InvalidInput,
            Self::PortInUse | Self::NoPorts => ErrorKind::AddrInUse,
            Self::TooManyConnections | Self::NoMemory => ErrorKind::OutOfMemory,
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Closed => ErrorKind::NotConnected,
            Self::Truncated => ErrorKind::InvalidData,
        }
    }
}
