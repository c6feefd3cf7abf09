//! Coming and going of the backend, as the device sees it: rings in, rings out.
//!
//! ```text
//!   Connect: pools ready for the backend ─► queues ─► rx rings filled and shown     (before the state says Connected)
//!   Up:      frames flow, generation + 1, one notification on every channel
//!   Stop:    frames do not flow                                                     (the backend is going)
//!   Release: pages back to their pools, grants of the rings ended, ports closed     (the backend has gone)
//! ```
//!
//! Every step may come in any state, and twice: what is not there is not given up.

use crate::config::{Config, Trust};
use crate::device::NetDevice;
use crate::feature::Feature;
use crate::judge::{ETHERNET_HEADER, RxPolicy};
use crate::mailbox::{Asked, Command, Connection, Reply};
use crate::pool::{Limits, Pool, PoolError};
use crate::queue::{Pools, Queue};
use crate::rx::RxPage;
use crate::strip::Strip;
use alloc::vec::Vec;
use xen::{DomId, Machine};

/// Bytes of a VLAN tag, which a frame may carry besides header and MTU.
pub(crate) const VLAN_TAG: usize = 4;
/// IP bytes of the longest packet whose frame fits into a page.
const PAGE_MTU: u16 = 4096 - ETHERNET_HEADER;

impl<M: Machine> NetDevice<M> {
    /// Does what the life of the vif asks for, and answers.
    #[inline(never)]
    pub(crate) fn obey(&mut self, command: Command) {
        let reply = match command {
            Command::Connect(connection) => {
                self.connect(*connection).map_or_else(Reply::Failed, |()| Reply::Done)
            }
            Command::Up => {
                self.connected = true;
                self.come_up();
                Reply::Done
            }
            Command::Carrier(up) => {
                self.set_carrier(up);
                Reply::Done
            }
            Command::Hash { hashing, agreed } => {
                self.take_hashing(hashing, agreed);
                Reply::Done
            }
            Command::Mapping(step) => self.map_pages(step),
            Command::Control(asked) => {
                self.note_control(&asked);
                Reply::Done
            }
            Command::Lost(pages) => {
                self.keep_lost(pages);
                Reply::Done
            }
            Command::Stop => {
                self.link_up = false;
                self.connected = false;
                Reply::Done
            }
            Command::Release => {
                self.release();
                Reply::Done
            }
        };
        self.mailbox.answer(reply);
    }

    /// Takes new rings into use.
    fn connect(&mut self, connection: Connection) -> Result<(), PoolError> {
        self.release();
        let Connection { backend, trusted, mac, mtu, rate, mut features, queues } = connection;
        self.mac = mac;
        self.mtu = mtu;
        self.rate = rate;
        self.backend = Some(backend);
        let trusted = trusted.filter(|_| self.config.trust == Trust::Toolstack);
        self.trusted = trusted.is_some();
        let policy = RxPolicy {
            trusted,
            threshold: self.config.threshold,
            clearing: self.config.clearing,
            held_max: self.config.held_max,
            backend,
            max_frame: usize::from(mtu).saturating_add(usize::from(ETHERNET_HEADER)).saturating_add(VLAN_TAG),
            features: features.rx,
        };
        let mut failure = self.too_many_lost();
        let share = self.config.share(queues.len());
        for (left, wires) in (1..=queues.len()).rev().zip(queues) {
            let entries = usize::try_from(self.xen.grants.stats().free).unwrap_or(usize::MAX);
            let pools = self.pools.pop();
            let mut pools =
                pools.unwrap_or_else(|| new_pools(&share, entries.checked_div(left).unwrap_or(0)));
            if failure.is_none() {
                let ready =
                    pools.rx.prepare(&self.xen, backend).and_then(|()| pools.tx.prepare(&self.xen, backend));
                failure = ready.err();
            }
            pools.strip = self.prepare_strip(pools.strip.take(), backend, features.tx, share.strip);
            if pools.strip.is_none() {
                // No stretch of memory: each frame has to fit into a page.
                features.tx = features.tx.difference(Feature::SCATTER_GATHER).consistent();
                self.mtu = self.mtu.min(PAGE_MTU);
            }
            let mut queue = Queue::new(wires, pools, policy, features.tx);
            if failure.is_none() {
                queue.begin(&self.xen);
            }
            self.queues.push(queue);
        }
        if let Some(failure) = failure {
            self.release();
            return Err(failure);
        }
        self.groups.begin(features.multicast_control);
        self.features = features;
        self.steered = 0;
        self.broken = None;
        self.events_generation = self.xen.events.generation();
        self.stats.connects = self.stats.connects.wrapping_add(1);
        Ok(())
    }

    /// Pages in a row for this backend, if it takes frames over several slots; those that the one before had, cleared.
    fn prepare_strip(
        &mut self,
        strip: Option<Strip>,
        backend: DomId,
        tx: Feature,
        count: usize,
    ) -> Option<Strip> {
        let strip = match strip {
            Some(strip) if strip.backend() != backend => {
                let (strip, lost) = strip.change_hands(&self.xen, backend);
                self.lost.keep_strip(lost);
                strip
            }
            strip => strip,
        };
        let wanted = tx.contains(Feature::SCATTER_GATHER) && count > 0;
        if strip.is_some() || !wanted {
            return strip;
        }
        let (strip, lost) = Strip::new(&self.xen, backend, count);
        self.lost.keep_strip(lost);
        strip
    }

    /// Ring pages are pages too: a backend that keeps too many gets no more.
    fn too_many_lost(&mut self) -> Option<PoolError> {
        let back = self.lost.retry(&self.xen);
        self.note_recovered(back);
        let lost = self.lost.len();
        (lost >= self.config.quarantine_max).then_some(PoolError::Quarantine(lost))
    }

    /// Lets frames flow.
    pub(crate) fn come_up(&mut self) {
        if self.queues.is_empty() || self.broken.is_some() || self.link_up || !self.carrier {
            return;
        }
        self.link_up = true;
        self.tx_exhausted = false;
        self.generation = self.generation.wrapping_add(1);
        log::info!(
            "vif/{}: connected to domain {}: {}, mtu {}, {} queues, {} event channels, backend {}; rx {}, tx {}",
            self.handle,
            self.backend.unwrap_or(DomId::SELF),
            self.mac,
            self.mtu,
            self.features.queues,
            if self.features.split_event_channels { "split" } else { "shared" },
            if self.trusted { "trusted" } else { "not trusted" },
            self.features.rx,
            self.features.tx,
        );
        for queue in &mut self.queues {
            let refused = queue.ring(&self.xen);
            self.stats.notify_errors = self.stats.notify_errors.wrapping_add(refused);
        }
    }

    /// Takes everything back from a backend that has gone.
    fn release(&mut self) {
        self.link_up = false;
        self.connected = false;
        // The next backend's link is up until it says otherwise.
        self.carrier = true;
        self.backend = None;
        self.hashing = None;
        self.groups.begin(false);
        for queue in core::mem::take(&mut self.queues) {
            let closed = queue.close(&self.xen);
            self.past_rx.add(&closed.rx_stats);
            self.past_tx.add(&closed.tx_stats);
            self.tally.add(&closed.tally);
            self.pools.push(closed.pools);
            self.keep_lost(closed.lost);
        }
    }

    /// Counts what was asked of the backend.
    fn note_control(&mut self, asked: &Asked) {
        let Asked { answered, refused, silent, broken } = asked;
        let stats = &mut self.stats;
        stats.ctrl_answered = stats.ctrl_answered.wrapping_add(*answered);
        stats.ctrl_refused = stats.ctrl_refused.wrapping_add(*refused);
        stats.ctrl_silent = stats.ctrl_silent.wrapping_add(u64::from(*silent));
        broken.iter().for_each(|what| self.tally.count(what));
    }

    /// Counts ring pages that came back.
    pub(crate) fn note_recovered(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or_default();
        self.stats.recovered_rings = self.stats.recovered_rings.wrapping_add(count);
    }

    /// Ring pages that the backend still uses are not used again before it has let go of them.
    fn keep_lost(&mut self, lost: Vec<RxPage>) {
        let count = u64::try_from(lost.len()).unwrap_or_default();
        self.stats.quarantined_rings = self.stats.quarantined_rings.wrapping_add(count);
        self.lost.keep_rings(lost);
    }
}

/// The pools of a queue that may use so many entries of the grant table: of too few each gets half, for a queue that
/// receives and cannot answer is of no use.
fn new_pools(config: &Config, entries: usize) -> Pools {
    let half = entries.wrapping_div(2);
    let rx = config.pool_rx.min(entries.saturating_sub(config.pool_tx).max(half));
    let tx = config.pool_tx.min(entries.saturating_sub(rx));
    if (rx, tx) != (config.pool_rx, config.pool_tx) {
        log::warn!(
            "the grant table has {entries} free entries: pools of {rx} pages to receive into and {tx} to send from, \
             not {} and {}; raise max_grant_frames or make the pools smaller",
            config.pool_rx,
            config.pool_tx
        );
    }
    let limits = |initial, max| Limits { initial, max, quarantine: config.quarantine_max };
    Pools {
        rx: Pool::new(limits(rx, config.pool_rx_max)),
        tx: Pool::new(limits(tx, config.pool_tx_max)),
        strip: None,
    }
}
