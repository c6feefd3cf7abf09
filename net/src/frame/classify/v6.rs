//! IPv6 packets, and the questions and claims of neighbour discovery.
//!
//! ```text
//!   IPv6 ─ (hop-by-hop) ─┬─ TCP, UDP to an address of ours ─► as with IPv4
//!                        ├─ echo request ──────────────────► Common
//!                        ├─ who has our address? it is at … ► Common      smoltcp answers, and learns
//!                        ├─ "too big" ─────────────────────► TooBig
//!                        ├─ probe, claim, advertisement ────► Neighbour   ours: smoltcp does not know of them
//!                        └─ fragment, anything else ────────► Drop, or smoltcp refuses it
//! ```

use smoltcp::wire::{
    Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv6Address, Ipv6ExtHeader, Ipv6Packet, NdiscNeighborFlags,
};

use super::{Class, tcp, udp_is_whole};
use crate::base::counters::{DropReason, FrameKind};
use crate::frame::local::{Me, is_unicast_v6};
use crate::frame::too_big;
use crate::link::ndisc;

/// What neighbour discovery says that smoltcp does not hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// A router's advertisement.
    Router,
    /// Somebody wants to take an address that is ours.
    Probe(Ipv6Address),
    /// Somebody has, or wants at the same time, an address that we wanted to take.
    Claim(Ipv6Address),
    /// A router asks who listens to which group.
    Query,
}

/// Hop limit of neighbour discovery: it has passed no router. RFC 4861, section 3.1.
const NEIGHBOUR: u8 = 255;

pub(super) fn ipv6(packet: &[u8], me: &Me, unicast: bool, verify: bool) -> Class {
    if !me.six.is_on() {
        return Class::Drop(DropReason::Ipv6);
    }
    let Ok(packet) = Ipv6Packet::new_checked(packet) else { return Class::Drop(DropReason::Malformed) };
    if packet.version() != 6 {
        return Class::Drop(DropReason::Malformed);
    }
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let nameless = from.is_unspecified();
    if !(nameless || is_unicast_v6(from)) || me.six.has(from) {
        return Class::Drop(DropReason::ForgedSource);
    }
    let Some((next, payload)) = skip_options(packet.next_header(), packet.payload()) else {
        return Class::Drop(DropReason::Malformed);
    };
    if next == IpProtocol::Icmpv6 {
        return icmp(&packet, payload, me);
    }
    if nameless {
        return Class::Drop(DropReason::ForgedSource);
    }
    let ours = unicast && me.six.has(to);
    match next {
        IpProtocol::Tcp if !ours => Class::Drop(DropReason::TcpNotForUs),
        _ if !ours => Class::Drop(DropReason::NotForUs),
        IpProtocol::Tcp => tcp((from.into(), to.into()), payload, verify),
        IpProtocol::Udp if verify && !udp_is_whole((from.into(), to.into()), payload) => {
            Class::Drop(DropReason::Checksum)
        }
        IpProtocol::Udp => Class::Common(FrameKind::Udp),
        // smoltcp puts no IPv6 fragments together; nobody sends TCP in them.
        IpProtocol::Ipv6Frag => Class::Drop(DropReason::Ipv6Fragment),
        _ => Class::Common(FrameKind::Other),
    }
}

/// What follows the one hop-by-hop header that may come first, which is all that smoltcp knows of such headers.
fn skip_options(next: IpProtocol, payload: &[u8]) -> Option<(IpProtocol, &[u8])> {
    if next != IpProtocol::HopByHop {
        return Some((next, payload));
    }
    let header = Ipv6ExtHeader::new_checked(payload).ok()?;
    let len = usize::from(header.header_len()).checked_add(1)?.checked_mul(8)?;
    Some((header.next_header(), payload.get(len..)?))
}

fn icmp(packet: &Ipv6Packet<&[u8]>, message: &[u8], me: &Me) -> Class {
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let Ok(icmp) = Icmpv6Packet::new_checked(message) else { return Class::Drop(DropReason::Malformed) };
    let kind = icmp.msg_type();
    let group = me.six.is_group(to);
    if !(group || me.six.has(to)) {
        return Class::Drop(DropReason::NotForUs);
    }
    match kind {
        Icmpv6Message::EchoRequest if from.is_unspecified() => Class::Drop(DropReason::ForgedSource),
        Icmpv6Message::EchoRequest => Class::Common(FrameKind::Icmp),
        _ if !icmp.verify_checksum(&from, &to) => Class::Drop(DropReason::Checksum),
        Icmpv6Message::PktTooBig if !group => {
            too_big::v6(&icmp, me).map_or(Class::Drop(DropReason::Neighbour), Class::TooBig)
        }
        // With a router alert in front, so not at once behind the IPv6 header. RFC 3810, section 5.1.14.
        Icmpv6Message::MldQuery if packet.hop_limit() == 1 && from.is_unicast_link_local() => {
            Class::Neighbour(Neighbour::Query)
        }
        _ if packet.next_header() != IpProtocol::Icmpv6
            || packet.hop_limit() != NEIGHBOUR
            || icmp.msg_code() != 0 =>
        {
            Class::Drop(DropReason::Neighbour)
        }
        Icmpv6Message::RouterAdvert if from.is_unicast_link_local() => Class::Neighbour(Neighbour::Router),
        Icmpv6Message::NeighborSolicit => solicitation(from, group, icmp.target_addr(), me),
        Icmpv6Message::NeighborAdvert => {
            let solicited = icmp.neighbor_flags().contains(NdiscNeighborFlags::SOLICITED);
            advertisement(from, (to, solicited), icmp.target_addr(), me)
        }
        _ => Class::Drop(DropReason::Neighbour),
    }
}

/// "Who has `target`?"
fn solicitation(from: Ipv6Address, group: bool, target: Ipv6Address, me: &Me) -> Class {
    if me.six.find(target).is_none() {
        // Others whose addresses end as ours does.
        return Class::Drop(DropReason::NeighbourForOthers);
    }
    match (me.six.has(target), from.is_unspecified()) {
        (true, false) => Class::Common(FrameKind::Neighbour),
        (true, true) if group => Class::Neighbour(Neighbour::Probe(target)),
        (false, true) if group => Class::Neighbour(Neighbour::Claim(target)),
        // An address that is not ours yet is not answered for.
        _ => Class::Drop(DropReason::Neighbour),
    }
}

/// "`target` is at this hardware address."
fn advertisement(
    from: Ipv6Address,
    (to, solicited): (Ipv6Address, bool),
    target: Ipv6Address,
    me: &Me,
) -> Class {
    if me.six.find(target).is_some() {
        return Class::Neighbour(Neighbour::Claim(target));
    }
    // smoltcp learns the address of the sender, whatever the target. And it learns what it has not asked for: of news to
    // all, only a router's that moved is of use, since who talks to us is asked for once a minute.
    let answer = solicited && to != ndisc::ALL_NODES && !to.is_multicast();
    if from == target && (answer || me.six.is_router(from)) {
        Class::Common(FrameKind::Neighbour)
    } else {
        Class::Drop(DropReason::NeighbourForOthers)
    }
}
