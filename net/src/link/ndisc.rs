//! The frames of neighbour discovery and of multicast listener discovery that smoltcp does not send.
//!
//! ```text
//!   Ethernet 33:33:… ─ IPv6, hop limit 255 ─ ICMPv6 ─ solicitation, advertisement            RFC 4861
//!                    ─ IPv6, hop limit 1 ─ router alert ─ ICMPv6 ─ report of our groups       RFC 3810
//! ```
//!
//! Without the report, a switch that snoops keeps our groups' frames from us, and with them every question for our
//! hardware address.

use alloc::vec::Vec;

use nic::Nic;
use smoltcp::wire::{EthernetAddress, EthernetProtocol, Icmpv6Packet, Ipv6Address};

use crate::link::wire::Wire;

pub(crate) const ALL_NODES: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ALL_MLDV2_ROUTERS: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// The first four bytes of a packet: version 6, no class, no label.
const VERSION: [u8; 4] = [0x60, 0, 0, 0];

/// Next header and hop limit of neighbour discovery, and of listener discovery, whose router alert comes first.
const DISCOVERY: [u8; 2] = [58, 255];
const LISTENERS: [u8; 2] = [0, 1];

/// A hop-by-hop header with the router alert of MLD (RFC 2711), and padding.
const ROUTER_ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

/// Types of ICMPv6. RFC 4861, section 4; RFC 3810, section 5.2; RFC 2710, section 3.1.
const ROUTER_SOLICITATION: u8 = 133;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REPORT: u8 = 143;
const REPORT_V1: u8 = 131;

/// An advertisement's flag: it overrides the known address.
const OVERRIDE: u8 = 0x20;
/// An advertisement's flag: it answers a solicitation.
const SOLICITED: u8 = 0x40;

/// Options: the sender's, or the target's hardware address, in one unit of 8 bytes.
const SOURCE: [u8; 2] = [1, 1];
const TARGET: [u8; 2] = [2, 1];

/// The record of a joined group, for any sender.
const CHANGE_TO_EXCLUDE: u8 = 4;

/// The group in which questions for an address are asked. RFC 4291, section 2.7.1.
pub(crate) fn solicited_node(address: Ipv6Address) -> Ipv6Address {
    let group = u128::from_be_bytes([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0]);
    Ipv6Address::from_bits(group | (address.to_bits() & 0xff_ffff))
}

/// The hardware address of a group. RFC 2464, section 7.
pub(crate) fn group_mac(group: Ipv6Address) -> EthernetAddress {
    let [.., a, b, c, d] = group.octets();
    EthernetAddress([0x33, 0x33, a, b, c, d])
}

impl<N: Nic> Wire<'_, N> {
    /// Solicits `target`; without an address of our own (a probe), no host learns ours.
    pub(crate) fn solicit(&mut self, from: Ipv6Address, target: Ipv6Address) -> Option<()> {
        let mut message = [&[SOLICITATION, 0, 0, 0, 0, 0, 0, 0], &target.octets()[..]].concat();
        if !from.is_unspecified() {
            message.extend([SOURCE.as_slice(), &self.mac.0].concat());
        }
        self.send_to(EthernetAddress::BROADCAST, (from, solicited_node(target)), DISCOVERY, &mut message)
    }

    /// Asks the host that had `target` whether it is still there. RFC 4861, section 7.3.3.
    pub(crate) fn probe(
        &mut self,
        from: Ipv6Address,
        target: Ipv6Address,
        mac: EthernetAddress,
    ) -> Option<()> {
        let mut message =
            [&[SOLICITATION, 0, 0, 0, 0, 0, 0, 0], &target.octets()[..], &SOURCE, &self.mac.0].concat();
        self.send_to(mac, (from, target), DISCOVERY, &mut message)
    }

    /// Answers a host that asked for `address`. RFC 4861, section 7.2.4.
    pub(crate) fn answer(
        &mut self,
        address: Ipv6Address,
        (to, mac): (Ipv6Address, EthernetAddress),
    ) -> Option<()> {
        let head = [ADVERTISEMENT, 0, 0, 0, OVERRIDE | SOLICITED, 0, 0, 0];
        let mut message = [head.as_slice(), &address.octets(), &TARGET, &self.mac.0].concat();
        self.send_to(mac, (address, to), DISCOVERY, &mut message)
    }

    /// Announces to all nodes that `address` is ours, and overrides known entries.
    pub(crate) fn advertise(&mut self, address: Ipv6Address) -> Option<()> {
        let head = [ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
        let mut message = [head.as_slice(), &address.octets(), &TARGET, &self.mac.0].concat();
        self.send_to(EthernetAddress::BROADCAST, (address, ALL_NODES), DISCOVERY, &mut message)
    }

    /// Asks routers for an advertisement.
    pub(crate) fn ask_routers(&mut self, from: Ipv6Address) -> Option<()> {
        let mut message = [&[ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0], &SOURCE[..], &self.mac.0].concat();
        self.send_to(EthernetAddress::BROADCAST, (from, ALL_ROUTERS), DISCOVERY, &mut message)
    }

    /// Reports our groups.
    pub(crate) fn report(&mut self, from: Ipv6Address, groups: &[Ipv6Address]) -> Option<()> {
        let records = u8::try_from(groups.len()).unwrap_or(u8::MAX);
        let mut message = Vec::from([REPORT, 0, 0, 0, 0, 0, 0, records]);
        for group in groups {
            message.extend([CHANGE_TO_EXCLUDE, 0, 0, 0]);
            message.extend(group.octets());
        }
        self.send_to(EthernetAddress::BROADCAST, (from, ALL_MLDV2_ROUTERS), LISTENERS, &mut message)
    }

    /// Reports a group by MLDv1. RFC 2710, section 3: sent to the group itself.
    pub(crate) fn report_v1(&mut self, from: Ipv6Address, group: Ipv6Address) -> Option<()> {
        let mut message = [&[REPORT_V1, 0, 0, 0, 0, 0, 0, 0], &group.octets()[..]].concat();
        self.send_to(EthernetAddress::BROADCAST, (from, group), LISTENERS, &mut message)
    }

    /// To a group, or to the host with the address `mac`.
    fn send_to(
        &mut self,
        mac: EthernetAddress,
        (from, to): (Ipv6Address, Ipv6Address),
        headers: [u8; 2],
        message: &mut [u8],
    ) -> Option<()> {
        Icmpv6Packet::new_unchecked(&mut *message).fill_checksum(&from, &to);
        let options: &[u8] = if headers == LISTENERS { &ROUTER_ALERT } else { &[] };
        let len = u16::try_from(options.len().saturating_add(message.len())).ok()?.to_be_bytes();
        let packet = [&VERSION, &len[..], &headers, &from.octets(), &to.octets(), options, message].concat();
        let mac = if to.is_multicast() { group_mac(to) } else { mac };
        self.frame(mac, EthernetProtocol::Ipv6, packet.len(), |payload| payload.copy_from_slice(&packet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_their_hardware_addresses() {
        let address: Ipv6Address = "2001:db8::1234:5678".parse().unwrap();
        let group = solicited_node(address);
        assert_eq!(group, "ff02::1:ff34:5678".parse::<Ipv6Address>().unwrap());
        assert_eq!(group_mac(group), EthernetAddress([0x33, 0x33, 0xff, 0x34, 0x56, 0x78]));
    }
}
