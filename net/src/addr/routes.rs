//! IPv4 routes: our network, those of DHCP's option 121, and the default.
//!
//! A gateway may be outside our network: with a prefix of 32 bits every address is, and a classless route may name one
//! (RFC 3442). It is on this link then, and is resolved like any neighbour.

use alloc::vec::Vec;
use core::fmt;

use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

use crate::frame::local::is_unicast;

/// Routes kept besides our network.
const ROUTES: usize = 32;

/// The destination of the default route.
const DEFAULT: Ipv4Cidr = Ipv4Cidr::new(Ipv4Address::UNSPECIFIED, 0);

/// Why an address cannot be a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayError {
    /// It is not one host's: broadcast, multicast, loopback, unspecified.
    NotAHost,
    /// It is our own address.
    OurOwn,
    /// It is outside our network, and the network has more than one host.
    OutsideNetwork,
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAHost => "it is not the address of one host",
            Self::OurOwn => "it is the address of this host",
            Self::OutsideNetwork => {
                "it is outside the network of the address; name one inside, or use a prefix of 32 bits"
            }
        })
    }
}

impl core::error::Error for GatewayError {}

/// Checks whether a host with this address can use this gateway.
///
/// # Errors
/// Why not.
pub fn check_gateway(address: Ipv4Cidr, gateway: Ipv4Address) -> Result<(), GatewayError> {
    let no_host = !is_unicast(gateway) || gateway.is_loopback() || Some(gateway) == address.broadcast();
    let network = address.prefix_len() < 31 && gateway == address.network().address();
    if no_host || network {
        Err(GatewayError::NotAHost)
    } else if gateway == address.address() {
        Err(GatewayError::OurOwn)
    } else if address.prefix_len() < 32 && !address.contains_addr(&gateway) {
        Err(GatewayError::OutsideNetwork)
    } else {
        Ok(())
    }
}

/// A route besides our network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    to: Ipv4Cidr,
    /// The gateway; `None`: the destination is on this link.
    via: Option<Ipv4Address>,
}

/// The routes of a host with an IPv4 address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routes {
    /// Longer prefixes first.
    list: Vec<Route>,
}

impl Routes {
    /// A default route by a gateway that was checked.
    pub(crate) fn by(gateway: Option<Ipv4Address>) -> Self {
        Self { list: gateway.map(|via| Route { to: DEFAULT, via: Some(via) }).into_iter().collect() }
    }

    /// The routes in DHCP's option 121; `None`: the option is malformed, or has no route that can be used. RFC 3442.
    pub(crate) fn classless(option: &[u8], address: Ipv4Cidr) -> Option<Self> {
        let mut list: Vec<Route> = Vec::new();
        let mut rest = option;
        while let [prefix, after @ ..] = rest {
            let len = usize::from(prefix.div_ceil(8));
            if *prefix > 32 {
                return None;
            }
            let mut network = [0; 4];
            network.get_mut(..len)?.copy_from_slice(after.get(..len)?);
            let (gateway, after) = after.get(len..)?.split_first_chunk::<4>()?;
            rest = after;
            let to = Ipv4Cidr::new(Ipv4Address::from(network), *prefix).network();
            let via = Some(Ipv4Address::from(*gateway)).filter(|gateway| !gateway.is_unspecified());
            if list.len() < ROUTES {
                list.push(Route { to, via });
            }
        }
        let on_link = |gateway: Ipv4Address| {
            list.iter().any(|route| {
                let itself = route.via.is_none() || route.via == Some(gateway);
                itself && route.to.prefix_len() > 0 && route.to.contains_addr(&gateway)
            })
        };
        let usable = |route: &Route| {
            route.via.is_none_or(|gateway| match check_gateway(address, gateway) {
                Ok(()) => true,
                Err(GatewayError::OutsideNetwork) => on_link(gateway),
                Err(_) => false,
            })
        };
        let mut usable: Vec<_> = list.iter().copied().filter(usable).collect();
        usable.sort_by_key(|route| core::cmp::Reverse(route.to.prefix_len()));
        (!usable.is_empty()).then_some(Self { list: usable })
    }

    /// The neighbour that takes a packet for `peer`: `peer` itself if it is on this link; `None`: there is no route.
    pub(crate) fn next_hop(&self, address: Ipv4Cidr, peer: Ipv4Address) -> Option<Ipv4Address> {
        let found = self.list.iter().find(|route| route.to.contains_addr(&peer));
        let ours = address.contains_addr(&peer);
        match found {
            Some(route) if !ours || route.to.prefix_len() > address.prefix_len() => {
                // A gateway's own host route leads to it directly.
                Some(route.via.unwrap_or(peer))
            }
            _ if ours || self.is_gateway(peer) => Some(peer),
            _ => None,
        }
    }

    /// The gateway of the default route.
    pub(crate) fn gateway(&self) -> Option<Ipv4Address> {
        self.list.iter().find(|route| route.to.prefix_len() == 0)?.via
    }

    fn is_gateway(&self, peer: Ipv4Address) -> bool {
        self.list.iter().any(|route| route.via == Some(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(last: u8, prefix: u8) -> Ipv4Cidr {
        Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, last), prefix)
    }

    fn ip(last: u8) -> Ipv4Address {
        Ipv4Address::new(10, 0, 2, last)
    }

    const FAR: Ipv4Address = Ipv4Address::new(8, 8, 8, 8);

    #[test]
    fn gateways_that_cannot_be_are_named() {
        let ours = cidr(15, 24);
        assert_eq!(check_gateway(ours, ip(2)), Ok(()));
        for bad in [
            [0, 0, 0, 0],
            [255, 255, 255, 255],
            [224, 0, 0, 1],
            [10, 0, 2, 255],
            [10, 0, 2, 0],
            [127, 0, 0, 1],
        ] {
            assert_eq!(check_gateway(ours, Ipv4Address::from(bad)), Err(GatewayError::NotAHost), "{bad:?}");
        }
        assert_eq!(check_gateway(ours, ip(15)), Err(GatewayError::OurOwn));
        assert_eq!(check_gateway(ours, FAR), Err(GatewayError::OutsideNetwork));
        assert_eq!(check_gateway(cidr(15, 32), FAR), Ok(()));
        assert_eq!(
            (check_gateway(cidr(15, 31), ip(14)), check_gateway(cidr(14, 31), ip(15))),
            (Ok(()), Ok(()))
        );
    }

    #[test]
    fn a_gateway_outside_a_prefix_of_32_bits_takes_everything() {
        let routes = Routes::by(Some(ip(1)));
        assert_eq!(routes.next_hop(cidr(15, 32), FAR), Some(ip(1)));
        assert_eq!(routes.next_hop(cidr(15, 32), ip(1)), Some(ip(1)));
        assert_eq!(routes.next_hop(cidr(15, 32), ip(9)), Some(ip(1)));
        assert_eq!(Routes::default().next_hop(cidr(15, 32), ip(9)), None);
        assert_eq!((routes.next_hop(cidr(15, 24), ip(9)), routes.gateway()), (Some(ip(9)), Some(ip(1))));
    }

    #[test]
    fn classless_routes_prefer_the_longer_prefix() {
        // 10.0.2.1/32 on link, 192.168.0.0/16 by 10.0.2.3, the default by 10.0.2.1.
        let option =
            [&[0, 10, 0, 2, 1][..], &[16, 192, 168, 10, 0, 2, 3], &[32, 10, 0, 2, 1, 0, 0, 0, 0]].concat();
        for prefix in [24, 32] {
            let routes = Routes::classless(&option, cidr(15, prefix)).unwrap();
            let hop = |peer| routes.next_hop(cidr(15, prefix), peer);
            assert_eq!((hop(FAR), hop(ip(1))), (Some(ip(1)), Some(ip(1))));
            assert_eq!(hop(Ipv4Address::new(192, 168, 7, 7)), Some(ip(3)));
            assert_eq!(routes.gateway(), Some(ip(1)));
        }
        for len in 1..option.len() {
            let cut = Routes::classless(&option[..len], cidr(15, 24));
            assert_eq!(cut.is_some(), [5, 12].contains(&len), "{len} bytes");
        }
        assert_eq!(Routes::classless(&[33, 1, 2, 3, 4, 5, 10, 0, 2, 1], cidr(15, 24)), None);
        assert_eq!(Routes::classless(&[0, 224, 0, 0, 1], cidr(15, 24)), None);
        assert_eq!(
            Routes::classless(&[0, 10, 0, 3, 1], cidr(15, 24)),
            None,
            "outside, and not said to be on link"
        );
        let outside = [&[32, 10, 0, 3, 1, 0, 0, 0, 0][..], &[0, 10, 0, 3, 1]].concat();
        let routes = Routes::classless(&outside, cidr(15, 24)).unwrap();
        assert_eq!(routes.next_hop(cidr(15, 24), FAR), Some(Ipv4Address::new(10, 0, 3, 1)));
    }
}
