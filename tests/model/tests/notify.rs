//! Notification: a producer that pushes and looks at the event index, a consumer that writes the event index and looks
//! once more, in every order that the memory model allows.
//!
//! ```text
//!   producer                                consumer
//!   slot = …                                take all entries
//!   prod = new            (release)         event = cons + 1
//!   ── full barrier ──                      ── full barrier ──
//!   event among the new ones? notify        prod != cons? go on, else sleep
//! ```
//!
//! The producer is `FrontRing::push_requests_and_check_notify` or `BackRing::push_responses_and_check_notify`, the
//! consumer `BackRing::final_check_for_requests` or `FrontRing::final_check_for_responses`: the same order of accesses
//! with the names exchanged. So both directions are this one model.

use loom::sync::Arc;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicBool, AtomicU32, fence};
use loom::thread;
use xen::ring::arith::index32;

/// Where the indexes begin: two pushes take them across the wrap.
const START: u32 = u32::MAX;

/// The shared page, as far as this matters, and the event channel.
struct Ring {
    prod: AtomicU32,
    event: AtomicU32,
    slots: [AtomicU32; 2],
    /// An event is pending at the consumer.
    rung: AtomicBool,
}

impl Ring {
    fn new() -> Self {
        Self {
            prod: AtomicU32::new(START),
            event: AtomicU32::new(START.wrapping_add(1)),
            slots: [AtomicU32::new(0), AtomicU32::new(0)],
            rung: AtomicBool::new(false),
        }
    }

    fn slot(&self, index: u32) -> Option<&AtomicU32> {
        self.slots.get(usize::from(index32::slot(2, index) == 1))
    }

    /// Writes one slot and shows it.
    fn push(&self, old: u32, barrier: bool) -> u32 {
        let new = old.wrapping_add(1);
        if let Some(slot) = self.slot(old) {
            slot.store(1, Relaxed);
        }
        self.prod.store(new, Release);
        if barrier {
            fence(SeqCst);
        }
        if index32::wants_notification(old, new, self.event.load(Relaxed)) {
            // Xen sets the bit in one step, and so the order of setting and taking is one order.
            self.rung.swap(true, AcqRel);
        }
        new
    }

    /// Takes all entries, asks for an event, looks once more; until there is none. Returns where it went to sleep.
    fn consume(&self, mut cons: u32, barrier: bool) -> u32 {
        loop {
            let prod = self.prod.load(Acquire);
            while cons != prod {
                let slot = self.slot(cons).map(|slot| slot.load(Relaxed));
                assert_eq!(slot, Some(1), "a slot that is shown is complete");
                cons = cons.wrapping_add(1);
            }
            self.event.store(cons.wrapping_add(1), Relaxed);
            if barrier {
                fence(SeqCst);
            }
            if self.prod.load(Acquire) == cons {
                return cons;
            }
        }
    }
}

/// `pushes` pushes against a consumer. A consumer that sleeps beside a full ring and was not rung is a lost wake-up.
fn model(pushes: u32, producer_barrier: bool, consumer_barrier: bool) {
    loom::model(move || {
        let ring = Arc::new(Ring::new());
        let theirs = Arc::clone(&ring);
        let producer = thread::spawn(move || {
            let mut prod = START;
            for _ in 0..pushes {
                prod = theirs.push(prod, producer_barrier);
            }
        });
        let mut cons = ring.consume(START, consumer_barrier);
        // Awake again for each event that is there by now.
        if ring.rung.swap(false, AcqRel) {
            cons = ring.consume(cons, consumer_barrier);
        }
        assert!(producer.join().is_ok());
        let awake = ring.rung.swap(false, AcqRel);
        let behind = ring.prod.load(Acquire) != cons;
        assert!(awake || !behind, "a lost wake-up: asleep beside what was pushed");
    });
}

#[test]
fn with_both_barriers_no_wake_up_is_lost() {
    model(1, true, true);
    model(2, true, true);
}

#[test]
#[should_panic(expected = "a lost wake-up")]
fn without_the_producer_s_barrier_one_is_lost() {
    model(2, false, true);
}

#[test]
#[should_panic(expected = "a lost wake-up")]
fn without_the_consumer_s_barrier_one_is_lost() {
    model(2, true, false);
}
