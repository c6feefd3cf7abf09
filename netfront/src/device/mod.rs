//! The device: a vif as the stack and the loop see it, for as long as the vif exists.
//!
//! ```text
//!   reap ─► (peek ─► receive ─► transmit)* ─► flush ─► final_check ─► sleep
//!    │                                          │          │
//!    │ commands of the connection task;         │          └ asks for events, looks at the rings once more
//!    │ one read of each response index          └ fills the rx ring, shows both, at most one notification each
//! ```
//!
//! The device owns queues and pools and outlives connections. Without a backend it gives no tokens, and the stack keeps
//! its sockets. [`Nic::link_generation`] counts the times that the link came up; the MAC address may have changed then.
//!
//! | file | contents |
//! |---|---|
//! | this one | [`NetDevice`], the traits [`Nic`] and [`Device`] |
//! | `commands`, `mailbox` | what the connection task asks the device to do, and how it asks |
//! | `maintenance`, `quarantine` | what is done by time: audits, shrinking, pages that a backend still uses |
//! | `gref_mapping`, `steering`, `multicast` | pages that stay mapped, queues of flows, multicast groups |
//! | `config`, `stats`, `report` | configuration, counters, and the copy that is published |

mod commands;
pub mod config;
mod gref_mapping;
pub(crate) mod mailbox;
mod maintenance;
mod multicast;
mod quarantine;
mod report;
pub mod stats;
mod steering;

use crate::queue::counters::{RxStats, TxStats};
use crate::queue::token::{RxToken, TxToken};
use crate::queue::{Queue, QueuePools};
use crate::wire::check_rx::ETHERNET_HEADER;
use crate::wire::feature::Feature;
use crate::wire::hashing::Hashing;
use crate::wire::misbehaviour::{Misbehaviour, MisbehaviourCounts};
use crate::wire::rate::Rate;
use alloc::rc::Rc;
use alloc::vec::Vec;
use config::Config;
use core::num::NonZeroUsize;
use mailbox::{Mailbox, Notice};
use multicast::Groups;
use nic::{HashKey, Nic, Packet, PartialTcp, Received};
use quarantine::Quarantine;
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;
use stats::{DeviceStats, Features};
use xen::abi::io_netif::{NETIF_MAX_TX_SIZE, NETIF_RX_RING_SIZE};
use xen::{DomId, Machine, SystemTime, Xen};

/// The state of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// The backend is not connected.
    Down,
    /// The backend is connected, and the link behind it is down.
    NoCarrier,
    /// Frames can flow.
    Up,
    /// The backend broke this rule. The device does not touch the rings before a new connection.
    Broken(Misbehaviour),
}

/// A vif as a network interface.
#[derive(Debug)]
pub struct NetDevice<M> {
    xen: Rc<Xen<M>>,
    mailbox: Rc<Mailbox>,
    config: Config,
    /// The N of `device/vif/N`.
    handle: u32,
    mac: EthernetAddress,
    /// IP bytes of the longest packet.
    mtu: u16,
    /// The queues, during a connection.
    queues: Vec<Queue>,
    /// The pools of the queues, between connections.
    pools: Vec<QueuePools>,
    link: Link,
    /// The transmit limit of the vif.
    rate: Option<Rate>,
    /// The number of times that the link came up.
    generation: u32,
    /// The generation of event channels to which the queues belong.
    events_generation: u32,
    /// The queue that is looked at next for a frame.
    next: usize,
    /// The queue on which frames are sent.
    steered: usize,
    /// How the backend chooses queues, if that was agreed.
    hashing: Option<Hashing>,
    tx_exhausted: bool,
    stats: DeviceStats,
    /// Counters of former connections.
    past_rx: RxStats,
    past_tx: TxStats,
    misbehaviour: MisbehaviourCounts,
    /// Pages of rings and contiguous buffers that a backend still uses.
    quarantine: Quarantine,
    backend: Option<DomId>,
    trusted: bool,
    features: Features,
    groups: Groups,
    /// The time of the next maintenance.
    maintenance: SystemTime,
}

impl<M: Machine> NetDevice<M> {
    /// Another secret for hashes of flows; the next connection tells it to its backend. For a guest that was restored from
    /// an image of its memory, whose twin knows the old one. Without a key in the configuration nothing changes.
    pub fn renew_hash_key(&mut self, key: HashKey) {
        if self.config.hash_key.is_some() {
            self.config.hash_key = Some(key);
            self.mailbox.hash_key.set(Some(key));
        }
    }

    /// A device without a backend.
    pub(crate) fn new(
        xen: Rc<Xen<M>>,
        mailbox: Rc<Mailbox>,
        config: Config,
        handle: u32,
        mac: EthernetAddress,
        mtu: u16,
    ) -> Self {
        Self {
            xen,
            mailbox,
            config,
            handle,
            mac,
            mtu,
            queues: Vec::new(),
            pools: Vec::new(),
            link: Link::Down,
            rate: None,
            generation: 0,
            events_generation: 0,
            next: 0,
            steered: 0,
            hashing: None,
            tx_exhausted: false,
            stats: DeviceStats::default(),
            past_rx: RxStats::default(),
            past_tx: TxStats::default(),
            misbehaviour: MisbehaviourCounts::default(),
            quarantine: Quarantine::default(),
            backend: None,
            trusted: false,
            features: Features::default(),
            groups: Groups::default(),
            maintenance: SystemTime(0),
        }
    }

    /// The rule by which the backend broke the device, until a new connection.
    #[must_use]
    pub const fn broken(&self) -> Option<Misbehaviour> {
        match self.link {
            Link::Broken(what) => Some(what),
            Link::Down | Link::NoCarrier | Link::Up => None,
        }
    }

    #[inline]
    const fn is_up(&self) -> bool {
        matches!(self.link, Link::Up)
    }

    /// Stops using the rings until the next connection.
    #[cold]
    fn set_broken(&mut self, what: Misbehaviour) {
        log::error!("vif/{}: broken by the backend: {what}; waiting for the backend to restart", self.handle);
        self.misbehaviour.count(&what);
        self.stats.breaks.bump();
        self.link = Link::Broken(what);
        self.queues.iter().for_each(|queue| queue.channels().mask(&self.xen));
        self.mailbox.notify(Notice::Broken(what));
    }

    /// The number of a queue with a frame that could be answered.
    #[inline]
    fn ready(&mut self) -> Option<usize> {
        if !self.is_up() {
            return None;
        }
        let at = self.next;
        if at == self.steered && self.queues.get_mut(at).is_some_and(Queue::is_ready) {
            return Some(at);
        }
        self.find_ready()
    }

    /// As [`NetDevice::ready`], for any queue and any frame.
    #[inline(never)]
    fn find_ready(&mut self) -> Option<usize> {
        for _ in 0..self.queues.len() {
            let at = self.next;
            let queue = self.queues.get_mut(at)?;
            match queue.advance() {
                Ok(true) => {
                    let answering = self.queues.get_mut(self.steered)?;
                    if answering.can_reply(&self.xen) {
                        return Some(at);
                    }
                    answering.note_exhausted();
                    self.tx_exhausted = true;
                }
                Ok(false) => {}
                Err(what) => {
                    self.set_broken(what);
                    return None;
                }
            }
            let after = at.wrapping_add(1);
            self.next = if after < self.queues.len() { after } else { 0 };
        }
        None
    }

    /// Runs `run` on every queue, until one breaks the device. Does nothing while the link is down.
    #[inline]
    fn each(&mut self, mut run: impl FnMut(&mut Queue, &Xen<M>) -> Result<(), Misbehaviour>) {
        if !self.is_up() {
            return;
        }
        if let Err(what) = self.queues.iter_mut().try_for_each(|queue| run(queue, &self.xen)) {
            self.set_broken(what);
        }
    }
}

impl<M: Machine> Nic for NetDevice<M> {
    fn mac(&self) -> EthernetAddress {
        self.mac
    }

    fn link_up(&self) -> bool {
        self.is_up()
    }

    fn link_generation(&self) -> u32 {
        self.generation
    }

    fn reap(&mut self) {
        self.stats.iterations.bump();
        // Another queue is first in each iteration, so that no queue can starve the others.
        self.next = self.next.wrapping_add(1).checked_rem(self.queues.len()).unwrap_or_default();
        if self.mailbox.has_command()
            && let Some(command) = self.mailbox.take()
        {
            self.run(command);
        }
        if self.events_generation != self.xen.events.generation() {
            // The guest was resumed in a new domain: rings and ports are void until the connection task makes new ones.
            self.stop();
        }
        let (mut events, mut idle, mut freed) = (0_u64, 0_u64, false);
        if !self.is_up() {
            idle = self.queues.iter_mut().map(Queue::discard_events).fold(0, u64::wrapping_add);
            events = idle;
        }
        self.each(|queue, _| {
            let found = queue.reap()?;
            events = events.wrapping_add(found.events);
            if found.rx == 0 && found.tx == 0 {
                idle = idle.wrapping_add(found.events);
            }
            freed |= found.tx > 0;
            Ok(())
        });
        self.stats.events.add(events);
        self.stats.idle_events.add(idle);
        if freed {
            self.tx_exhausted = false;
        }
    }

    fn peek(&mut self) -> Option<Received<'_>> {
        let at = self.ready()?;
        self.queues.get(at).map(Queue::received)
    }

    #[inline]
    fn send_tcp<R>(
        token: TxToken<'_>,
        len: usize,
        partial: PartialTcp,
        build: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        token.send_tcp(len, partial, build)
    }

    fn discard(&mut self) {
        if let Some(at) = self.ready()
            && let Some(queue) = self.queues.get_mut(at)
        {
            queue.discard();
        }
    }

    fn retain(&mut self) -> Option<Packet> {
        let at = self.ready()?;
        self.queues.get_mut(at)?.retain()
    }

    #[inline]
    fn steer(&mut self, flow: u32) {
        self.steered = self.queue_of(flow);
    }

    fn set_segment_size(&mut self, payload: Option<u16>) {
        if let Some(queue) = self.queues.get_mut(self.steered) {
            queue.set_segment_size(payload);
        }
    }

    fn flow_key(&self) -> Option<HashKey> {
        self.config.hash_key.filter(|_| self.config.queues > 1)
    }

    fn tx_exhausted(&self) -> bool {
        self.tx_exhausted
    }

    fn set_multicast(&mut self, groups: &[EthernetAddress]) {
        self.groups.want(groups);
    }

    fn flush(&mut self) {
        if self.groups.is_pending() {
            self.send_group_requests();
        }
        let mut refused = 0_u64;
        self.each(|queue, xen| {
            refused = refused.wrapping_add(queue.flush(xen));
            Ok(())
        });
        self.stats.notify_errors.add(refused);
    }

    fn final_check(&mut self) -> bool {
        // A command of the connection task is work: the loop must not sleep over it.
        if self.mailbox.has_command() {
            return true;
        }
        // While the link is down, whatever the backend puts into the rings is no work.
        let (exhausted, mut more) = (self.tx_exhausted, false);
        self.each(|queue, _| {
            more |= queue.final_check(exhausted)?;
            Ok(())
        });
        more
    }
}

impl<M: Machine> Device for NetDevice<M> {
    type RxToken<'a>
        = RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a>
    where
        Self: 'a;

    #[inline]
    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let at = self.ready()?;
        if at == self.steered {
            return self.queues.get_mut(at).map(Queue::tokens);
        }
        // The reply keeps to the queue of its flow, whichever queue the backend has used.
        let [from, to] = self.queues.get_disjoint_mut([at, self.steered]).ok()?;
        Some((from.rx_token(), to.tx_token()))
    }

    #[inline]
    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        if self.is_up()
            && let Some(queue) = self.queues.get_mut(self.steered)
            && queue.can_send(&self.xen)
        {
            return Some(queue.tx_token());
        }
        self.tx_exhausted = true;
        self.past_tx.exhausted.bump();
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit =
            usize::from(self.mtu).saturating_add(usize::from(ETHERNET_HEADER));
        // `peek` says for each received frame whether its checksum has to be verified. Of those that are sent, the
        // backend completes what it can, and the queue the others.
        (capabilities.checksum.tcp, capabilities.checksum.udp) = (phy::Checksum::None, phy::Checksum::None);
        let tx = self.features.tx;
        if tx.contains(Feature::GSO_TCPV4) {
            capabilities.segmentation.tcpv4 = NonZeroUsize::new(usize::from(NETIF_MAX_TX_SIZE));
        }
        if tx.contains(Feature::GSO_TCPV6) {
            capabilities.segmentation.tcpv6 = NonZeroUsize::new(usize::from(NETIF_MAX_TX_SIZE));
        }
        capabilities.max_burst_size = usize::try_from(NETIF_RX_RING_SIZE).ok();
        capabilities
    }
}
