//! Event channels of the 2-level kind: which ports have something for us.
//!
//! ```text
//!   peer: EVTCHNOP_send ──► evtchn_pending[port] ──unless masked──► evtchn_pending_sel ──► evtchn_upcall_pending
//!                                    │                                                          │
//!   dispatch: exchange sel, walk the words, clear the bit ◄──────── the interrupt only wakes the vCPU
//!                                    └──► Signal of the port ──► the task that waits for it
//! ```
//!
//! The upcall handler does nothing but take note; all work happens in [`EventChannels::dispatch`], called by the loop.
//! A port that nobody listens to is masked when it rings, so that a foreign or late event costs one look (XSA-332).

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::drop_non_drop,
    reason = "a test that overflows fails; what is dropped is shown to be"
)]
mod tests;

use crate::abi::xen::offset::{shared_info as info, vcpu_info as vcpu};
use crate::ids::EvtchnPort;
use crate::memory::shared::Shared;
use crate::signal::Signal;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Words of `evtchn_pending` and of `evtchn_mask` on x86-64; 64 ports each.
const NR_WORDS: usize = 64;

crate::counters! {
    /// Events since boot.
    pub struct EventStats {
        /// Events taken, on all ports.
        received,
        /// Events on ports without a listener.
        stray,
    }
}

/// The event channels of one vCPU.
#[derive(Debug)]
pub struct EventChannels {
    shared_info: Shared<'static>,
    vcpu_info: Cell<Shared<'static>>,
    listeners: RefCell<Vec<Option<Rc<Signal>>>>,
    /// Counts the times that all ports became void.
    generation: Cell<u32>,
    stats: Cell<EventStats>,
}

impl EventChannels {
    /// Takes over the event channels: masks every port, forgets what was pending.
    #[must_use]
    pub fn new(shared_info: Shared<'static>, vcpu_info: Shared<'static>) -> Self {
        mask_all(shared_info, vcpu_info);
        Self {
            shared_info,
            vcpu_info: Cell::new(vcpu_info),
            listeners: RefCell::new(Vec::new()),
            generation: Cell::new(0),
            stats: Cell::default(),
        }
    }

    /// Starts over after a suspend: masks every port, forgets what was pending, and wakes who listened: [`generation`]
    /// tells that the port is void. The ports that had a listener: in a new domain their numbers mean nothing, or
    /// something else; in the same one they are still bound.
    ///
    /// [`generation`]: Self::generation
    pub fn resume(&self) -> Vec<EvtchnPort> {
        mask_all(self.shared_info, self.vcpu_info.get());
        self.generation.set(self.generation.get().wrapping_add(1));
        let listeners = core::mem::take(&mut *self.listeners.borrow_mut());
        listeners.iter().flatten().for_each(|signal| signal.set());
        let numbers = (0_u32..).zip(listeners);
        numbers.filter_map(|(number, listener)| listener.map(|_| EvtchnPort(number))).collect()
    }

    /// The connection of ports to their meaning: a port that was made in another generation is not ours to use.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// Listens to a port: the signal is set for each event from now on, and now, if one is pending already.
    pub fn listen(&self, port: EvtchnPort) -> Rc<Signal> {
        let signal = Rc::new(Signal::new());
        let index = index(port);
        let mut listeners = self.listeners.borrow_mut();
        if listeners.len() <= index {
            listeners.resize(index.saturating_add(1).min(NR_WORDS.saturating_mul(64)), None);
        }
        if let Some(entry) = listeners.get_mut(index) {
            *entry = Some(Rc::clone(&signal));
        }
        drop(listeners);
        self.unmask(port);
        signal
    }

    /// Stops listening: masks the port and forgets its signal. Before the port is closed.
    pub fn stop(&self, port: EvtchnPort) {
        self.mask(port);
        if let Some(entry) = self.listeners.borrow_mut().get_mut(index(port)) {
            *entry = None;
        }
    }

    /// Masks a port: its events stay pending and do not wake us.
    pub fn mask(&self, port: EvtchnPort) {
        let (word, bit) = position(port);
        self.shared_info.fetch_or(word_offset(info::EVTCHN_MASK, word), bit);
    }

    /// Unmasks a port. Xen gives no upcall for events that arrived while it was masked, so this looks for them.
    pub fn unmask(&self, port: EvtchnPort) {
        let (word, bit) = position(port);
        self.shared_info.fetch_and(word_offset(info::EVTCHN_MASK, word), !bit);
        if self.shared_info.load::<u64>(word_offset(info::EVTCHN_PENDING, word), SeqCst) & bit != 0 {
            self.take(word, bit);
        }
    }

    /// Whether [`Self::dispatch`] would find something: one load, for the last look before sleep. (The upcall handler
    /// clears `evtchn_upcall_pending`, or Xen would interrupt again at once; the selector tells the same.)
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.vcpu_info.get().load::<u64>(vcpu::EVTCHN_PENDING_SEL, SeqCst) != 0
    }

    /// Sets the signal of every pending port; how many.
    pub fn dispatch(&self) -> u32 {
        let vcpu_info = self.vcpu_info.get();
        if vcpu_info.load::<u64>(vcpu::EVTCHN_PENDING_SEL, Relaxed) == 0 {
            return 0;
        }
        // The flag first, the selector second: an event in between sets both again.
        vcpu_info.store(vcpu::EVTCHN_UPCALL_PENDING, 0_u8, SeqCst);
        let mut words = vcpu_info.swap::<u64>(vcpu::EVTCHN_PENDING_SEL, 0);
        let mut found = 0_u32;
        while let Some(word) = lowest(&mut words) {
            let mask = self.shared_info.load::<u64>(word_offset(info::EVTCHN_MASK, word), Relaxed);
            let pending = self.shared_info.load::<u64>(word_offset(info::EVTCHN_PENDING, word), SeqCst);
            let mut ports = pending & !mask;
            while let Some(bit) = lowest(&mut ports) {
                self.take(word, 1 << bit);
                found = found.wrapping_add(1);
            }
        }
        found
    }

    /// Takes one pending event: clears its bit first, then tells the listener, so that a new one rings again.
    fn take(&self, word: usize, bit: u64) {
        self.shared_info.fetch_and(word_offset(info::EVTCHN_PENDING, word), !bit);
        let mut stats = self.stats.get();
        stats.received.bump();
        let number =
            u32::try_from(word).unwrap_or_default().wrapping_mul(64).wrapping_add(bit.trailing_zeros());
        let port = EvtchnPort(number);
        let signal = self.listeners.borrow().get(index(port)).cloned().flatten();
        if let Some(signal) = signal {
            signal.set();
        } else {
            stats.stray.bump();
            self.mask(port);
        }
        self.stats.set(stats);
    }

    /// Events since boot.
    #[must_use]
    pub const fn stats(&self) -> EventStats {
        self.stats.get()
    }
}

fn mask_all(shared_info: Shared<'static>, vcpu_info: Shared<'static>) {
    for word in 0..NR_WORDS {
        shared_info.store(word_offset(info::EVTCHN_MASK, word), u64::MAX, SeqCst);
        shared_info.store(word_offset(info::EVTCHN_PENDING, word), 0_u64, SeqCst);
    }
    vcpu_info.store(vcpu::EVTCHN_PENDING_SEL, 0_u64, SeqCst);
    vcpu_info.store(vcpu::EVTCHN_UPCALL_PENDING, 0_u8, SeqCst);
    vcpu_info.store(vcpu::EVTCHN_UPCALL_MASK, 0_u8, SeqCst);
}

/// Takes the lowest set bit out of `bits`; its number.
fn lowest(bits: &mut u64) -> Option<usize> {
    if *bits == 0 {
        return None;
    }
    let number = bits.trailing_zeros();
    *bits &= bits.wrapping_sub(1);
    usize::try_from(number).ok()
}

const fn word_offset(base: usize, word: usize) -> usize {
    base.wrapping_add(word.wrapping_mul(8))
}

fn index(port: EvtchnPort) -> usize {
    usize::try_from(port.0).unwrap_or(usize::MAX)
}

/// Word and bit of a port; a number that no 2-level port has is folded into range (Xen never gives one).
fn position(port: EvtchnPort) -> (usize, u64) {
    let word = usize::try_from(port.0 / 64).unwrap_or_default() % NR_WORDS;
    (word, 1 << (port.0 % 64))
}
