//! The device's accounting and counters, as a copy to publish.
//!
//! ```text
//!   queues of this connection ┐
//!   pools without a queue     ├─ sum ─► accounting(), stats()
//!   counters of former ones   ┘
//! ```

use super::stats::{MAX_QUEUES, QueueStats, Stats};
use super::{Link, NetDevice};
use crate::queue::Queue;
use pool::contiguous::ContiguousBuffer;
use pool::{Mismatch, PoolCounts, PoolStats};
use xen::{Counter, Machine};

impl<M: Machine> NetDevice<M> {
    /// Where the pages of all rx pools and of all tx pools are.
    ///
    /// # Errors
    /// The counts of the first pool that do not add up.
    pub fn accounting(&self) -> Result<(PoolCounts, PoolCounts), Mismatch> {
        let (mut rx, mut tx) = (PoolCounts::default(), PoolCounts::default());
        for queue in &self.queues {
            let (of_rx, of_tx) = queue.accounting()?;
            rx.add(&of_rx);
            tx.add(&of_tx);
        }
        for pools in &self.pools {
            rx.add(&pools.rx.account(0, 0)?);
            tx.add(&pools.tx.account(0, 0)?);
        }
        Ok((rx, tx))
    }

    /// Frames received and sent by each queue of this connection.
    pub fn queue_packets(&self) -> impl Iterator<Item = QueueStats> + '_ {
        self.queues.iter().map(|queue| {
            let (rx, tx) = queue.stats();
            let rx_packets = sum(rx.copied_packets, rx.zero_copy_packets);
            QueueStats { rx_packets, tx_packets: tx.packets }
        })
    }

    /// Everything that is counted. This walks the tables of slots: call it once a second, not once a packet.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (mut rx, mut tx, mut misbehaviour) = (self.past_rx, self.past_tx, self.misbehaviour);
        let mut tx_contiguous = PoolCounts::default();
        let (mut rx_pool_stats, mut tx_pool_stats) = (PoolStats::default(), PoolStats::default());
        for queue in &self.queues {
            let (of_rx, of_tx) = queue.stats();
            rx.add(&of_rx);
            tx.add(&of_tx);
            misbehaviour.add(&queue.misbehaviour());
            let (of_rx, of_tx) = queue.pool_stats();
            rx_pool_stats.add(&of_rx);
            tx_pool_stats.add(&of_tx);
            tx_contiguous.add(&queue.contiguous_counts());
        }
        for pools in &self.pools {
            rx_pool_stats.add(&pools.rx.stats());
            tx_pool_stats.add(&pools.tx.stats());
            tx_contiguous.add(&pools.contiguous.as_ref().map(ContiguousBuffer::counts).unwrap_or_default());
        }
        tx_contiguous.quarantined = self.quarantine.contiguous_len();
        rx.packets = sum(rx.copied_packets, rx.zero_copy_packets);
        rx.bytes = sum(rx.copied_bytes, rx.zero_copy_bytes);
        let mut queues = [QueueStats::default(); MAX_QUEUES];
        for (counted, queue) in queues.iter_mut().zip(self.queue_packets()) {
            *counted = queue;
        }
        let accounts = self.accounting();
        let (rx_pool, tx_pool) = accounts.unwrap_or_default();
        Stats {
            rx,
            tx,
            device: self.stats,
            queues,
            rx_pool,
            tx_pool,
            tx_contiguous,
            rx_pool_stats,
            tx_pool_stats,
            misbehaviour,
            mismatch: accounts.err(),
            link_up: self.is_up(),
            carrier: self.link != Link::NoCarrier,
            rate: self.rate,
            link_generation: self.generation,
            backend: self.backend,
            trusted: self.trusted,
            config: self.config,
            mapped_pages: self.queues.iter().map(Queue::mapped).sum(),
            mtu: self.mtu,
            features: self.features,
        }
    }
}

/// Both counters together.
const fn sum(a: Counter, b: Counter) -> Counter {
    let mut sum = a;
    sum.add(b.get());
    sum
}
