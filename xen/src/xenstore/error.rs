//! Errors of xenstore, each with its cause and the next step.

use crate::abi::errno::Errno;
use crate::abi::io_xs_wire::{
    XENSTORE_ABS_PATH_MAX, XENSTORE_PAYLOAD_MAX, XENSTORE_REL_PATH_MAX, XenstoreError, XsdSockmsgType,
    xsd_error,
};
use crate::ring::byte_ring::Overrun;
use alloc::string::String;
use core::fmt;

/// Characters of a foreign text that an error keeps.
const TEXT_MAX: usize = 64;

/// Why a request to xenstore failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XsError {
    /// The daemon answered with an error.
    Refused {
        /// The request.
        request: XsdSockmsgType,
        /// The node.
        path: String,
        /// The daemon's reason.
        errno: XsErrno,
    },
    /// The node's value is not UTF-8.
    NotText {
        /// The node.
        path: String,
    },
    /// The node's value is not a number, or one out of range.
    NotANumber {
        /// The node.
        path: String,
        /// The beginning of its value.
        value: String,
    },
    /// No node can have this path. Nothing was sent.
    BadPath {
        /// The beginning of the path.
        path: String,
        /// The error in it.
        fault: PathFault,
    },
    /// Path and value do not fit into one message. Nothing was sent.
    TooLong {
        /// The node.
        path: String,
        /// Bytes that the message would have.
        len_bytes: usize,
    },
    /// The answer breaks the protocol. The connection goes on.
    BadReply {
        /// The request.
        request: XsdSockmsgType,
        /// The node.
        path: String,
        /// The rule that was broken.
        fault: ReplyFault,
    },
    /// A transaction met with changes by others every time.
    Conflicts {
        /// How often it was tried.
        attempts: u32,
    },
    /// The domain was restored before the answer came. The daemon may have carried out the request or not.
    Interrupted,
    /// The ring was reset before the answer came. The daemon may have carried out the request or not; requests that
    /// change nothing are repeated and never fail with this.
    Reset,
    /// The daemon has not answered for this long, and cannot reset the ring.
    NoAnswer {
        /// The time limit, in seconds.
        after_s: u64,
    },
    /// Too many requests wait for an answer. Nothing was sent.
    Busy,
    /// The connection cannot be used any more.
    Broken(Broken),
}

/// The daemon's reason for a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XsErrno {
    /// One that the protocol names.
    Known(Errno),
    /// Another error, by its name, such as `EQUOTA`.
    Unknown(String),
}

/// The error in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It has no characters.
    Empty,
    /// It contains a zero byte, which ends a path on the wire.
    Zero,
    /// It is longer than xenstore allows.
    TooLong,
}

/// The rule that an answer breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFault {
    /// Its type is neither that of the request nor `XS_ERROR`.
    Kind(u32),
    /// It names another transaction than the request.
    Transaction(u32),
    /// Its payload does not have the form of an answer to the request.
    Payload,
}

/// Why the connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The daemon's `req_cons` is impossible.
    RequestIndex(Overrun),
    /// The daemon's `rsp_prod` is impossible.
    ReplyIndex(Overrun),
    /// A header claims this many bytes of payload.
    MessageTooLong(u32),
    /// The daemon gave the connection up, with this number in the page's field `error`.
    GivenUp(u32),
}

impl XsError {
    /// The daemon's reason, if it gave one that the protocol names.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno: XsErrno::Known(errno), .. } => Some(*errno),
            _ => None,
        }
    }
}

impl XsErrno {
    /// Reads the payload of an `XS_ERROR`.
    pub(super) fn parse(name: &[u8]) -> Self {
        xsd_error(name).map_or_else(|| Self::Unknown(printable(name)), Self::Known)
    }

    const fn advice(&self) -> &'static str {
        match self {
            Self::Known(Errno::EACCES | Errno::EPERM | Errno::EROFS) => {
                "the toolstack must give this domain access to the node"
            }
            Self::Known(Errno::ENOENT) => {
                "the node does not exist; the toolstack or the backend should have made it"
            }
            Self::Known(Errno::ENOSPC | Errno::E2BIG | Errno::ENOMEM | Errno::EBUSY) => {
                "a quota of xenstored is exhausted; raise it or use fewer nodes and watches"
            }
            Self::Known(Errno::EAGAIN) => "somebody else changed the same nodes; try again",
            Self::Known(Errno::ENOSYS) => "this xenstored does not know the request",
            Self::Known(_) => "see docs/misc/xenstore.txt in Xen's sources",
            Self::Unknown(_) => "xenstored named an error that its protocol does not list; see its log",
        }
    }
}

impl fmt::Display for XsErrno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(errno) => errno.fmt(f),
            Self::Unknown(name) => name.fmt(f),
        }
    }
}

impl XsError {
    /// Whether the daemon said that we may not: `EACCES`.
    #[must_use]
    pub fn is_access(&self) -> bool {
        matches!(self, Self::Refused { errno: XsErrno::Known(Errno::EACCES), .. })
    }
}

impl fmt::Display for XsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { request, path, errno } => {
                write!(f, "{request} {path}: {errno}: {}", errno.advice())
            }
            Self::NotText { path } => {
                write!(f, "{path}: the value is not UTF-8; correct it with xenstore-write")
            }
            Self::NotANumber { path, value } => write!(
                f,
                "{path}: \"{value}\" is not a number, or out of range; correct it with xenstore-write"
            ),
            Self::BadPath { path, fault } => write!(f, "path \"{path}\": {fault}"),
            Self::TooLong { path, len_bytes } => write!(
                f,
                "{path}: a message of {len_bytes} bytes, where {XENSTORE_PAYLOAD_MAX} are the most; write less"
            ),
            Self::BadReply { request, path, fault } => {
                write!(f, "{request} {path}: {fault}; xenstored is at fault, see its log")
            }
            Self::Conflicts { attempts } => write!(
                f,
                "the transaction conflicted {attempts} times; somebody else keeps writing the same nodes"
            ),
            Self::Interrupted => write!(f, "the domain was restored before xenstored answered; ask again"),
            Self::Reset => {
                write!(f, "the connection to xenstore was reset before the answer came; ask again")
            }
            Self::NoAnswer { after_s } => {
                write!(f, "xenstored has not answered for {after_s} s; see whether it runs in dom0")
            }
            Self::Busy => write!(f, "too many requests wait for xenstored; ask again when some are answered"),
            Self::Broken(broken) => write!(f, "the connection to xenstore is broken: {broken}"),
        }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it is empty"),
            Self::Zero => write!(f, "it contains a zero byte"),
            Self::TooLong => write!(
                f,
                "it is too long: {XENSTORE_ABS_PATH_MAX} bytes are the most, {XENSTORE_REL_PATH_MAX} if relative"
            ),
        }
    }
}

impl fmt::Display for ReplyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "the answer has type {kind}"),
            Self::Transaction(id) => write!(f, "the answer names transaction {id}, which was not asked"),
            Self::Payload => write!(f, "the answer's payload is malformed"),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestIndex(overrun) => write!(f, "requests: {overrun}"),
            Self::ReplyIndex(overrun) => write!(f, "replies: {overrun}"),
            Self::MessageTooLong(len) => write!(f, "a message of {len} bytes"),
            Self::GivenUp(number) => match XenstoreError::try_from(*number) {
                Ok(error) => write!(f, "xenstored gave it up: {error}"),
                Err(unknown) => write!(f, "xenstored gave it up: {unknown}"),
            },
        }
    }
}

impl core::error::Error for XsError {}

/// The beginning of a foreign text, fit for a log: printable ASCII, everything else escaped.
pub(super) fn printable(text: &[u8]) -> String {
    text.escape_ascii().take(TEXT_MAX).map(char::from).collect()
}
