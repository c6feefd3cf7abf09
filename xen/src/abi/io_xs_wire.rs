//! Xenstore's messages and the page they travel in. Header `io/xs_wire.h`, Xen 4.17.
//!
//! A message is a header of 16 bytes and at most [`XENSTORE_PAYLOAD_MAX`] bytes of payload, mostly
//! zero-terminated strings. Requests and replies are streams of such messages in two byte rings of one page:
//!
//! ```text
//! 0            1024         2048
//! | req ring   | rsp ring   | req_cons | req_prod | rsp_cons | rsp_prod | features | connection | error |
//! ```
//!
//! Indexes run freely and wrap at 2^32; a guest must not take them to start at 0. The page is shared: use
//! [`offset`].

use crate::abi::errno::Errno;
use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of each of the two rings.
pub const XENSTORE_RING_SIZE: usize = 1024;
/// Bytes of payload in a message at most; the daemon ends the connection of a client that sends more.
pub const XENSTORE_PAYLOAD_MAX: usize = 4096;
/// Bytes of an absolute path at most.
pub const XENSTORE_ABS_PATH_MAX: usize = 3072;
/// Bytes of a relative path at most.
pub const XENSTORE_REL_PATH_MAX: usize = 2048;

numbers! {
    /// `XS_*`: what a message asks or answers. A reply has the type of its request, or `Error`.
    ///
    /// Source: `xen/include/public/io/xs_wire.h`, `enum xsd_sockmsg_type`, Xen 4.17.
    #[doc(alias = "xsd_sockmsg_type")]
    #[doc(alias = "XS_DEBUG")]
    pub enum XsdSockmsgType: u32 {
        /// For tools.
        Control = 0 => "XS_CONTROL",
        /// Names of a node's children.
        Directory = 1 => "XS_DIRECTORY",
        /// A node's value.
        Read = 2 => "XS_READ",
        /// A node's permissions.
        GetPerms = 3 => "XS_GET_PERMS",
        /// Send an event when a node or one below it changes.
        Watch = 4 => "XS_WATCH",
        /// End a watch.
        Unwatch = 5 => "XS_UNWATCH",
        /// Start a transaction.
        TransactionStart = 6 => "XS_TRANSACTION_START",
        /// End a transaction: "T" to commit, "F" to abandon.
        TransactionEnd = 7 => "XS_TRANSACTION_END",
        /// For tools.
        Introduce = 8 => "XS_INTRODUCE",
        /// For tools.
        Release = 9 => "XS_RELEASE",
        /// A domain's directory.
        GetDomainPath = 10 => "XS_GET_DOMAIN_PATH",
        /// Write a node's value.
        Write = 11 => "XS_WRITE",
        /// Make a node.
        Mkdir = 12 => "XS_MKDIR",
        /// Remove a node and all below it.
        Rm = 13 => "XS_RM",
        /// Set a node's permissions.
        SetPerms = 14 => "XS_SET_PERMS",
        /// From the daemon, unasked: a watch fired. Payload: path and token.
        WatchEvent = 15 => "XS_WATCH_EVENT",
        /// From the daemon: the request failed. Payload: an error's name ([`xsd_error`]).
        Error = 16 => "XS_ERROR",
        /// For tools.
        IsDomainIntroduced = 17 => "XS_IS_DOMAIN_INTRODUCED",
        /// For tools.
        Resume = 18 => "XS_RESUME",
        /// For tools.
        SetTarget = 19 => "XS_SET_TARGET",
        /// End every watch and transaction of this domain.
        ResetWatches = 21 => "XS_RESET_WATCHES",
        /// Names of a node's children, from an offset on.
        DirectoryPart = 22 => "XS_DIRECTORY_PART",
        /// Never a valid type.
        Invalid = 0xffff => "XS_INVALID",
    }
}

/// Header of a message; 16 bytes, followed by `len` bytes of payload.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    4 | kind   | sender     | [`XsdSockmsgType`] |
/// |      4 |    4 | req_id | guest      | echoed in the reply |
/// |      8 |    4 | tx_id  | guest      | the transaction, 0 for none; echoed in the reply |
/// |     12 |    4 | len    | sender     | bytes of payload, ≤ [`XENSTORE_PAYLOAD_MAX`] |
///
/// Source: `xen/include/public/io/xs_wire.h`, `struct xsd_sockmsg`, Xen 4.17.
#[doc(alias = "xsd_sockmsg")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XsdSockmsg {
    /// [`XsdSockmsgType`].
    #[doc(alias = "type")]
    pub kind: u32,
    /// Echoed in the reply.
    pub req_id: u32,
    /// The transaction, 0 for none.
    pub tx_id: u32,
    /// Bytes of payload.
    pub len: u32,
}
assert_layout!(XsdSockmsg, 16, { kind: 0, req_id: 4, tx_id: 8, len: 12 });

/// The ring page, as far as it is defined; 2076 bytes.
///
/// | offset | size | field           | written by | meaning |
/// |-------:|-----:|-----------------|------------|---------|
/// |      0 | 1024 | req             | guest      | requests |
/// |   1024 | 1024 | rsp             | daemon     | replies and watch events |
/// |   2048 |    4 | req_cons        | daemon     | one past the last byte it took |
/// |   2052 |    4 | req_prod        | guest      | one past the last byte of requests |
/// |   2056 |    4 | rsp_cons        | guest      | one past the last byte we took |
/// |   2060 |    4 | rsp_prod        | daemon     | one past the last byte of replies |
/// |   2064 |    4 | server_features | daemon     | [`XenstoreServerFeatures`] |
/// |   2068 |    4 | connection      | both       | [`XenstoreConnection`]; the guest sets `Reconnect`, the daemon `Connected` |
/// |   2072 |    4 | error           | daemon     | [`XenstoreError`], if it has that feature |
///
/// Source: `xen/include/public/io/xs_wire.h`, `struct xenstore_domain_interface`, Xen 4.17.
#[doc(alias = "xenstore_domain_interface")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenstoreDomainInterface {
    /// Requests.
    pub req: [u8; XENSTORE_RING_SIZE],
    /// Replies and watch events.
    pub rsp: [u8; XENSTORE_RING_SIZE],
    /// One past the last byte of requests that the daemon took.
    pub req_cons: u32,
    /// One past the last byte of requests.
    pub req_prod: u32,
    /// One past the last byte of replies that we took.
    pub rsp_cons: u32,
    /// One past the last byte of replies.
    pub rsp_prod: u32,
    /// [`XenstoreServerFeatures`].
    pub server_features: u32,
    /// [`XenstoreConnection`].
    pub connection: u32,
    /// [`XenstoreError`].
    pub error: u32,
}
assert_layout!(XenstoreDomainInterface, 2076, {
    req: 0, rsp: 1024, req_cons: 2048, req_prod: 2052, rsp_cons: 2056, rsp_prod: 2060, server_features: 2064,
    connection: 2068, error: 2072,
});
// The mask of both rings.
const _: () = assert!(XENSTORE_RING_SIZE.is_power_of_two());

/// Offsets in xenstore's page, in bytes, for access through shared memory.
pub mod offset {
    use super::XenstoreDomainInterface;
    use core::mem::offset_of;

    /// Of the ring of requests.
    pub const REQ: usize = offset_of!(XenstoreDomainInterface, req);
    /// Of the ring of replies.
    pub const RSP: usize = offset_of!(XenstoreDomainInterface, rsp);
    /// Of `req_cons`, written by the daemon.
    pub const REQ_CONS: usize = offset_of!(XenstoreDomainInterface, req_cons);
    /// Of `req_prod`, written by us.
    pub const REQ_PROD: usize = offset_of!(XenstoreDomainInterface, req_prod);
    /// Of `rsp_cons`, written by us.
    pub const RSP_CONS: usize = offset_of!(XenstoreDomainInterface, rsp_cons);
    /// Of `rsp_prod`, written by the daemon.
    pub const RSP_PROD: usize = offset_of!(XenstoreDomainInterface, rsp_prod);
    /// Of `server_features`, written by the daemon.
    pub const SERVER_FEATURES: usize = offset_of!(XenstoreDomainInterface, server_features);
    /// Of `connection`, written by both.
    pub const CONNECTION: usize = offset_of!(XenstoreDomainInterface, connection);
    /// Of `error`, written by the daemon.
    pub const ERROR: usize = offset_of!(XenstoreDomainInterface, error);
}

bitflags! {
    /// `XENSTORE_SERVER_FEATURE_*`: what the daemon can do.
    ///
    /// Source: `xen/include/public/io/xs_wire.h`, `XENSTORE_SERVER_FEATURE_RECONNECTION` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct XenstoreServerFeatures: u32 {
        /// A guest may ask for the ring to be reset, by `connection`.
        #[doc(alias = "XENSTORE_SERVER_FEATURE_RECONNECTION")]
        const RECONNECTION = 0x1;
        /// The page has the field `error`.
        #[doc(alias = "XENSTORE_SERVER_FEATURE_ERROR")]
        const ERROR = 0x2;
    }
}

numbers! {
    /// Values of the page's field `connection`.
    ///
    /// Source: `xen/include/public/io/xs_wire.h`, `XENSTORE_CONNECTED` and following, Xen 4.17.
    pub enum XenstoreConnection: u32 {
        /// The ring works.
        Connected = 0 => "XENSTORE_CONNECTED",
        /// The guest asked for a reset and the daemon has not done it yet.
        Reconnect = 1 => "XENSTORE_RECONNECT",
    }
}

numbers! {
    /// Values of the page's field `error`: why the daemon stopped to serve this ring.
    ///
    /// Source: `xen/include/public/io/xs_wire.h`, `XENSTORE_ERROR_NONE` and following, Xen 4.17.
    pub enum XenstoreError: u32 {
        /// It did not.
        None = 0 => "XENSTORE_ERROR_NONE",
        /// Communication problem.
        Comm = 1 => "XENSTORE_ERROR_COMM",
        /// An index is out of range.
        RingIdx = 2 => "XENSTORE_ERROR_RINGIDX",
        /// A message broke the protocol, for instance by its length.
        Proto = 3 => "XENSTORE_ERROR_PROTO",
    }
}

/// The errors that an [`XsdSockmsgType::Error`] may name, in the header's order.
///
/// Source: `xen/include/public/io/xs_wire.h`, `xsd_errors`, Xen 4.17.
#[doc(alias = "xsd_errors")]
pub const XSD_ERRORS: [Errno; 16] = [
    Errno::EINVAL,
    Errno::EACCES,
    Errno::EEXIST,
    Errno::EISDIR,
    Errno::ENOENT,
    Errno::ENOMEM,
    Errno::ENOSPC,
    Errno::EIO,
    Errno::ENOTEMPTY,
    Errno::ENOSYS,
    Errno::EROFS,
    Errno::EBUSY,
    Errno::EAGAIN,
    Errno::EISCONN,
    Errno::E2BIG,
    Errno::EPERM,
];

/// The error that the daemon names, without its terminating zero; `None` for a name the header does not have.
#[doc(alias = "xsd_errors")]
#[must_use]
pub fn xsd_error(name: &[u8]) -> Option<Errno> {
    XSD_ERRORS.into_iter().find(|errno| errno.name().is_some_and(|known| known.as_bytes() == name))
}

#[cfg(test)]
mod tests {
    use super::{Errno, XSD_ERRORS, XsdSockmsg, XsdSockmsgType, xsd_error};
    use crate::abi::Unknown;
    use zerocopy::{FromBytes, IntoBytes};

    #[test]
    fn a_header_goes_both_ways() {
        let header = XsdSockmsg { kind: XsdSockmsgType::Write.raw(), req_id: 2, tx_id: 3, len: 4096 };
        let bytes = [11, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 16, 0, 0];
        assert_eq!(header.as_bytes(), &bytes);
        assert_eq!(XsdSockmsg::read_from_bytes(&bytes), Ok(header));
    }

    #[test]
    fn the_removed_type_is_refused() {
        assert_eq!(XsdSockmsgType::try_from(20), Err(Unknown(20)));
        assert_eq!(XsdSockmsgType::try_from(23), Err(Unknown(23)));
    }

    #[test]
    fn errors_are_found_by_name() {
        for errno in XSD_ERRORS {
            assert_eq!(xsd_error(errno.name().unwrap().as_bytes()), Some(errno));
        }
        assert_eq!(xsd_error(b"ENOENT"), Some(Errno::ENOENT));
        assert_eq!(xsd_error(b"ENOENT\0"), None);
        assert_eq!(xsd_error(b"ESRCH"), None); // an errno, but none that xenstore sends
    }
}
