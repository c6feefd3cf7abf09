//! Our addresses as plain data: they decide whether a frame is for us.

use alloc::vec::Vec;

use smoltcp::wire::{EthernetAddress, IpAddress, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr};

use crate::base::status::Ipv6State;
use crate::link::ndisc;

/// The multicast address of all IPv4 hosts, 224.0.0.1. Every host is a member. (RFC 1112, 6.4 and 7.2)
const ALL_HOSTS: EthernetAddress = EthernetAddress([0x01, 0x00, 0x5e, 0x00, 0x00, 0x01]);

/// The addresses of this host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Me {
    pub(crate) mac: EthernetAddress,
    pub(crate) address: Option<Ipv4Cidr>,
    pub(crate) six: LocalV6,
}

/// The IPv6 addresses of this host and the routers it knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalV6 {
    /// The link-local address first; empty: IPv6 is off.
    pub(crate) own: Vec<(Ipv6Cidr, Ipv6State)>,
    /// The first one is in use.
    pub(crate) routers: Vec<Ipv6Address>,
}

impl Me {
    /// Whether this is our IPv4 address.
    pub(crate) fn is(&self, address: Ipv4Address) -> bool {
        self.address.is_some_and(|cidr| cidr.address() == address)
    }

    /// Whether this IPv4 address means all hosts of our network.
    pub(crate) fn is_broadcast(&self, address: Ipv4Address) -> bool {
        address.is_broadcast() || self.address.and_then(|cidr| cidr.broadcast()) == Some(address)
    }

    /// Whether this is an address of ours, of either family.
    pub(crate) fn has(&self, address: IpAddress) -> bool {
        match address {
            IpAddress::Ipv4(v4) => self.is(v4),
            IpAddress::Ipv6(v6) => self.six.has(v6),
        }
    }

    /// Whether we have an address of the same family as `peer`.
    pub(crate) fn speaks(&self, peer: IpAddress) -> bool {
        match peer {
            IpAddress::Ipv4(_) => self.address.is_some(),
            IpAddress::Ipv6(_) => self.six.valid().next().is_some(),
        }
    }

    /// Our address for packets to `peer`.
    pub(crate) fn source_for(&self, peer: IpAddress) -> Option<IpAddress> {
        match peer {
            IpAddress::Ipv4(_) => self.address.map(|cidr| cidr.address().into()),
            IpAddress::Ipv6(peer) => self.six.source_for(peer).map(Into::into),
        }
    }

    /// Whether `peer` is an address that a connection may lead to: another host's, and unicast.
    pub(crate) fn is_peer(&self, peer: IpAddress) -> bool {
        let possible = match peer {
            IpAddress::Ipv4(v4) => {
                let broadcast = self.address.and_then(|cidr| cidr.broadcast()) == Some(v4);
                is_unicast(v4) && !v4.is_loopback() && !broadcast
            }
            IpAddress::Ipv6(v6) => is_unicast_v6(v6),
        };
        possible && !self.has(peer)
    }

    /// The Ethernet multicast groups whose frames the stack receives.
    pub(crate) fn groups(&self) -> Vec<EthernetAddress> {
        let all_nodes = self.six.is_on().then_some(ndisc::ALL_NODES);
        let v6 = all_nodes.into_iter().chain(self.six.groups());
        core::iter::once(ALL_HOSTS).chain(v6.map(ndisc::group_mac)).collect()
    }
}

impl LocalV6 {
    pub(crate) const fn is_on(&self) -> bool {
        !self.own.is_empty()
    }

    /// The state of an address of ours.
    pub(crate) fn find(&self, address: Ipv6Address) -> Option<Ipv6State> {
        self.own.iter().find(|(cidr, _)| cidr.address() == address).map(|(_, state)| *state)
    }

    /// Whether the address is ours and in use.
    pub(crate) fn has(&self, address: Ipv6Address) -> bool {
        self.find(address) == Some(Ipv6State::Valid)
    }

    /// The addresses in use.
    pub(crate) fn valid(&self) -> impl Iterator<Item = Ipv6Cidr> + use<'_> {
        self.own.iter().filter(|(_, state)| *state == Ipv6State::Valid).map(|(cidr, _)| *cidr)
    }

    /// The address in use that fits `peer` best: of its scope, and with the longest prefix in common. RFC 6724,
    /// section 5.
    pub(crate) fn source_for(&self, peer: Ipv6Address) -> Option<Ipv6Address> {
        let [first, second, ..] = peer.octets();
        // Groups of the link and the node have its scope too. RFC 4291, section 2.7.
        let local = peer.is_unicast_link_local() || (first == 0xff && second & 0xf <= 2);
        let common = |own: Ipv6Address| (own.to_bits() ^ peer.to_bits()).leading_zeros();
        let addresses = self.valid().map(|cidr| cidr.address());
        addresses.max_by_key(|own| (own.is_unicast_link_local() == local, common(*own)))
    }

    /// Whether hosts beyond our neighbours can reach us.
    pub(crate) fn is_configured(&self) -> bool {
        self.valid().any(|cidr| !cidr.address().is_unicast_link_local())
    }

    pub(crate) fn gateway(&self) -> Option<Ipv6Address> {
        self.routers.first().copied()
    }

    /// Whether packets to the address go to its owner and not to a router.
    pub(crate) fn on_link(&self, address: Ipv6Address) -> bool {
        address.is_unicast_link_local() || self.valid().any(|cidr| cidr.contains_addr(&address))
    }

    /// Whether we listen to the group: all nodes, or the solicited nodes of an address of ours.
    pub(crate) fn is_group(&self, group: Ipv6Address) -> bool {
        group == ndisc::ALL_NODES || self.groups().any(|own| own == group)
    }

    /// The groups besides all nodes.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Ipv6Address> + use<'_> {
        self.own.iter().map(|(cidr, _)| ndisc::solicited_node(cidr.address()))
    }
}

/// Whether a host can have this IPv4 address.
pub(crate) fn is_unicast(address: Ipv4Address) -> bool {
    !(address.is_broadcast() || address.is_multicast() || address.is_unspecified())
}

/// Whether a host can have this IPv6 address and be reached at it from another host.
#[must_use]
pub fn is_unicast_v6(address: Ipv6Address) -> bool {
    let odd = address.is_multicast() || address.is_unspecified() || address.is_loopback();
    !odd && address.to_ipv4_mapped().is_none()
}
