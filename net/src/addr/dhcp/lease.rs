//! A lease: what a server's acknowledgement gives, checked.

use alloc::string::String;
use alloc::vec::Vec;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

use super::message::{Reply, option};
use crate::addr::routes::{Routes, check_gateway};
use crate::base::time;
use crate::frame::local::is_unicast;

/// The lease of a server that names no length.
const DEFAULT_LENGTH: u32 = 120;

/// The least MTU that every host takes. RFC 791, section 3.1.
const LEAST_MTU: u16 = 576;

/// The longest host name that is taken over, bytes.
const HOSTNAME: usize = 64;

/// What a server gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Cidr,
    pub(crate) server: Ipv4Address,
    pub(crate) routes: Routes,
    pub(crate) dns: Vec<Ipv4Address>,
    pub(crate) ntp: Vec<Ipv4Address>,
    pub(crate) hostname: Option<String>,
    /// The network's MTU in bytes, if the server sends it.
    pub(crate) mtu: Option<u16>,
    pub(crate) length: Duration,
    /// When it is renewed, when any server is asked, and when it ends. RFC 2131, section 4.4.5.
    pub(crate) renew: Instant,
    pub(crate) rebind: Instant,
    pub(crate) expires: Instant,
}

impl Lease {
    /// The lease in an acknowledgement. `old` is the lease that it renews, whose mask and routes stay if it names none.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn read(reply: &Reply<'_>, old: Option<&Self>, now: Instant) -> Result<Self, &'static str> {
        let server = server(reply).or(old.map(|old| old.server)).ok_or("it names no server")?;
        let old = old.filter(|old| old.address.address() == reply.address);
        let prefix = match reply.address_of(option::MASK) {
            Some(mask) => prefix(mask).ok_or("its netmask is none")?,
            None => old.map_or_else(|| class_prefix(reply.address), |old| old.address.prefix_len()),
        };
        let address = Ipv4Cidr::new(reply.address, prefix);
        if !usable(address) {
            return Err("its address cannot be a host's");
        }
        let seconds = reply.number(option::LEASE).unwrap_or(DEFAULT_LENGTH);
        if seconds == 0 {
            return Err("its lease lasts 0 s");
        }
        let length = Duration::from_secs(seconds.into());
        let (renew, rebind) = timers(reply, seconds);
        let routes = routes(reply, address).or_else(|| old.map(|old| old.routes.clone())).unwrap_or_default();
        Ok(Self {
            address,
            server,
            routes,
            dns: reply.addresses(option::DNS),
            ntp: reply.addresses(option::NTP),
            hostname: hostname(reply),
            mtu: reply.short(option::MTU).filter(|mtu| *mtu >= LEAST_MTU),
            length,
            renew: time::after(now, renew),
            rebind: time::after(now, rebind),
            expires: time::after(now, length),
        })
    }
}

/// The server's identifier, if it is one host's address.
pub(crate) fn server(reply: &Reply<'_>) -> Option<Ipv4Address> {
    reply.address_of(option::SERVER).filter(|server| is_unicast(*server) && !server.is_loopback())
}

/// Renewal and rebinding after the start: the server's if they are in order, else half and seven eighths.
fn timers(reply: &Reply<'_>, lease: u32) -> (Duration, Duration) {
    let lease = u64::from(lease);
    let eighths = |count: u64| lease.saturating_mul(count).div_ceil(8);
    let named = |kind| reply.number(kind).map(u64::from);
    let (renew, rebind) = match (named(option::RENEWAL), named(option::REBINDING)) {
        (Some(renew), Some(rebind)) if 0 < renew && renew < rebind && rebind < lease => (renew, rebind),
        (Some(renew), None) if 0 < renew && renew < eighths(7) => (renew, eighths(7)),
        _ => (eighths(4), eighths(7)),
    };
    (Duration::from_secs(renew), Duration::from_secs(rebind))
}

/// Classless routes if there are any, else the first router that can be one. `None`: the server names no way.
fn routes(reply: &Reply<'_>, address: Ipv4Cidr) -> Option<Routes> {
    for kind in [option::ROUTES, option::ROUTES_OLD] {
        let value = reply.option(kind).unwrap_or_default();
        if let Some(routes) = Routes::classless(&value, address) {
            return Some(routes);
        }
    }
    let routers = reply.addresses(option::ROUTER);
    let usable = routers.iter().find(|router| check_gateway(address, **router).is_ok());
    if let (None, Some(first)) = (usable, routers.first())
        && let Err(why) = check_gateway(address, *first)
    {
        log::warn!("DHCP names gateway {first} for {address}, which is ignored: {why}");
    }
    (!routers.is_empty()).then(|| Routes::by(usable.copied()))
}

/// A host name of letters, digits, dots and hyphens.
fn hostname(reply: &Reply<'_>) -> Option<String> {
    let name = reply.option(option::HOSTNAME)?;
    let name = name.strip_suffix(&[0]).unwrap_or(&name);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
    let fits = !name.is_empty() && name.len() <= HOSTNAME && name.iter().all(plain);
    fits.then(|| name.iter().map(|byte| char::from(*byte)).collect())
}

/// The length of the prefix that a netmask has.
fn prefix(mask: Ipv4Address) -> Option<u8> {
    let bits = mask.to_bits();
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).unwrap_or(32))
}

/// The prefix of the address's class, which counts without a netmask. RFC 2131, section 4.4; RFC 950.
fn class_prefix(address: Ipv4Address) -> u8 {
    match address.octets() {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        _ => 24,
    }
}

/// Whether a host can have this address: unicast, and neither its network's own nor its broadcast address.
pub(crate) fn usable(address: Ipv4Cidr) -> bool {
    let host = address.address();
    let edge = address.prefix_len() < 31
        && (Some(host) == address.broadcast() || host == address.network().address());
    is_unicast(host) && !host.is_loopback() && address.prefix_len() != 0 && !edge
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(last: u8, prefix: u8) -> Ipv4Cidr {
        Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, last), prefix)
    }

    #[test]
    fn addresses_that_no_host_can_have_are_refused() {
        assert!(usable(cidr(15, 24)) && usable(cidr(15, 31)) && usable(cidr(15, 32)));
        assert!(!usable(cidr(255, 24)) && !usable(cidr(0, 24)) && !usable(cidr(15, 0)));
        assert!(!usable(Ipv4Cidr::new(Ipv4Address::new(127, 0, 0, 1), 8)));
        assert!(!usable(Ipv4Cidr::new(Ipv4Address::UNSPECIFIED, 24)));
    }

    #[test]
    fn netmasks_and_classes_give_prefixes() {
        let mask = |bits: u32| prefix(Ipv4Address::from_bits(bits));
        assert_eq!((mask(0xffff_ff00), mask(u32::MAX), mask(0)), (Some(24), Some(32), Some(0)));
        assert_eq!((mask(0xff00_ff00), mask(1)), (None, None));
        let class = |first| class_prefix(Ipv4Address::new(first, 0, 2, 15));
        assert_eq!([10, 127, 128, 172, 191, 192, 200].map(class), [8, 8, 16, 16, 16, 24, 24]);
    }
}
