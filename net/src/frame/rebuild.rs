//! Frames made from received ones: without a tag, without extension headers, or put together from fragments.
//!
//! ```text
//!   Ethernet │ tag of VLAN 0 │ IPv4 …              ─► Ethernet │ IPv4 …
//!   Ethernet │ IPv6 │ extension headers │ TCP …    ─► Ethernet │ IPv6 │ TCP …
//!   Ethernet │ IP │ fragment, …, fragment          ─► Ethernet │ IP │ payload
//! ```
//!
//! They are rare, and copied; `None`: there is no memory for the copy.

use alloc::vec::Vec;
use core::ops::Range;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr};

use crate::base::copy::concat;
use crate::link::wire::HEADER;

/// Bytes of both Ethernet addresses, and of a tag.
const ADDRESSES: usize = 12;
const TAG: usize = 4;

/// The frame without its tag.
pub(crate) fn untagged(frame: &[u8]) -> Option<Vec<u8>> {
    let (head, rest) = (frame.get(..ADDRESSES), frame.get(ADDRESSES.saturating_add(TAG)..));
    concat(&[head.unwrap_or_default(), rest.unwrap_or_default()])
}

/// An IPv6 frame with nothing between its header and the payload that is at `range`.
pub(crate) fn without_extensions(frame: &[u8], next: IpProtocol, range: Range<usize>) -> Option<Vec<u8>> {
    let payload = frame.get(range).unwrap_or_default();
    let headers = HEADER.saturating_add(40);
    let mut whole = concat(&[frame.get(..headers).unwrap_or_default(), payload])?;
    if let Some(packet) = whole.get_mut(HEADER..).filter(|packet| packet.len() >= 40) {
        let mut packet = Ipv6Packet::new_unchecked(packet);
        packet.set_next_header(next);
        packet.set_payload_len(u16::try_from(payload.len()).unwrap_or(0));
    }
    Some(whole)
}

/// A frame with a whole packet, with the Ethernet header of one of its fragments.
pub(crate) fn packet(
    frame: &[u8],
    ends: (IpAddress, IpAddress),
    protocol: IpProtocol,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let ethernet = frame.get(..HEADER).unwrap_or_default();
    let mut header = [0; 40];
    let len = match ends {
        (IpAddress::Ipv4(src_addr), IpAddress::Ipv4(dst_addr)) => {
            let repr = Ipv4Repr {
                src_addr,
                dst_addr,
                next_header: protocol,
                payload_len: payload.len(),
                hop_limit: 64,
            };
            repr.emit(&mut Ipv4Packet::new_unchecked(&mut header[..20]), &ChecksumCapabilities::default());
            20
        }
        (IpAddress::Ipv6(src_addr), IpAddress::Ipv6(dst_addr)) => {
            let repr = Ipv6Repr {
                src_addr,
                dst_addr,
                next_header: protocol,
                payload_len: payload.len(),
                hop_limit: 64,
            };
            repr.emit(&mut Ipv6Packet::new_unchecked(&mut header[..]));
            40
        }
        _ => 0,
    };
    concat(&[ethernet, header.get(..len).unwrap_or_default(), payload])
}
