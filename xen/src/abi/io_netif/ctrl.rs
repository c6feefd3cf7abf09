//! The control ring: hashing and static grants. Header `io/netif.h`, Xen 4.17.
//!
//! A third ring, one a device, with a request and a response of 16-byte slots; offered by a backend that writes
//! `feature-ctrl-ring`, accepted by a frontend that writes `ctrl-ring-ref` and `event-channel-ctrl`.
//! Linux's backend knows the types up to [`NetifCtrlType::SetHashAlgorithm`]; the mapping of grant references
//! ([`NetifGref`]) is in Xen's header alone and answered with [`NetifCtrlStatus::NotSupported`].

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Control request, frontend → backend; 16 bytes, one per ring slot.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | id    | frontend   | echoed in [`NetifCtrlResponse::id`] |
/// |      2 |    2 | kind  | frontend   | [`NetifCtrlType`] |
/// |      4 |   12 | data  | frontend   | three numbers by `kind` |
///
/// Source: `xen/include/public/io/netif.h`, `struct xen_netif_ctrl_request`, Xen 4.17.
#[doc(alias = "xen_netif_ctrl_request")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NetifCtrlRequest {
    /// Echoed in the response.
    pub id: u16,
    /// [`NetifCtrlType`].
    #[doc(alias = "type")]
    pub kind: u16,
    /// Three numbers whose meaning depends on `kind`.
    pub data: [u32; 3],
}
assert_layout!(NetifCtrlRequest, 16, { id: 0, kind: 2, data: 4 });

/// Control response, backend → frontend; 12 bytes at the start of a 16-byte slot.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    2 | id     | backend    | of the request |
/// |      2 |    2 | kind   | backend    | [`NetifCtrlType`] of the request |
/// |      4 |    4 | status | backend    | [`NetifCtrlStatus`] |
/// |      8 |    4 | data   | backend    | by `kind`, if it succeeded |
///
/// Source: `xen/include/public/io/netif.h`, `struct xen_netif_ctrl_response`, Xen 4.17.
#[doc(alias = "xen_netif_ctrl_response")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NetifCtrlResponse {
    /// Of the request that is answered.
    pub id: u16,
    /// [`NetifCtrlType`] of the request.
    #[doc(alias = "type")]
    pub kind: u16,
    /// [`NetifCtrlStatus`].
    pub status: u32,
    /// The answer, if any.
    pub data: u32,
}
assert_layout!(NetifCtrlResponse, 12, { id: 0, kind: 2, status: 4, data: 8 });

/// One entry of the table that a mapping request points to; 8 bytes.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    4 | gref   | frontend   | the grant (`ref` in C) |
/// |      4 |    2 | flags  | frontend   | [`NetifGrefFlags`] |
/// |      6 |    2 | status | backend    | [`NetifCtrlStatus`], set when a mapping is deleted |
///
/// Source: `xen/include/public/io/netif.h`, `struct xen_netif_gref`, Xen 4.17.
#[doc(alias = "xen_netif_gref")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NetifGref {
    /// The grant.
    #[doc(alias = "ref")]
    pub gref: u32,
    /// [`NetifGrefFlags`].
    pub flags: u16,
    /// [`NetifCtrlStatus`], as 16 bits.
    pub status: u16,
}
assert_layout!(NetifGref, 8, { gref: 0, flags: 4, status: 6 });

numbers! {
    /// `XEN_NETIF_CTRL_TYPE_*`: what a control request asks for. Zero is never used.
    ///
    /// Source: `xen/include/public/io/netif.h`, `XEN_NETIF_CTRL_TYPE_INVALID` and following, Xen 4.17.
    pub enum NetifCtrlType: u16 {
        /// Answer in `data`: the [`NetifHashFlags`] that the backend can compute.
        GetHashFlags = 1 => "XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS",
        /// `data[0]`: the [`NetifHashFlags`] to compute.
        SetHashFlags = 2 => "XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS",
        /// `data[0]`: gref of the page with the key, `data[1]`: its bytes.
        SetHashKey = 3 => "XEN_NETIF_CTRL_TYPE_SET_HASH_KEY",
        /// Answer in `data`: entries that the hash mapping may have.
        GetHashMappingSize = 4 => "XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE",
        /// `data[0]`: entries of the hash mapping.
        SetHashMappingSize = 5 => "XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE",
        /// `data[0]`: gref of the page with queue numbers, `data[1]`: how many, `data[2]`: the first one's index.
        SetHashMapping = 6 => "XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING",
        /// `data[0]`: [`NetifHashAlgorithm`].
        SetHashAlgorithm = 7 => "XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM",
        /// `data[0]`: queue. Answer in `data`: grants that the backend can keep mapped.
        GetGrefMappingSize = 8 => "XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE",
        /// `data[0]`: queue, `data[1]`: gref of the page with [`NetifGref`]s, `data[2]`: how many.
        AddGrefMapping = 9 => "XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING",
        /// As [`Self::AddGrefMapping`]; answer in `data`: how many were unmapped.
        DelGrefMapping = 10 => "XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING",
    }
}

numbers! {
    /// `XEN_NETIF_CTRL_STATUS_*`: how a control request ended.
    ///
    /// Source: `xen/include/public/io/netif.h`, `XEN_NETIF_CTRL_STATUS_SUCCESS` and following, Xen 4.17.
    pub enum NetifCtrlStatus: u32 {
        /// Done.
        Success = 0 => "XEN_NETIF_CTRL_STATUS_SUCCESS",
        /// The backend does not do this.
        NotSupported = 1 => "XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED",
        /// A number in `data` is wrong.
        InvalidParameter = 2 => "XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER",
        /// A key or a table is too large for the backend.
        BufferOverflow = 3 => "XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW",
    }
}

numbers! {
    /// `_XEN_NETIF_CTRL_HASH_TYPE_*`: what a hash was computed over, as a bit number.
    ///
    /// Source: `xen/include/public/io/netif.h`, `_XEN_NETIF_CTRL_HASH_TYPE_IPV4` and following, Xen 4.17.
    pub enum NetifHashType: u8 {
        /// IPv4 addresses.
        Ipv4 = 0 => "_XEN_NETIF_CTRL_HASH_TYPE_IPV4",
        /// IPv4 addresses and TCP ports.
        Ipv4Tcp = 1 => "_XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP",
        /// IPv6 addresses.
        Ipv6 = 2 => "_XEN_NETIF_CTRL_HASH_TYPE_IPV6",
        /// IPv6 addresses and TCP ports.
        Ipv6Tcp = 3 => "_XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP",
    }
}

bitflags! {
    /// `XEN_NETIF_CTRL_HASH_TYPE_*`: a set of [`NetifHashType`].
    ///
    /// Source: `xen/include/public/io/netif.h`, `XEN_NETIF_CTRL_HASH_TYPE_IPV4` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NetifHashFlags: u32 {
        /// IPv4 addresses.
        #[doc(alias = "XEN_NETIF_CTRL_HASH_TYPE_IPV4")]
        const IPV4 = 0x1;
        /// IPv4 addresses and TCP ports.
        #[doc(alias = "XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP")]
        const IPV4_TCP = 0x2;
        /// IPv6 addresses.
        #[doc(alias = "XEN_NETIF_CTRL_HASH_TYPE_IPV6")]
        const IPV6 = 0x4;
        /// IPv6 addresses and TCP ports.
        #[doc(alias = "XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP")]
        const IPV6_TCP = 0x8;
    }
}

numbers! {
    /// `XEN_NETIF_CTRL_HASH_ALGORITHM_*`: how a hash is computed.
    ///
    /// Source: `xen/include/public/io/netif.h`, `XEN_NETIF_CTRL_HASH_ALGORITHM_NONE` and following, Xen 4.17.
    pub enum NetifHashAlgorithm: u8 {
        /// Not at all: the backend chooses queues by itself.
        None = 0 => "XEN_NETIF_CTRL_HASH_ALGORITHM_NONE",
        /// Toeplitz, with a key.
        Toeplitz = 1 => "XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ",
    }
}

bitflags! {
    /// `XEN_NETIF_CTRLF_GREF_*`: flags of a [`NetifGref`].
    ///
    /// Source: `xen/include/public/io/netif.h`, `XEN_NETIF_CTRLF_GREF_readonly`, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NetifGrefFlags: u16 {
        /// The grant is read-only: its page is for tx.
        #[doc(alias = "XEN_NETIF_CTRLF_GREF_readonly")]
        const READONLY = 0x1;
    }
}

#[cfg(test)]
mod tests {
    use super::{NetifCtrlRequest, NetifCtrlStatus, NetifCtrlType, NetifHashFlags, NetifHashType};
    use crate::abi::Unknown;
    use zerocopy::IntoBytes;

    #[test]
    fn a_control_request_has_the_header_s_bytes() {
        let request =
            NetifCtrlRequest { id: 0x0201, kind: NetifCtrlType::SetHashKey.raw(), data: [4, 40, 0] };
        assert_eq!(request.as_bytes(), &[1, 2, 3, 0, 4, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn undefined_control_numbers_are_refused() {
        assert_eq!(NetifCtrlType::try_from(0), Err(Unknown(0)));
        assert_eq!(NetifCtrlType::try_from(11), Err(Unknown(11)));
        assert_eq!(NetifCtrlStatus::try_from(4), Err(Unknown(4)));
    }

    #[test]
    fn a_hash_flag_is_the_bit_of_its_type() {
        for &(kind, _) in NetifHashType::C_NAMES {
            assert!(NetifHashFlags::from_bits(1 << kind.raw()).is_some(), "{kind}");
        }
    }
}
