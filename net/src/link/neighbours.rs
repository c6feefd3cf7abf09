//! Questions for neighbours, and announcements, that smoltcp does not send: ARP, and for IPv6 neighbour discovery.
//!
//! **Telling neighbours of us.** After a new link or a new address, switches and neighbours may still send our frames
//! elsewhere. One broadcast request for our own address corrects them (RFC 5227, 3).
//!
//! **Asking for neighbours.** smoltcp sends one request a second for all neighbours together: one that does not answer
//! keeps all others waiting, and whoever can make us talk to many that are not there keeps us from talking to anybody
//! new. So a job that has to wait for its neighbour has it asked for from here, each neighbour once a second. The answer
//! goes to smoltcp.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use netfront::Nic;
use smoltcp::phy::TxToken as _;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    IpAddress, Ipv4Address,
};

use crate::link::ndisc;
use crate::turn::state::State;
use crate::base::status::bump;
use crate::base::time;

/// Between two requests for one neighbour, and between two of smoltcp's for all.
const INTERVAL: Duration = Duration::from_secs(1);

/// Neighbours asked for in one interval. More wait for the next one.
const MOST: usize = 32;

/// Neighbours that jobs wait for.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    recent: VecDeque<(IpAddress, Instant)>,
    due: Vec<IpAddress>,
    /// When smoltcp asked for anybody.
    smoltcp: Option<Instant>,
}

/// Between the two announcements of an address. RFC 5227, section 1.1, ANNOUNCE_INTERVAL and ANNOUNCE_NUM.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

impl Asks {
    /// A job has just found out that it must wait for `neighbour`, if we know which. Whoever finds that out first in a
    /// second has made smoltcp ask.
    fn want(&mut self, neighbour: Option<IpAddress>, now: Instant) {
        let over = |at: Instant| time::after(at, INTERVAL) <= now;
        let smoltcp_asked = self.smoltcp.is_none_or(over);
        if smoltcp_asked {
            self.smoltcp = Some(now);
        }
        self.recent.retain(|(_, at)| !over(*at));
        let Some(neighbour) = neighbour else { return };
        if self.recent.len() >= MOST || self.recent.iter().any(|(known, _)| *known == neighbour) {
            return;
        }
        self.recent.push_back((neighbour, now));
        if !smoltcp_asked {
            self.due.push(neighbour);
        }
    }
}

impl State {
    /// Sends the announcement that is due, if any; stays due when there is no slot to send.
    pub(crate) fn announce<N: Nic>(&mut self, nic: &mut N) {
        let again = self.address.announce_again.is_some_and(|at| at <= self.now);
        let due = (self.address.announce || again) && self.link_up;
        let Some(address) = self.me.address.filter(|_| due) else { return };
        if send(nic, self.now, self.me.mac, address.address(), address.address()) {
            let first = self.address.announce;
            self.address.announce = false;
            self.address.announce_again = first.then(|| time::after(self.now, ANNOUNCE_INTERVAL));
            bump(&mut self.counters.announced);
        }
    }

    /// A job has just found out that it must wait for the way to `peer`, if we know that.
    pub(crate) fn want_neighbour(&mut self, peer: Option<IpAddress>) {
        let hop = peer.and_then(|peer| self.next_hop(peer));
        self.asks.want(hop, self.now);
    }

    /// Asks for the neighbours that jobs wait for; those for whom there is no slot, in the next turn.
    pub(crate) fn ask_neighbours<N: Nic>(&mut self, nic: &mut N) {
        if !self.asks.due.is_empty() {
            self.ask_all(nic);
        }
    }

    #[inline(never)]
    fn ask_all<N: Nic>(&mut self, nic: &mut N) {
        while self.link_up
            && let Some(neighbour) = self.asks.due.pop()
        {
            let sent = match (neighbour, self.me.address) {
                (IpAddress::Ipv4(v4), Some(cidr)) => send(nic, self.now, self.me.mac, cidr.address(), v4),
                (IpAddress::Ipv4(_), None) => continue,
                (IpAddress::Ipv6(v6), _) => {
                    let from = self.iface.get_source_address_ipv6(&v6);
                    nd::Wire { nic, now: self.now, mac: self.me.mac }.solicit(from, v6).is_some()
                }
            };
            if !sent {
                self.asks.due.push(neighbour);
                return;
            }
            bump(&mut self.counters.asked);
        }
    }
}

/// Broadcasts a request for `target`. `false`: there is no slot.
fn send<N: Nic>(
    nic: &mut N,
    now: Instant,
    mac: EthernetAddress,
    from: Ipv4Address,
    target: Ipv4Address,
) -> bool {
    let Some(token) = nic.transmit(now) else { return false };
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: mac,
        source_protocol_addr: from,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let frame_len = EthernetFrame::<&[u8]>::header_len().saturating_add(arp.buffer_len());
    token.consume(frame_len, |buffer| emit(&arp, mac, buffer));
    true
}

fn emit(arp: &ArpRepr, mac: EthernetAddress, buffer: &mut [u8]) {
    let ethernet = EthernetRepr {
        src_addr: mac,
        dst_addr: EthernetAddress::BROADCAST,
        ethertype: EthernetProtocol::Arp,
    };
    let mut frame = EthernetFrame::new_unchecked(buffer);
    ethernet.emit(&mut frame);
    arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_neighbour_is_asked_for_once_a_second_and_the_first_by_smoltcp() {
        let (mut asks, mut now) = (Asks::default(), Instant::from_secs(5));
        let neighbour = |last| Some(IpAddress::v4(10, 0, 0, last));
        for last in [1, 2, 1, 2, 3] {
            asks.want(neighbour(last), now);
        }
        assert_eq!(asks.due.len(), 2, "2 and 3");
        asks.due.clear();
        now = time::after(now, INTERVAL);
        asks.want(None, now);
        asks.want(neighbour(1), now);
        assert_eq!(asks.due.len(), 1, "smoltcp has asked for another one");
        for last in 0..=255 {
            asks.want(neighbour(last), now);
        }
        assert_eq!(asks.due.len(), MOST);
    }
}
