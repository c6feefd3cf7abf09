//! The name of a connection: two addresses and two ports (RFC 9293 §3.3.1), and keyed hashes over them.

use core::hash::Hasher;

use siphasher::sip::{SipHasher13, SipHasher24};
use smoltcp::wire::IpAddress;

/// The name of a connection, from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FourTuple {
    /// Our address.
    pub local: IpAddress,
    /// Our port.
    pub local_port: u16,
    /// The peer's address, of the same version as ours.
    pub remote: IpAddress,
    /// The peer's port.
    pub remote_port: u16,
}

impl FourTuple {
    /// Calls `with` with both addresses and both ports in network order: 12 bytes of IPv4, 36 of IPv6.
    pub(crate) fn with_bytes<R>(&self, with: impl FnOnce(&[u8]) -> R) -> R {
        let [l0, l1] = self.local_port.to_be_bytes();
        let [r0, r1] = self.remote_port.to_be_bytes();
        match (self.local, self.remote) {
            (IpAddress::Ipv4(local), IpAddress::Ipv4(remote)) => {
                let ([a, b, c, d], [e, f, g, h]) = (local.octets(), remote.octets());
                with(&[a, b, c, d, e, f, g, h, l0, l1, r0, r1])
            }
            (local, remote) => {
                let mut bytes = [0; 36];
                let (addresses, ports) = bytes.split_at_mut(32);
                let (first, second) = addresses.split_at_mut(16);
                first.copy_from_slice(&octets(local));
                second.copy_from_slice(&octets(remote));
                ports.copy_from_slice(&[l0, l1, r0, r1]);
                with(&bytes)
            }
        }
    }
}

/// 16 bytes of an address of either version; IPv4 is mapped into IPv6 (RFC 4291 §2.5.5.2).
pub(crate) fn octets(address: IpAddress) -> [u8; 16] {
    match address {
        IpAddress::Ipv4(address) => address.to_ipv6_mapped().octets(),
        IpAddress::Ipv6(address) => address.octets(),
    }
}

/// A secret key for SipHash. The caller generates it, and a new one after a restore of the guest's memory: two guests
/// from one image must not share it.
#[derive(Clone, Copy)]
pub struct Key([u8; 16]);

impl core::fmt::Debug for Key {
    /// Does not show the key: a log line must not reveal it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

impl Key {
    /// A key of 16 unpredictable bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// SipHash-1-3 of the name of a connection, for hash tables, whose values stay secret.
    #[must_use]
    #[inline]
    pub fn table_hash(&self, tuple: &FourTuple) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        let ports = u32::from(tuple.local_port).wrapping_shl(16) | u32::from(tuple.remote_port);
        // Numbers instead of bytes: for each received segment this takes half of the instructions.
        if let (IpAddress::Ipv4(local), IpAddress::Ipv4(remote)) = (tuple.local, tuple.remote) {
            let addresses = u64::from(local.to_bits()).wrapping_shl(32) | u64::from(remote.to_bits());
            hasher.write_u64(addresses);
        } else {
            hasher.write(&octets(tuple.local));
            hasher.write(&octets(tuple.remote));
        }
        hasher.write_u32(ports);
        hasher.finish()
    }

    /// SipHash-1-3 of bytes.
    pub(crate) fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_key(&self.0).hash(bytes)
    }

    /// SipHash-2-4 of the name of a connection and more, for numbers that are sent.
    pub(crate) fn wire_hash(&self, tuple: &FourTuple, more: &[u8]) -> u64 {
        tuple.with_bytes(|bytes| {
            let mut hasher = SipHasher24::new_with_key(&self.0);
            hasher.write(bytes);
            hasher.write(more);
            hasher.finish()
        })
    }
}

/// The low 32 bits.
pub(crate) fn low32(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use smoltcp::wire::{Ipv4Address, Ipv6Address};

    /// A connection of IPv4 for tests: 10.x.y.z with the bits of `n`, port 1024 upwards.
    pub(crate) fn v4(n: u32) -> FourTuple {
        let port = u16::try_from(n % 60_000).unwrap().wrapping_add(1024);
        FourTuple {
            local: IpAddress::Ipv4(Ipv4Address::new(192, 0, 2, 1)),
            local_port: 80,
            remote: IpAddress::Ipv4(Ipv4Address::from(0x0a00_0000 | (n & 0xff_ffff))),
            remote_port: port,
        }
    }

    /// A connection of IPv6 for tests, from a /64 of its own.
    pub(crate) fn v6(n: u16) -> FourTuple {
        FourTuple {
            local: IpAddress::Ipv6(Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            local_port: 80,
            remote: IpAddress::Ipv6(Ipv6Address::new(0x2001, 0xdb8, 1, n, 0, 0, 0, n)),
            remote_port: 4711,
        }
    }

    #[test]
    fn every_part_of_the_name_is_hashed() {
        let key = Key::new([7; 16]);
        for tuple in [v4(1), v6(1)] {
            let other = if matches!(tuple.local, IpAddress::Ipv4(_)) { v4(2) } else { v6(2) };
            let variants = [
                FourTuple { local: other.remote, ..tuple },
                FourTuple { remote: other.remote, ..tuple },
                FourTuple { local_port: 81, ..tuple },
                FourTuple { remote_port: 9, ..tuple },
                FourTuple { local: tuple.remote, remote: tuple.local, ..tuple },
            ];
            for variant in variants {
                assert_ne!(key.table_hash(&tuple), key.table_hash(&variant), "{variant:?}");
                assert_ne!(key.wire_hash(&tuple, &[]), key.wire_hash(&variant, &[]), "{variant:?}");
            }
        }
        assert_ne!(key.table_hash(&v4(1)), Key::new([8; 16]).table_hash(&v4(1)));
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(alloc::format!("{:?}", Key::new([0xab; 16])), "Key { .. }");
    }
}
