//! IPv6 packets and neighbour discovery.
//!
//! ```text
//!   IPv6 ─ (options, routing with nothing left, atomic fragment)* ─┬─ TCP, UDP, echo request ─► as with IPv4
//!                                                                  ├─ fragment ──────────────► Fragment
//!   IPv6 ─ hop-by-hop with a router alert ─ listener query ────────┼─────────────────────────► Neighbour::Query
//!   IPv6 ─ solicitation, advertisement, router advertisement ──────┴─────────────────────────► Neighbour
//! ```

use core::ops::Range;

use smoltcp::wire::{
    EthernetAddress, Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv6Address, Ipv6Packet, NdiscNeighborFlags,
    NdiscOption, NdiscOptionType,
};

use super::{Class, Context, MARKED, Message, segment, sums_up, udp};
use crate::base::counters::DropReason;
use crate::frame::extension::{self, Chain};
use crate::frame::local::is_unicast_v6;
use crate::frame::reassembly::{Fragment, FragmentKey};
use crate::frame::rebuild;
use crate::frame::too_big;
use crate::link::ndisc;
use crate::link::neighbours::Source;
use crate::link::wire::HEADER;

/// A message of neighbour discovery or multicast listener discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// A router's advertisement, from this address.
    Router(Ipv6Address),
    /// `from` asks for the hardware address of `target`, an address of ours.
    Solicit {
        /// The asker.
        from: Ipv6Address,
        /// The requested address.
        target: Ipv6Address,
        /// The sender's hardware address, if the option is present.
        mac: Option<EthernetAddress>,
    },
    /// A host is at this hardware address.
    At(Ipv6Address, EthernetAddress, Source),
    /// Another host probes an address that is ours.
    Probe(Ipv6Address),
    /// Another host has, or probes at the same time, an address that we probe.
    Claim(Ipv6Address),
    /// A router asks for our groups; `v1`: by MLDv1.
    Query {
        /// By the older protocol. RFC 3810, section 8.1.
        v1: bool,
    },
}

/// Hop limit of neighbour discovery: it has passed no router. RFC 4861, section 3.1.
const NEIGHBOUR: u8 = 255;

/// Bytes of the IPv6 header, and of an MLDv1 query: an MLDv2 query is longer. RFC 3810, section 8.1.
const IPV6: usize = 40;
const QUERY_V1: usize = 24;

/// Type of a listener query. RFC 2710, section 3.1.
const QUERY: u8 = 130;

/// Options of one message that are read.
const OPTIONS: usize = 16;

pub(super) fn ipv6(frame: &[u8], bytes: &[u8], context: Context<'_>) -> Class {
    let me = context.me;
    if !me.six.is_on() {
        return Class::Drop(DropReason::Ipv6);
    }
    let Ok(packet) = Ipv6Packet::new_checked(bytes) else { return Class::Drop(DropReason::Malformed) };
    if packet.version() != 6 {
        return Class::Drop(DropReason::Malformed);
    }
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let nameless = from.is_unspecified();
    if !(nameless || is_unicast_v6(from)) || me.six.has(from) {
        return Class::Drop(DropReason::ForgedSource);
    }
    let (next, payload) = match extension::walk(packet.next_header(), packet.payload()) {
        Chain::Payload(next, payload) => (next, payload),
        Chain::Fragment { header, start, offset, more, ident } => {
            if nameless || !(context.unicast && me.six.has(to)) {
                return Class::Drop(DropReason::NotForUs);
            }
            let key = FragmentKey { from: from.into(), to: to.into(), protocol: header, ident };
            let range = start..packet.payload().len();
            return Class::Fragment(Fragment { key, offset, more, payload: shifted(range) });
        }
        Chain::Broken => return Class::Drop(DropReason::ExtensionHeader),
    };
    let range = shifted(payload..packet.payload().len());
    let plain = range.start == HEADER.saturating_add(IPV6);
    let message = Message { from: from.into(), to: to.into(), payload: range.clone() };
    if next == IpProtocol::Icmpv6 {
        return icmp(frame, &packet, message, context);
    }
    if nameless {
        return Class::Drop(DropReason::ForgedSource);
    }
    let ours = context.unicast && me.six.has(to);
    let ends = (from.into(), to.into());
    match next {
        IpProtocol::Tcp if !ours => Class::Drop(DropReason::TcpNotForUs),
        _ if !ours => Class::Drop(DropReason::NotForUs),
        IpProtocol::Tcp if !plain => rebuild::without_extensions(frame, next, range)
            .map_or(Class::Drop(DropReason::Memory), Class::Rebuilt),
        IpProtocol::Tcp => {
            segment(frame, range, ends, packet.traffic_class() & MARKED == MARKED, context.verify)
        }
        IpProtocol::Udp => udp(frame, range, (ends, true), context),
        _ => Class::Unknown(message),
    }
}

/// From an offset after the IPv6 header to one in the frame.
fn shifted(range: Range<usize>) -> Range<usize> {
    let headers = HEADER.saturating_add(IPV6);
    range.start.saturating_add(headers)..range.end.saturating_add(headers)
}

fn icmp(frame: &[u8], packet: &Ipv6Packet<&[u8]>, message: Message, context: Context<'_>) -> Class {
    let me = context.me;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let bytes = frame.get(message.payload.clone()).unwrap_or_default();
    if bytes.first() == Some(&QUERY) && bytes.len() == QUERY_V1 {
        return query_v1(bytes, packet, context);
    }
    let Ok(icmp) = Icmpv6Packet::new_checked(bytes) else { return Class::Drop(DropReason::Malformed) };
    let kind = icmp.msg_type();
    let group = me.six.is_group(to);
    let ours = me.six.has(to);
    if !(group || ours) {
        return Class::Drop(DropReason::NotForUs);
    }
    if !(icmp.verify_checksum(&from, &to) || cfg!(fuzzing)) {
        return Class::Drop(DropReason::Checksum);
    }
    match kind {
        Icmpv6Message::EchoRequest if from.is_unspecified() => Class::Drop(DropReason::ForgedSource),
        Icmpv6Message::EchoRequest if ours && context.unicast => Class::Echo(message),
        Icmpv6Message::PktTooBig if ours => {
            too_big::v6(&icmp, me).map_or(Class::Drop(DropReason::Icmp), Class::TooBig)
        }
        // After a router alert, so not directly after the IPv6 header. RFC 3810, section 5.1.14.
        Icmpv6Message::MldQuery if packet.hop_limit() == 1 && from.is_unicast_link_local() => {
            Class::Neighbour(Neighbour::Query { v1: false })
        }
        _ if packet.next_header() != IpProtocol::Icmpv6
            || packet.hop_limit() != NEIGHBOUR
            || icmp.msg_code() != 0 =>
        {
            Class::Drop(DropReason::Neighbour)
        }
        Icmpv6Message::RouterAdvert if from.is_unicast_link_local() => {
            Class::Neighbour(Neighbour::Router(from))
        }
        Icmpv6Message::NeighborSolicit => solicitation(from, group, &icmp, context),
        Icmpv6Message::NeighborAdvert => advertisement((from, to), &icmp, context),
        _ => Class::Drop(DropReason::Neighbour),
    }
}

/// A query by MLDv1, which is too short for smoltcp's view of MLDv2.
fn query_v1(bytes: &[u8], packet: &Ipv6Packet<&[u8]>, context: Context<'_>) -> Class {
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let wanted = context.me.six.is_group(to) || context.me.six.has(to);
    if !wanted || packet.hop_limit() != 1 || !from.is_unicast_link_local() {
        return Class::Drop(DropReason::Neighbour);
    }
    if !sums_up((from.into(), to.into()), IpProtocol::Icmpv6, bytes) {
        return Class::Drop(DropReason::Checksum);
    }
    Class::Neighbour(Neighbour::Query { v1: true })
}

/// A hardware address in the options of the router advertisement in a frame.
pub(crate) fn link_address_of(frame: &[u8], kind: NdiscOptionType) -> Option<EthernetAddress> {
    let message = frame.get(HEADER.saturating_add(IPV6)..)?;
    link_address(&Icmpv6Packet::new_checked(message).ok()?, kind)
}

/// A hardware address in the options of a message; `None`: there is none, or an option has no length.
fn link_address(icmp: &Icmpv6Packet<&[u8]>, kind: NdiscOptionType) -> Option<EthernetAddress> {
    let mut options = icmp.payload();
    for _ in 0..OPTIONS {
        let option = NdiscOption::new_checked(options).ok()?;
        let len = usize::from(option.data_len()).checked_mul(8).filter(|len| *len > 0)?;
        if option.option_type() == kind {
            return option.link_layer_addr().parse(smoltcp::phy::Medium::Ethernet).ok().and_then(ethernet);
        }
        options = options.get(len..)?;
    }
    None
}

fn ethernet(address: smoltcp::wire::HardwareAddress) -> Option<EthernetAddress> {
    match address {
        smoltcp::wire::HardwareAddress::Ethernet(mac) => Some(mac).filter(EthernetAddress::is_unicast),
        #[allow(unreachable_patterns, reason = "other media are features of smoltcp")]
        _ => None,
    }
}

/// A neighbour solicitation for `target`.
fn solicitation(from: Ipv6Address, group: bool, icmp: &Icmpv6Packet<&[u8]>, context: Context<'_>) -> Class {
    let (me, target) = (context.me, icmp.target_addr());
    if me.six.find(target).is_none() {
        // Others whose addresses end as ours does.
        return Class::Drop(DropReason::NeighbourForOthers);
    }
    match (me.six.has(target), from.is_unspecified()) {
        (true, false) => {
            let mac = link_address(icmp, NdiscOptionType::SourceLinkLayerAddr);
            Class::Neighbour(Neighbour::Solicit { from, target, mac })
        }
        (true, true) if group => Class::Neighbour(Neighbour::Probe(target)),
        (false, true) if group => Class::Neighbour(Neighbour::Claim(target)),
        // An address that is not ours yet is not answered for.
        _ => Class::Drop(DropReason::Neighbour),
    }
}

/// "`target` is at this hardware address." Without one, `target` is where it was.
fn advertisement(
    (from, to): (Ipv6Address, Ipv6Address),
    icmp: &Icmpv6Packet<&[u8]>,
    context: Context<'_>,
) -> Class {
    let (me, target, flags) = (context.me, icmp.target_addr(), icmp.neighbor_flags());
    if me.six.find(target).is_some() {
        return Class::Neighbour(Neighbour::Claim(target));
    }
    // RFC 4861, section 7.1.2: an answer to all nodes is not one.
    let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
    let Some(mac) = link_address(icmp, NdiscOptionType::TargetLinkLayerAddr) else {
        return Class::Drop(DropReason::NeighbourForOthers);
    };
    if from.is_unspecified() || (solicited && (to.is_multicast() || to == ndisc::ALL_NODES)) {
        return Class::Drop(DropReason::NeighbourForOthers);
    }
    let overrides = flags.contains(NdiscNeighborFlags::OVERRIDE);
    let source = if overrides { Source::Claim } else { Source::WeakClaim };
    Class::Neighbour(Neighbour::At(target, mac, source))
}
