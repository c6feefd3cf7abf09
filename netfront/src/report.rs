//! What a device says of itself: its books, and its counters.

use crate::device::NetDevice;
use crate::pool::{Mismatch, PoolCounts, PoolStats};
use crate::queue::Queue;
use crate::stats::{MOST_QUEUES, QueueStats, Stats};
use crate::strip::Strip;
use xen::Machine;

impl<M: Machine> NetDevice<M> {
    /// Where the pages are: those to receive into, and those to send from, of all queues.
    ///
    /// # Errors
    /// The first pool whose pages do not add up.
    pub fn accounting(&self) -> Result<(PoolCounts, PoolCounts), Mismatch> {
        let (mut rx, mut tx) = (PoolCounts::default(), PoolCounts::default());
        for queue in &self.queues {
            rx.add(&queue.rx.accounting()?);
            tx.add(&queue.tx.accounting()?);
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
            let rx = &queue.rx.stats;
            let rx_packets = rx.copied_packets.wrapping_add(rx.lent_packets);
            QueueStats { rx_packets, tx_packets: queue.tx.stats.packets }
        })
    }

    /// Everything that is counted. It walks the tables of slots: once a second is fine, once a packet is not.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (mut rx, mut tx, mut misbehaviour) = (self.past_rx, self.past_tx, self.tally);
        let mut tx_strip = PoolCounts::default();
        let (mut rx_pool_stats, mut tx_pool_stats) = (PoolStats::default(), PoolStats::default());
        for queue in &self.queues {
            rx.add(&queue.rx.stats);
            tx.add(&queue.tx.stats);
            misbehaviour.add(&queue.rx.tally);
            misbehaviour.add(&queue.tx.tally);
            rx_pool_stats.add(&queue.rx.pool.stats());
            tx_pool_stats.add(&queue.tx.pool.stats());
            tx_strip.add(&queue.tx.strip_counts());
        }
        for pools in &self.pools {
            rx_pool_stats.add(&pools.rx.stats());
            tx_pool_stats.add(&pools.tx.stats());
            tx_strip.add(&pools.strip.as_ref().map(Strip::counts).unwrap_or_default());
        }
        tx_strip.quarantined = self.lost.of_strip();
        rx.packets = rx.copied_packets.wrapping_add(rx.lent_packets);
        rx.bytes = rx.copied_bytes.wrapping_add(rx.lent_bytes);
        let mut queues = [QueueStats::default(); MOST_QUEUES];
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
            tx_strip,
            rx_pool_stats,
            tx_pool_stats,
            misbehaviour,
            mismatch: accounts.err(),
            link_up: self.link_up,
            carrier: self.carrier,
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
