//! Connections whose packets are smaller than the link's, or larger.
//!
//! ```text
//!   "too big: 1400" ─► quotes bytes of ours that are on their way? ─► the connection goes by `narrow` for ten minutes
//!   over IPv6, open, and the device cuts segments ──────────────────► the connection goes by `wide`
//!   all others ─────────────────────────────────────────────────────► the real interface
//!
//!   ARP, neighbour discovery ─► the real interface, and the other two overhear it
//! ```
//!
//! smoltcp knows one MTU, its interface's, and reads it once. But the interface is an argument: so a connection is given
//! one like the real one that has another MTU, and smoltcp cuts, hands over for cutting and sends again accordingly.
//!
//! **Narrow**: a path takes less than our own link, and a router says so (RFC 1191, RFC 8201). There is one such interface
//! for all, with the least MTU that was heard of: who shares it sends smaller packets than he would have to, for a while.
//!
//! **Wide**: smoltcp 0.14 drops an IPv6 packet that is longer than the MTU before it asks whether the device cuts it, so
//! an interface over which such packets may go has an MTU that is as long as they are. What is said of the MTU when a
//! connection opens is the real interface's word. Nor does smoltcp say how such a packet is to be cut: the frontend is told
//! what the peer takes, and knows what the link does (`Nic::cut`).
//!
//! A datagram that is too long for its path is lost, as on any host that asks for no fragments; its sender is not told.

use alloc::boxed::Box;

use smoltcp::iface::Interface;
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Icmpv6Packet, IpAddress};

use crate::base::counters::DropReason;
use crate::base::sched::Job;
use crate::base::time;
use crate::frame::too_big::TooBig;
use crate::link::interface::{Ear, interface};
use crate::tcp::conn::Conn;
use crate::turn::state::State;

/// How long a path is taken to be narrow. RFC 1191, section 6.3.
const NARROW_FOR: Duration = Duration::from_secs(600);

/// The narrow interface.
pub(crate) struct Narrow {
    pub(crate) iface: Box<Interface>,
    /// Bytes of the largest IP packet.
    mtu: usize,
    /// When the last of its connections goes back to the real one.
    until: Instant,
}

/// The interface by which a connection goes.
pub(crate) struct Ways<'a> {
    pub(crate) real: &'a mut Interface,
    pub(crate) wide: Option<&'a mut Interface>,
    pub(crate) narrow: &'a mut Option<Narrow>,
}

impl<'a> Ways<'a> {
    /// That of a connection which is in this state; `true`: what is sent may have to be cut.
    #[inline]
    pub(crate) fn of(self, conn: &Conn, state: tcp::State, now: Instant) -> (&'a mut Interface, bool) {
        if let Some(narrow) = self.narrow
            && conn.narrow_until.is_some_and(|until| until > now)
        {
            return (&mut narrow.iface, false);
        }
        let opens = matches!(state, tcp::State::Listen | tcp::State::SynSent | tcp::State::SynReceived);
        match self.wide {
            Some(wide) if matches!(conn.tuple.local.addr, IpAddress::Ipv6(_)) && !opens => (wide, true),
            _ => (self.real, false),
        }
    }
}

impl State {
    /// Heeds a router that did not pass a segment on, if it can have seen the segment.
    pub(crate) fn too_big(&mut self, big: &TooBig) {
        let mtu = usize::from(big.mtu);
        let until = time::after(self.now, NARROW_FOR);
        let Some(id) = self.conns.find(&big.tuple).filter(|id| self.is_on_its_way(*id, big)) else {
            self.drops.bump(DropReason::TooBig);
            return;
        };
        // A link of ours that says so of itself, or a router that is late.
        if mtu >= self.mtu {
            self.drops.bump(DropReason::TooBig);
            return;
        }
        let known =
            self.narrow.as_mut().filter(|narrow| narrow.mtu <= mtu).map(|narrow| narrow.until = until);
        if known.is_none() {
            self.make_narrow(mtu, until);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        // Of a window that was on its way each packet comes back as such a message.
        let before = conn.narrow_until.replace(until);
        if known.is_none() || before.is_none_or(|before| before <= self.now) {
            self.counters.paths_narrowed.bump();
        }
        self.mark(Job::Tcp(id));
    }

    /// Whether the peer has not acknowledged the byte, and we have it to send: who is not on the path has to guess that.
    /// RFC 5927, section 7.
    fn is_on_its_way(&self, id: usize, big: &TooBig) -> bool {
        let Some(conn) = self.conns.get(id) else { return false };
        let ahead = big.seq.0.wrapping_sub(conn.acked.0);
        usize::try_from(ahead).is_ok_and(|ahead| ahead < conn.socket().send_queue())
    }

    fn make_narrow(&mut self, mtu: usize, until: Instant) {
        let mut abilities = self.abilities.clone();
        let header = abilities.max_transmission_unit.saturating_sub(self.mtu);
        abilities.max_transmission_unit = mtu.saturating_add(header);
        let iface = interface(abilities, &self.me.mac, &mut self.rng, self.now);
        self.narrow = Some(Narrow { iface, mtu, until });
        self.configure_interface();
    }

    /// Makes the narrow interface anew, if there is one: the real one is another.
    pub(crate) fn rebuild_narrow(&mut self) {
        if let Some(Narrow { mtu, until, .. }) = self.narrow.take()
            && mtu < self.mtu
        {
            self.make_narrow(mtu, until);
        }
    }

    /// Tells the interfaces where a neighbour is; without that, they would ask again.
    pub(super) fn tell_interfaces(&mut self, address: IpAddress, mac: EthernetAddress) {
        if self.narrow.as_ref().is_some_and(|narrow| narrow.until <= self.now) {
            self.narrow = None;
        }
        let Some(ours) = self.me.source_for(address) else { return };
        let frame = news(address, mac, (ours, self.me.mac));
        let narrow = self.narrow.as_mut().map(|narrow| &mut narrow.iface);
        for iface in narrow.into_iter().chain(&mut self.wide).chain(core::iter::once(&mut self.iface)) {
            let mut ear = Ear { frame: Some(&frame), abilities: &self.abilities };
            iface.poll_ingress_single(self.now, &mut ear, &mut self.nowhere);
        }
    }
}

/// A frame by which a neighbour tells where it is.
fn news(
    address: IpAddress,
    mac: EthernetAddress,
    (ours, our_mac): (IpAddress, EthernetAddress),
) -> alloc::vec::Vec<u8> {
    let v4 = [0, 1, 8, 0, 6, 4, 0, 2];
    match (address, ours) {
        (IpAddress::Ipv4(from), IpAddress::Ipv4(to)) => {
            [&our_mac.0[..], &mac.0, &[8, 6], &v4, &mac.0, &from.octets(), &our_mac.0, &to.octets()].concat()
        }
        (IpAddress::Ipv6(from), IpAddress::Ipv6(to)) => {
            let mut message = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &from.octets(), &[2, 1], &mac.0].concat();
            Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&from, &to);
            let head = [0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255];
            [&our_mac.0[..], &mac.0, &head, &from.octets(), &to.octets(), &message].concat()
        }
        _ => alloc::vec::Vec::new(),
    }
}
