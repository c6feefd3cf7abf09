//! Extras of a packet: `struct netif_extra_info`. Header `io/netif.h`, Xen 4.17.
//!
//! An extra takes a ring slot of its own after a packet's first slot, in either direction, and is 8 bytes long:
//! a type, flags and six bytes by type.
//!
//! ```text
//!        0      1       2    3    4      5         6    7
//! GSO  | type | flags | size    | gtype | pad     | features |
//! MCAST| type | flags | addr                                 |
//! HASH | type | flags | htype | alg  | value, little endian  |
//! ```
//!
//! [`NetifExtraInfo`] is the raw form, [`NetifExtra`] the parsed one. Parsing reads only bytes, refuses every
//! number that the header does not define, and cannot panic. Whether an extra is *allowed* where it stands is
//! for netfront to say.

use super::{NetifHashAlgorithm, NetifHashType};
use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use bitflags::bitflags;
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// An extra as it stands in a slot; 8 bytes, in a tx slot followed by 4 bytes of padding.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    1 | kind  | sender     | [`NetifExtraType`] |
/// |      1 |    1 | flags | sender     | [`NetifExtraFlags`] |
/// |      2 |    6 | u     | sender     | by `kind`; see [`NetifExtra`] |
///
/// Source: `xen/include/public/io/netif.h`, `struct netif_extra_info`, Xen 4.17.
#[doc(alias = "netif_extra_info")]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct NetifExtraInfo {
    /// [`NetifExtraType`].
    #[doc(alias = "type")]
    pub kind: u8,
    /// [`NetifExtraFlags`].
    pub flags: u8,
    /// Six bytes whose meaning depends on `kind`.
    pub u: [u8; 6],
}
assert_layout!(NetifExtraInfo, 8, { kind: 0, flags: 1, u: 2 });

numbers! {
    /// `XEN_NETIF_EXTRA_TYPE_*`: what an extra says. Zero is never used.
    ///
    /// Source: `xen/include/public/io/netif.h`, `XEN_NETIF_EXTRA_TYPE_NONE` and following, Xen 4.17.
    pub enum NetifExtraType: u8 {
        /// The packet is to be segmented, or is a merged one.
        Gso = 1 => "XEN_NETIF_EXTRA_TYPE_GSO",
        /// Let packets to this multicast address in.
        McastAdd = 2 => "XEN_NETIF_EXTRA_TYPE_MCAST_ADD",
        /// Keep packets to this multicast address out.
        McastDel = 3 => "XEN_NETIF_EXTRA_TYPE_MCAST_DEL",
        /// A hash over the packet's addresses and ports.
        Hash = 4 => "XEN_NETIF_EXTRA_TYPE_HASH",
    }
}

bitflags! {
    /// `XEN_NETIF_EXTRA_FLAG_*`: flags of a [`NetifExtraInfo`].
    ///
    /// Source: `xen/include/public/io/netif.h`, `XEN_NETIF_EXTRA_FLAG_MORE`, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NetifExtraFlags: u8 {
        /// The next slot is another extra.
        #[doc(alias = "XEN_NETIF_EXTRA_FLAG_MORE")]
        const MORE = 0x1;
    }
}

numbers! {
    /// `XEN_NETIF_GSO_TYPE_*`: how a large packet is segmented.
    ///
    /// Source: `xen/include/public/io/netif.h`, `XEN_NETIF_GSO_TYPE_NONE` and following, Xen 4.17.
    pub enum NetifGsoType: u8 {
        /// Not at all.
        None = 0 => "XEN_NETIF_GSO_TYPE_NONE",
        /// TCP over IPv4.
        Tcpv4 = 1 => "XEN_NETIF_GSO_TYPE_TCPV4",
        /// TCP over IPv6.
        Tcpv6 = 2 => "XEN_NETIF_GSO_TYPE_TCPV6",
    }
}

/// Body of a GSO extra: `u.gso` of `struct netif_extra_info`, without its padding byte.
#[doc(alias = "netif_extra_info")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetifExtraGso {
    /// Payload bytes of each segment at most: for TCP the MSS.
    pub size: u16,
    /// The protocol.
    #[doc(alias = "type")]
    pub kind: NetifGsoType,
    /// Features that the receiver must have; the header defines none yet.
    pub features: u16,
}

/// Body of a hash extra: `u.hash` of `struct netif_extra_info`.
#[doc(alias = "netif_extra_info")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetifExtraHash {
    /// What was hashed.
    #[doc(alias = "type")]
    pub kind: NetifHashType,
    /// How.
    pub algorithm: NetifHashAlgorithm,
    /// The result.
    pub value: u32,
}

/// A parsed extra, without its flags.
#[doc(alias = "netif_extra_info")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetifExtra {
    /// The packet is to be segmented, or is a merged one.
    Gso(NetifExtraGso),
    /// Let packets to this Ethernet address in.
    McastAdd([u8; 6]),
    /// Keep packets to this Ethernet address out.
    McastDel([u8; 6]),
    /// A hash of the packet.
    Hash(NetifExtraHash),
}

/// Why eight bytes are not an extra.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetifExtraError {
    /// The type is 0 or not one of [`NetifExtraType`].
    UnknownType(u8),
    /// The GSO type is not one of [`NetifGsoType`].
    UnknownGsoType(u8),
    /// The hash type is not one of [`NetifHashType`].
    UnknownHashType(u8),
    /// The hash algorithm is not one of [`NetifHashAlgorithm`].
    UnknownHashAlgorithm(u8),
}

impl fmt::Display for NetifExtraError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(value) => write!(f, "unknown extra type {value}"),
            Self::UnknownGsoType(value) => write!(f, "unknown GSO type {value}"),
            Self::UnknownHashType(value) => write!(f, "unknown hash type {value}"),
            Self::UnknownHashAlgorithm(value) => write!(f, "unknown hash algorithm {value}"),
        }
    }
}

impl core::error::Error for NetifExtraError {}

impl NetifExtra {
    /// Parses the first eight bytes of a slot into an extra and its flags; unknown flags are kept.
    ///
    /// # Errors
    /// [`NetifExtraError`] names the number that the header does not define.
    pub fn from_bytes(bytes: [u8; 8]) -> Result<(Self, NetifExtraFlags), NetifExtraError> {
        let [kind, flags, b2, b3, b4, b5, b6, b7] = bytes;
        let extra = match NetifExtraType::try_from(kind).map_err(|e| NetifExtraError::UnknownType(e.0))? {
            NetifExtraType::Gso => Self::Gso(NetifExtraGso {
                size: u16::from_le_bytes([b2, b3]),
                kind: NetifGsoType::try_from(b4).map_err(|e| NetifExtraError::UnknownGsoType(e.0))?,
                features: u16::from_le_bytes([b6, b7]),
            }),
            NetifExtraType::McastAdd => Self::McastAdd([b2, b3, b4, b5, b6, b7]),
            NetifExtraType::McastDel => Self::McastDel([b2, b3, b4, b5, b6, b7]),
            NetifExtraType::Hash => Self::Hash(NetifExtraHash {
                kind: NetifHashType::try_from(b2).map_err(|e| NetifExtraError::UnknownHashType(e.0))?,
                algorithm: NetifHashAlgorithm::try_from(b3)
                    .map_err(|e| NetifExtraError::UnknownHashAlgorithm(e.0))?,
                value: u32::from_le_bytes([b4, b5, b6, b7]),
            }),
        };
        Ok((extra, NetifExtraFlags::from_bits_retain(flags)))
    }

    /// The eight bytes of this extra with these flags.
    #[must_use]
    pub fn to_bytes(self, flags: NetifExtraFlags) -> [u8; 8] {
        let kind = self.kind().raw();
        let flags = flags.bits();
        match self {
            Self::Gso(gso) => {
                let [s0, s1] = gso.size.to_le_bytes();
                let [f0, f1] = gso.features.to_le_bytes();
                [kind, flags, s0, s1, gso.kind.raw(), 0, f0, f1]
            }
            Self::McastAdd([a0, a1, a2, a3, a4, a5]) | Self::McastDel([a0, a1, a2, a3, a4, a5]) => {
                [kind, flags, a0, a1, a2, a3, a4, a5]
            }
            Self::Hash(hash) => {
                let [v0, v1, v2, v3] = hash.value.to_le_bytes();
                [kind, flags, hash.kind.raw(), hash.algorithm.raw(), v0, v1, v2, v3]
            }
        }
    }

    /// The type of this extra.
    #[must_use]
    pub const fn kind(self) -> NetifExtraType {
        match self {
            Self::Gso(_) => NetifExtraType::Gso,
            Self::McastAdd(_) => NetifExtraType::McastAdd,
            Self::McastDel(_) => NetifExtraType::McastDel,
            Self::Hash(_) => NetifExtraType::Hash,
        }
    }
}

impl TryFrom<NetifExtraInfo> for NetifExtra {
    type Error = NetifExtraError;

    fn try_from(info: NetifExtraInfo) -> Result<Self, Self::Error> {
        let NetifExtraInfo { kind, flags, u: [b2, b3, b4, b5, b6, b7] } = info;
        Self::from_bytes([kind, flags, b2, b3, b4, b5, b6, b7]).map(|(extra, _)| extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GSO: [u8; 8] = [1, 1, 0xb4, 0x05, 1, 0, 0, 0];

    #[test]
    fn a_gso_extra_goes_both_ways() {
        let (extra, flags) = NetifExtra::from_bytes(GSO).unwrap();
        assert_eq!(
            extra,
            NetifExtra::Gso(NetifExtraGso { size: 1460, kind: NetifGsoType::Tcpv4, features: 0 })
        );
        assert_eq!(flags, NetifExtraFlags::MORE);
        assert_eq!(extra.to_bytes(flags), GSO);
    }

    #[test]
    fn the_pad_of_a_gso_extra_is_ignored_and_written_as_zero() {
        let mut padded = GSO;
        padded[5] = 0xff;
        let (extra, flags) = NetifExtra::from_bytes(padded).unwrap();
        assert_eq!(extra.to_bytes(flags), GSO);
    }

    #[test]
    fn multicast_and_hash_extras_go_both_ways() {
        for bytes in [[2, 0, 1, 0, 0x5e, 0, 0, 1], [3, 1, 1, 0, 0x5e, 0, 0, 2], [4, 0, 3, 1, 1, 2, 3, 4]] {
            let (extra, flags) = NetifExtra::from_bytes(bytes).unwrap();
            assert_eq!(extra.kind().raw(), bytes[0]);
            assert_eq!(extra.to_bytes(flags), bytes);
        }
        let (extra, _) = NetifExtra::from_bytes([4, 0, 3, 1, 1, 2, 3, 4]).unwrap();
        let NetifExtra::Hash(hash) = extra else { panic!("not a hash: {extra:?}") };
        assert_eq!(hash.kind, NetifHashType::Ipv6Tcp);
        assert_eq!(hash.algorithm, NetifHashAlgorithm::Toeplitz);
        assert_eq!(hash.value, 0x0403_0201);
    }

    #[test]
    fn every_undefined_number_is_named() {
        let cases = [
            ([0, 0, 0, 0, 0, 0, 0, 0], NetifExtraError::UnknownType(0)),
            ([5, 0, 0, 0, 0, 0, 0, 0], NetifExtraError::UnknownType(5)),
            ([1, 0, 0, 0, 3, 0, 0, 0], NetifExtraError::UnknownGsoType(3)),
            ([4, 0, 4, 1, 0, 0, 0, 0], NetifExtraError::UnknownHashType(4)),
            ([4, 0, 0, 2, 0, 0, 0, 0], NetifExtraError::UnknownHashAlgorithm(2)),
        ];
        for (bytes, error) in cases {
            assert_eq!(NetifExtra::from_bytes(bytes), Err(error));
        }
    }

    #[test]
    fn what_parses_is_emitted_again_unless_it_is_padding() {
        for kind in 0..=u8::MAX {
            for third in 0..=u8::MAX {
                let bytes = [kind, 0xff, third, 1, 1, 0, 7, 8];
                if let Ok((extra, flags)) = NetifExtra::from_bytes(bytes) {
                    assert_eq!(extra.to_bytes(flags), bytes);
                }
            }
        }
    }

    #[test]
    fn the_raw_form_parses_as_its_bytes_do() {
        let info = NetifExtraInfo::read_from_bytes(&GSO).unwrap();
        assert_eq!((info.kind, info.flags), (1, 1));
        assert_eq!(NetifExtra::try_from(info), NetifExtra::from_bytes(GSO).map(|(extra, _)| extra));
    }
}
