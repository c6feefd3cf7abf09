//! Requests for the hardware addresses of neighbours that frames wait for.

use nic::Nic;
use smoltcp::wire::IpAddress;

use crate::link::{arp, ndisc};
use crate::turn::state::State;

impl State {
    /// A job waits for the hardware address on the way to `peer`.
    pub(crate) fn want_neighbour(&mut self, peer: Option<IpAddress>) {
        let hop = peer.and_then(|peer| self.next_hop(peer));
        self.asks.want(hop, self.now);
    }

    /// Sends requests for the neighbours that jobs wait for. What has no slot is sent in the next turn.
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
                (IpAddress::Ipv4(v4), Some(cidr)) => {
                    arp::request(nic, self.now, self.me.mac, cidr.address(), v4)
                }
                (IpAddress::Ipv4(_), None) => continue,
                (IpAddress::Ipv6(v6), _) => {
                    let from = self.iface.get_source_address_ipv6(&v6);
                    ndisc::Wire { nic, now: self.now, mac: self.me.mac }.solicit(from, v6).is_some()
                }
            };
            if !sent {
                self.asks.due.push(neighbour);
                return;
            }
            self.counters.asked.bump();
        }
    }
}
