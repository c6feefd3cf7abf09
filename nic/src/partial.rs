//! TCP frames whose checksum the driver or the device completes.
//!
//! ```text
//!   Ethernet | IP | TCP … checksum … | payload
//!            start ┘      └ start + 16: holds the sum of the pseudo-header, folded and not inverted
//! ```
//!
//! The builder of a segment knows the place of its checksum and the sum of the pseudo-header. It writes the sum into the field
//! and says the place with the frame, as Linux (`CHECKSUM_PARTIAL`), virtio (`csum_start`, `csum_offset`) and Xen
//! (`NETTXF_csum_blank`) have it, so that a driver does not look for either.

use crate::checksum::{fold, sum};

/// Offset of the checksum in a TCP header. RFC 9293, section 3.1.
const FIELD: usize = 16;
/// TCP's protocol number.
const TCP: u8 = 6;

/// The version of IP below TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A TCP frame with a partial checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialTcp {
    /// The version of IP.
    pub version: IpVersion,
    /// The beginning of the TCP header in the frame, in bytes. The segment ends where the frame does: no padding.
    pub start: u16,
}

impl PartialTcp {
    /// Writes the pseudo-header's sum (RFC 9293, section 3.1; RFC 8200, section 8.1) for a segment between these
    /// addresses, the TCP header and all that follows it counted in `len`. Does nothing if the frame is too short.
    #[inline]
    pub fn write_pseudo_sum(self, frame: &mut [u8], addresses: &[u8], len: usize) {
        let Some(field) = self.field(frame) else { return };
        let len = u64::try_from(len).unwrap_or_default();
        let fixed = u64::from(TCP).wrapping_add(len);
        let native = fold(fixed.to_be());
        let (words, _) = addresses.as_chunks::<4>();
        let mut total = u64::from(native);
        for word in words {
            total = total.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
        }
        *field = fold(total).to_ne_bytes();
    }

    /// Completes the checksum, for a frame that nobody else completes. Does nothing if the frame is too short.
    pub fn complete(self, frame: &mut [u8]) {
        let total = !sum(frame.get(usize::from(self.start)..).unwrap_or_default());
        if let Some(field) = self.field(frame) {
            *field = total.to_be_bytes();
        }
    }

    #[inline]
    fn field(self, frame: &mut [u8]) -> Option<&mut [u8; 2]> {
        frame.get_mut(usize::from(self.start).wrapping_add(FIELD)..)?.first_chunk_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{IpAddress, TcpPacket};
    use std::vec;
    use std::vec::Vec;

    fn octets(address: IpAddress) -> Vec<u8> {
        match address {
            IpAddress::Ipv4(address) => address.octets().to_vec(),
            IpAddress::Ipv6(address) => address.octets().to_vec(),
        }
    }

    #[test]
    fn a_completed_checksum_is_what_smoltcp_verifies() {
        let v4 = (IpVersion::V4, IpAddress::v4(10, 0, 0, 1), IpAddress::v4(192, 168, 255, 254), 34_u16);
        let v6 = (
            IpVersion::V6,
            IpAddress::v6(0xfe80, 0, 0, 0, 0xffff, 1, 2, 3),
            IpAddress::v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9),
            54,
        );
        for (version, from, to, start) in [v4, v6] {
            for payload in [0, 1, 2, 777, 65_000] {
                let segment: Vec<u8> = (0..20 + payload).map(|at| (at * 7 % 251) as u8).collect();
                let mut frame = vec![9; usize::from(start)];
                frame.extend(&segment);
                let partial = PartialTcp { version, start };
                let addresses = [octets(from), octets(to)].concat();
                partial.write_pseudo_sum(&mut frame, &addresses, segment.len());
                partial.complete(&mut frame);
                let packet = TcpPacket::new_unchecked(&frame[usize::from(start)..]);
                assert!(packet.verify_checksum(&from, &to), "{version:?} {payload}");
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_short_is_left_alone() {
        let partial = PartialTcp { version: IpVersion::V4, start: 34 };
        for len in 0..52 {
            let mut frame = vec![7; len];
            partial.write_pseudo_sum(&mut frame, &[1; 8], 20);
            partial.complete(&mut frame);
            assert_eq!(frame, vec![7; len]);
        }
    }
}
