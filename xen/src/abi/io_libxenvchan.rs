//! The control page of a vchan. Header `io/libxenvchan.h`, Xen 4.17.
//!
//! A vchan is two byte streams between two domains, over a control page and rings that the *server* owns and
//! grants. *Left* is what the client writes, *right* what the server writes.
//!
//! ```text
//! 0           8            16           20                          24
//! | left.cons | right.cons | left_order | cli_live   srv_live       | grants: left ring's pages, then right's
//! | left.prod | right.prod | right_order| cli_notify srv_notify     |
//! 1024: the ring of order 10, if there is one          2048: the ring of order 11, if there is one
//! ```
//!
//! Indexes run freely and wrap at 2^32; a ring may be full. Nothing here checks or moves them.

use crate::abi::Unknown;
use crate::abi::layout::assert_layout;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Order of the small ring, 1 KiB inside the control page; at most one of the two.
pub const SMALL_RING_ORDER: u16 = 10;
/// Offset of the small ring in the control page.
pub const SMALL_RING_OFFSET: usize = 1024;
/// Order of the large ring inside the control page, 2 KiB; at most one of the two.
pub const LARGE_RING_ORDER: u16 = 11;
/// Offset of the large ring in the control page.
pub const LARGE_RING_OFFSET: usize = 2048;
/// The lowest order of a ring with pages of its own: 2^(order - 12) of them, in the list of grants.
pub const MIN_PAGES_ORDER: u16 = 12;
/// The highest order that libxenvchan takes (`tools/libs/vchan/init.c`).
#[doc(alias = "MAX_LARGE_RING_SHIFT")]
pub const MAX_RING_ORDER: u16 = 20;

/// Indexes of one ring; 8 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    4 | cons  | reader     | one past the last byte taken |
/// |      4 |    4 | prod  | writer     | one past the last byte put |
///
/// Source: `xen/include/public/io/libxenvchan.h`, `struct ring_shared`, Xen 4.17.
#[doc(alias = "ring_shared")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RingShared {
    /// One past the last byte taken.
    pub cons: u32,
    /// One past the last byte put.
    pub prod: u32,
}
assert_layout!(RingShared, 8, { cons: 0, prod: 4 });

/// The control page, without the list of grants; 24 bytes.
///
/// | offset | size | field       | written by | meaning |
/// |-------:|-----:|-------------|------------|---------|
/// |      0 |    8 | left        | both       | client writes, server reads |
/// |      8 |    8 | right       | both       | server writes, client reads |
/// |     16 |    2 | left_order  | server     | its size is 2^this bytes |
/// |     18 |    2 | right_order | server     | its size is 2^this bytes |
/// |     20 |    1 | cli_live    | both       | [`VchanLive`] of the client |
/// |     21 |    1 | srv_live    | server     | [`VchanLive`] of the server |
/// |     22 |    1 | cli_notify  | both       | [`VchanNotify`]: what the client is to notify the server of |
/// |     23 |    1 | srv_notify  | both       | [`VchanNotify`]: what the server is to notify the client of |
/// |     24 |  4×n | (grants)    | server     | grefs, from [`offset::GRANTS`] on |
///
/// Source: `xen/include/public/io/libxenvchan.h`, `struct vchan_interface`, Xen 4.17.
#[doc(alias = "vchan_interface")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VchanInterface {
    /// Client writes, server reads.
    pub left: RingShared,
    /// Server writes, client reads.
    pub right: RingShared,
    /// Order of the left ring.
    pub left_order: u16,
    /// Order of the right ring.
    pub right_order: u16,
    /// [`VchanLive`] of the client.
    pub cli_live: u8,
    /// [`VchanLive`] of the server.
    pub srv_live: u8,
    /// [`VchanNotify`]: what the client is to notify the server of.
    pub cli_notify: u8,
    /// [`VchanNotify`]: what the server is to notify the client of.
    pub srv_notify: u8,
}
assert_layout!(VchanInterface, 24, {
    left: 0, right: 8, left_order: 16, right_order: 18, cli_live: 20, srv_live: 21, cli_notify: 22,
    srv_notify: 23,
});

/// Offsets in the control page, in bytes, for access through shared memory.
pub mod offset {
    use super::{RingShared, VchanInterface};
    use core::mem::offset_of;

    /// Of the left ring's `cons`, written by the server.
    pub const LEFT_CONS: usize = offset_of!(VchanInterface, left.cons);
    /// Of the left ring's `prod`, written by the client.
    pub const LEFT_PROD: usize = offset_of!(VchanInterface, left.prod);
    /// Of the right ring's `cons`, written by the client.
    pub const RIGHT_CONS: usize = offset_of!(VchanInterface, right.cons);
    /// Of the right ring's `prod`, written by the server.
    pub const RIGHT_PROD: usize = offset_of!(VchanInterface, right.prod);
    /// Of `left_order`.
    pub const LEFT_ORDER: usize = offset_of!(VchanInterface, left_order);
    /// Of `right_order`.
    pub const RIGHT_ORDER: usize = offset_of!(VchanInterface, right_order);
    /// Of `cli_live`, one byte.
    pub const CLI_LIVE: usize = offset_of!(VchanInterface, cli_live);
    /// Of `srv_live`, one byte.
    pub const SRV_LIVE: usize = offset_of!(VchanInterface, srv_live);
    /// Of `cli_notify`, one byte.
    pub const CLI_NOTIFY: usize = offset_of!(VchanInterface, cli_notify);
    /// Of `srv_notify`, one byte.
    pub const SRV_NOTIFY: usize = offset_of!(VchanInterface, srv_notify);
    /// Of the first gref, `u32` each.
    pub const GRANTS: usize = size_of::<VchanInterface>();

    const _: () = assert!(RIGHT_CONS == LEFT_CONS + size_of::<RingShared>());
}

bitflags! {
    /// `VCHAN_NOTIFY_*`: after which of its actions a side notifies the other; one that does clears the bit.
    ///
    /// Source: `xen/include/public/io/libxenvchan.h`, `VCHAN_NOTIFY_WRITE` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct VchanNotify: u8 {
        /// After it wrote.
        #[doc(alias = "VCHAN_NOTIFY_WRITE")]
        const WRITE = 0x1;
        /// After it read.
        #[doc(alias = "VCHAN_NOTIFY_READ")]
        const READ = 0x2;
    }
}

/// Whether a side is there. The header gives the numbers in a comment and has no names for them.
///
/// Source: `xen/include/public/io/libxenvchan.h`, `struct vchan_interface`, "Shutdown detection", Xen 4.17.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VchanLive {
    /// It has gone.
    Exited = 0,
    /// It is there.
    Connected = 1,
    /// It has not come yet; only the client.
    NotYetConnected = 2,
}

impl VchanLive {
    /// The number, as it is in the page.
    #[must_use]
    pub const fn raw(self) -> u8 {
        match self {
            Self::Exited => 0,
            Self::Connected => 1,
            Self::NotYetConnected => 2,
        }
    }
}

impl TryFrom<u8> for VchanLive {
    type Error = Unknown<u8>;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        match value {
            0 => Ok(Self::Exited),
            1 => Ok(Self::Connected),
            2 => Ok(Self::NotYetConnected),
            _ => Err(Unknown(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RingShared, VchanInterface, VchanLive, VchanNotify};
    use crate::abi::Unknown;
    use zerocopy::IntoBytes;

    #[test]
    fn a_server_s_first_page_has_the_header_s_bytes() {
        let page = VchanInterface {
            left: RingShared { cons: 1, prod: 2 },
            left_order: super::SMALL_RING_ORDER,
            right_order: super::LARGE_RING_ORDER,
            cli_live: VchanLive::NotYetConnected.raw(),
            srv_live: VchanLive::Connected.raw(),
            cli_notify: VchanNotify::WRITE.bits(),
            ..VchanInterface::default()
        };
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 11, 0, 2, 1, 1, 0];
        assert_eq!(page.as_bytes(), &bytes);
    }

    #[test]
    fn liveness_is_parsed_and_an_undefined_number_is_refused() {
        for live in [VchanLive::Exited, VchanLive::Connected, VchanLive::NotYetConnected] {
            assert_eq!(VchanLive::try_from(live.raw()), Ok(live));
        }
        assert_eq!(VchanLive::try_from(3), Err(Unknown(3)));
    }
}
