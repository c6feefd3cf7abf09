//! "Packet too big": a router names the MTU of a link on the path to a peer of ours.
//!
//! ```text
//!   ICMP 8: type, code, checksum, next hop's MTU │ what we sent: IP header │ ports, sequence number │ …
//! ```
//!
//! Nothing is believed here but that the message is whole; whether the quoted bytes are ours, the connection knows.

use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, Icmpv6Packet, IpAddress, IpProtocol, Ipv4Packet,
    Ipv6Packet, TcpPacket,
};
use tcp::Seq;
use tcp::tuple::FourTuple;

use crate::frame::local::Me;

/// The least path MTU that is accepted over IPv4, bytes: the same as Linux's. Every link takes 68 (RFC 791), but
/// there are no such links; less would make small packets of a large stream.
const LEAST_V4: u16 = 552;
/// What a router means that names none: RFC 1191, section 5, lets a host take the least that all have to put together.
const UNNAMED_V4: u16 = 576;
/// Over IPv6 every link takes this size. RFC 8201, section 4.
const LEAST_V6: u16 = 1280;

/// A segment of ours that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooBig {
    pub(crate) tuple: FourTuple,
    /// The sequence number of its first byte.
    pub(crate) seq: Seq,
    /// Bytes of the largest IP packet that fits.
    pub(crate) mtu: u16,
}

/// The header of IPv4 without options, and that of IPv6.
const V4: usize = 20;
const V6: usize = 40;
/// The part of TCP that every router quotes: ports and sequence number.
const QUOTED: usize = 8;

/// The TCP segment that an ICMP message over IPv4 quotes; `None`: something else.
pub(crate) fn v4(message: &[u8], me: &Me) -> Option<TooBig> {
    let icmp = Icmpv4Packet::new_checked(message).ok()?;
    let needs = u8::from(Icmpv4DstUnreachable::FragRequired);
    if icmp.msg_type() != Icmpv4Message::DstUnreachable || icmp.msg_code() != needs || !icmp.verify_checksum()
    {
        return None;
    }
    let named = u16::from_be_bytes(*message.get(6..8)?.first_chunk()?);
    let quoted = message.get(8..).filter(|quoted| quoted.len() >= V4)?;
    let packet = Ipv4Packet::new_unchecked(quoted);
    let is_ours = packet.version() == 4 && me.is(packet.src_addr()) && packet.frag_offset() == 0;
    if !is_ours || packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let segment = quoted.get(usize::from(packet.header_len())..)?;
    let mtu = if named == 0 { UNNAMED_V4 } else { named.max(LEAST_V4) };
    about((packet.src_addr().into(), packet.dst_addr().into()), segment, mtu)
}

/// What a message over IPv6 says whose type and checksum were seen to be right.
pub(crate) fn v6(icmp: &Icmpv6Packet<&[u8]>, me: &Me) -> Option<TooBig> {
    let quoted = Some(icmp.payload()).filter(|quoted| quoted.len() >= V6)?;
    let packet = Ipv6Packet::new_unchecked(quoted);
    if packet.version() != 6 || !me.six.has(packet.src_addr()) || packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let mtu = u16::try_from(icmp.pkt_too_big_mtu()).unwrap_or(u16::MAX).max(LEAST_V6);
    about((packet.src_addr().into(), packet.dst_addr().into()), quoted.get(V6..)?, mtu)
}

fn about((from, to): (IpAddress, IpAddress), segment: &[u8], mtu: u16) -> Option<TooBig> {
    let tcp = TcpPacket::new_unchecked(segment.get(..QUOTED)?);
    let tuple =
        FourTuple { local: from, local_port: tcp.src_port(), remote: to, remote_port: tcp.dst_port() };
    Some(TooBig { tuple, seq: Seq(tcp.seq_number().0.cast_unsigned()), mtu })
}
