//! The last look before sleep: Xen sets bits of an event channel while the vCPU decides that there is nothing to do.
//!
//! ```text
//!   Xen                                    the loop (xen::evtchn, kernel::run)
//!   pending[port] was clear? set           dispatch: upcall_pending = 0; sel = 0; take pending ports
//!   sel was clear? set                     has_pending: sel != 0? another turn
//!   upcall_pending was clear? set          sti; hlt: sleeps unless upcall_pending
//! ```
//!
//! Interrupts are off everywhere but in `sti; hlt`, so the upcall's handler, which clears `upcall_pending`, runs when the
//! sleep ends and at no other time. Two events come, so that the second meets what the first has left.

use loom::sync::Arc;
use loom::sync::atomic::AtomicU8;
use loom::sync::atomic::Ordering::SeqCst;
use loom::thread;

/// Two ports of one word, the selector's bit for that word, and the flag of the vCPU.
struct SharedInfo {
    pending: AtomicU8,
    sel: AtomicU8,
    upcall_pending: AtomicU8,
}

/// What is taken out of the loop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The look at the selector, with the flag cleared after the selector.
    LastLook,
    /// Interrupts off between the look and the sleep.
    InterruptsOff,
}

impl SharedInfo {
    fn new() -> Self {
        Self { pending: AtomicU8::new(0), sel: AtomicU8::new(0), upcall_pending: AtomicU8::new(0) }
    }

    /// Xen's `evtchn_2l_set_pending`.
    fn ring(&self, bit: u8) {
        if self.pending.fetch_or(bit, SeqCst) & bit == 0 && self.sel.fetch_or(1, SeqCst) == 0 {
            self.upcall_pending.store(1, SeqCst);
        }
    }

    /// `EventChannels::dispatch`.
    fn dispatch(&self, without: Without) {
        if self.sel.load(SeqCst) == 0 {
            return;
        }
        if without == Without::LastLook {
            self.sel.swap(0, SeqCst);
            self.upcall_pending.store(0, SeqCst);
        } else {
            self.upcall_pending.store(0, SeqCst);
            self.sel.swap(0, SeqCst);
        }
        let ports = self.pending.load(SeqCst);
        self.pending.fetch_and(!ports, SeqCst);
    }

    /// One iteration; whether the vCPU sleeps after it.
    fn iterate(&self, without: Without) -> bool {
        self.dispatch(without);
        if without != Without::LastLook && self.sel.load(SeqCst) != 0 {
            return false;
        }
        if without == Without::InterruptsOff {
            // The handler, between the look and the sleep.
            self.upcall_pending.swap(0, SeqCst);
        }
        true
    }
}

fn model(without: Without) {
    loom::model(move || {
        let info = Arc::new(SharedInfo::new());
        let xen = Arc::clone(&info);
        let other = thread::spawn(move || {
            xen.ring(1);
            xen.ring(2);
        });
        let asleep = info.iterate(without);
        assert!(other.join().is_ok());
        let woken = info.upcall_pending.load(SeqCst) != 0;
        let left = info.pending.load(SeqCst) != 0;
        assert!(!asleep || woken || !left, "asleep for ever beside an event");
    });
}

#[test]
fn no_event_is_slept_over() {
    model(Without::Nothing);
}

#[test]
#[should_panic(expected = "asleep for ever")]
fn without_the_last_look_one_is() {
    model(Without::LastLook);
}

#[test]
#[should_panic(expected = "asleep for ever")]
fn with_interrupts_on_before_the_sleep_one_is() {
    model(Without::InterruptsOff);
}
