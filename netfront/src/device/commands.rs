//! The commands of the connection task, as the device runs them.
//!
//! ```text
//!   Connect: pools prepared for the backend ─► queues ─► rx rings filled and shown   (before the state says Connected)
//!   Up:      frames flow, generation + 1, one notification on every channel
//!   Stop:    frames do not flow                                                      (the backend is closing)
//!   Release: pages back to their pools, grants of the rings ended, ports closed      (the backend has closed)
//!   Revoke:  as Release, and the grants of the pools are ended                       (the backend is gone)
//! ```
//!
//! Every command may come in any state, and twice.

use super::config::{Config, Trust};
use super::mailbox::{Command, Connection, ControlReport, Reply};
use super::{Link, NetDevice};
use crate::queue::{Queue, QueuePools};
use crate::wire::check_rx::{ETHERNET_HEADER, RxPolicy, VLAN_TAG};
use crate::wire::feature::Feature;
use alloc::vec::Vec;
use pool::contiguous::ContiguousBuffer;
use pool::{Limits, Pool, PoolError};
use xen::{DomId, GrantedPage, Machine};

/// IP bytes of the longest packet whose frame fits into a page.
const PAGE_MTU: u16 = 4096 - ETHERNET_HEADER;

impl<M: Machine> NetDevice<M> {
    /// Runs a command and answers it.
    #[inline(never)]
    pub(super) fn run(&mut self, command: Command) {
        let reply = match command {
            Command::Connect(connection) => {
                self.connect(*connection).map_or_else(Reply::Failed, |()| Reply::Done)
            }
            Command::Up => {
                self.come_up();
                Reply::Done
            }
            Command::Carrier(up) => {
                self.set_carrier(up);
                Reply::Done
            }
            Command::Hash { hashing, agreed } => {
                self.set_hashing(hashing, agreed);
                Reply::Done
            }
            Command::Mapping(step) => self.run_mapping(step),
            Command::Control(report) => {
                self.note_control(&report);
                Reply::Done
            }
            Command::InUse(pages) => {
                self.quarantine_rings(pages);
                Reply::Done
            }
            Command::Stop => {
                self.stop();
                Reply::Done
            }
            Command::Release => {
                self.release();
                Reply::Done
            }
            Command::Revoke => {
                self.revoke();
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
            retained_max: self.config.retained_max,
            backend,
            max_frame: usize::from(mtu).saturating_add(usize::from(ETHERNET_HEADER)).saturating_add(VLAN_TAG),
            features: features.rx,
        };
        let mut failure = self.check_quarantine();
        let share = self.config.share(queues.len());
        for (left, rings) in (1..=queues.len()).rev().zip(queues) {
            let entries = usize::try_from(self.xen.grants.stats().free).unwrap_or(usize::MAX);
            let pools = self.pools.pop();
            let mut pools =
                pools.unwrap_or_else(|| new_pools(&share, entries.checked_div(left).unwrap_or(0)));
            if failure.is_none() {
                let ready =
                    pools.rx.prepare(&self.xen, backend).and_then(|()| pools.tx.prepare(&self.xen, backend));
                failure = ready.err();
            }
            pools.contiguous =
                self.prepare_contiguous(pools.contiguous.take(), backend, features.tx, share.contiguous);
            if pools.contiguous.is_none() {
                // Without contiguous memory, each frame has to fit into a page.
                features.tx = features.tx.difference(Feature::SCATTER_GATHER).consistent();
                self.mtu = self.mtu.min(PAGE_MTU);
            }
            let mut queue = Queue::new(rings, pools, policy, features.tx);
            if failure.is_none() {
                queue.begin(&self.xen);
            }
            self.queues.push(queue);
        }
        if let Some(failure) = failure {
            self.release();
            return Err(failure);
        }
        self.free_unused_pools();
        self.groups.begin(features.multicast_control);
        self.features = features;
        self.steered = 0;
        self.link = Link::Down;
        self.events_generation = self.xen.events.generation();
        self.stats.connects.bump();
        Ok(())
    }

    /// Prepares contiguous pages for this backend, if it takes frames over several slots: the buffer of the former
    /// connection, or a new one.
    fn prepare_contiguous(
        &mut self,
        buffer: Option<ContiguousBuffer>,
        backend: DomId,
        tx: Feature,
        count: usize,
    ) -> Option<ContiguousBuffer> {
        let buffer = match buffer {
            Some(buffer) if !buffer.is_granted_to(&self.xen, backend) => {
                let (buffer, in_use) = buffer.regrant(&self.xen, backend);
                self.quarantine.keep_contiguous(in_use);
                buffer
            }
            buffer => buffer,
        };
        let wanted = tx.contains(Feature::SCATTER_GATHER) && count > 0;
        if buffer.is_some() || !wanted {
            return buffer;
        }
        let (buffer, in_use) = ContiguousBuffer::new(&self.xen, backend, count);
        self.quarantine.keep_contiguous(in_use);
        buffer
    }

    /// Ends the grants of pools whose queue does not exist in this connection, and frees their pages.
    fn free_unused_pools(&mut self) {
        for pools in &mut self.pools {
            pools.rx.collect(&self.xen);
            pools.rx.shrink(&self.xen, usize::MAX);
            pools.tx.shrink(&self.xen, usize::MAX);
            let in_use = pools.contiguous.take().map(|buffer| buffer.free(&self.xen));
            self.quarantine.keep_contiguous(in_use.unwrap_or_default());
        }
    }

    /// The backend is gone: ends the grants of all pools, so that no domain that gets its number can use them. The pages
    /// stay in the pools, for the next connection.
    fn revoke(&mut self) {
        self.release();
        for pools in &mut self.pools {
            pools.rx.revoke(&self.xen);
            pools.tx.revoke(&self.xen);
            let in_use = pools.contiguous.take().map(|buffer| buffer.free(&self.xen));
            self.quarantine.keep_contiguous(in_use.unwrap_or_default());
        }
    }

    /// Checks the quarantine before a connection: it must be below the limit.
    fn check_quarantine(&mut self) -> Option<PoolError> {
        let back = self.quarantine.retry(&self.xen);
        self.stats.recovered_rings.add_len(back);
        let pages = self.quarantine.len();
        (pages >= self.config.quarantine_max).then_some(PoolError::Quarantine(pages))
    }

    /// The backend is connected: lets frames flow.
    fn come_up(&mut self) {
        if self.queues.is_empty() || matches!(self.link, Link::Up | Link::Broken(_)) {
            return;
        }
        self.link = Link::Up;
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
            let refused = queue.notify_all(&self.xen);
            self.stats.notify_errors.add(refused);
        }
    }

    /// The link behind the backend came up or went down.
    fn set_carrier(&mut self, up: bool) {
        match (self.link, up) {
            (Link::Up, false) => self.link = Link::NoCarrier,
            (Link::NoCarrier, true) => {}
            _ => return,
        }
        log::info!("vif/{}: the backend has {}", self.handle, if up { "carrier" } else { "no carrier" });
        if up {
            self.come_up();
        }
    }

    /// Stops all frames. A broken device stays broken until the next connection.
    pub(super) const fn stop(&mut self) {
        if !matches!(self.link, Link::Broken(_)) {
            self.link = Link::Down;
        }
    }

    /// Takes everything back from a backend that has closed.
    fn release(&mut self) {
        self.stop();
        self.backend = None;
        self.hashing = None;
        self.groups.begin(false);
        for queue in core::mem::take(&mut self.queues) {
            let remains = queue.close(&self.xen);
            self.past_rx.add(&remains.rx_stats);
            self.past_tx.add(&remains.tx_stats);
            self.misbehaviour.add(&remains.misbehaviour);
            self.pools.push(remains.pools);
            self.quarantine_rings(remains.in_use);
        }
    }

    /// Counts requests on the control ring.
    fn note_control(&mut self, report: &ControlReport) {
        let ControlReport { counts, silent, broken } = report;
        self.stats.ctrl_answered.add(counts.answered.get());
        self.stats.ctrl_refused.add(counts.refused.get());
        self.stats.ctrl_silent.add(u64::from(*silent));
        broken.iter().for_each(|what| self.misbehaviour.count(what));
    }

    /// Keeps ring pages that the backend still uses.
    fn quarantine_rings(&mut self, pages: Vec<GrantedPage>) {
        self.stats.quarantined_rings.add_len(pages.len());
        self.quarantine.keep_rings(pages);
    }
}

/// The pools of a queue that may use `entries` entries of the grant table. Of too few entries each pool gets half: a queue
/// that receives and cannot answer is useless.
fn new_pools(config: &Config, entries: usize) -> QueuePools {
    let half = entries.wrapping_div(2);
    let rx = config.pool_rx.min(entries.saturating_sub(config.pool_tx).max(half));
    let tx = config.pool_tx.min(entries.saturating_sub(rx));
    if (rx, tx) != (config.pool_rx, config.pool_tx) {
        log::warn!(
            "the grant table has {entries} free entries: the pools have {rx} pages to receive into and {tx} to send \
             from, not {} and {}; raise max_grant_frames or make the pools smaller",
            config.pool_rx,
            config.pool_tx
        );
    }
    let limits = |initial, max| Limits { initial, max, quarantine: config.quarantine_max };
    QueuePools {
        rx: Pool::new(limits(rx, config.pool_rx_max)),
        tx: Pool::new(limits(tx, config.pool_tx_max)),
        contiguous: None,
    }
}
