//! The device: what smoltcp and the loop see of a vif, for as long as the vif exists.
//!
//! ```text
//!   reap ─► (peek ─► receive ─► transmit)* ─► flush ─► final_check ─► sleep
//!    │                                          │          │
//!    │ commands from the life (mailbox);        │          └ asks for events, looks once more
//!    │ one look at each ring                    └ fills the rx ring, shows both, notifies at most once each
//! ```
//!
//! It owns queues and pools, and outlives connections: while there is no backend it gives no tokens, and the stack above
//! keeps its sockets. [`Nic::link_generation`] counts the times that the link came up; the address may have changed
//! then, too. What the life of the vif asks for is done in `attach.rs`.

use crate::config::Config;
use crate::feature::Feature;
use crate::hash::Hashing;
use crate::held::Packet;
use crate::judge::ETHERNET_HEADER;
use crate::lost::Lost;
use crate::mailbox::{Mailbox, Notice};
use crate::misbehaviour::{Misbehaviour, Tally};
use crate::multicast::Groups;
use crate::nic::{Nic, Received};
use crate::queue::{Pools, Queue};
use crate::stats::{DeviceStats, Features, RxStats, TxStats};
use crate::toeplitz::HashKey;
use crate::token::{RxToken, TxToken};
use crate::vif::{Rate, Vif, clamp_mtu};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;
use xen::abi::io_netif::{NETIF_MAX_TX_SIZE, NETIF_RX_RING_SIZE};
use xen::{DomId, Machine, SystemTime, Xen};

/// A vif as a network interface.
#[derive(Debug)]
pub struct NetDevice<M> {
    pub(crate) xen: Rc<Xen<M>>,
    pub(crate) mailbox: Rc<Mailbox>,
    pub(crate) config: Config,
    pub(crate) handle: u32,
    pub(crate) mac: EthernetAddress,
    pub(crate) mtu: u16,
    /// The queues, while there are rings.
    pub(crate) queues: Vec<Queue>,
    /// Their pools, while there are none.
    pub(crate) pools: Vec<Pools>,
    /// Frames can flow: rings are there, the backend is connected and has carrier, nothing is broken.
    pub(crate) link_up: bool,
    /// The backend is connected.
    pub(crate) connected: bool,
    /// The link behind the backend is up, as far as that says.
    pub(crate) carrier: bool,
    /// What the toolstack lets us send.
    pub(crate) rate: Option<Rate>,
    pub(crate) generation: u32,
    /// The generation of event channels that the queues belong to.
    pub(crate) events_generation: u32,
    pub(crate) broken: Option<Misbehaviour>,
    /// The queue to look at next for a frame.
    next: usize,
    /// The queue to send on.
    pub(crate) steered: usize,
    /// How the backend chooses queues, if we told it.
    pub(crate) hashing: Option<Hashing>,
    pub(crate) tx_exhausted: bool,
    pub(crate) stats: DeviceStats,
    /// Counters of the connections before this one.
    pub(crate) past_rx: RxStats,
    pub(crate) past_tx: TxStats,
    pub(crate) tally: Tally,
    /// Pages that a backend does not let go of.
    pub(crate) lost: Lost,
    pub(crate) backend: Option<DomId>,
    pub(crate) trusted: bool,
    pub(crate) features: Features,
    /// Whose frames the backend is to let in.
    pub(crate) groups: Groups,
    /// When the pools are looked after next.
    pub(crate) upkeep: SystemTime,
}

impl<M: Machine> NetDevice<M> {
    pub(crate) fn new(xen: Rc<Xen<M>>, mailbox: Rc<Mailbox>, config: Config, handle: u32, vif: &Vif) -> Self {
        Self {
            xen,
            mailbox,
            config,
            handle,
            mac: vif.mac,
            mtu: clamp_mtu(vif.mtu, Feature::empty()),
            queues: Vec::new(),
            pools: Vec::new(),
            link_up: false,
            connected: false,
            carrier: true,
            rate: None,
            generation: 0,
            events_generation: 0,
            broken: None,
            next: 0,
            steered: 0,
            hashing: None,
            tx_exhausted: false,
            stats: DeviceStats::default(),
            past_rx: RxStats::default(),
            past_tx: TxStats::default(),
            tally: Tally::default(),
            lost: Lost::default(),
            backend: None,
            trusted: false,
            features: Features::default(),
            groups: Groups::default(),
            upkeep: SystemTime(0),
        }
    }

    /// The rule by which the backend broke the device, until a new connection heals it.
    #[must_use]
    pub const fn broken(&self) -> Option<Misbehaviour> {
        self.broken
    }

    /// Leaves the rings alone from here on: nothing on them can be believed.
    #[cold]
    pub(crate) fn breaks(&mut self, what: Misbehaviour) {
        log::error!("vif/{}: broken by the backend: {what}; until the backend starts anew", self.handle);
        self.tally.count(&what);
        self.stats.breaks = self.stats.breaks.wrapping_add(1);
        self.link_up = false;
        self.queues.iter().for_each(|queue| queue.mask(&self.xen));
        self.broken = Some(what);
        self.mailbox.tell(Notice::Broken(what));
    }

    /// The number of a queue that has a frame which could be answered.
    #[inline]
    fn ready(&mut self) -> Option<usize> {
        if !self.link_up {
            return None;
        }
        for _ in 0..self.queues.len() {
            let at = self.next;
            let queue = self.queues.get_mut(at)?;
            match queue.rx.advance() {
                Ok(true) => {
                    let answering = self.queues.get_mut(self.steered)?;
                    if answering.can_send(&self.xen) {
                        return Some(at);
                    }
                    answering.tx.stats.exhausted = answering.tx.stats.exhausted.wrapping_add(1);
                    self.tx_exhausted = true;
                }
                Ok(false) => {}
                Err(what) => {
                    self.breaks(what);
                    return None;
                }
            }
            let after = at.wrapping_add(1);
            self.next = if after < self.queues.len() { after } else { 0 };
        }
        None
    }

    /// Runs something on every queue, until one breaks; `None` then.
    #[inline]
    fn each(&mut self, mut run: impl FnMut(&mut Queue, &Xen<M>) -> Result<(), Misbehaviour>) -> Option<()> {
        if !self.link_up {
            return None;
        }
        let Err(what) = self.queues.iter_mut().try_for_each(|queue| run(queue, &self.xen)) else {
            return Some(());
        };
        self.breaks(what);
        None
    }
}

impl<M: Machine> Nic for NetDevice<M> {
    fn mac(&self) -> EthernetAddress {
        self.mac
    }

    fn link_up(&self) -> bool {
        self.link_up
    }

    fn link_generation(&self) -> u32 {
        self.generation
    }

    fn reap(&mut self) {
        self.stats.turns = self.stats.turns.wrapping_add(1);
        // Another queue has the first word in each turn, so that none can starve the others.
        self.next = self.next.wrapping_add(1).checked_rem(self.queues.len()).unwrap_or_default();
        if self.mailbox.is_pending()
            && let Some(command) = self.mailbox.take()
        {
            self.obey(command);
        }
        if self.events_generation != self.xen.events.generation() {
            // The domain was suspended: rings and ports are void until the life of the vif has made new ones.
            self.link_up = false;
        }
        let (mut events, mut idle, mut freed) = (0_u64, 0_u64, false);
        if !self.link_up {
            idle = self.queues.iter_mut().map(Queue::ignore_events).fold(0, u64::wrapping_add);
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
        self.stats.events = self.stats.events.wrapping_add(events);
        self.stats.idle_events = self.stats.idle_events.wrapping_add(idle);
        if freed {
            self.tx_exhausted = false;
        }
    }

    fn peek(&mut self) -> Option<Received<'_>> {
        let at = self.ready()?;
        self.queues.get(at).map(|queue| queue.rx.received())
    }

    fn discard(&mut self) {
        if let Some(at) = self.ready()
            && let Some(queue) = self.queues.get_mut(at)
        {
            queue.rx.release();
        }
    }

    fn hold(&mut self) -> Option<Packet> {
        let at = self.ready()?;
        self.queues.get_mut(at)?.rx.hold()
    }

    #[inline]
    fn steer(&mut self, flow: u32) {
        self.steered = self.queue_of(flow);
    }

    fn cut(&mut self, payload: Option<u16>) {
        if let Some(queue) = self.queues.get_mut(self.steered) {
            queue.tx.limit(payload);
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
            self.ask_for_groups();
        }
        let mut refused = 0_u64;
        self.each(|queue, xen| {
            refused = refused.wrapping_add(queue.flush(xen));
            Ok(())
        });
        self.stats.notify_errors = self.stats.notify_errors.wrapping_add(refused);
    }

    fn final_check(&mut self) -> bool {
        if self.mailbox.is_pending() {
            return true;
        }
        if !self.link_up {
            // Nobody receives over a link that is down: what a backend still puts into its rings keeps nobody awake.
            return false;
        }
        let (exhausted, mut more) = (self.tx_exhausted, false);
        self.each(|queue, _| {
            // A response on the way out is worth an event only to somebody who waits for a slot; and as long as none is
            // free, a frame on the way in could not be answered and would only keep us awake.
            more |= if exhausted { queue.tx.final_check()? } else { queue.rx.final_check()? };
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
            let queue = self.queues.get_mut(at)?;
            return Some((RxToken { rx: &mut queue.rx }, TxToken::new(&mut queue.tx)));
        }
        // The answer keeps to the queue of its flow, wherever the backend has put the question.
        let [from, to] = self.queues.get_disjoint_mut([at, self.steered]).ok()?;
        Some((RxToken { rx: &mut from.rx }, TxToken::new(&mut to.tx)))
    }

    #[inline]
    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        if self.link_up
            && let Some(queue) = self.queues.get_mut(self.steered)
            && queue.can_send(&self.xen)
        {
            return Some(TxToken::new(&mut queue.tx));
        }
        self.tx_exhausted = true;
        self.past_tx.exhausted = self.past_tx.exhausted.wrapping_add(1);
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit =
            usize::from(self.mtu).saturating_add(usize::from(ETHERNET_HEADER));
        // Whether a received one is to be verified differs from frame to frame: `peek` tells, and the receiver looks. Of
        // those that go out, the backend finishes what it can, and we the others.
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
