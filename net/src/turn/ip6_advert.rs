//! Router advertisements: the way out, and prefixes to make addresses from. RFC 4861, 6.3.4; RFC 4862, 5.5.3.
//!
//! An advertisement is believed as far as the caps allow: a flood of them costs its frames and no more. What is not read:
//! link MTU (the backend's counts), hop limit, timers, preferences; name servers are not resolved here.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetFrame, Icmpv6Packet, Ipv6Address, Ipv6Cidr, Ipv6Packet, NdiscOption, NdiscOptionRepr,
    NdiscPrefixInfoFlags, NdiscPrefixInformation,
};

use crate::addr::ip6::{Ip6, LEAST_LIFE, PREFIXES, ROUTERS, Router, address, is_unicast};
use crate::turn::state::State;
use crate::base::status::{DropReason, Ipv6State, bump};
use crate::base::time;

/// Options of one advertisement that are looked at.
const OPTIONS: usize = 32;

/// The lifetime that never ends.
const FOREVER: Duration = Duration::from_secs(0xffff_ffff);

impl State {
    /// Takes the advertisement in a frame that was classified as one.
    pub(crate) fn advertised(&mut self, frame: &[u8]) -> Option<()> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let packet = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
        let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
        let (now, ip6) = (self.now, &mut self.me.ip6);
        if !ip6.auto {
            self.counters.drop(DropReason::Neighbour);
            return None;
        }
        bump(&mut self.counters.routers_heard);
        let mut full = !ip6.heard_router(packet.src_addr(), message.router_lifetime(), now);
        let mut options = message.payload();
        for _ in 0..OPTIONS {
            let Ok(option) = NdiscOption::new_checked(options) else { break };
            let len = usize::from(option.data_len()).checked_mul(8).filter(|len| *len > 0)?;
            if let Ok(NdiscOptionRepr::PrefixInformation(prefix)) = NdiscOptionRepr::parse(&option) {
                full |= !ip6.heard_prefix(&prefix, now);
            }
            options = options.get(len..)?;
        }
        if full {
            bump(&mut self.counters.routers_refused);
        }
        Some(())
    }
}

impl Ip6 {
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
                log::info!("net: IPv6 router {from}, {} s", lifetime.secs());
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
        let fits = prefix.prefix_len == 64 && is_unicast(prefix.prefix);
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
        if made >= PREFIXES || self.own.first().is_some_and(|local| local.state == Ipv6State::Duplicate) {
            return false;
        }
        self.add(Ipv6Cidr::new(ours, if on_link { 64 } else { 128 }), expires);
        self.report = Some(now);
        self.due = Some(now);
        true
    }
}
