//! Named numbers in groups: the one form in which every counter and gauge reaches `/status.json`, `/metrics`, the page
//! and the shell.
//!
//! ```text
//!   xen::counters! … ─ iter() ─► (name, help, value) ─► Group "rx" ─► Groups ─┬─► /status.json   "rx": { "packets": 5 }
//!                                                                             ├─► /metrics       millpond_rx_packets_total 5
//!                                                                             ├─► /              a table with a row
//!                                                                             ├─► xl console     rx: packets 5
//!                                                                             └─► STATUS.md      name and help, by a test
//! ```
//!
//! No consumer lists names of its own. A counter that a crate adds to its set appears in all five.

use alloc::vec::Vec;

/// What a number means over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A count of events or bytes; it only grows, and wraps at 2⁶⁴.
    Counter,
    /// A value of this moment.
    Gauge,
    /// A value of this moment that is a part of the whole that its group describes.
    Part,
    /// The sum of the parts; `/metrics` leaves it out.
    Sum,
}

/// A number with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The key in `/status.json`; `_bytes` at its end is the unit.
    pub name: &'static str,
    /// The meaning, in a sentence.
    pub help: &'static str,
    /// Counter, gauge or part.
    pub kind: Kind,
    /// Whether any value but 0 needs an operator's attention.
    pub alarm: bool,
    /// The value.
    pub value: u64,
}

/// How the page shows a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A table of all numbers.
    Table,
    /// A table of the numbers that are not 0.
    NonZero,
    /// A bar of the parts, and a table of the other numbers.
    Bar,
    /// Not at all, as `/metrics`: its numbers are sums over the interfaces.
    Hidden,
}

/// Numbers of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The key in `/status.json`, and the prefix in `/metrics`; may be empty.
    pub key: &'static str,
    /// The heading on the page and in `STATUS.md`.
    pub title: &'static str,
    /// In `/metrics`: the label by which the numbers differ, in place of a metric for each.
    pub label: Option<&'static str>,
    /// How the page shows it.
    pub shape: Shape,
    /// The numbers, in the order of display.
    pub numbers: Vec<Number>,
}

/// A name, a help text and a value, as `xen::counters!` yields them.
pub type Named = (&'static str, &'static str, u64);

impl Group {
    /// A group without numbers, shown as a table.
    #[must_use]
    pub const fn new(key: &'static str, title: &'static str) -> Self {
        Self { key, title, label: None, shape: Shape::Table, numbers: Vec::new() }
    }

    /// The group with another shape on the page.
    #[must_use]
    pub fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// The group with a label in `/metrics`.
    #[must_use]
    pub fn by(self, label: &'static str) -> Self {
        Self { label: Some(label), ..self }
    }

    /// The group with more counters.
    #[must_use]
    pub fn counters(self, numbers: impl IntoIterator<Item = Named>) -> Self {
        self.with(Kind::Counter, false, numbers)
    }

    /// The group with more gauges.
    #[must_use]
    pub fn gauges(self, numbers: impl IntoIterator<Item = Named>) -> Self {
        self.with(Kind::Gauge, false, numbers)
    }

    /// The group with more parts.
    #[must_use]
    pub fn parts(self, numbers: impl IntoIterator<Item = Named>) -> Self {
        self.with(Kind::Part, false, numbers)
    }

    /// The group with the sum of its parts.
    #[must_use]
    pub fn sum(self, number: Named) -> Self {
        self.with(Kind::Sum, false, [number])
    }

    /// The group with more counters that stand at 0 unless something is wrong.
    #[must_use]
    pub fn faults(self, numbers: impl IntoIterator<Item = Named>) -> Self {
        self.with(Kind::Counter, true, numbers)
    }

    /// The group with more gauges that stand at 0 unless something is wrong.
    #[must_use]
    pub fn warnings(self, numbers: impl IntoIterator<Item = Named>) -> Self {
        self.with(Kind::Gauge, true, numbers)
    }

    fn with(mut self, kind: Kind, alarm: bool, numbers: impl IntoIterator<Item = Named>) -> Self {
        let number = |(name, help, value)| Number { name, help, kind, alarm, value };
        self.numbers.extend(numbers.into_iter().map(number));
        self
    }

    /// The number with this name; 0 if there is none.
    #[must_use]
    pub fn value(&self, name: &str) -> u64 {
        self.numbers.iter().find(|number| number.name == name).map_or(0, |number| number.value)
    }

    /// Adds the numbers of a group of the same kind, name by name.
    pub fn add(&mut self, other: &Self) {
        for number in &other.numbers {
            match self.numbers.iter_mut().find(|known| known.name == number.name) {
                Some(sum) => sum.value = sum.value.wrapping_add(number.value),
                None => self.numbers.push(*number),
            }
        }
    }
}

/// Groups, in the order of display.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(pub Vec<Group>);

impl Groups {
    /// The group with this key.
    #[must_use]
    pub fn group(&self, key: &str) -> Option<&Group> {
        self.0.iter().find(|group| group.key == key)
    }

    /// A number by `GROUP.NAME`; 0 if there is none.
    #[must_use]
    pub fn value(&self, path: &str) -> u64 {
        let (key, name) = path.split_once('.').unwrap_or((path, ""));
        self.group(key).map_or(0, |group| group.value(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn groups_add_up_name_by_name() {
        let mut sum = Group::new("drops", "Drops").counters([("malformed", "", 2)]);
        sum.add(&Group::new("drops", "Drops").counters([("malformed", "", 2), ("ipv6", "", 9)]));
        assert_eq!((sum.value("malformed"), sum.value("ipv6"), sum.value("none")), (4, 9, 0));
        let groups = Groups(vec![sum, Group::new("", "Guest").gauges([("tasks", "", 3)])]);
        assert_eq!((groups.value("drops.ipv6"), groups.value("drops"), groups.value("x.y")), (9, 0, 0));
    }
}
