//! Counters by name: what a set of them is in `/status.json`.

use alloc::vec::Vec;
use serde::ser::{Serialize, Serializer};

/// Counters by name, in an order that makes sense to a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<(&'static str, u64)>);

impl Counts {
    /// The counter with this name; 0 if there is none.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.0.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, count)| sum.wrapping_add(*count))
    }

    /// Adds others, name by name.
    pub fn add(&mut self, others: &Self) {
        for (name, count) in &others.0 {
            match self.0.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum = sum.wrapping_add(*count),
                None => self.0.push((name, *count)),
            }
        }
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}
