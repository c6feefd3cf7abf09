//! Neighbours: messages of ARP and neighbour discovery, and requests for hardware addresses.

use nic::Nic;
use smoltcp::wire::{ArpOperation, EthernetAddress, IpAddress, NdiscOptionType};

use crate::addr::conflict::Heard;
use crate::base::counters::{DropReason, FrameKind};
use crate::base::observer::Show;
use crate::frame::classify::sender;
use crate::frame::classify::v6::{Neighbour, link_address_of};
use crate::frame::local::is_unicast;
use crate::link::arp::Arp;
use crate::link::neighbours::{Ask, Source};
use crate::link::wire::Wire;
use crate::tcp::conn::ConnFlags;
use crate::turn::frame::Frame;
use crate::turn::state::State;

impl State {
    /// Takes an ARP message. RFC 826: the sender's address first, then whether the message is for us.
    pub(super) fn arp_frame<N: Nic>(&mut self, nic: &mut N, message: &Arp) {
        self.counters.received(FrameKind::Arp);
        let ours = self.me.address.map(|cidr| cidr.address());
        let (mac, from) = message.from;
        if mac == self.me.mac {
            return;
        }
        let keep = self.v4.keep();
        let heard = self.v4.conflict.hear(message, (self.me.mac, ours), keep, self.now);
        let claims = ours == Some(from);
        if heard != Heard::Nothing {
            self.conflict(heard);
        }
        let asks = message.operation == ArpOperation::Request && self.me.is(message.to.1) && !claims;
        if is_unicast(from) && !from.is_loopback() && !claims {
            self.learn(from.into(), mac, if asks { Source::Request } else { Source::Claim });
        }
        if asks && mac.is_unicast() {
            let mut wire =
                Wire { nic, now: self.now, mac: self.me.mac, show: Show::new(&self.observer, self.now) };
            // Without a slot the reply is lost, as on the way.
            let _ = wire.arp(&message.reply(self.me.mac), mac);
        }
    }

    /// Takes a message of IPv6 neighbour discovery.
    pub(super) fn neighbour_frame<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, what: Neighbour) {
        match what {
            Neighbour::Router(from) => {
                if let Some(bytes) = frame.bytes(nic) {
                    let mac = link_address_of(bytes, NdiscOptionType::SourceLinkLayerAddr);
                    self.advertised(bytes);
                    mac.into_iter().for_each(|mac| self.learn(from.into(), mac, Source::Request));
                }
            }
            Neighbour::Solicit { from, target, mac } => {
                mac.into_iter().for_each(|mac| self.learn(from.into(), mac, Source::Request));
                let known = mac.or_else(|| self.neighbours.known(from.into()));
                let mac = known.or_else(|| frame.bytes(nic).and_then(sender));
                frame.discard(nic);
                let mut wire =
                    Wire { nic, now: self.now, mac: self.me.mac, show: Show::new(&self.observer, self.now) };
                let _ = mac.and_then(|mac| wire.answer(target, (from, mac)));
                return;
            }
            Neighbour::At(address, mac, source) => self.learn(address.into(), mac, source),
            Neighbour::Probe(address) => {
                frame.discard(nic);
                return self.defend(nic, address);
            }
            Neighbour::Claim(address) => self.contested(address),
            Neighbour::Query { v1 } => self.ip6.queried(v1, self.now),
        }
        frame.discard(nic);
    }

    /// Takes over where a neighbour is.
    fn learn(&mut self, address: IpAddress, mac: EthernetAddress, source: Source) {
        if mac == self.me.mac || self.me.has(address) {
            return;
        }
        if self.neighbours.learn(address, mac, source, self.now) {
            self.counters.neighbours_moved.bump();
            log::debug!("neighbour {address} is at {mac} now");
        }
        if self.neighbours.known(address).is_none() {
            self.drops.bump(DropReason::NeighbourForOthers);
        }
        self.look_again_for_neighbours();
    }

    /// Senders that wait for a neighbour try again if one was learned or removed.
    pub(super) fn look_again_for_neighbours(&mut self) {
        if !self.neighbours.take_news() {
            return;
        }
        for id in core::mem::take(&mut self.waiting_udp) {
            self.mark_udp(id);
        }
        for id in core::mem::take(&mut self.waiting_tcp) {
            // A number that was given to another connection since is asked in vain at most.
            if let Some(conn) = self.tcp.get_mut(id) {
                conn.flags.remove(ConnFlags::WAITS_FOR_NEIGHBOUR);
            }
            self.tcp.mark(id);
        }
    }

    /// Sends due requests. One without a slot is sent in the next iteration.
    pub(super) fn ask_neighbours<N: Nic>(&mut self, nic: &mut N) {
        while self.link_up
            && let Some(ask) = self.neighbours.due(self.now)
        {
            if !self.ask_bucket.take(self.now) {
                self.counters.asks_limited.bump();
                self.neighbours.postpone(ask.address, self.now);
                continue;
            }
            if self.ask(nic, ask).is_none() {
                return;
            }
            self.neighbours.asked(ask.address, self.now);
            self.counters.asked.bump();
        }
        self.look_again_for_neighbours();
    }

    /// Sends a request; `None`: there is no slot. Without an address of ours there is no destination for an answer.
    fn ask<N: Nic>(&mut self, nic: &mut N, ask: Ask) -> Option<()> {
        let Some(from) = self.me.source_for(ask.address) else { return Some(()) };
        let mut wire =
            Wire { nic, now: self.now, mac: self.me.mac, show: Show::new(&self.observer, self.now) };
        match (ask.address, from, ask.to) {
            (IpAddress::Ipv4(v4), IpAddress::Ipv4(from), to) => {
                let request = Arp::request(self.me.mac, from, v4);
                wire.arp(&request, to.unwrap_or(EthernetAddress::BROADCAST))
            }
            (IpAddress::Ipv6(v6), IpAddress::Ipv6(from), Some(to)) => wire.probe(from, v6, to),
            (IpAddress::Ipv6(v6), IpAddress::Ipv6(from), None) => wire.solicit(from, v6),
            _ => Some(()),
        }
    }
}
