//! A queue: one ring each way, their event channels, and the pools that feed them.
//!
//! A device has one queue or several; each has pools of its own and shares nothing with another, so that a queue can
//! belong to a vCPU.

use crate::attach::VLAN_TAG;
use crate::feature::Feature;
use crate::judge::RxPolicy;
use crate::mapping::Mapping;
use crate::misbehaviour::Misbehaviour;
use crate::pool::Pool;
use crate::rx::{RxPage, RxQueue, RxRing};
use crate::stats::{RxStats, TxStats};
use crate::storm::Storm;
use crate::strip::Strip;
use crate::tx::{TxQueue, TxRing};
use alloc::rc::Rc;
use xen::signal::Signal;
use xen::{EvtchnPort, Machine, ReadOnly, ReadWrite, Xen};

/// One event channel that we listen to.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Our port.
    pub(crate) port: EvtchnPort,
    /// Set by each event.
    pub(crate) signal: Rc<Signal>,
    /// The generation of event channels in which the port means this channel.
    pub(crate) generation: u32,
    /// How its events stand against its work.
    pub(crate) storm: Storm,
}

impl Channel {
    /// Stops listening, and closes the port.
    pub(crate) fn close<M: Machine>(&self, xen: &Xen<M>) {
        if self.generation != xen.events.generation() {
            // The domain was suspended since: by now the number may belong to another.
            return;
        }
        xen.events.stop(self.port);
        if let Err(errno) = xen.machine.evtchn_close(self.port) {
            log::warn!("EVTCHNOP_close of port {}: {errno:?}", self.port);
        }
    }
}

impl Channel {
    /// Whether it rang since the last call, with so many responses behind it: 1 or 0.
    #[inline]
    fn take_event(&mut self, responses: u32) -> u64 {
        let rang = self.signal.take();
        self.storm.note(rang, responses);
        u64::from(rang)
    }
}

/// The event channels of a queue.
#[derive(Debug)]
pub(crate) enum Channels {
    /// One for both directions: at most one notification a turn.
    Shared(Channel),
    /// One for each direction.
    Split {
        /// For the way in.
        rx: Channel,
        /// For the way out.
        tx: Channel,
    },
}

impl Channels {
    /// Each channel once.
    fn each(&self) -> impl Iterator<Item = &Channel> {
        let (one, two) = match self {
            Self::Shared(channel) => (channel, None),
            Self::Split { rx, tx } => (rx, Some(tx)),
        };
        core::iter::once(one).chain(two)
    }

    /// The same, to change.
    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        let (one, two) = match self {
            Self::Shared(channel) => (channel, None),
            Self::Split { rx, tx } => (rx, Some(tx)),
        };
        core::iter::once(one).chain(two)
    }

    /// Whether none is masked or ought to be.
    #[inline]
    pub(crate) const fn are_calm(&self) -> bool {
        match self {
            Self::Shared(channel) => channel.storm.is_calm(),
            Self::Split { rx, tx } => rx.storm.is_calm() && tx.storm.is_calm(),
        }
    }

    /// Stops listening, and closes the ports.
    pub(crate) fn close<M: Machine>(&self, xen: &Xen<M>) {
        self.each().for_each(|channel| channel.close(xen));
    }

    /// How many channels rang since the last call, with so many responses behind them on the way in and out.
    #[inline]
    fn take_events(&mut self, rx_responses: u32, tx_responses: u32) -> u64 {
        match self {
            Self::Shared(channel) => channel.take_event(rx_responses.saturating_add(tx_responses)),
            Self::Split { rx, tx } => rx.take_event(rx_responses).wrapping_add(tx.take_event(tx_responses)),
        }
    }
}

/// What a queue needs to begin: empty rings granted to the backend, and channels.
#[derive(Debug)]
pub(crate) struct Wires {
    /// The ring to receive over.
    pub(crate) rx: RxRing,
    /// The ring to send over.
    pub(crate) tx: TxRing,
    /// The channels.
    pub(crate) channels: Channels,
}

/// Closes the channels and frees the rings' pages; those that are still in use are returned.
fn dismantle<M: Machine>(
    xen: &Xen<M>,
    channels: &Channels,
    pages: [RxPage; 2],
) -> impl Iterator<Item = RxPage> + use<M> {
    channels.close(xen);
    pages.map(|page| xen.take_back(page)).into_iter().flatten()
}

/// The pools of a queue, while there are no rings to feed.
#[derive(Debug)]
pub(crate) struct Pools {
    /// Pages to receive into.
    pub(crate) rx: Pool<ReadWrite>,
    /// Pages to send from.
    pub(crate) tx: Pool<ReadOnly>,
    /// Pages in a row to send from, if there are any.
    pub(crate) strip: Option<Strip>,
}

/// A queue in use.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) rx: RxQueue,
    pub(crate) tx: TxQueue,
    /// What the backend keeps mapped of it.
    pub(crate) mapping: Mapping,
    pub(crate) channels: Channels,
}

/// What a turn found when it began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Channels that rang.
    pub(crate) events: u64,
    /// Responses on the way in, still to be taken.
    pub(crate) rx: u32,
    /// Responses on the way out, taken.
    pub(crate) tx: u32,
}

impl Queue {
    pub(crate) fn new(wires: Wires, pools: Pools, policy: RxPolicy, tx: Feature) -> Self {
        Self {
            // What is sent has no tag.
            tx: TxQueue::new(
                wires.tx,
                (pools.tx, pools.strip),
                tx,
                policy.max_frame.saturating_sub(VLAN_TAG),
            ),
            rx: RxQueue::new(wires.rx, pools.rx, policy),
            mapping: Mapping::default(),
            channels: wires.channels,
        }
    }

    /// The start of a turn: one look at each ring.
    pub(crate) fn reap(&mut self) -> Result<Found, Misbehaviour> {
        self.rx.pool.new_turn();
        self.tx.pool.new_turn();
        let tx = self.tx.reap()?;
        let rx = self.rx.look()?;
        let events = self.channels.take_events(rx, tx);
        Ok(Found { events, rx, tx })
    }

    /// The start of a turn without a link: the rings are left alone, and events are without work.
    pub(crate) fn ignore_events(&mut self) -> u64 {
        self.channels.take_events(0, 0)
    }

    /// Masks every channel, until the backend starts anew.
    pub(crate) fn mask<M: Machine>(&self, xen: &Xen<M>) {
        self.channels.each().for_each(|channel| xen.events.mask(channel.port));
    }

    /// Whether a frame can be sent; the tx pool grows if that is what is missing.
    #[inline]
    pub(crate) fn can_send<M: Machine>(&mut self, xen: &Xen<M>) -> bool {
        self.tx.is_ready() || self.make_ready(xen)
    }

    /// Grows the tx pool, if a page is all that is missing.
    #[cold]
    fn make_ready<M: Machine>(&mut self, xen: &Xen<M>) -> bool {
        self.tx.has_room() && self.tx.pool.grow(xen) && self.tx.is_ready()
    }

    /// Fills the rx ring, growing the pool if it runs empty.
    fn fill<M: Machine>(&mut self, xen: &Xen<M>) {
        self.rx.pool.collect(xen);
        while !self.rx.post() {
            if !self.rx.pool.grow(xen) && !self.rx.unpark() {
                self.rx.stats.starved = self.rx.stats.starved.wrapping_add(1);
                return;
            }
        }
    }

    /// Fills the rx ring and shows it, before the backend has looked at it for the first time.
    pub(crate) fn begin<M: Machine>(&mut self, xen: &Xen<M>) {
        self.fill(xen);
        // Nobody is at the other end of the channel yet; `ring` follows when somebody is.
        let _ = self.rx.push();
    }

    /// The end of a turn: shows both rings, and notifies at most once for each channel. Notifications that Xen refused.
    pub(crate) fn flush<M: Machine>(&mut self, xen: &Xen<M>) -> u64 {
        self.fill(xen);
        let rx = self.rx.push();
        let tx = self.tx.push();
        self.notify(xen, rx, tx)
    }

    /// Notifies on every channel, whether or not the backend asked: it has just come.
    pub(crate) fn ring<M: Machine>(&mut self, xen: &Xen<M>) -> u64 {
        self.notify(xen, true, true)
    }

    #[inline]
    fn notify<M: Machine>(&mut self, xen: &Xen<M>, rx: bool, tx: bool) -> u64 {
        let mut refused = 0_u64;
        let mut send = |port: EvtchnPort, count: &mut u64| {
            *count = count.wrapping_add(1);
            refused = refused.wrapping_add(u64::from(xen.machine.evtchn_send(port).is_err()));
        };
        match &self.channels {
            Channels::Shared(channel) => {
                // One notification for both, counted where the reason was.
                if rx {
                    send(channel.port, &mut self.rx.stats.notifications);
                } else if tx {
                    send(channel.port, &mut self.tx.stats.notifications);
                }
            }
            Channels::Split { rx: rx_channel, tx: tx_channel } => {
                if rx {
                    send(rx_channel.port, &mut self.rx.stats.notifications);
                }
                if tx {
                    send(tx_channel.port, &mut self.tx.stats.notifications);
                }
            }
        }
        refused
    }

    /// The end of the connection. The pools with all their pages, and ring pages that the backend does not let go of.
    pub(crate) fn close<M: Machine>(self, xen: &Xen<M>) -> Closed {
        let (mut tally, tx_tally) = (self.rx.tally, self.tx.tally);
        tally.add(&tx_tally);
        let (rx_page, mut rx, rx_stats) = self.rx.close();
        let (tx_page, mut tx, mut strip, tx_stats) = self.tx.close();
        // Its mappings have gone with the backend, or Xen knows of them when the grants are to end.
        rx.forget_mappings();
        tx.forget_mappings();
        strip.iter_mut().for_each(|strip| strip.books.forget_mapped());
        let lost = dismantle(xen, &self.channels, [rx_page, tx_page]).collect();
        Closed { pools: Pools { rx, tx, strip }, rx_stats, tx_stats, tally, lost }
    }
}

/// What is left of a queue.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) pools: Pools,
    pub(crate) rx_stats: RxStats,
    pub(crate) tx_stats: TxStats,
    pub(crate) tally: crate::misbehaviour::Tally,
    pub(crate) lost: alloc::vec::Vec<RxPage>,
}
