//! Our addresses: follows DHCP, conflict detection and IPv6 autoconfiguration, and announces changes.

use nic::Nic;
use smoltcp::wire::{EthernetAddress, IpAddress, Ipv4Address, Ipv4Cidr, Ipv6Address};

use crate::addr::conflict::{Heard, Step};
use crate::addr::dhcp::lease::Lease;
use crate::addr::dhcp::{Event, Outgoing};
use crate::addr::ip6::Ip6;
use crate::addr::ip6::advert::Heard as Advert;
use crate::base::counters::DropReason;
use crate::base::observer::Show;
use crate::frame::classify::Datagram;
use crate::frame::emit::{self, Ends};
use crate::link::arp::Arp;
use crate::link::neighbours::Lookup;
use crate::link::wire::Wire;
use crate::turn::frame::Frame;
use crate::turn::state::State;

/// The ports of DHCP. RFC 2131, section 4.1.
const CLIENT: u16 = 68;
const SERVER: u16 = 67;

impl State {
    /// Gives the interface this IPv4 address and no other, and applies the consequences.
    fn set_address(&mut self, address: Option<Ipv4Cidr>) {
        self.me.address = address;
        match address {
            Some(_) => {
                self.v4.conflict.announce(self.now);
                self.v4.wake();
            }
            None => self.v4.conflict.stop(),
        }
        self.look_at_lost();
    }

    /// Applies and sends everything due for our IPv4 address.
    pub(super) fn run_v4<N: Nic>(&mut self, nic: &mut N) {
        if let Some(client) = &mut self.v4.dhcp {
            client.tell(self.link_up, self.now);
            let over = client.expire(self.now);
            over.into_iter().for_each(|event| self.dhcp_event(event));
        }
        if !self.link_up {
            return;
        }
        self.take_fixed();
        self.run_dhcp(nic);
        while let Some(step) = self.v4.conflict.due(self.now) {
            if self.conflict_step(nic, step).is_none() {
                return;
            }
        }
        if self.link.mtu != self.mtu_of(nic) {
            self.rebuild_interface(nic);
        }
    }

    /// Takes the fixed address, after a probe if that is configured.
    pub(super) fn take_fixed(&mut self) {
        let Some(address) = self.v4.fixed_due(self.now) else { return };
        if self.v4.probes() {
            self.v4.conflict.probe(address.address(), self.now);
        } else {
            self.set_address(Some(address));
        }
    }

    /// Does one step of conflict detection; `None`: there is no slot.
    fn conflict_step<N: Nic>(&mut self, nic: &mut N, step: Step) -> Option<()> {
        let (now, mac) = (self.now, self.me.mac);
        let mut wire = Wire { nic, now, mac, show: Show::new(&self.observer, now) };
        match step {
            Step::Probe(candidate) => {
                let probe = Arp::request(mac, Ipv4Address::UNSPECIFIED, candidate);
                wire.arp(&probe, EthernetAddress::BROADCAST)?;
                self.v4.conflict.probed(now, &mut self.rng);
            }
            Step::Free(_) => {
                self.v4.conflict.taken();
                match &mut self.v4.dhcp {
                    Some(client) => client.checked().into_iter().for_each(|event| self.dhcp_event(event)),
                    None => self.set_address(self.v4.fixed),
                }
            }
            Step::Announce => {
                if let Some(cidr) = self.me.address {
                    let claim = Arp::request(mac, cidr.address(), cidr.address());
                    wire.arp(&claim, EthernetAddress::BROADCAST)?;
                    self.counters.announced.bump();
                }
                self.v4.conflict.announced(now);
            }
        }
        Some(())
    }

    /// Another host has an address that we probe or use.
    pub(super) fn conflict(&mut self, heard: Heard) {
        self.counters.conflicts.bump();
        match heard {
            Heard::Nothing | Heard::Contested => {}
            Heard::Taken(address, mac) => {
                log::error!("IPv4 address {address} is in use by {mac}; it is not taken");
                self.lose_to(address, mac);
            }
            Heard::Defend(mac) => {
                self.counters.defended.bump();
                log::warn!("{mac} uses our IPv4 address too, and is told that it is ours");
            }
            Heard::GiveUp(mac) => {
                if let Some(address) = self.me.address.map(|cidr| cidr.address()) {
                    log::error!("{mac} keeps using our IPv4 address {address}, which is given up");
                    self.lose_to(address, mac);
                }
            }
        }
    }

    fn lose_to(&mut self, address: Ipv4Address, mac: EthernetAddress) {
        let Some(client) = &mut self.v4.dhcp else { return self.v4.try_later(self.now) };
        if let Some(lease) = client.conflict(address, mac, self.now) {
            self.unbound(lease.address, "in use by another host");
        }
    }

    /// Sends pending messages of the DHCP client.
    fn run_dhcp<N: Nic>(&mut self, nic: &mut N) {
        let Some(client) = &mut self.v4.dhcp else { return };
        let message = client.poll(self.now, &mut self.rng);
        if message.is_some() {
            self.dhcp_pending = message;
        }
        if let Some(message) = self.dhcp_pending.take()
            && !self.send_dhcp(nic, &message)
        {
            self.dhcp_pending = Some(message);
        }
    }

    /// Sends a message; `false`: its neighbour or a slot is missing.
    fn send_dhcp<N: Nic>(&mut self, nic: &mut N, message: &Outgoing) -> bool {
        let to = IpAddress::from(message.to);
        let mac = if message.to.is_broadcast() {
            EthernetAddress::BROADCAST
        } else {
            let Some(hop) = self.next_hop(to) else { return true };
            match self.neighbours.lookup(hop, self.now) {
                Lookup::Known(mac) => mac,
                Lookup::Pending => return false,
                Lookup::Full => return true,
            }
        };
        let mut wire =
            Wire { nic, now: self.now, mac: self.me.mac, show: Show::new(&self.observer, self.now) };
        let ends = Ends { from: message.from.into(), to, mac };
        emit::udp(&mut wire, ends, (CLIENT, SERVER), &message.bytes).is_some()
    }

    /// Takes a datagram to the DHCP client's port.
    pub(super) fn dhcp_frame<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, found: &Datagram) {
        let bytes = frame.bytes(nic).and_then(|bytes| bytes.get(found.payload.clone())).map(<[u8]>::to_vec);
        frame.discard(nic);
        let (Some(client), Some(bytes)) = (&mut self.v4.dhcp, bytes) else { return };
        let event = match found.from.port {
            SERVER => client.receive(&bytes, self.now, &mut self.rng),
            _ => Event::Ignored,
        };
        self.dhcp_event(event);
    }

    fn dhcp_event(&mut self, event: Event) {
        match event {
            Event::Continues => {}
            Event::Ignored => self.counters.dhcp_ignored.bump(),
            Event::Check(address) if self.v4.probes() => self.v4.conflict.probe(address, self.now),
            Event::Check(_) => {
                let event = self.v4.dhcp.as_mut().and_then(|client| client.checked());
                if let Some(Event::Bound { renewed }) = event {
                    self.bound(renewed);
                }
            }
            Event::Bound { renewed } => self.bound(renewed),
            Event::Lost(address, why) => self.unbound(address, why),
        }
    }

    /// A lease is in use.
    fn bound(&mut self, renewed: bool) {
        let Some(lease) = self.v4.dhcp.as_ref().and_then(|client| client.lease()).cloned() else { return };
        if renewed {
            self.counters.dhcp_renewed.bump();
            log::debug!("DHCP lease {} renewed for {} s", lease.address, lease.length.secs());
        } else {
            self.counters.dhcp_bound.bump();
            log_lease(&lease);
        }
        let moved = self.me.address != Some(lease.address) || self.v4.routes != lease.routes;
        self.v4.routes = lease.routes;
        self.v4.dns = lease.dns;
        self.v4.ntp = lease.ntp;
        self.v4.mtu = lease.mtu.map(usize::from);
        if self.v4.hostname.is_empty() {
            self.v4.hostname = lease.hostname.unwrap_or_default();
        }
        if moved {
            self.set_address(Some(lease.address));
        }
    }

    fn unbound(&mut self, address: Ipv4Cidr, why: &str) {
        self.counters.dhcp_lost.bump();
        log::warn!("DHCP lease {address} lost ({why}); the interface has no address");
        self.v4.routes = Default::default();
        self.v4.dns.clear();
        self.v4.ntp.clear();
        self.v4.mtu = None;
        self.dhcp_pending = None;
        self.set_address(None);
    }

    /// Changes our IPv6 addresses and keeps the copy in `me` current.
    fn with_ip6<R>(&mut self, change: impl FnOnce(&mut Ip6) -> R) -> R {
        let result = change(&mut self.ip6);
        self.me.six = self.ip6.local();
        result
    }

    /// Applies and sends everything due for our IPv6 addresses.
    pub(super) fn run_ip6<N: Nic>(&mut self, nic: &mut N) {
        if !self.link_up || self.ip6.due.is_none_or(|at| at > self.now) {
            return;
        }
        let mut wire =
            Wire { nic, now: self.now, mac: self.me.mac, show: Show::new(&self.observer, self.now) };
        let changed = self.ip6.run(&mut wire, &mut self.counters);
        self.me.six = self.ip6.local();
        self.join_groups(nic);
        if changed {
            self.look_at_lost();
            if self.me.six.is_configured() {
                self.v4.wake();
            }
        }
    }

    /// The link is new: addresses are announced and requested again, and known neighbours are not valid any more.
    pub(super) fn new_link_addresses(&mut self) {
        let now = self.now;
        self.neighbours.new_link();
        if self.me.address.is_some() {
            self.v4.conflict.announce(now);
        }
        self.with_ip6(|ip6| ip6.new_link(now));
        if let Some(client) = &mut self.v4.dhcp {
            client.new_link(self.me.mac, now);
        }
    }

    /// Takes the router advertisement in a frame that was classified as one.
    pub(super) fn advertised(&mut self, frame: &[u8]) {
        let now = self.now;
        match self.with_ip6(|ip6| ip6.advertised(frame, now)) {
            Advert::Ignored => self.drops.bump(DropReason::Neighbour),
            heard => {
                self.counters.routers_heard.bump();
                if heard == Advert::Refused {
                    self.counters.routers_refused.bump();
                }
            }
        }
    }

    /// Another host claims an address that we are probing.
    pub(super) fn contested(&mut self, address: Ipv6Address) {
        let now = self.now;
        self.counters.conflicts.bump();
        self.with_ip6(|ip6| ip6.contested(address, now));
    }

    /// Announces to all nodes that an address is ours: another host is probing it.
    pub(super) fn defend<N: Nic>(&mut self, nic: &mut N, address: Ipv6Address) {
        self.counters.conflicts.bump();
        let mut wire =
            Wire { nic, now: self.now, mac: self.me.mac, show: Show::new(&self.observer, self.now) };
        if wire.advertise(address).is_some() {
            self.counters.defended.bump();
        }
    }

    /// The neighbour that takes a packet to `peer`: `peer` itself on this link, else a gateway. `None`: no route.
    pub(crate) fn next_hop(&self, peer: IpAddress) -> Option<IpAddress> {
        match peer {
            IpAddress::Ipv4(v4) => self.v4.routes.next_hop(self.me.address?, v4).map(Into::into),
            IpAddress::Ipv6(v6) if self.me.six.on_link(v6) => Some(peer),
            IpAddress::Ipv6(_) => self.me.six.gateway().map(Into::into),
        }
    }
}

fn log_lease(lease: &Lease) {
    let Lease { address, server, length, .. } = lease;
    match lease.routes.gateway() {
        Some(gateway) => {
            log::info!("DHCP lease {address} from {server}, gateway {gateway}, {} s", length.secs());
        }
        None => log::info!("DHCP lease {address} from {server}, no gateway, {} s", length.secs()),
    }
}
