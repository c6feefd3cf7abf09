//! Deadlines that few connections have, beside the engine's timers.

use alloc::collections::{BTreeMap, BTreeSet};

use smoltcp::time::Instant;

/// At most one deadline for each connection. All operations take a time that goes by the logarithm of their number.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_id: BTreeMap<u32, Instant>,
    by_time: BTreeSet<(Instant, u32)>,
}

impl Deadlines {
    /// Sets the deadline of connection `id`, in place of the one that it has.
    pub(super) fn insert(&mut self, id: u32, end: Instant) {
        self.remove(id);
        self.by_id.insert(id, end);
        self.by_time.insert((end, id));
    }

    pub(super) fn remove(&mut self, id: u32) {
        if let Some(end) = self.by_id.remove(&id) {
            self.by_time.remove(&(end, id));
        }
    }

    /// Takes the earliest deadline, if it is over at `at`; returns its connection.
    pub(super) fn pop(&mut self, at: Instant) -> Option<u32> {
        let (_, id) = self.by_time.first().copied().filter(|(end, _)| *end <= at)?;
        self.remove(id);
        Some(id)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_each_once() {
        let at = Instant::from_secs;
        let mut deadlines = Deadlines::default();
        for (id, end) in [(1, 30), (2, 10), (3, 20), (1, 5), (4, 1)] {
            deadlines.insert(id, at(end));
        }
        deadlines.remove(4);
        deadlines.remove(9);
        assert_eq!((deadlines.next(), deadlines.pop(at(4))), (Some(at(5)), None));
        let popped: alloc::vec::Vec<u32> = core::iter::from_fn(|| deadlines.pop(at(20))).collect();
        assert_eq!((popped, deadlines.next()), (alloc::vec![1, 2, 3], None));
    }
}
