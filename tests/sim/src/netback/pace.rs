//! A backend that is slow: when it works next, and on how much.

/// How fast a direction of a backend is: work that waits is done in parts, the first one after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Nanoseconds of virtual time before each part.
    pub every: u64,
    /// Responses, or frames, in a part.
    pub most: usize,
}

/// When the next part is due, if work waits for it.
#[derive(Debug, Default)]
pub(crate) struct Due(Option<u64>);

impl Due {
    /// How much of `waiting` may be done at `now`. The time of the next part is entered into `wake`.
    pub(crate) fn part(
        &mut self,
        pace: Option<Pace>,
        waiting: usize,
        now: u64,
        wake: &mut Option<u64>,
    ) -> usize {
        let Some(pace) = pace.filter(|_| waiting > 0) else {
            self.0 = None;
            return waiting;
        };
        let part = if self.0.is_some_and(|due| due <= now) { pace.most.min(waiting) } else { 0 };
        if part > 0 {
            self.0 = None;
        }
        if part < waiting {
            let due = *self.0.get_or_insert(now + pace.every);
            *wake = Some(wake.map_or(due, |before| before.min(due)));
        }
        part
    }
}
