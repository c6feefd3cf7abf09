//! The network protocol between frontend and backend. Header `io/netif.h`, Xen 4.17.
//!
//! Directions are the frontend's: *tx* is frontend → backend, *rx* is backend → frontend. Two rings a queue:
//!
//! ```text
//! tx ring, 12-byte slots                        rx ring, 8-byte slots
//!   NetifTxRequest   ──► backend reads page       NetifRxRequest  ──► backend gets an empty page
//!   NetifTxResponse  ◄── page is free again       NetifRxResponse ◄── page holds a packet or a part of it
//! ```
//!
//! A tx packet is: first request (`size` of the **whole packet**), extras, further requests (own `size`).
//! An rx packet is: first response, extras, further responses; the length is the sum of all `status`.
//! Bits 0 and 1 of the flags mean the opposite in the two directions, so that [`NetTxFlags`] and
//! [`NetRxFlags`] are different types.
//!
//! Not here: the extras ([`NetifExtra`], file `extra.rs`), the control ring (file `ctrl.rs`), and the rules by
//! which a packet is put together or refused, which are netfront's.

mod ctrl;
mod extra;

pub use ctrl::{
    NetifCtrlRequest, NetifCtrlResponse, NetifCtrlStatus, NetifCtrlType, NetifGref, NetifGrefFlags,
    NetifHashAlgorithm, NetifHashFlags, NetifHashType,
};
pub use extra::{
    NetifExtra, NetifExtraError, NetifExtraFlags, NetifExtraGso, NetifExtraHash, NetifExtraInfo,
    NetifExtraType, NetifGsoType,
};

use crate::abi::io_ring::const_ring_size;
use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use crate::ids::PAGE_SIZE;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Slots of one packet that every backend accepts; a longer packet may be dropped.
#[doc(alias = "XEN_NETIF_NR_SLOTS_MIN")]
pub const NETIF_NR_SLOTS_MIN: usize = 18;
/// The largest packet that a tx request can announce, in bytes.
#[doc(alias = "XEN_NETIF_MAX_TX_SIZE")]
pub const NETIF_MAX_TX_SIZE: u16 = 0xffff;

/// Bytes of a slot of the tx ring: a [`NetifTxRequest`], a [`NetifTxResponse`] or a [`NetifExtraInfo`].
#[doc(alias = "netif_tx_sring_entry")]
pub const NETIF_TX_SLOT_BYTES: usize = size_of::<NetifTxRequest>();
/// Bytes of a slot of the rx ring: a [`NetifRxRequest`], a [`NetifRxResponse`] or a [`NetifExtraInfo`].
#[doc(alias = "netif_rx_sring_entry")]
pub const NETIF_RX_SLOT_BYTES: usize = size_of::<NetifRxRequest>();
/// Slots of a tx ring of one page.
pub const NETIF_TX_RING_SIZE: u32 = const_ring_size(PAGE_SIZE, NETIF_TX_SLOT_BYTES);
/// Slots of an rx ring of one page.
pub const NETIF_RX_RING_SIZE: u32 = const_ring_size(PAGE_SIZE, NETIF_RX_SLOT_BYTES);
/// Slots of a control ring of one page.
pub const NETIF_CTRL_RING_SIZE: u32 = const_ring_size(PAGE_SIZE, size_of::<NetifCtrlRequest>());
const _: () = assert!(NETIF_TX_RING_SIZE == 256 && NETIF_RX_RING_SIZE == 256);

/// Transmit request, frontend → backend; 12 bytes, one per ring slot.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    4 | gref   | frontend   | page that holds the data, granted at least read-only |
/// |      4 |    2 | offset | frontend   | of the data in the page, bytes, < 4096 |
/// |      6 |    2 | flags  | frontend   | [`NetTxFlags`] |
/// |      8 |    2 | id     | frontend   | echoed in [`NetifTxResponse::id`] |
/// |     10 |    2 | size   | frontend   | bytes; of the **whole packet** in its first request, of the fragment in the others |
///
/// Source: `xen/include/public/io/netif.h`, `struct netif_tx_request`, Xen 4.17.
#[doc(alias = "netif_tx_request")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NetifTxRequest {
    /// Page that holds the data.
    pub gref: u32,
    /// Of the data in the page, bytes.
    pub offset: u16,
    /// [`NetTxFlags`]; only those of a packet's first request count, besides `MORE_DATA`.
    pub flags: u16,
    /// Echoed in the response.
    pub id: u16,
    /// Bytes of the whole packet (first request) or of the fragment (others).
    pub size: u16,
}
assert_layout!(NetifTxRequest, 12, { gref: 0, offset: 4, flags: 6, id: 8, size: 10 });

/// Transmit response, backend → frontend; 4 bytes at the start of a 12-byte slot.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    2 | id     | backend    | of the request; unspecified if `status` is [`NetifRsp::Null`] |
/// |      2 |    2 | status | backend    | [`NetifRsp`] |
///
/// Source: `xen/include/public/io/netif.h`, `struct netif_tx_response`, Xen 4.17.
#[doc(alias = "netif_tx_response")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NetifTxResponse {
    /// Of the request that is answered.
    pub id: u16,
    /// [`NetifRsp`].
    pub status: i16,
}
assert_layout!(NetifTxResponse, 4, { id: 0, status: 2 });

/// Receive request, frontend → backend: an empty page to fill; 8 bytes, one per ring slot.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | id    | frontend   | echoed in [`NetifRxResponse::id`] |
/// |      2 |    2 | pad   | frontend   | zero |
/// |      4 |    4 | gref  | frontend   | the page, granted read-write |
///
/// Source: `xen/include/public/io/netif.h`, `struct netif_rx_request`, Xen 4.17.
#[doc(alias = "netif_rx_request")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NetifRxRequest {
    /// Echoed in the response.
    pub id: u16,
    /// Zero.
    pub pad: u16,
    /// The page to fill.
    pub gref: u32,
}
assert_layout!(NetifRxRequest, 8, { id: 0, pad: 2, gref: 4 });

/// Receive response, backend → frontend; 8 bytes, one per ring slot.
///
/// An extra may overlay the whole slot, its `id` too: the header promises that a response is in the same slot
/// as its request, and only that promise tells whose page an extra used up.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    2 | id     | backend    | of the request |
/// |      2 |    2 | offset | backend    | of the data in the page, bytes |
/// |      4 |    2 | flags  | backend    | [`NetRxFlags`] |
/// |      6 |    2 | status | backend    | ≥ 0: bytes of this fragment; < 0: [`NetifRsp`] |
///
/// Source: `xen/include/public/io/netif.h`, `struct netif_rx_response`, Xen 4.17.
#[doc(alias = "netif_rx_response")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NetifRxResponse {
    /// Of the request that is answered.
    pub id: u16,
    /// Of the data in the page, bytes.
    pub offset: u16,
    /// [`NetRxFlags`]; only those of a packet's first response count, besides `MORE_DATA`.
    pub flags: u16,
    /// Bytes of this fragment, or a negative [`NetifRsp`].
    pub status: i16,
}
assert_layout!(NetifRxResponse, 8, { id: 0, offset: 2, flags: 4, status: 6 });

bitflags! {
    /// `NETTXF_*`: flags of a [`NetifTxRequest`]. Bits 0 and 1 are swapped against [`NetRxFlags`].
    ///
    /// Source: `xen/include/public/io/netif.h`, `NETTXF_csum_blank` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NetTxFlags: u16 {
        /// The TCP or UDP checksum field holds only the sum of the pseudo-header: the backend finishes it.
        #[doc(alias = "NETTXF_csum_blank")]
        const CSUM_BLANK = 0x1;
        /// The data has been checked against the checksum, or never left this machine.
        #[doc(alias = "NETTXF_data_validated")]
        const DATA_VALIDATED = 0x2;
        /// The packet goes on in the next request (after the extras).
        #[doc(alias = "NETTXF_more_data")]
        const MORE_DATA = 0x4;
        /// The next slot is a [`NetifExtraInfo`].
        #[doc(alias = "NETTXF_extra_info")]
        const EXTRA_INFO = 0x8;
    }
}

bitflags! {
    /// `NETRXF_*`: flags of a [`NetifRxResponse`]. Bits 0 and 1 are swapped against [`NetTxFlags`].
    ///
    /// Source: `xen/include/public/io/netif.h`, `NETRXF_data_validated` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NetRxFlags: u16 {
        /// The data has been checked against the checksum, or never left this machine.
        #[doc(alias = "NETRXF_data_validated")]
        const DATA_VALIDATED = 0x1;
        /// The TCP or UDP checksum field holds only the sum of the pseudo-header.
        #[doc(alias = "NETRXF_csum_blank")]
        const CSUM_BLANK = 0x2;
        /// The packet goes on in the next response (after the extras).
        #[doc(alias = "NETRXF_more_data")]
        const MORE_DATA = 0x4;
        /// The next slot is a [`NetifExtraInfo`].
        #[doc(alias = "NETRXF_extra_info")]
        const EXTRA_INFO = 0x8;
        /// The old form of a GSO descriptor; deprecated, and sent only if the frontend asked for it.
        #[doc(alias = "NETRXF_gso_prefix")]
        const GSO_PREFIX = 0x10;
    }
}

numbers! {
    /// `NETIF_RSP_*`: the status of a response. An rx status ≥ 0 is a length instead.
    ///
    /// Source: `xen/include/public/io/netif.h`, `NETIF_RSP_DROPPED` and following, Xen 4.17.
    pub enum NetifRsp: i16 {
        /// The backend dropped the packet.
        Dropped = -2 => "NETIF_RSP_DROPPED",
        /// The request was wrong, or the backend failed.
        Error = -1 => "NETIF_RSP_ERROR",
        /// Done.
        Okay = 0 => "NETIF_RSP_OKAY",
        /// Answers the slot of an extra: its `id` says nothing.
        Null = 1 => "NETIF_RSP_NULL",
    }
}

#[cfg(test)]
mod tests {
    use super::{NetRxFlags, NetTxFlags, NetifRsp, NetifRxRequest, NetifRxResponse, NetifTxRequest};
    use crate::abi::Unknown;
    use zerocopy::{FromBytes, IntoBytes};

    #[test]
    fn a_tx_request_has_the_header_s_bytes() {
        let request = NetifTxRequest {
            gref: 0x0403_0201,
            offset: 0x0605,
            flags: NetTxFlags::MORE_DATA.bits(),
            id: 0x0a09,
            size: 0x0c0b,
        };
        assert_eq!(request.as_bytes(), &[1, 2, 3, 4, 5, 6, 4, 0, 9, 10, 11, 12]);
    }

    #[test]
    fn an_rx_request_has_a_zero_pad() {
        let request = NetifRxRequest { id: 0x0201, gref: 0x0807_0605, ..NetifRxRequest::default() };
        assert_eq!(request.as_bytes(), &[1, 2, 0, 0, 5, 6, 7, 8]);
    }

    #[test]
    fn an_rx_response_is_read_from_bytes() {
        let response = NetifRxResponse::read_from_bytes(&[1, 0, 2, 0, 3, 0, 0xfe, 0xff]).unwrap();
        assert_eq!(response, NetifRxResponse { id: 1, offset: 2, flags: 3, status: -2 });
        assert_eq!(NetifRsp::try_from(response.status), Ok(NetifRsp::Dropped));
        assert_eq!(NetifRsp::try_from(1500), Err(Unknown(1500)));
    }

    #[test]
    fn bits_0_and_1_are_swapped_between_the_directions() {
        assert_eq!(NetTxFlags::CSUM_BLANK.bits(), NetRxFlags::DATA_VALIDATED.bits());
        assert_eq!(NetTxFlags::DATA_VALIDATED.bits(), NetRxFlags::CSUM_BLANK.bits());
    }
}
