//! The Toeplitz hash of a flow, by which a backend chooses the queue of a frame.
//!
//! ```text
//!   input bits    1 0 1 1 …      each set bit adds (xor) the 32 bits of the key that begin at its position
//!   key bits      k0 k1 k2 …
//!   remote address | our address [| remote port | our port]    ──► 32 bits ──► modulo the table ──► queue
//! ```
//!
//! Xen's `io/netif.h` defines it. It is the hash of receive-side scaling in network cards, whose published vectors are
//! the tests here. The key is a secret: an attacker who knows it can choose flows that all fall into one queue.

use core::fmt;
use smoltcp::wire::IpAddress;

/// Bytes of a key: enough for two IPv6 addresses and two ports.
pub const KEY_BYTES: usize = 40;
/// Bytes of the longest input: two IPv6 addresses and two ports.
const LONGEST: usize = 36;

/// The key of a hash. `Debug` does not print it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey([u8; KEY_BYTES]);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl HashKey {
    /// A key. The bytes must be random.
    #[must_use]
    pub const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the backend.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The hash of `input`: at most 36 bytes, for which the key is long enough.
    #[must_use]
    pub fn hash(&self, input: &[u8]) -> u32 {
        let (first, rest) =
            self.0.split_first_chunk().map_or((&[0; 4], &[][..]), |(first, rest)| (first, rest));
        let mut window = u32::from_be_bytes(*first);
        let mut hash = 0;
        for (byte, following) in input.iter().zip(rest.iter().chain(core::iter::repeat(&0))) {
            for bit in (0..8).rev() {
                if byte >> bit & 1 == 1 {
                    hash ^= window;
                }
                window = window << 1 | u32::from(following >> bit & 1);
            }
        }
        hash
    }

    /// The hash of a TCP connection, as the backend computes it for a frame to us.
    #[must_use]
    pub fn flow(&self, remote: (IpAddress, u16), local: (IpAddress, u16)) -> u32 {
        let mut input = [0; LONGEST];
        let mut len = 0_usize;
        let mut add = |bytes: &[u8]| {
            if let Some(into) = input.get_mut(len..).and_then(|rest| rest.get_mut(..bytes.len())) {
                into.copy_from_slice(bytes);
                len = len.saturating_add(bytes.len());
            }
        };
        for (address, _) in [remote, local] {
            match address {
                IpAddress::Ipv4(address) => add(&address.octets()),
                IpAddress::Ipv6(address) => add(&address.octets()),
            }
        }
        for (_, port) in [remote, local] {
            add(&port.to_be_bytes());
        }
        self.hash(input.get(..len).unwrap_or_default())
    }

    /// The hash of a frame over its addresses, and over its ports too if `ports` is set. `None` for a frame without
    /// them.
    #[must_use]
    pub fn of_frame(&self, frame: &[u8], ports: bool) -> Option<u32> {
        let (addresses, behind) = match frame.get(12..14)? {
            [0x08, 0x00] => {
                (frame.get(26..34)?, 14_usize.checked_add(usize::from(frame.get(14)? & 15).checked_mul(4)?)?)
            }
            [0x86, 0xdd] => (frame.get(22..54)?, 54),
            _ => return None,
        };
        let mut input = [0; LONGEST];
        let (into, rest) = input.split_at_mut_checked(addresses.len())?;
        into.copy_from_slice(addresses);
        let mut len = addresses.len();
        if ports {
            rest.first_chunk_mut::<4>()?.copy_from_slice(frame.get(behind..)?.first_chunk::<4>()?);
            len = len.checked_add(4)?;
        }
        Some(self.hash(input.get(..len)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The key of the published vectors.
    const KEY: HashKey = HashKey([
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ]);

    /// From, to, hash over addresses, hash over addresses and ports.
    type Vector = ((IpAddress, u16), (IpAddress, u16), u32, u32);

    fn vectors() -> Vec<Vector> {
        let v4 = |a, b, c, d| IpAddress::v4(a, b, c, d);
        Vec::from([
            ((v4(66, 9, 149, 187), 2794), (v4(161, 142, 100, 80), 1766), 0x323e_8fc2, 0x51cc_c178),
            ((v4(199, 92, 111, 2), 14230), (v4(65, 69, 140, 83), 4739), 0xd718_262a, 0xc626_b0ea),
            ((v4(24, 19, 198, 95), 12898), (v4(12, 22, 207, 184), 38024), 0xd2d0_a5de, 0x5c2b_394a),
            ((v4(38, 27, 205, 30), 48228), (v4(209, 142, 163, 6), 2217), 0x8298_9176, 0xafc7_327f),
            ((v4(153, 39, 163, 191), 44251), (v4(202, 188, 127, 2), 1303), 0x5d18_09c5, 0x10e8_28a2),
            (
                (IpAddress::v6(0x3ffe, 0x2501, 0x200, 0x1fff, 0, 0, 0, 7), 2794),
                (IpAddress::v6(0x3ffe, 0x2501, 0x200, 3, 0, 0, 0, 1), 1766),
                0x2cc1_8cd5,
                0x4020_7d3d,
            ),
        ])
    }

    /// A frame with these addresses and ports.
    fn frame(from: (IpAddress, u16), to: (IpAddress, u16)) -> Vec<u8> {
        let mut bytes = Vec::from([2; 12]);
        match (from.0, to.0) {
            (IpAddress::Ipv4(source), IpAddress::Ipv4(target)) => {
                // With four bytes of options.
                bytes.extend([8, 0, 0x46, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0]);
                bytes.extend(source.octets().iter().chain(&target.octets()).chain(&[1; 4]));
            }
            (IpAddress::Ipv6(source), IpAddress::Ipv6(target)) => {
                bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
                bytes.extend(source.octets().iter().chain(&target.octets()));
            }
            _ => {}
        }
        bytes.extend(from.1.to_be_bytes().iter().chain(&to.1.to_be_bytes()).chain(&[0; 16]));
        bytes
    }

    #[test]
    fn the_hash_matches_the_published_vectors() {
        for (from, to, addresses, whole) in vectors() {
            assert_eq!(KEY.flow(from, to), whole, "{from:?} {to:?}");
            let frame = frame(from, to);
            assert_eq!(KEY.of_frame(&frame, true), Some(whole), "{from:?} {to:?}");
            assert_eq!(KEY.of_frame(&frame, false), Some(addresses), "{from:?} {to:?}");
        }
    }

    #[test]
    fn a_short_frame_has_no_hash_and_debug_hides_the_key() {
        for (from, to, ..) in vectors() {
            let frame = frame(from, to);
            let needed = frame.len().saturating_sub(16);
            for len in 0..needed {
                assert_eq!(KEY.of_frame(&frame[..len], true), None, "{len}");
            }
        }
        assert_eq!(std::format!("{KEY:?}"), "HashKey(..)");
    }
}
