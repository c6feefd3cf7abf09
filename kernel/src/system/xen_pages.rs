//! The pages that Xen gives the guest at its start, and the port of the timer: what a resume connects again.

use core::cell::Cell;
use xen::{EvtchnPort, Gfn, Shared};

/// A page that Xen or dom0 shares with the guest: its frame, and the memory.
pub(crate) type XenPage = (Gfn, Shared<'static>);

/// Where Xen's pages are.
#[derive(Debug)]
pub(crate) struct XenPages {
    shared_info: XenPage,
    store: XenPage,
    console: XenPage,
    timer: Cell<EvtchnPort>,
}

impl XenPages {
    /// The pages of `shared_info`, xenstore's ring and the console's ring, and the port of `VIRQ_TIMER`.
    pub(crate) const fn new(
        shared_info: XenPage,
        store: XenPage,
        console: XenPage,
        timer: EvtchnPort,
    ) -> Self {
        Self { shared_info, store, console, timer: Cell::new(timer) }
    }

    /// `shared_info`.
    pub(crate) const fn shared_info(&self) -> XenPage {
        self.shared_info
    }

    /// xenstore's ring.
    pub(crate) const fn store(&self) -> XenPage {
        self.store
    }

    /// The console's ring.
    pub(crate) const fn console(&self) -> XenPage {
        self.console
    }

    /// The port of `VIRQ_TIMER`.
    pub(crate) const fn timer(&self) -> EvtchnPort {
        self.timer.get()
    }

    /// Sets the port of `VIRQ_TIMER` in a new domain.
    pub(crate) fn set_timer(&self, port: EvtchnPort) {
        self.timer.set(port);
    }
}
