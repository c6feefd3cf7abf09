//! Router advertisements: the default router, and prefixes to make addresses from. RFC 4861, 6.3.4; RFC 4862, 5.5.3.
//!
//! Not used: link MTU (the backend's counts), hop limit, timers, preferences, name servers.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetFrame, Icmpv6Packet, Ipv6Address, Ipv6Cidr, Ipv6Packet, NdiscOption, NdiscOptionRepr,
    NdiscPrefixInfoFlags, NdiscPrefixInformation,
};

use super::{Ip6, LEAST_LIFE, PREFIXES, ROUTERS, Router, address};
use crate::base::status::Ipv6State;
use crate::base::time;
use crate::frame::local::is_unicast_v6;

/// Options read of one advertisement.
const OPTIONS: usize = 32;

/// The lifetime that never ends.
const FOREVER: Duration = Duration::from_secs(0xffff_ffff);

/// The effect of an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Advertisements are not used.
    Ignored,
    /// Taken over.
    Taken,
    /// It names a router or a prefix more than we keep.
    Refused,
}

impl Ip6 {
    /// Takes the advertisement in a frame that was classified as one. An option of a wrong length ends the reading.
    pub(crate) fn advertised(&mut self, frame: &[u8], now: Instant) -> Heard {
        if !self.auto {
            return Heard::Ignored;
        }
        if self.read_advertisement(frame, now).unwrap_or(true) { Heard::Taken } else { Heard::Refused }
    }

    /// `false`: it names more than we keep.
    fn read_advertisement(&mut self, frame: &[u8], now: Instant) -> Option<bool> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let packet = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
        let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
        let mut fits = self.heard_router(packet.src_addr(), message.router_lifetime(), now);
        let mut options = message.payload();
        for _ in 0..OPTIONS {
            let Ok(option) = NdiscOption::new_checked(options) else { break };
            let len = usize::from(option.data_len()).saturating_mul(8);
            if len == 0 {
                break;
            }
            if let Ok(NdiscOptionRepr::PrefixInformation(prefix)) = NdiscOptionRepr::parse(&option) {
                fits &= self.heard_prefix(&prefix, now);
            }
            options = options.get(len..).unwrap_or_default();
        }
        Some(fits)
    }

    /// `false`: there are too many.
    fn heard_router(&mut self, from: Ipv6Address, lifetime: Duration, now: Instant) -> bool {
        let expires = time::after(now, lifetime);
        let full = self.routers.len() >= ROUTERS;
        let known = self.routers.iter_mut().find(|router| router.address == from);
        match known {
            Some(router) => router.expires = Some(expires),
            None if lifetime == Duration::ZERO => return true,
            None if full => return false,
            None => {
                log::info!("IPv6 router {from}, {} s", lifetime.secs());
                self.routers.push(Router { address: from, expires: Some(expires) });
            }
        }
        self.solicit = None;
        self.due = Some(now);
        true
    }

    /// `false`: there are too many.
    fn heard_prefix(&mut self, prefix: &NdiscPrefixInformation, now: Instant) -> bool {
        // 64 bits, as our identifier has; smoltcp panics for more than 128.
        let fits = prefix.prefix_len == 64 && is_unicast_v6(prefix.prefix);
        if !fits || !prefix.is_valid_prefix_info() || prefix.prefix.is_unicast_link_local() {
            return true;
        }
        let high = u64::try_from(prefix.prefix.to_bits() >> 64).unwrap_or_default();
        let ours = address(high, self.identifier);
        let on_link = prefix.flags.contains(NdiscPrefixInfoFlags::ON_LINK);
        let lifetime = prefix.valid_lifetime;
        let expires = (lifetime < FOREVER).then(|| time::after(now, lifetime));
        if let Some(own) = self.own.iter_mut().find(|own| own.cidr.address() == ours) {
            let left = own.expires.map_or(FOREVER, |at| Duration::from(time::until(now, at)));
            if lifetime > LEAST_LIFE || lifetime > left {
                own.expires = expires;
            } else if left > LEAST_LIFE {
                own.expires = Some(time::after(now, LEAST_LIFE));
            }
            return true;
        }
        let made = self.own.len().saturating_sub(1);
        if lifetime == Duration::ZERO {
            return true;
        }
        // RFC 4862, section 5.4.5: the identifier is another host's, and so would be the address.
        if made >= PREFIXES || self.own.first().is_some_and(|local| local.state == Ipv6State::Duplicate) {
            return false;
        }
        self.add(Ipv6Cidr::new(ours, if on_link { 64 } else { 128 }), expires);
        self.report = Some(now);
        self.due = Some(now);
        true
    }
}
