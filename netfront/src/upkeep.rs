//! What is done once a second, besides the turns: the books are checked, and pages that nobody needs go back.
//!
//! ```text
//!   tend(now) ─► a second over? ─► free + in ring + lent + quarantined = total, for each pool, or a counter and a line
//!                              └─► half of the surplus pages that nobody needed in that second ─► end of grant ─► memory
//! ```
//!
//! By time and not by turns: a guest under load has thousands of turns in a second, an idle one none in a minute. Pages
//! move in turns only, so that a guest which sleeps has nothing to check; it is woken for as long as a pool has pages
//! to give back, and not longer.

use crate::device::NetDevice;
use crate::patience::earlier;
use crate::queue::Pools;
use xen::{Machine, SystemTime};

/// Nanoseconds from one time to the next.
const PERIOD: u64 = 1_000_000_000;

impl<M: Machine> NetDevice<M> {
    /// Looks after the pools if the last time is a second ago. When to be called again though nothing else happens:
    /// `None` if there is nothing to give back, and nothing that a backend is to let go of.
    pub fn tend(&mut self, now: SystemTime) -> Option<SystemTime> {
        if now >= self.upkeep {
            self.upkeep = now.after(PERIOD);
            self.audit();
            self.shrink_idle();
            self.look_after_groups();
            self.look_after_mappings();
        }
        let (back, retry) = self.lost.tend(&self.xen, now);
        self.note_recovered(back);
        let shrink = self.has_surplus().then_some(self.upkeep);
        earlier(earlier(shrink, retry), self.weather(now))
    }

    /// Gives every free page of the pools back to the guest's memory; how many went. Pools grow again when they need to.
    pub fn trim(&mut self) -> usize {
        let mut gone = 0_usize;
        for queue in &mut self.queues {
            queue.rx.unpark();
            queue.tx.unpark();
            gone = gone.saturating_add(queue.rx.pool.shrink(&self.xen, usize::MAX));
            gone = gone.saturating_add(queue.tx.pool.shrink(&self.xen, usize::MAX));
        }
        gone
    }

    /// Checks that every page is somewhere. A page that is not is a defect of ours: counted, and said once.
    fn audit(&mut self) {
        let Err(mismatch) = self.accounting() else { return };
        if self.stats.mismatches == 0 {
            log::error!("vif/{}: {mismatch}: this is a defect of the guest; please report it", self.handle);
        }
        self.stats.mismatches = self.stats.mismatches.wrapping_add(1);
    }

    /// Whether a pool has free pages beyond those of its start.
    fn has_surplus(&self) -> bool {
        let queues = self.queues.iter().any(|queue| queue.rx.pool.has_surplus(0) || queue.tx.has_surplus());
        queues || self.pools.iter().any(|Pools { rx, tx, .. }| rx.has_surplus(0) || tx.has_surplus(0))
    }

    /// Gives pages back that were not needed since the last time.
    fn shrink_idle(&mut self) {
        let xen = &self.xen;
        for queue in &mut self.queues {
            // Those that are taken out until the next time are those that were needed.
            queue.tx.unpark();
            queue.rx.pool.shrink_idle(xen);
            queue.tx.pool.shrink_idle(xen);
        }
        for Pools { rx, tx, .. } in &mut self.pools {
            rx.collect(xen);
            rx.shrink_idle(xen);
            tx.shrink_idle(xen);
        }
        let full = self
            .queues
            .iter()
            .find_map(|queue| queue.rx.pool.quarantine_full().or_else(|| queue.tx.pool.quarantine_full()));
        if let Some(what) = full.filter(|_| self.broken.is_none()) {
            self.breaks(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::pool::{Limits, Pool};
    use alloc::rc::Rc;
    use xen::DomId;
    use xen_sim::{Sim, VifConfig, block_on};

    #[test]
    fn a_page_that_is_nowhere_is_counted_each_second_and_published() {
        let sim = Sim::builder().memory_pages(512).build();
        let _netback = sim.add_vif(VifConfig::default());
        let xen = sim.xen();
        let (mut device, _life) =
            block_on(&xen, crate::open(Rc::clone(&xen), 0, Config::default())).expect("a vif");
        let limits = Limits { initial: 64, max: 64, quarantine: 8 };
        let (mut rx, tx) = (Pool::new(limits), Pool::new(limits));
        assert_eq!(rx.prepare(&xen, DomId(0)), Ok(()));
        let lost = rx.take();
        device.pools.push(Pools { rx, tx, strip: None });
        for (now, mismatches) in [(PERIOD, 1), (PERIOD + 1, 1), (2 * PERIOD - 1, 1), (2 * PERIOD, 2)] {
            assert_eq!(device.tend(SystemTime(now)), None);
            assert_eq!(device.stats().device.mismatches, mismatches, "at {now} ns");
        }
        assert!(device.stats().mismatch.is_some());
        device.pools[0].rx.put(lost.expect("a page"));
        device.tend(SystemTime(9 * PERIOD));
        assert_eq!((device.stats().device.mismatches, device.stats().mismatch), (2, None));
    }
}
