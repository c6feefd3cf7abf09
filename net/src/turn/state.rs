//! The state that the kernel's side ([`crate::Stack`]) and the applications' side ([`crate::Net`], sockets) share.
//!
//! It is in one `Rc<RefCell<_>>`: single-threaded, borrowed for the length of one call, never across an `await`.
//! smoltcp and this crate wake tasks while it is borrowed. That is sound because a waker only sets a flag and queues its
//! task. The executor polls tasks between turns, never inside `wake`.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use litemap::LiteMap;

use nic::Nic;
use slab::Slab;
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

use crate::addr::dhcp::Outgoing;
use crate::addr::ip6::Ip6;
use crate::addr::v4::V4;
use crate::base::bucket::Bucket;
use crate::base::config::{Config, Limits};
use crate::base::counters::{Counters, Drops};
use crate::base::rng::Rng;
use crate::base::sched::{Job, Sched};
use crate::frame::local::Me;
use crate::frame::reassembly::Reassembly;
use crate::link::interface::{abilities, interface, wide};
use crate::link::neighbours::Neighbours;
use crate::tcp::conn::Conns;
use crate::tcp::isn::Isn;
use crate::tcp::listener::Listener;
use crate::turn::path_mtu::Narrow;
use crate::udp::entry::UdpEntry;
use crate::udp::tap_queue;

/// ICMP errors in a second, and at once. RFC 4443, section 2.4 f, leaves the figures to the host.
const ICMP_RATE: u64 = 100;
const ICMP_BURST: u64 = 50;
/// RST without a connection in a second, and at once.
const RESET_RATE: u64 = 200;
const RESET_BURST: u64 = 200;

/// The state as its holders have it.
pub(crate) type Shared = Rc<RefCell<State>>;

/// The shared part of the stack.
pub(crate) struct State {
    pub(crate) iface: Box<Interface>,
    /// What connections over IPv6 are polled with if the device cuts their segments: see [`crate::path`].
    pub(crate) wide: Option<Box<Interface>>,
    /// What connections are polled with whose path takes less than our link.
    pub(crate) narrow: Option<Narrow>,
    pub(crate) me: Me,
    /// Our IPv6 addresses over time; `me` has a copy of what is valid now.
    pub(super) ip6: Ip6,
    /// The multicast groups that the interface was asked for.
    pub(super) groups: Vec<EthernetAddress>,
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
    pub(crate) drops: Drops,
    /// No socket: what is processed with it is answered by smoltcp alone.
    pub(crate) nowhere: SocketSet<'static>,
    pub(super) reassembly: Reassembly,
    pub(super) neighbours: Neighbours,
    pub(super) v4: V4,
    /// A message of the DHCP client that waits for its neighbour.
    pub(super) dhcp_pending: Option<Outgoing>,
    /// UDP sockets with datagrams that wait for a neighbour.
    pub(super) waiting_udp: Vec<usize>,
    /// How often ICMP errors, and RST without a connection, are sent.
    pub(super) icmp_bucket: Bucket,
    pub(super) reset_bucket: Bucket,
    pub(crate) conns: Conns,
    pub(crate) listeners: LiteMap<u16, Listener>,
    pub(crate) udp: Slab<UdpEntry>,
    pub(crate) taps: Slab<tap_queue::Entry>,
}

impl State {
    pub(crate) fn new<N: Nic>(nic: &mut N, config: Config, now: Instant) -> Self {
        let mut rng = Rng::new(config.seed);
        let ip6 = Ip6::new(&config.ipv6, nic.mac(), now);
        let v4 = V4::new(&config, nic.mac(), now);
        let mut state = Self {
            iface: interface(abilities(nic), &nic.mac(), &mut rng, now),
            wide: wide(nic, &mut rng, now),
            narrow: None,
            me: Me { mac: nic.mac(), address: None, six: ip6.local() },
            ip6,
            groups: Vec::new(),
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
            drops: Drops::default(),
            nowhere: SocketSet::new(Vec::new()),
            reassembly: Reassembly::new(config.limits.fragment_bytes),
            neighbours: Neighbours::new(config.limits.neighbours),
            v4,
            dhcp_pending: None,
            waiting_udp: Vec::new(),
            icmp_bucket: Bucket::new(ICMP_RATE, ICMP_BURST, now),
            reset_bucket: Bucket::new(RESET_RATE, RESET_BURST, now),
            listeners: LiteMap::new(),
            udp: Slab::new(),
            taps: Slab::new(),
        };
        state.conns.flow_key = nic.flow_key();
        state.take_fixed();
        state.join_groups(nic);
        state
    }

    /// Puts a job on the list of those to be polled; nothing if it is gone.
    pub(crate) fn mark(&mut self, job: Job) {
        match job {
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

    /// smoltcp closes a connection whose address is gone when it next looks at it: makes it look.
    pub(crate) fn look_at_lost(&mut self) {
        for id in self.conns.ids() {
            if self.conns.get(id).is_some_and(|conn| !self.me.has(conn.tuple.local.addr)) {
                self.mark(Job::Tcp(id));
            }
        }
    }

    /// Other secrets, from a seed that nobody else has: sequence numbers, ports, identifiers.
    pub(crate) fn renew_secrets(&mut self, seed: [u8; 32]) {
        self.rng = Rng::new(seed);
        self.isn = Isn::new([self.rng.next_u64(), self.rng.next_u64()]);
    }

    /// Replaces the interfaces. smoltcp reads a device's capabilities (MTU, offloads) only once, and another backend may
    /// have others. Sockets do not belong to an interface and live on.
    pub(crate) fn rebuild_interface<N: Nic>(&mut self, nic: &mut N) {
        self.wide = wide(nic, &mut self.rng, self.now);
        self.me.mac = nic.mac();
        self.abilities = abilities(nic);
        self.mtu = self.mtu_of(nic);
        let header = self.abilities.max_transmission_unit.saturating_sub(self.abilities.ip_mtu());
        self.abilities.max_transmission_unit = self.mtu.saturating_add(header);
        self.iface = interface(self.abilities.clone(), &nic.mac(), &mut self.rng, self.now);
        self.configure_interface();
        self.rebuild_narrow();
        self.groups.clear();
        self.join_groups(nic);
    }

    /// Asks the interface for the multicast groups that we listen to, if they have changed.
    pub(super) fn join_groups<N: Nic>(&mut self, nic: &mut N) {
        let groups = self.me.groups();
        if groups != self.groups {
            nic.set_multicast(&groups);
            self.groups = groups;
        }
    }

    /// Gives the interfaces our addresses and gateways.
    pub(crate) fn configure_interface(&mut self) {
        let Me { address, six, .. } = &self.me;
        let all: Vec<_> =
            address.map(IpCidr::Ipv4).into_iter().chain(six.valid().map(IpCidr::Ipv6)).collect();
        let narrow = self.narrow.as_mut().map(|narrow| &mut narrow.iface);
        let others = self.wide.iter_mut().chain(narrow);
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
            if let (Some(_), Some(gateway)) = (address, self.v4.routes.gateway()) {
                let _ = routes.add_default_ipv4_route(gateway);
            }
            if let Some(gateway) = six.gateway() {
                let _ = routes.add_default_ipv6_route(gateway);
            }
        }
    }

    /// Puts a job at the front of the list: it was interrupted.
    pub(super) fn mark_first(&mut self, job: Job) {
        if let Job::Udp(id) = job
            && let Some(entry) = self.udp.get_mut(id)
        {
            self.sched.mark_first(job, &mut entry.slot);
        }
    }

    /// The largest IP packet that we send, bytes: what the link carries, or less if the network says so.
    pub(super) fn mtu_of<N: Nic>(&self, nic: &N) -> usize {
        let link = nic.capabilities().ip_mtu();
        self.v4.mtu.map_or(link, |mtu| mtu.min(link))
    }

    /// An identifier for the fragments of a packet.
    pub(super) fn next_ident(&mut self) -> u32 {
        u32::try_from(self.rng.next_u64() >> 32).unwrap_or_default()
    }
}
