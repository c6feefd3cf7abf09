//! Xen's watchdog: with `watchdog=SECONDS`, Xen ends the guest (as `on_watchdog=` says) if its loop stops for that long.
//!
//! ```text
//!   loop iteration ─► feed: a third of the time is over ─► SCHEDOP_watchdog(id, SECONDS) ─► Xen restarts its timer
//! ```
//!
//! The loop feeds the watchdog, so it detects whatever stops the loop: a task that never yields, a driver that spins. A
//! pause by the toolstack counts as a stop; a suspend does not.

use super::domu::DomU;
use core::cell::Cell;
use xen::SystemTime;

/// The guest's watchdog; disabled without `seconds`.
#[derive(Debug)]
pub(crate) struct Watchdog {
    seconds: Option<u32>,
    /// Its number in Xen; 0 before Xen has created it.
    id: Cell<u32>,
    due: Cell<SystemTime>,
}

impl Watchdog {
    /// A watchdog that Xen creates at the first [`Watchdog::feed`].
    pub(crate) const fn new(seconds: Option<u32>) -> Self {
        Self { seconds, id: Cell::new(0), due: Cell::new(SystemTime(0)) }
    }

    /// Restarts Xen's timer if that is due. Returns when it is due next.
    pub(crate) fn feed(&self, machine: &DomU, now: SystemTime) -> Option<SystemTime> {
        let seconds = self.seconds?;
        if now >= self.due.get() {
            self.due.set(now.after(u64::from(seconds).saturating_mul(1_000_000_000 / 3)));
            match machine.watchdog(self.id.get(), seconds) {
                Ok(0) => {}
                Ok(id) => self.id.set(id),
                Err(errno) if self.id.get() == 0 => {
                    log::warn!("Xen refused a watchdog (SCHEDOP_watchdog): {errno}")
                }
                // After a restore the new domain has none yet: the next iteration creates one.
                Err(_) => {
                    self.id.set(0);
                    self.due.set(now);
                }
            }
        }
        Some(self.due.get())
    }
}
