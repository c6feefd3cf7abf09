//! Events at a later virtual time.

use crate::world::World;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

type Action = Box<dyn FnOnce(&World)>;

/// Actions by time; those of one time in the order in which they were entered.
#[derive(Default)]
pub(crate) struct Agenda {
    entries: RefCell<BTreeMap<(u64, u64), Action>>,
    entered: Cell<u64>,
}

impl Agenda {
    pub(crate) fn enter(&self, at: u64, action: impl FnOnce(&World) + 'static) {
        let number = self.entered.get();
        self.entered.set(number + 1);
        self.entries.borrow_mut().insert((at, number), Box::new(action));
    }

    /// The time of the next action.
    pub(crate) fn next(&self) -> Option<u64> {
        self.entries.borrow().keys().next().map(|(at, _)| *at)
    }

    /// Takes the next action that is due at `now`.
    pub(crate) fn take_due(&self, now: u64) -> Option<Action> {
        let mut entries = self.entries.borrow_mut();
        let first = entries.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

impl fmt::Debug for Agenda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.borrow().keys()).finish()
    }
}
