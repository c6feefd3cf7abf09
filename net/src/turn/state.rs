//! Everything that the machine's side ([`crate::Stack`]) and the applications' side ([`crate::Net`]) share.
//!
//! It lies in one `Rc<RefCell<_>>`: single-threaded, borrowed for the length of one call, never across an `await`.
//! smoltcp and this crate wake tasks while it is borrowed. That is sound because a waker here only sets a flag and
//! queues its task: the executor polls tasks between turns, never inside `wake`.

use alloc::boxed::Box;
use alloc::vec::Vec;
use litemap::LiteMap;

use netfront::Nic;
use slab::Slab;
use smoltcp::iface::{Config as IfaceConfig, Interface, SocketSet};
use smoltcp::phy::{Checksum, DeviceCapabilities};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Cidr};

use crate::addr::dhcp::Address;
use crate::link::neighbours::Asks;
use crate::frame::classify::Me;
use crate::base::config::{Config, Limits};
use crate::frame::fragments::Fragments;
use crate::addr::ip6::Ip6;
use crate::turn::path_mtu::Narrow;
use crate::base::rng::Rng;
use crate::base::sched::{Job, Sched, Slot};
use crate::base::status::Counters;
use crate::udp::tap_queue;
use crate::tcp::conn::Conns;
use crate::tcp::isn::{Abilities, Isn};
use crate::tcp::listener::Listener;
use crate::udp::lanes::UdpEntry;

/// How long the first pieces of a datagram wait for the others. smoltcp's minute lets anybody who sends halves block
/// the few places for reassembly.
const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(10);

/// The shared part of the stack.
pub(crate) struct State {
    pub(crate) iface: Box<Interface>,
    /// What datagrams are put together with that come in pieces, while `iface` does not verify checksums of TCP and UDP.
    /// It only receives: a segment that it would have to answer at once is answered when its peer sends it again.
    pub(crate) strict: Option<Box<Interface>>,
    /// What connections over IPv6 are polled with if the device cuts their segments: see [`crate::path`].
    pub(crate) wide: Option<Box<Interface>>,
    /// What connections are polled with whose path takes less than our link.
    pub(crate) narrow: Option<Narrow>,
    pub(crate) me: Me,
    /// The largest IP packet in one frame, bytes.
    pub(crate) mtu: usize,
    pub(crate) link_up: bool,
    pub(crate) link_generation: u32,
    /// The time of the current or the last turn.
    pub(crate) now: Instant,
    /// When the next turn is due at the latest, if that was yet to come at the end of the last one.
    pub(crate) due: Option<Instant>,
    pub(crate) limits: Limits,
    pub(crate) rng: Rng,
    pub(crate) isn: Isn,
    /// What the interface's device can, for [`State::birthplace`].
    pub(crate) abilities: DeviceCapabilities,
    pub(crate) sched: Sched,
    pub(crate) counters: Counters,
    /// DHCP and the receiving side of UDP; ICMP and ARP need no socket.
    pub(crate) common: SocketSet<'static>,
    pub(crate) common_slot: Slot,
    /// No socket: what is processed with it is answered by smoltcp alone.
    pub(crate) nowhere: SocketSet<'static>,
    pub(crate) fragments: Fragments,
    pub(crate) asks: Asks,
    pub(crate) address: Address,
    pub(crate) conns: Conns,
    pub(crate) listeners: LiteMap<u16, Listener>,
    pub(crate) udp: Slab<UdpEntry>,
    pub(crate) taps: Slab<tap::Entry>,
}

impl State {
    pub(crate) fn new<N: Nic>(nic: &mut N, config: Config, now: Instant) -> Self {
        let mut rng = Rng::new(config.seed);
        let mut common = SocketSet::new(Vec::new());
        let ip6 = Ip6::new(&config.ipv6, nic.mac(), now);
        let (address, fixed) = Address::new(config.addressing, config.hostname, &mut common);
        let mut state = Self {
            iface: interface(abilities(nic), &nic.mac(), &mut rng, now),
            strict: strict(nic, &mut rng, now),
            wide: wide(nic, &mut rng, now),
            narrow: None,
            me: Me { mac: nic.mac(), address: None, ip6 },
            mtu: nic.capabilities().ip_mtu(),
            link_up: nic.link_up(),
            link_generation: nic.link_generation(),
            now,
            due: None,
            limits: config.limits,
            conns: Conns::new(config.limits.connections, [rng.next_u64(), rng.next_u64()]),
            isn: Isn::new([rng.next_u64(), rng.next_u64()]),
            abilities: abilities(nic),
            rng,
            sched: Sched::default(),
            counters: Counters::default(),
            common,
            common_slot: Slot::default(),
            nowhere: SocketSet::new(Vec::new()),
            fragments: Fragments::default(),
            asks: Asks::default(),
            address,
            listeners: LiteMap::new(),
            udp: Slab::new(),
            taps: Slab::new(),
        };
        state.conns.flow_key = nic.flow_key();
        state.set_address(fixed);
        state.mark(Job::Common);
        nic.set_multicast(&state.me.groups());
        state
    }

    /// Puts a job on the list of those to be polled; nothing if it is gone.
    pub(crate) fn mark(&mut self, job: Job) {
        match job {
            Job::Common => self.sched.mark(job, &mut self.common_slot),
            Job::Udp(id) => {
                if let Some(entry) = self.udp.get_mut(id) {
                    self.sched.mark(job, &mut entry.slot);
                }
            }
            Job::Tcp(id) => {
                if let Some(conn) = self.conns.get_mut(id) {
                    self.sched.mark(job, &mut conn.slot);
                }
            }
        }
    }

    /// Gives the interface this address and no other, and follows the consequences.
    pub(crate) fn set_address(&mut self, address: Option<Ipv4Cidr>) {
        self.me.address = address;
        self.configure_interface();
        if address.is_some() {
            self.address.announce = true;
            self.address.wake();
        }
        self.look_at_lost();
    }

    /// smoltcp closes a connection whose address is gone when it next looks at it: makes it look.
    pub(crate) fn look_at_lost(&mut self) {
        for id in self.conns.ids() {
            if self.conns.get(id).is_some_and(|conn| !self.is_local(conn.tuple.local.addr)) {
                self.mark(Job::Tcp(id));
            }
        }
    }

    /// Makes the interface anew: smoltcp reads a device's capabilities (MTU, offloads) only once, and another backend
    /// may have others. Sockets are not the interface's and live on.
    pub(crate) fn rebuild_interface<N: Nic>(&mut self, nic: &mut N) {
        self.iface = interface(abilities(nic), &nic.mac(), &mut self.rng, self.now);
        self.strict = strict(nic, &mut self.rng, self.now);
        self.wide = wide(nic, &mut self.rng, self.now);
        self.me.mac = nic.mac();
        self.abilities = abilities(nic);
        self.mtu = self.abilities.ip_mtu();
        self.configure_interface();
        self.rebuild_narrow();
        nic.set_multicast(&self.me.groups());
    }

    /// Gives the interface the addresses and the ways out that we have.
    pub(crate) fn configure_interface(&mut self) {
        let Me { address, ip6, .. } = &self.me;
        let all: Vec<_> =
            address.map(IpCidr::Ipv4).into_iter().chain(ip6.valid().map(IpCidr::Ipv6)).collect();
        let narrow = self.narrow.as_mut().map(|narrow| &mut narrow.iface);
        let others = self.strict.iter_mut().chain(&mut self.wide).chain(narrow);
        for iface in core::iter::once(&mut self.iface).chain(others).map(Box::as_mut) {
            // To change addresses forgets all neighbours.
            if all != iface.ip_addrs() {
                iface.update_ip_addrs(|addresses| {
                    addresses.clear();
                    // There is room for four: IPv4, link-local, and two more.
                    let _ = addresses.extend_from_slice(&all);
                });
            }
            let routes = iface.routes_mut();
            routes.remove_default_ipv4_route();
            routes.remove_default_ipv6_route();
            // There is room for two routes at least.
            if let (Some(_), Some(gateway)) = (address, self.address.gateway) {
                let _ = routes.add_default_ipv4_route(gateway);
            }
            if let Some(gateway) = ip6.gateway() {
                let _ = routes.add_default_ipv6_route(gateway);
            }
        }
    }

    /// Whether checksums of received TCP and UDP are ours to verify, not smoltcp's.
    pub(crate) const fn verifies(&self) -> bool {
        self.strict.is_some()
    }

    /// Who takes a packet to `peer` on: itself if it is on our network, else the gateway; `None`: it has nowhere to go.
    pub(crate) fn next_hop(&self, peer: IpAddress) -> Option<IpAddress> {
        match peer {
            IpAddress::Ipv4(v4) if self.me.address?.contains_addr(&v4) => Some(peer),
            IpAddress::Ipv4(_) => self.address.gateway.map(Into::into),
            IpAddress::Ipv6(v6) if self.me.ip6.on_link(v6) => Some(peer),
            IpAddress::Ipv6(_) => self.me.ip6.gateway().map(Into::into),
        }
    }
}

/// What the one real interface is told that its device can: not to cut TCP over IPv6, see [`crate::path`].
fn abilities<N: Nic>(nic: &N) -> DeviceCapabilities {
    let mut abilities = nic.capabilities();
    abilities.segmentation.tcpv6 = None;
    abilities
}

/// An interface over a device that can that, and of which nothing comes. It takes several KiB, too many to be handed
/// about on the stack.
#[inline(never)]
pub(crate) fn interface(
    abilities: DeviceCapabilities,
    mac: &EthernetAddress,
    rng: &mut Rng,
    now: Instant,
) -> Box<Interface> {
    let mut config = IfaceConfig::new((*mac).into());
    config.random_seed = rng.next_u64();
    let mut iface = Box::new(Interface::new(config, &mut Abilities(abilities), now));
    iface.set_reassembly_timeout(REASSEMBLY_TIMEOUT);
    iface
}

/// An interface that verifies every checksum, if the device's own does not.
fn strict<N: Nic>(nic: &N, rng: &mut Rng, now: Instant) -> Option<Box<Interface>> {
    let mut abilities = abilities(nic);
    if abilities.checksum.tcp.rx() {
        return None;
    }
    for checksum in [&mut abilities.checksum.tcp, &mut abilities.checksum.udp] {
        *checksum = if checksum.tx() { Checksum::Both } else { Checksum::Rx };
    }
    Some(interface(abilities, &nic.mac(), rng, now))
}

/// An interface for long packets of IPv6, if the device cuts them.
fn wide<N: Nic>(nic: &N, rng: &mut Rng, now: Instant) -> Option<Box<Interface>> {
    let mut abilities = nic.capabilities();
    let header = abilities.max_transmission_unit.saturating_sub(abilities.ip_mtu());
    abilities.max_transmission_unit = abilities.segmentation.tcpv6?.get().saturating_add(header);
    Some(interface(abilities, &nic.mac(), rng, now))
}
