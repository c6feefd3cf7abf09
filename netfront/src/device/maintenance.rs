//! What is done once a second: the accounting is audited, and unneeded pages are freed.
//!
//! ```text
//!   maintain(now) ─► a second over? ─► free + in ring + in use + quarantined = total, for each pool; else counted, logged
//!                                  └─► half of the surplus pages that were free for that second ─► grant ended ─► memory
//! ```
//!
//! The period is a time, not a number of iterations: a guest under load has thousands of iterations in a second, an idle
//! one has none in a minute. Pages move only in iterations, so a sleeping guest has nothing to audit. It is woken while a
//! pool has surplus pages.

use super::NetDevice;
use crate::queue::{Queue, QueuePools};
use crate::wire::misbehaviour::Misbehaviour;
use xen::{Machine, SystemTime};

/// Nanoseconds from one maintenance to the next.
const PERIOD: u64 = 1_000_000_000;

impl<M: Machine> NetDevice<M> {
    /// Maintains the pools, if the last time is a second ago. Returns when to call this again even if nothing else
    /// happens: `None` if there is no surplus page and no quarantined one.
    pub fn maintain(&mut self, now: SystemTime) -> Option<SystemTime> {
        if now >= self.maintenance {
            self.maintenance = now.after(PERIOD);
            self.audit();
            self.shrink_idle();
            self.check_groups();
            self.check_mappings();
        }
        let (back, retry) = self.quarantine.poll(&self.xen, now);
        self.stats.recovered_rings.add_len(back);
        let shrink = self.has_surplus().then_some(self.maintenance);
        [shrink, retry, self.moderate(now), self.poll_room(now)].into_iter().flatten().min()
    }

    /// Frees every free page of the pools. Returns the number of pages. Pools grow again when they have to.
    pub fn trim(&mut self) -> usize {
        let xen = &self.xen;
        self.queues.iter_mut().map(|queue| queue.trim(xen)).fold(0, usize::saturating_add)
    }

    /// Checks that every page is accounted for. A lost page is a bug of the guest: counted, and logged once.
    fn audit(&mut self) {
        let Err(mismatch) = self.accounting() else { return };
        if self.stats.mismatches == 0 {
            log::error!("vif/{}: {mismatch}: this is a bug of the guest; please report it", self.handle);
        }
        self.stats.mismatches.bump();
    }

    /// Whether a pool is larger than at the start and has a free page.
    fn has_surplus(&self) -> bool {
        self.queues.iter().any(Queue::has_surplus)
            || self.pools.iter().any(|QueuePools { rx, tx, .. }| rx.has_surplus(0) || tx.has_surplus(0))
    }

    /// Frees pages that were not needed since the last time.
    fn shrink_idle(&mut self) {
        let xen = &self.xen;
        self.queues.iter_mut().for_each(|queue| queue.shrink_idle(xen));
        for QueuePools { rx, tx, .. } in &mut self.pools {
            rx.collect(xen);
            rx.retry_quarantine(xen);
            tx.retry_quarantine(xen);
            rx.shrink_idle(xen);
            tx.shrink_idle(xen);
        }
        let full = self.queues.iter().find_map(Queue::quarantine_full);
        if let Some(pages) = full.filter(|_| self.broken().is_none()) {
            self.set_broken(Misbehaviour::Quarantine(u32::try_from(pages).unwrap_or(u32::MAX)));
        }
    }

    /// Lets short frames go that wait for the room of a long one, after a while. Returns when to call this again.
    fn poll_room(&mut self, now: SystemTime) -> Option<SystemTime> {
        if !self.is_up() {
            return None;
        }
        let (mut next, mut freed) = (None, false);
        for queue in &mut self.queues {
            let (again, small) = queue.poll_room(now, self.tx_exhausted);
            next = next.into_iter().chain(again).min();
            freed |= small;
        }
        if freed {
            self.tx_exhausted = false;
        }
        next
    }

    /// Masks channels whose events come without work, and unmasks them again. Returns when to call this again.
    fn moderate(&mut self, now: SystemTime) -> Option<SystemTime> {
        // In nearly every iteration.
        if self.queues.iter().all(|queue| queue.channels().are_idle()) {
            return None;
        }
        if self.broken().is_some() || self.events_generation != self.xen.events.generation() {
            // The channels are masked until the backend restarts, or void since a resume in a new domain.
            return None;
        }
        let (mut masked, mut next) = (0_u64, None::<SystemTime>);
        for channel in self.queues.iter_mut().flat_map(Queue::channels_mut) {
            let (times, again) = channel.moderate(&self.xen, now);
            masked = masked.wrapping_add(times);
            next = next.into_iter().chain(again).min();
        }
        self.stats.event_masks.add(masked);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::config::Config;
    use alloc::rc::Rc;
    use pool::{Limits, Pool};
    use smoltcp::wire::EthernetAddress;
    use xen::DomId;
    use xen_sim::Sim;

    #[test]
    fn a_lost_page_is_counted_each_second_and_published() {
        let sim = Sim::builder().memory_pages(512).build();
        let xen = sim.xen();
        let mac = EthernetAddress([0, 0x16, 0x3e, 0, 0, 1]);
        let mut device = NetDevice::new(Rc::clone(&xen), Rc::default(), Config::default(), 0, mac, 1500);
        let limits = Limits { initial: 64, max: 64, quarantine: 8 };
        let (mut rx, tx) = (Pool::new(limits), Pool::new(limits));
        assert_eq!(rx.prepare(&xen, DomId(0)), Ok(()));
        let lost = rx.take();
        device.pools.push(QueuePools { rx, tx, contiguous: None });
        for (now, mismatches) in [(PERIOD, 1), (PERIOD + 1, 1), (2 * PERIOD - 1, 1), (2 * PERIOD, 2)] {
            assert_eq!(device.maintain(SystemTime(now)), None);
            assert_eq!(device.stats().device.mismatches, mismatches, "at {now} ns");
        }
        assert!(device.stats().mismatch.is_some());
        device.pools[0].rx.put(lost.expect("a page"));
        device.maintain(SystemTime(9 * PERIOD));
        assert_eq!(device.stats().device.mismatches, 2);
        assert_eq!(device.stats().mismatch, None);
    }
}
