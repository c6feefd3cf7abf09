//! The timer queue: wakers by deadline.

use alloc::collections::BTreeMap;
use core::cell::{Cell, RefCell};
use core::task::Waker;
use xen::SystemTime;

/// The key of an entry: its deadline, and a number that no other entry has.
pub(crate) type Key = (SystemTime, u64);

/// Wakers by deadline. Each is woken once, however far the clock has advanced: waking removes the entry.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: RefCell<BTreeMap<Key, Waker>>,
    /// A copy of the earliest deadline: each loop iteration reads it twice, and the queue changes seldom.
    first: Cell<Option<SystemTime>>,
    next_id: Cell<u64>,
}

impl Timers {
    /// Wakes all whose deadline is not after `now`.
    pub(crate) fn fire(&self, now: SystemTime) {
        while self.first.get().is_some_and(|first| first <= now) {
            let entry = self.queue.borrow_mut().pop_first();
            self.update_first();
            if let Some((_, waker)) = entry {
                waker.wake();
            }
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<SystemTime> {
        self.first.get()
    }

    /// Adds a waker, to be woken at `deadline` unless the entry is removed before.
    pub(crate) fn add(&self, deadline: SystemTime, waker: Waker) -> Key {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        self.queue.borrow_mut().insert((deadline, id), waker);
        self.update_first();
        (deadline, id)
    }

    /// Removes an entry. A key that is not in the queue is ignored.
    pub(crate) fn remove(&self, key: &Key) {
        self.queue.borrow_mut().remove(key);
        self.update_first();
    }

    fn update_first(&self) {
        self.first.set(self.queue.borrow().first_key_value().map(|(key, _)| key.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn deadlines_that_passed_during_a_pause_fire_once() {
        let (timers, counts) = (Timers::default(), [(); 3].map(|()| Arc::new(Count::default())));
        for (count, second) in counts.iter().zip(1..) {
            timers.add(SystemTime(second), Waker::from(Arc::clone(count)));
        }
        let woken = || counts.each_ref().map(|count| count.0.load(Relaxed));
        timers.fire(SystemTime(0));
        assert_eq!((woken(), timers.next()), ([0, 0, 0], Some(SystemTime(1))));
        // An hour later: two with the same deadline and one with a later one, each once.
        timers.add(SystemTime(1), Waker::from(Arc::clone(&counts[0])));
        for later in [3_600_000_000_000, 3_600_000_000_001] {
            timers.fire(SystemTime(later));
            assert_eq!((woken(), timers.next()), ([2, 1, 1], None));
        }
        // A clock that goes back wakes none of them.
        timers.fire(SystemTime(1));
        assert_eq!(woken(), [2, 1, 1]);
    }

    #[test]
    fn a_removed_entry_is_not_woken() {
        let (timers, count) = (Timers::default(), Arc::new(Count::default()));
        let key = timers.add(SystemTime(5), Waker::from(Arc::clone(&count)));
        let other = timers.add(SystemTime(5), Waker::from(Arc::clone(&count)));
        assert_ne!(key, other);
        timers.remove(&key);
        timers.remove(&key);
        timers.fire(SystemTime(5));
        assert_eq!(count.0.load(Relaxed), 1);
    }
}
