//! Errors of a channel, and the next step for each.

use super::endpoint::Misbehaviour;
use core::fmt;
use embedded_io_async::ErrorKind;
use xen::Errno;
use xen::context::ShareError;
use xen::foreign::MapError;
use xen::gnttab::GrantFailure;
use xen::granted_pages::NoPage;
use xen::xenstore::XsError;

/// Why a channel cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// The other side has gone; its bytes have been read.
    Gone,
    /// The other side broke the protocol, and the channel was closed.
    Misbehaved(Misbehaviour),
    /// Xen refused to send an event.
    Event(Errno),
    /// This domain was suspended: it continues in another domain, without a peer.
    Suspended,
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the peer has gone"),
            Self::Misbehaved(rule) => write!(f, "closed: {rule}"),
            Self::Event(errno) => write!(f, "the event channel refuses: {errno}"),
            Self::Suspended => f.write_str("the domain was suspended, and the channel is void"),
        }
    }
}

impl core::error::Error for ChannelError {}

impl embedded_io_async::Error for ChannelError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Gone => ErrorKind::BrokenPipe,
            Self::Misbehaved(_) => ErrorKind::InvalidData,
            Self::Event(_) => ErrorKind::Other,
            Self::Suspended => ErrorKind::ConnectionReset,
        }
    }
}

/// Why there is no channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// Too little free memory for rings of this size.
    OutOfPages,
    /// No page could be granted.
    Grant(GrantFailure),
    /// Xen has no port for us.
    Event(Errno),
    /// The nodes could not be written.
    Store(XsError),
    /// Clients that have gone still have this many pages mapped. They may unmap them later.
    StillMapped(usize),
    /// The domain was suspended and goes on under another number: the server is to be opened again, at its new path.
    Moved,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfPages => f.write_str("too little free memory for the rings: make them smaller"),
            Self::Grant(failure) => failure.fmt(f),
            Self::Event(errno) => write!(f, "no event channel: {errno}"),
            Self::Store(error) => error.fmt(f),
            Self::StillMapped(count) => write!(f, "clients that have gone still hold {count} pages"),
            Self::Moved => f.write_str("the domain was suspended: open the channel again"),
        }
    }
}

impl core::error::Error for ServerError {}

impl From<XsError> for ServerError {
    fn from(error: XsError) -> Self {
        Self::Store(error)
    }
}

impl From<NoPage> for ServerError {
    fn from(error: NoPage) -> Self {
        match error {
            NoPage::Share(ShareError::Memory) => Self::OutOfPages,
            NoPage::Share(ShareError::Grant(reason)) => Self::Grant(reason),
            NoPage::StillMapped(count) => Self::StillMapped(count),
        }
    }
}

/// Why a client has no channel. It waits for what heals by itself (no server yet, or one that has gone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The nodes cannot be read.
    Store(XsError),
    /// The server's grants cannot be mapped.
    Map(MapError),
    /// Xen has no port for us.
    Event(Errno),
    /// The server's offer is impossible.
    Misbehaved(Misbehaviour),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Map(error) => error.fmt(f),
            Self::Event(errno) => write!(f, "no event channel: {errno}"),
            Self::Misbehaved(rule) => write!(f, "the server's channel cannot be used: {rule}"),
        }
    }
}

impl core::error::Error for ClientError {}

impl From<XsError> for ClientError {
    fn from(error: XsError) -> Self {
        Self::Store(error)
    }
}
