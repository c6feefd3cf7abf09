//! The signals of the event channels that the loop itself listens to: timer, xenstore, console.

use alloc::rc::Rc;
use core::cell::Cell;
use xen::evtchn::EventChannels;
use xen::signal::Signal;
use xen::{Counter, EvtchnPort};

/// What began an iteration, and which rings it has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The timer has fired since the loop last slept.
    pub(crate) timer: bool,
    /// The ring of xenstore.
    pub(crate) store: bool,
    /// The ring of the console.
    pub(crate) console: bool,
}

/// The signals of three event channels.
pub(crate) struct LoopSignals {
    /// `VIRQ_TIMER` has fired.
    timer: Rc<Signal>,
    /// xenstored has read or written.
    store: Rc<Signal>,
    /// xenconsoled has read or written.
    console: Rc<Signal>,
    /// Loop iterations that an event of xenstore began, and no other event.
    store_iterations: Cell<Counter>,
}

impl LoopSignals {
    /// Binds signals to the three ports; `rings` are those of xenstore and the console.
    pub(crate) fn bind(events: &EventChannels, timer: EvtchnPort, rings: [EvtchnPort; 2]) -> Self {
        let [store, console] = rings.map(|port| events.listen(port));
        Self { timer: events.listen(timer), store, console, store_iterations: Cell::default() }
    }

    /// Loop iterations that an event of xenstore began, and no other event.
    pub(crate) const fn store_iterations(&self) -> Counter {
        self.store_iterations.get()
    }

    /// Which rings are due in an iteration that dispatched `events` events.
    ///
    /// An iteration that began without an event, or with the timer, looks at both rings: a lost event then costs a wait,
    /// and not the guest.
    pub(crate) fn take_due(&self, events: u32) -> Due {
        let timer = self.timer.is_set();
        let everything = events == 0 || timer;
        if events == 1 && self.store.is_set() {
            Counter::bump_in(&self.store_iterations);
        }
        Due { timer, store: self.store.take() || everything, console: self.console.take() || everything }
    }

    /// Whether the timer has fired since the last call.
    pub(crate) fn take_timer(&self) -> bool {
        self.timer.take()
    }
}
