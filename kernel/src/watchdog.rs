//! Xen's watchdog: `watchdog=SECONDS` ends the guest, as `on_watchdog=` says, when its loop stands still for so long.
//!
//! ```text
//!   turn ─► tend: a third of the time is over ─► SCHEDOP_watchdog(id, SECONDS) ─► Xen's timer starts again
//! ```
//!
//! It is tended from the loop, so it hears of everything that keeps the loop from turning: a task that never yields, a
//! driver that spins. A pause by the toolstack counts as standing still; a suspend does not.

use crate::machine::DomU;
use core::cell::Cell;
use xen::SystemTime;

/// The guest's watchdog; without seconds there is none.
#[derive(Debug)]
pub(crate) struct Watchdog {
    seconds: Option<u32>,
    /// Xen's number for it; 0 before it has one.
    id: Cell<u32>,
    due: Cell<SystemTime>,
}

impl Watchdog {
    pub(crate) const fn new(seconds: Option<u32>) -> Self {
        Self { seconds, id: Cell::new(0), due: Cell::new(SystemTime(0)) }
    }

    /// Tells Xen that the loop turns, if that is due; when it is due next.
    pub(crate) fn tend(&self, machine: &DomU, now: SystemTime) -> Option<SystemTime> {
        let seconds = self.seconds?;
        if now >= self.due.get() {
            self.due.set(now.after(u64::from(seconds).saturating_mul(1_000_000_000 / 3)));
            match machine.watchdog(self.id.get(), seconds) {
                Ok(0) => {}
                Ok(id) => self.id.set(id),
                Err(errno) if self.id.get() == 0 => log::warn!("Xen gives this guest no watchdog: {errno}"),
                // A new domain does not have the old one's: at the next turn it gets one.
                Err(_) => {
                    self.id.set(0);
                    self.due.set(now);
                }
            }
        }
        Some(self.due.get())
    }
}
