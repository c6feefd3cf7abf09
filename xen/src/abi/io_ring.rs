//! The shared ring: layout of its header and how many slots fit. Header `io/ring.h`, Xen 4.17.
//!
//! ```text
//!  0         4          8         12         16    20                64
//! | req_prod | req_event | rsp_prod | rsp_event | pvt | padding       | slot 0 | slot 1 | …
//! ```
//!
//! A slot is a union of a request and a response; the protocols define both ([`crate::abi::io_netif`]). The
//! macros that move indexes (`RING_PUSH_REQUESTS_AND_CHECK_NOTIFY` and friends) are not here: they act, and
//! live in the crate's ring module.

use crate::abi::layout::assert_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The part of a ring's page before its slots; 64 bytes.
///
/// All four indexes run freely and wrap at 2^32; the slot of an index is `index & (size - 1)`.
///
/// | offset | size | field     | written by | meaning |
/// |-------:|-----:|-----------|------------|---------|
/// |      0 |    4 | req_prod  | frontend   | one past the last request |
/// |      4 |    4 | req_event | backend    | notify when `req_prod` passes this |
/// |      8 |    4 | rsp_prod  | backend    | one past the last response |
/// |     12 |    4 | rsp_event | frontend   | notify when `rsp_prod` passes this |
/// |     16 |    4 | pvt       | frontend   | zero |
/// |     20 |   44 | pad       | frontend   | zero |
///
/// Source: `xen/include/public/io/ring.h`, `DEFINE_RING_TYPES`, Xen 4.17.
#[doc(alias = "DEFINE_RING_TYPES")]
#[doc(alias = "netif_tx_sring")]
#[doc(alias = "netif_rx_sring")]
#[doc(alias = "xen_netif_ctrl_sring")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SringHeader {
    /// One past the last request.
    pub req_prod: u32,
    /// The backend wants a notification when `req_prod` passes this.
    pub req_event: u32,
    /// One past the last response.
    pub rsp_prod: u32,
    /// The frontend wants a notification when `rsp_prod` passes this.
    pub rsp_event: u32,
    /// Private to one protocol; zero in every protocol here.
    pub pvt: [u8; 4],
    /// Zero.
    #[doc(alias = "__pad")]
    pub pad: [u8; 44],
}
assert_layout!(SringHeader, 64, { req_prod: 0, req_event: 4, rsp_prod: 8, rsp_event: 12, pvt: 16, pad: 20 });

impl SringHeader {
    /// The header of an empty ring, as the frontend writes it once.
    #[doc(alias = "SHARED_RING_INIT")]
    pub const EMPTY: Self =
        Self { req_prod: 0, req_event: 1, rsp_prod: 0, rsp_event: 1, pvt: [0; 4], pad: [0; 44] };
}

/// Offsets in a ring's page, in bytes, for access through shared memory.
pub mod offset {
    use super::SringHeader;
    use core::mem::offset_of;

    /// Of `req_prod`, written by the frontend.
    pub const REQ_PROD: usize = offset_of!(SringHeader, req_prod);
    /// Of `req_event`, written by the backend.
    pub const REQ_EVENT: usize = offset_of!(SringHeader, req_event);
    /// Of `rsp_prod`, written by the backend.
    pub const RSP_PROD: usize = offset_of!(SringHeader, rsp_prod);
    /// Of `rsp_event`, written by the frontend.
    pub const RSP_EVENT: usize = offset_of!(SringHeader, rsp_event);
    /// Of the first slot.
    pub const RING: usize = size_of::<SringHeader>();
}

/// How many slots of `slot_bytes` fit behind the header in `area_bytes`, rounded down to a power of two.
///
/// It is 0 if not even one fits, or if `slot_bytes` is 0.
///
/// ```
/// # use xen::abi::io_ring::const_ring_size;
/// assert_eq!(const_ring_size(4096, 12), 256);
/// ```
#[doc(alias = "__CONST_RING_SIZE")]
#[doc(alias = "__RD32")]
#[must_use]
pub const fn const_ring_size(area_bytes: usize, slot_bytes: usize) -> u32 {
    let space = area_bytes.saturating_sub(offset::RING);
    if slot_bytes == 0 || slot_bytes > space {
        return 0;
    }
    let mut nr_slots: u32 = 1;
    let mut bytes = slot_bytes;
    loop {
        let (Some(twice_bytes), Some(twice_slots)) = (bytes.checked_mul(2), nr_slots.checked_mul(2)) else {
            return nr_slots;
        };
        if twice_bytes > space {
            return nr_slots;
        }
        bytes = twice_bytes;
        nr_slots = twice_slots;
    }
}

// Both rings of the network protocol: 12-byte and 8-byte slots in one page.
const _: () = assert!(const_ring_size(4096, 12) == 256);
const _: () = assert!(const_ring_size(4096, 8) == 256);

#[cfg(test)]
mod tests {
    use super::{SringHeader, const_ring_size, offset};
    use zerocopy::IntoBytes;

    #[test]
    fn ring_sizes_are_rounded_down_to_a_power_of_two() {
        assert_eq!(const_ring_size(4096, 112), 32); // blkif's slot: 36 fit
        assert_eq!(const_ring_size(64 + 16, 16), 1);
        assert_eq!(const_ring_size(64 + 47, 16), 2);
        assert_eq!(const_ring_size(64 + 48, 16), 2);
        assert_eq!(const_ring_size(64 + 64, 16), 4);
    }

    #[test]
    fn a_ring_without_room_has_no_slots() {
        assert_eq!(const_ring_size(64 + 15, 16), 0);
        assert_eq!(const_ring_size(0, 8), 0);
        assert_eq!(const_ring_size(4096, 0), 0);
        assert_eq!(const_ring_size(usize::MAX, 1), 1 << 31);
    }

    #[test]
    fn an_empty_ring_asks_for_the_first_notification() {
        let bytes = SringHeader::EMPTY.as_bytes();
        assert_eq!(bytes.len(), offset::RING);
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(*byte, u8::from(at == offset::REQ_EVENT || at == offset::RSP_EVENT), "byte {at}");
        }
    }
}
