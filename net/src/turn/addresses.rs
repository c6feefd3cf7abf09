//! Our addresses: follows DHCP and IPv6 autoconfiguration, and announces what has changed.

use nic::Nic;
use smoltcp::socket::dhcpv4;
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, Ipv4Cidr, Ipv6Address};

use crate::addr::dhcp::{Lease, lease, log_lease, usable};
use crate::addr::ip6::Ip6;
use crate::addr::ip6::advert::Heard;
use crate::base::counters::DropReason;
use crate::base::sched::Job;
use crate::base::time;
use crate::link::{arp, ndisc};
use crate::turn::state::State;

/// Between the two announcements of an address. RFC 5227, section 1.1, ANNOUNCE_INTERVAL and ANNOUNCE_NUM.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

impl State {
    /// Gives the interface this IPv4 address and no other, and applies the consequences.
    pub(super) fn set_address(&mut self, address: Option<Ipv4Cidr>) {
        self.me.address = address;
        self.configure_interface();
        if address.is_some() {
            self.address.announce = true;
            self.address.wake();
        }
        self.look_at_lost();
    }

    /// Follows the DHCP client and the lease's end; called when the common sockets were polled.
    pub(crate) fn follow_dhcp(&mut self) {
        let now = self.now;
        let Some(handle) = self.address.dhcp else { return };
        match self.common.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            Some(dhcpv4::Event::Configured(config)) => {
                let lease = lease(&config, now);
                self.bound(lease);
            }
            Some(dhcpv4::Event::Deconfigured) if !core::mem::take(&mut self.address.looking_again) => {
                self.unbound("refused or expired");
            }
            Some(dhcpv4::Event::Deconfigured) | None => {}
        }
        if self.address.deadline().is_some_and(|end| end <= now) {
            self.unbound("expired");
        }
    }

    fn bound(&mut self, lease: Lease) {
        self.address.looking_again = false;
        if !usable(lease.address) {
            log::warn!("net: DHCP server {} offers {}, which no host can have", lease.server, lease.address);
            return;
        }
        if self.address.lease.as_ref().is_some_and(|old| old.address == lease.address) {
            self.counters.dhcp_renewed.bump();
            log::debug!("net: DHCP lease {} renewed for {} s", lease.address, lease.length.secs());
        } else {
            self.counters.dhcp_bound.bump();
            log_lease(&lease);
        }
        let moved = self.me.address != Some(lease.address) || self.address.gateway != lease.gateway;
        self.address.gateway = lease.gateway;
        self.address.dns.clone_from(&lease.dns);
        let address = lease.address;
        self.address.lease = Some(lease);
        if moved {
            self.set_address(Some(address));
        }
    }

    fn unbound(&mut self, why: &str) {
        let Some(lease) = self.address.lease.take() else { return };
        self.counters.dhcp_lost.bump();
        log::warn!("net: DHCP lease {} lost ({why}); the interface has no address", lease.address);
        self.address.gateway = None;
        self.address.dns.clear();
        self.set_address(None);
    }

    /// The link is new and may lead elsewhere: asks for an address again, and keeps the old one meanwhile.
    pub(crate) fn look_again(&mut self) {
        let Some(handle) = self.address.dhcp else { return };
        // Only a client that holds a lease reports its loss.
        self.address.looking_again = self.address.lease.is_some();
        self.common.get_mut::<dhcpv4::Socket<'_>>(handle).reset();
        self.mark(Job::Common);
    }

    /// Sends the announcement that is due, if any; stays due when there is no slot to send.
    pub(crate) fn announce<N: Nic>(&mut self, nic: &mut N) {
        let again = self.address.announce_again.is_some_and(|at| at <= self.now);
        let due = (self.address.announce || again) && self.link_up;
        let Some(address) = self.me.address.filter(|_| due) else { return };
        if arp::request(nic, self.now, self.me.mac, address.address(), address.address()) {
            let first = self.address.announce;
            self.address.announce = false;
            self.address.announce_again = first.then(|| time::after(self.now, ANNOUNCE_INTERVAL));
            self.counters.announced.bump();
        }
    }

    /// Changes our IPv6 addresses and keeps the copy in `me` current.
    fn with_ip6<R>(&mut self, change: impl FnOnce(&mut Ip6) -> R) -> R {
        let result = change(&mut self.ip6);
        self.me.six = self.ip6.local();
        result
    }

    /// Applies and sends what is due for our IPv6 addresses.
    pub(super) fn run_ip6<N: Nic>(&mut self, nic: &mut N) {
        if !self.link_up || self.ip6.due.is_none_or(|at| at > self.now) {
            return;
        }
        let mut wire = ndisc::Wire { nic, now: self.now, mac: self.me.mac };
        let changed = self.ip6.run(&mut wire, &mut self.counters);
        self.me.six = self.ip6.local();
        self.join_groups(nic);
        if changed {
            self.configure_interface();
            self.look_at_lost();
            if self.me.six.is_configured() {
                self.address.wake();
            }
        }
    }

    /// The link is new: addresses are probed, announced and asked for again.
    pub(super) fn new_link_addresses(&mut self) {
        let now = self.now;
        self.address.announce = self.me.address.is_some();
        self.with_ip6(|ip6| ip6.new_link(now));
        self.look_again();
    }

    /// Takes the router advertisement in a frame that was classified as one.
    pub(super) fn advertised(&mut self, frame: &[u8]) {
        let now = self.now;
        match self.with_ip6(|ip6| ip6.advertised(frame, now)) {
            Heard::Ignored => self.drops.bump(DropReason::Neighbour),
            heard => {
                self.counters.routers_heard.bump();
                if heard == Heard::Refused {
                    self.counters.routers_refused.bump();
                }
            }
        }
    }

    /// Another host claims an address that we are probing.
    pub(super) fn contested(&mut self, address: Ipv6Address) {
        let now = self.now;
        self.with_ip6(|ip6| ip6.contested(address, now));
    }

    /// Tells all nodes that an address is ours: another host is probing it.
    pub(super) fn defend<N: Nic>(&mut self, nic: &mut N, address: Ipv6Address) {
        let mut wire = ndisc::Wire { nic, now: self.now, mac: self.me.mac };
        if wire.advertise(address).is_some() {
            self.counters.defended.bump();
        }
    }

    /// The neighbour that takes a packet to `peer`: `peer` itself on our network, else the gateway. `None`: no route.
    pub(crate) fn next_hop(&self, peer: IpAddress) -> Option<IpAddress> {
        match peer {
            IpAddress::Ipv4(v4) if self.me.address?.contains_addr(&v4) => Some(peer),
            IpAddress::Ipv4(_) => self.address.gateway.map(Into::into),
            IpAddress::Ipv6(v6) if self.me.six.on_link(v6) => Some(peer),
            IpAddress::Ipv6(_) => self.me.six.gateway().map(Into::into),
        }
    }
}
