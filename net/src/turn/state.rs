//! The state that the kernel's side ([`crate::Stack`]) and the applications' side ([`crate::Net`], sockets) share.
//!
//! It is in one `Rc<RefCell<_>>`: single-threaded, borrowed for the length of one call, never across an `await`. This
//! crate wakes tasks while it is borrowed. That is sound because a waker only sets a flag and queues its task. The
//! executor polls tasks between iterations, never inside `wake`.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use ledger::{Account, Consumer};
use nic::Nic;
use slab::Slab;
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use crate::addr::dhcp::Outgoing;
use crate::addr::ip6::Ip6;
use crate::addr::v4::V4;
use crate::base::bucket::Bucket;
use crate::base::config::{Config, Limits};
use crate::base::counters::{Counters, Drops};
use crate::base::observer::Observer;
use crate::base::rng::Rng;
use crate::frame::local::Me;
use crate::frame::reassembly::Reassembly;
use crate::link::neighbours::Neighbours;
use crate::tcp::link::Link;
use crate::tcp::shard::Shard;
use crate::udp::entry::UdpEntry;
use crate::udp::tap_queue;

/// ICMP errors in a second, and at once. RFC 4443, section 2.4 f, leaves the figures to the host.
const ICMP_RATE: u64 = 100;
const ICMP_BURST: u64 = 50;
/// RST without a connection in a second, and at once.
const RESET_RATE: u64 = 200;
const RESET_BURST: u64 = 200;

/// Requests for neighbours in a second, and at once; of one neighbour, one a second (RFC 826 leaves it to the host, RFC 1122
/// section 2.3.2.1 asks for one a second).
const ASK_RATE: u64 = 500;
const ASK_BURST: u64 = 1000;

/// The state as its holders have it.
pub(crate) type Shared = Rc<RefCell<State>>;

/// The shared part of the stack.
pub(crate) struct State {
    pub(super) me: Me,
    /// Our IPv6 addresses over time; `me` has a copy of the valid ones.
    pub(super) ip6: Ip6,
    pub(super) v4: V4,
    /// A message of the DHCP client that waits for its neighbour.
    pub(super) dhcp_pending: Option<Outgoing>,
    /// The multicast groups that the interface was asked for.
    pub(super) groups: Vec<EthernetAddress>,
    pub(super) link: Link,
    /// Payload of the longest TCP frame that the device cuts, bytes; 0: it cuts none.
    pub(super) longest_v4: u32,
    pub(super) longest_v6: u32,
    pub(super) link_up: bool,
    pub(super) link_generation: u32,
    /// The time of the current or the last iteration.
    pub(super) now: Instant,
    /// When the next iteration is due at the latest, if that was yet to come at the end of the last one.
    pub(super) due: Option<Instant>,
    pub(super) limits: Limits,
    pub(super) rng: Rng,
    pub(super) counters: Counters,
    pub(super) drops: Drops,
    pub(super) reassembly: Reassembly,
    pub(super) neighbours: Neighbours,
    /// How often ICMP errors, and RST without a connection, are sent.
    pub(super) icmp_bucket: Bucket,
    pub(super) reset_bucket: Bucket,
    /// How often neighbours are asked for.
    pub(super) ask_bucket: Bucket,
    pub(super) tcp: Shard,
    /// Connections with something to send that wait for a neighbour.
    pub(super) waiting_tcp: Vec<u32>,
    pub(super) udp: Slab<UdpEntry>,
    /// What datagrams that wait are reserved from.
    pub(super) udp_memory: Account,
    /// UDP sockets with something to send.
    pub(super) dirty_udp: VecDeque<usize>,
    /// UDP sockets with datagrams that wait for a neighbour, and when the first of them is looked at again.
    pub(super) waiting_udp: Vec<usize>,
    pub(super) udp_due: Option<Instant>,
    pub(super) taps: Slab<tap_queue::Entry>,
    /// Sees each frame, while there is one.
    pub(super) observer: Option<Rc<dyn Observer>>,
}

impl State {
    pub(crate) fn new<N: Nic>(nic: &mut N, config: Config, now: Instant) -> Self {
        let mut rng = Rng::new(config.seed);
        let ip6 = Ip6::new(&config.ipv6, nic.mac(), now);
        let v4 = V4::new(&config, nic.mac(), now);
        let mut state = Self {
            me: Me { mac: nic.mac(), address: None, six: ip6.local() },
            ip6,
            v4,
            dhcp_pending: None,
            groups: Vec::new(),
            link: Link { mtu: nic.capabilities().ip_mtu(), flow_key: None },
            longest_v4: 0,
            longest_v6: 0,
            link_up: nic.link_up(),
            link_generation: nic.link_generation(),
            now,
            due: None,
            limits: config.limits,
            tcp: Shard::new(config.limits, config.ledger.open(Consumer::Tcp), &mut rng, now),
            rng,
            counters: Counters::default(),
            drops: Drops::default(),
            reassembly: Reassembly::new(config.ledger.open(Consumer::Fragments)),
            neighbours: Neighbours::new(config.limits.neighbours, config.ledger.open(Consumer::Neighbours)),
            icmp_bucket: Bucket::new(ICMP_RATE, ICMP_BURST, now),
            reset_bucket: Bucket::new(RESET_RATE, RESET_BURST, now),
            ask_bucket: Bucket::new(ASK_RATE, ASK_BURST, now),
            waiting_tcp: Vec::new(),
            udp_memory: config.ledger.open(Consumer::Udp),
            udp: Slab::new(),
            dirty_udp: VecDeque::new(),
            waiting_udp: Vec::new(),
            udp_due: None,
            taps: Slab::new(),
            observer: None,
        };
        state.note_offload(nic);
        state.take_fixed();
        state.join_groups(nic);
        state
    }

    /// Shows frames to another observer; the one before.
    pub(crate) fn replace_observer(&mut self, to: Option<Rc<dyn Observer>>) -> Option<Rc<dyn Observer>> {
        core::mem::replace(&mut self.observer, to)
    }

    /// Other secrets, from a new seed: sequence numbers, ports, cookies, keys of hashes, identifiers.
    pub(crate) fn renew_secrets(&mut self, seed: [u8; 32]) {
        self.rng = Rng::new(seed);
        self.tcp.renew(&mut self.rng);
    }

    /// The device may be another one: reads its capabilities.
    pub(super) fn rebuild_interface<N: Nic>(&mut self, nic: &mut N) {
        self.me.mac = nic.mac();
        self.link.mtu = self.mtu_of(nic);
        self.note_offload(nic);
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

    /// The largest IP packet that we send, bytes: the link's MTU, or less if the network says so.
    pub(super) fn mtu_of<N: Nic>(&self, nic: &N) -> usize {
        let link = nic.capabilities().ip_mtu();
        self.v4.mtu.map_or(link, |mtu| mtu.min(link))
    }

    /// An identifier for the fragments of a packet.
    pub(super) fn next_ident(&mut self) -> u32 {
        u32::try_from(self.rng.next_u64() >> 32).unwrap_or_default()
    }

    /// Puts a UDP socket into the list of those with something to send.
    pub(super) fn mark_udp(&mut self, id: usize) {
        if let Some(entry) = self.udp.get_mut(id).filter(|entry| !entry.queued) {
            entry.queued = true;
            self.dirty_udp.push_back(id);
        }
    }
}
