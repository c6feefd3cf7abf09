//! What can go wrong with a channel, and what to do about it.

use super::endpoint::Misbehaviour;
use core::fmt;
use embedded_io_async::ErrorKind;
use xen::Errno;
use xen::gnttab::GrantFailure;
use xen::xenstore::XsError;

/// Why a channel cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// The other side has gone; what it wrote before has been read.
    Gone,
    /// The other side broke the protocol, and the channel was closed.
    Misbehaved(Misbehaviour),
    /// Xen refused to send an event.
    Event(Errno),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the peer has gone"),
            Self::Misbehaved(rule) => write!(f, "closed: {rule}"),
            Self::Event(errno) => write!(f, "the event channel refuses: {errno}"),
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
        }
    }
}

/// Why there is no channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// Too little free memory for so large rings.
    OutOfPages,
    /// No page could be granted.
    Grant(GrantFailure),
    /// Xen has no port for us.
    Event(Errno),
    /// The nodes could not be written.
    Store(XsError),
    /// So many clients that have gone still have their control page mapped; it may help to wait.
    StillMapped(usize),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfPages => f.write_str("too little free memory for the rings: make them smaller"),
            Self::Grant(failure) => failure.fmt(f),
            Self::Event(errno) => write!(f, "no event channel: {errno}"),
            Self::Store(error) => error.fmt(f),
            Self::StillMapped(count) => write!(f, "{count} clients that have gone still hold their pages"),
        }
    }
}

impl core::error::Error for ServerError {}

impl From<XsError> for ServerError {
    fn from(error: XsError) -> Self {
        Self::Store(error)
    }
}
