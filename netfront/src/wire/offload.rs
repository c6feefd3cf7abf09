//! The checksum of a TCP segment or UDP datagram: left to the backend, or completed here.
//!
//! ```text
//!   | Ethernet 14 | IPv4 20… or IPv6 40 | TCP or UDP … checksum … | payload
//!                   addresses, length ──► sum of the pseudo-header ──► field, csum_blank: the backend completes it
//!                                                          whole sum ──► field: the backend does not do checksums
//! ```
//!
//! With checksum offload, the stack leaves the field zero, and the protocol wants the sum of the pseudo-header in it. A
//! received frame with a blank checksum has that sum already; [`complete`] finishes it before the frame goes out to
//! another host. All positions come from the frame's own headers and are checked against its length.

use crate::wire::feature::Feature;
use nic::checksum::{fold, sum};
use nic::{IpVersion as Version, PartialTcp};
use smoltcp::wire::checksum;
use xen::abi::io_netif::NetTxFlags;

const ETHERNET_HEADER: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The position of a checksum, and the sum of its pseudo-header.
#[derive(Clone, Copy, Debug)]
struct Place {
    version: Version,
    /// The beginning of the TCP or UDP header in the frame.
    start: usize,
    /// The end of the segment. An Ethernet frame may be padded.
    end: usize,
    /// The position of the checksum field in the frame.
    field: usize,
    protocol: u8,
    /// The sum of the pseudo-header, folded to 16 bits.
    pseudo: u16,
}

/// The feature that segments TCP over a version of IP.
pub(crate) const fn gso_of(version: Version) -> Feature {
    match version {
        Version::V4 => Feature::GSO_TCPV4,
        Version::V6 => Feature::GSO_TCPV6,
    }
}

/// The feature that completes checksums over a version of IP.
const fn checksum_of(version: Version) -> Feature {
    match version {
        Version::V4 => Feature::CHECKSUM_IPV4,
        Version::V6 => Feature::CHECKSUM_IPV6,
    }
}

/// The IP version of a TCP frame and the beginning of its TCP header. `None` for other frames, and for fragments.
pub(crate) fn tcp(frame: &[u8]) -> Option<(Version, usize)> {
    locate(frame).filter(|place| place.protocol == TCP).map(|place| (place.version, place.start))
}

/// The IP version of a frame.
fn version(frame: &[u8]) -> Option<Version> {
    match be16(frame, 12)? {
        0x0800 => Some(Version::V4),
        0x86dd => Some(Version::V6),
        _ => None,
    }
}

fn be16(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Finds the checksum of a TCP or UDP frame. `None` for other frames, and for fragments.
fn locate(frame: &[u8]) -> Option<Place> {
    let ip = ETHERNET_HEADER;
    let (version, protocol, start, end, addresses) = match be16(frame, 12)? {
        0x0800 => {
            let header = usize::from(frame.get(ip)? & 15).checked_mul(4)?;
            let whole = be16(frame, 20)? & 0x3fff == 0;
            let len = usize::from(be16(frame, 16)?);
            if !whole || header < 20 {
                return None;
            }
            let (start, end) = (ip.checked_add(header)?, ip.checked_add(len)?);
            (Version::V4, *frame.get(23)?, start, end, frame.get(26..34)?)
        }
        0x86dd => {
            let start = ip.checked_add(40)?;
            let end = start.checked_add(usize::from(be16(frame, 18)?))?;
            (Version::V6, *frame.get(20)?, start, end, frame.get(22..54)?)
        }
        _ => return None,
    };
    let field = match protocol {
        TCP => start.checked_add(16)?,
        UDP => start.checked_add(6)?,
        _ => return None,
    };
    if end > frame.len() || field.checked_add(2)? > end {
        return None;
    }
    let len = u16::try_from(end.checked_sub(start)?).ok()?;
    let pseudo = checksum::combine(&[checksum::data(addresses), u16::from(protocol), len]);
    Some(Place { version, start, end, field, protocol, pseudo })
}

fn put(frame: &mut [u8], field: usize, value: u16) {
    if let Some(bytes) = frame.get_mut(field..).and_then(|rest| rest.first_chunk_mut()) {
        *bytes = value.to_be_bytes();
    }
}

/// Completes the checksum of a frame that was built without one, or leaves it to a backend that offers it. Returns the
/// flags of the request.
#[inline(never)]
pub(crate) fn finish(can: Feature, frame: &mut [u8]) -> NetTxFlags {
    if can.contains(Feature::CHECKSUM_IPV4) && leave_plain(frame) {
        return NetTxFlags::CSUM_BLANK | NetTxFlags::DATA_VALIDATED;
    }
    if version(frame).is_none() {
        return NetTxFlags::empty();
    }
    finish_any(can, frame)
}

/// As [`finish`], for a frame whose builder says where the checksum is and has written the pseudo-header's sum there.
#[inline]
pub(crate) fn finish_partial(can: Feature, frame: &mut [u8], partial: PartialTcp) -> NetTxFlags {
    if can.contains(checksum_of(partial.version)) {
        return NetTxFlags::CSUM_BLANK | NetTxFlags::DATA_VALIDATED;
    }
    partial.complete(frame);
    NetTxFlags::empty()
}

/// As [`finish`], for a frame of any form.
#[cold]
fn finish_any(can: Feature, frame: &mut [u8]) -> NetTxFlags {
    match prepare(frame, |version| can.contains(checksum_of(version))) {
        Some(true) => NetTxFlags::CSUM_BLANK | NetTxFlags::DATA_VALIDATED,
        _ => NetTxFlags::empty(),
    }
}

/// Writes the pseudo-header's sum of a common IPv4 frame: not fragmented, without options, TCP or UDP. Returns `false`,
/// and writes nothing, for any other frame.
///
/// The byte order of such a sum does not matter, if it is written in the order in which it was computed (RFC 1071): here,
/// in native order.
#[inline]
fn leave_plain(frame: &mut [u8]) -> bool {
    let Some(head) = frame.first_chunk::<34>() else { return false };
    let word = |at: [u8; 4]| u32::from_ne_bytes(at);
    if [head[12], head[13]] != [8, 0] {
        return false;
    }
    // A fragment has an offset, or more fragments to come.
    let piece = u16::from_ne_bytes([head[20], head[21]]) & 0x3fff_u16.to_be();
    let field: usize = match head[23] {
        TCP => 34 + 16,
        UDP => 34 + 6,
        _ => return false,
    };
    let end = usize::from(u16::from_be_bytes([head[16], head[17]])).wrapping_add(ETHERNET_HEADER);
    if (head[14] != 0x45) | (piece != 0) | (end > frame.len()) | (field.wrapping_add(2) > end) {
        return false;
    }
    let from = word([head[26], head[27], head[28], head[29]]);
    let to = word([head[30], head[31], head[32], head[33]]);
    // The length without the header: subtraction is adding the complement.
    let len = u32::from(u16::from_ne_bytes([head[16], head[17]])).wrapping_add(u32::from((!20_u16).to_be()));
    let rest = len.wrapping_add(u32::from(u16::from(head[23]).to_be()));
    let sum = u64::from(from).wrapping_add(u64::from(to)).wrapping_add(u64::from(rest));
    if let Some(bytes) = frame.get_mut(field..).and_then(|rest| rest.first_chunk_mut()) {
        *bytes = fold(sum).to_ne_bytes();
    }
    true
}

/// Writes the checksum of an outgoing frame: the sum of the pseudo-header where the backend completes it (`leave`
/// returns true), else the whole checksum. Returns whether the backend has to complete it; `None` if the frame has no
/// TCP or UDP checksum.
#[inline]
pub fn prepare(frame: &mut [u8], leave: impl FnOnce(Version) -> bool) -> Option<bool> {
    let place = locate(frame)?;
    if leave(place.version) {
        put(frame, place.field, place.pseudo);
        return Some(true);
    }
    write_sum(frame, &place);
    Some(false)
}

/// Completes the checksum of a frame that was received with [`Checksum::Blank`](nic::Checksum::Blank), before it goes to
/// another host. Returns `false`, and changes nothing, if the frame is neither TCP nor UDP.
pub fn complete(frame: &mut [u8]) -> bool {
    let Some(place) = locate(frame) else { return false };
    write_sum(frame, &place);
    true
}

fn write_sum(frame: &mut [u8], place: &Place) {
    put(frame, place.field, 0);
    let segment = frame.get(place.start..place.end).unwrap_or_default();
    let sum = !checksum::combine(&[place.pseudo, sum(segment)]);
    // In UDP, zero means that there is no checksum (RFC 768).
    put(frame, place.field, if sum == 0 && place.protocol == UDP { 0xffff } else { sum });
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;
    use smoltcp::wire::{EthernetFrame, IpAddress, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};
    use std::vec;
    use std::vec::Vec;

    /// A frame with a TCP or UDP header, `payload` bytes after it, and a wrong checksum.
    fn frame(version: Version, protocol: u8, payload: usize, padding: usize) -> Vec<u8> {
        let segment = payload + if protocol == TCP { 20 } else { 8 };
        let mut bytes = vec![2; 12];
        match version {
            Version::V4 => {
                let len = u16::try_from(20 + segment).unwrap().to_be_bytes();
                bytes.extend([8, 0, 0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0]);
                bytes.extend([10, 0, 0, 1, 192, 168, 255, 254]);
            }
            Version::V6 => {
                let len = u16::try_from(segment).unwrap().to_be_bytes();
                bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, len[0], len[1], protocol, 64]);
                bytes.extend((0..32).map(|at| 0xf0 + at % 16));
            }
        }
        let start = bytes.len();
        bytes.extend((0..segment).map(|at| u8::try_from(at * 7 % 251).unwrap()));
        match protocol {
            TCP => bytes[start + 12] = 0x50,
            _ => bytes[start + 4..start + 6].copy_from_slice(&u16::try_from(segment).unwrap().to_be_bytes()),
        }
        bytes.extend(vec![0xee; padding]);
        bytes
    }

    /// Whether smoltcp accepts the checksum.
    fn is_right(frame: &[u8]) -> bool {
        let ethernet = EthernetFrame::new_checked(frame).unwrap();
        let (from, to, protocol, segment): (IpAddress, IpAddress, _, _) = if frame[12] == 8 {
            let packet = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
            (
                packet.src_addr().into(),
                packet.dst_addr().into(),
                packet.next_header(),
                packet.payload().to_vec(),
            )
        } else {
            let packet = Ipv6Packet::new_checked(ethernet.payload()).unwrap();
            (
                packet.src_addr().into(),
                packet.dst_addr().into(),
                packet.next_header(),
                packet.payload().to_vec(),
            )
        };
        match u8::from(protocol) {
            TCP => TcpPacket::new_checked(&segment[..]).unwrap().verify_checksum(&from, &to),
            _ => UdpPacket::new_checked(&segment[..]).unwrap().verify_checksum(&from, &to),
        }
    }

    #[test]
    fn a_checksum_is_completed_whatever_the_field_held() {
        for version in [Version::V4, Version::V6] {
            for protocol in [TCP, UDP] {
                // Miri is a thousand times slower.
                let long = if cfg!(miri) { 66 } else { 65_000 };
                for (payload, padding) in [(0, 0), (1, 0), (5, 13), (1400, 0), (long, 0)] {
                    let mut bytes = frame(version, protocol, payload, padding);
                    assert!(complete(&mut bytes));
                    assert!(is_right(&bytes), "{version:?} {protocol} {payload}");
                    let again = bytes.clone();
                    assert_eq!(prepare(&mut bytes, |_| false), Some(false));
                    assert_eq!(bytes, again);
                }
            }
        }
    }

    #[test]
    fn the_backend_completes_what_is_left_to_it() {
        for version in [Version::V4, Version::V6] {
            for protocol in [TCP, UDP] {
                let mut bytes = frame(version, protocol, 777, 0);
                assert_eq!(prepare(&mut bytes, |asked| asked == version), Some(true));
                // As Linux's `skb_checksum_help`: the sum of everything from the header on.
                let place = locate(&bytes).unwrap();
                let sum = !checksum::data(&bytes[place.start..]);
                put(&mut bytes, place.field, sum);
                assert!(is_right(&bytes), "{version:?} {protocol}");
            }
        }
    }

    #[test]
    fn what_the_backend_does_not_complete_is_completed_here() {
        for version in [Version::V4, Version::V6] {
            for protocol in [TCP, UDP] {
                let mut bytes = frame(version, protocol, 777, 0);
                assert!(!is_right(&bytes));
                assert_eq!(finish(Feature::SCATTER_GATHER, &mut bytes), NetTxFlags::empty());
                assert!(is_right(&bytes), "{version:?} {protocol}");
            }
        }
    }

    #[test]
    fn the_fast_path_writes_what_the_general_one_writes() {
        let whole = Feature::CHECKSUM_IPV4;
        for protocol in [TCP, UDP] {
            for payload in [0, 1, 777, 1472] {
                for address in (0..=255).step_by(if cfg!(miri) { 85 } else { 1 }) {
                    let mut bytes = frame(Version::V4, protocol, payload, payload % 3);
                    bytes[26..34].fill(address);
                    bytes[29] = 255 - address;
                    let mut other = bytes.clone();
                    assert_eq!(
                        finish(whole, &mut bytes),
                        NetTxFlags::CSUM_BLANK | NetTxFlags::DATA_VALIDATED
                    );
                    assert_eq!(prepare(&mut other, |_| true), Some(true));
                    // All ones and zero are the same sum.
                    let sums = [&bytes, &other]
                        .map(|bytes| locate(bytes).map(|place| be16(bytes, place.field).unwrap() % 0xffff));
                    assert_eq!(sums[0], sums[1]);
                    other.clone_from(&bytes);
                    assert!(complete(&mut other) && is_right(&other), "{protocol} {payload}");
                }
            }
        }
        // With options, fragmented, too short, of another protocol: the general path decides.
        let options = |at: usize, to: u8| {
            let mut bytes = frame(Version::V4, TCP, 100, 0);
            bytes[at] = to;
            leave_plain(&mut bytes)
        };
        assert!(options(6, 9));
        for (at, to) in [(13, 6), (14, 0x46), (20, 0x20), (21, 1), (23, 1), (16, 1), (17, 37)] {
            assert!(!options(at, to), "{at} {to}");
        }
    }

    #[test]
    fn a_zero_udp_checksum_is_sent_as_ones() {
        let mut bytes = frame(Version::V4, UDP, 100, 0);
        bytes[42..44].fill(0);
        complete(&mut bytes);
        // With the checksum in its payload, the datagram's sum is zero.
        bytes.copy_within(40..42, 42);
        complete(&mut bytes);
        assert_eq!(bytes[40..42], [0xff, 0xff]);
    }

    #[test]
    fn other_frames_are_not_changed() {
        let whole = frame(Version::V4, TCP, 100, 0);
        let changed = |at: usize, to: u8| {
            let mut bytes = whole.clone();
            bytes[at] = to;
            bytes
        };
        for bytes in [
            changed(13, 6),    // ARP
            changed(14, 0x44), // a header of 16 bytes
            changed(20, 0x20), // the first fragment
            changed(21, 1),    // a later fragment
            changed(23, 1),    // ICMP
            changed(16, 1),    // longer than the frame
            changed(17, 37),   // no room for the field
        ] {
            let mut after = bytes.clone();
            assert!(!complete(&mut after));
            assert_eq!(after, bytes);
        }
        for version in [Version::V4, Version::V6] {
            let whole = frame(version, UDP, 0, 0);
            (0..whole.len()).for_each(|len| assert!(!complete(&mut whole[..len].to_vec()), "{len}"));
        }
    }
}
