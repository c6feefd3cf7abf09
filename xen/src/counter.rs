//! Event counters: the type [`Counter`] and the macro [`counters!`](crate::counters) that declares sets of them.
//!
//! A set of counters is declared once. Its field names and doc comments are the names and help texts that a status
//! page, `/status.json`, `/metrics` and the shell publish, so a new counter takes one line in one file:
//!
//! ```text
//!   counters! { pub struct RxStats { /// Frames dropped.      stats.dropped.bump()         where it happens
//!                                    dropped, } }             stats.iter() ──► ("dropped", "Frames dropped.", 3)
//! ```
//!
//! A counter is a plain `u64` that wraps at 2⁶⁴. It is not shared: its owner counts through `&mut`, or keeps it in a
//! `Cell`.

use core::cell::Cell;
use core::fmt;

/// The number of times that something has happened, or a sum of sizes. It only grows, and wraps at 2⁶⁴.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter(u64);

impl Counter {
    /// A counter that stands at `value`.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Counts one more.
    #[inline]
    pub const fn bump(&mut self) {
        self.add(1);
    }

    /// Counts `n` more.
    #[inline]
    pub const fn add(&mut self, n: u64) {
        self.0 = self.0.wrapping_add(n);
    }

    /// Counts the `len` bytes, frames or pages of something that lies in memory.
    #[inline]
    pub const fn add_len(&mut self, len: usize) {
        #[expect(
            clippy::as_conversions,
            reason = "`u64::try_from` is not const; a usize has at most 64 bits"
        )]
        self.add(len as u64);
    }

    /// Counts one more in a cell.
    #[inline]
    pub fn bump_in(cell: &Cell<Self>) {
        let mut counter = cell.get();
        counter.bump();
        cell.set(counter);
    }

    /// The value.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// How much was counted since this counter stood at `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for Counter {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl From<Counter> for u64 {
    fn from(counter: Counter) -> Self {
        counter.0
    }
}

impl PartialEq<u64> for Counter {
    fn eq(&self, other: &u64) -> bool {
        self.0 == *other
    }
}

impl PartialEq<Counter> for u64 {
    fn eq(&self, other: &Counter) -> bool {
        *self == other.0
    }
}

impl PartialOrd<u64> for Counter {
    fn partial_cmp(&self, other: &u64) -> Option<core::cmp::Ordering> {
        self.0.partial_cmp(other)
    }
}

/// A set of counters, for code that publishes sets of any kind. [`counters!`](crate::counters) implements it.
pub trait Counters {
    /// The name and the help text of each counter, in the order of declaration.
    const DESCRIPTIONS: &'static [(&'static str, &'static str)];

    /// Name, help text and value of each counter, in the order of declaration.
    fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)>;

    /// Adds the counters of `other` to these, each to its own kind.
    fn add(&mut self, other: &Self);
}

/// Declares a set of [`Counter`](crate::Counter)s.
///
/// The doc comment of each counter is its help text; it is required.
///
/// A **struct** has a public field for each counter, named as it is published:
///
/// ```
/// xen::counters! {
///     /// What a receive queue counts.
///     pub struct RxStats {
///         /// Frames given to the stack.
///         packets,
///         /// Frames dropped.
///         dropped,
///     }
/// }
/// let mut all = RxStats::default();
/// for queue in [3, 4] {
///     let mut one = RxStats::default();
///     one.packets.add(queue);
///     one.dropped.bump();
///     all.add(&one);
/// }
/// assert_eq!(all.packets, 7);
/// assert_eq!(all.iter().nth(1), Some(("dropped", "Frames dropped.", 2)));
/// ```
///
/// A struct **by an enum** has a counter for each variant, which is the reason for the event or its kind. The literal
/// is the published name:
///
/// ```
/// xen::counters! {
///     /// Frames dropped, by reason.
///     pub struct Drops by
///     /// Why a frame was dropped.
///     pub enum DropReason {
///         /// Shorter than its headers say.
///         Malformed = "malformed",
///         /// For another host.
///         NotForUs = "not_for_us",
///     }
/// }
/// let mut drops = Drops::default();
/// drops.bump(DropReason::NotForUs);
/// assert_eq!(drops.get(DropReason::NotForUs), 1);
/// assert_eq!(drops.total(), 1);
/// assert_eq!(drops.iter().last(), Some(("not_for_us", "For another host.", 1)));
/// ```
#[macro_export]
macro_rules! counters {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[doc = $doc:literal])+ $field:ident,)+ }) => {
        $(#[$meta])*
        #[allow(unreachable_pub, reason = "a set may be private to its crate")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis struct $name {
            $($(#[doc = $doc])+ pub $field: $crate::Counter,)+
        }

        #[allow(unreachable_pub, reason = "a set may be private to its crate")]
        impl $name {
            /// Name, help text and value of each counter, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + use<> {
                let values = [$(self.$field.get(),)+];
                <Self as $crate::Counters>::DESCRIPTIONS.iter().zip(values).map(|(about, value)| (about.0, about.1, value))
            }

            /// Adds the counters of `other` to these.
            pub const fn add(&mut self, other: &Self) {
                $(self.$field.add(other.$field.get());)+
            }
        }

        impl $crate::Counters for $name {
            const DESCRIPTIONS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($field), concat!($($doc),+).trim_ascii()),)+];

            fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                Self::iter(self)
            }

            fn add(&mut self, other: &Self) {
                Self::add(self, other);
            }
        }
    };

    ($(#[$meta:meta])* $vis:vis struct $name:ident by
     $(#[$reason_meta:meta])* $reason_vis:vis enum $reason:ident {
        $($(#[doc = $doc:literal])+ $variant:ident = $literal:literal,)+
    }) => {
        $(#[$reason_meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $reason_vis enum $reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        #[allow(unreachable_pub, reason = "a set may be private to its crate")]
        impl $reason {
            /// All of them, in the order of declaration.
            pub const ALL: [Self; [$($literal),+].len()] = [$(Self::$variant),+];

            /// The name under which it is published.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $literal,)+
                }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }

        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis struct $name([$crate::Counter; [$($literal),+].len()]);

        #[allow(unreachable_pub, reason = "a set may be private to its crate")]
        impl $name {
            /// Counts one more for `reason`.
            pub fn bump(&mut self, reason: $reason) {
                for (known, counter) in $reason::ALL.into_iter().zip(&mut self.0) {
                    if known == reason {
                        counter.bump();
                    }
                }
            }

            /// The count for `reason`.
            #[must_use]
            pub fn get(&self, reason: $reason) -> u64 {
                $reason::ALL
                    .into_iter()
                    .zip(&self.0)
                    .find(|(known, _)| *known == reason)
                    .map_or(0, |(_, counter)| counter.get())
            }

            /// All counts together.
            #[must_use]
            pub fn total(&self) -> u64 {
                self.0.iter().fold(0, |sum, counter| sum.wrapping_add(counter.get()))
            }

            /// Every reason with its count, in the order of declaration.
            pub fn by_reason(&self) -> impl Iterator<Item = ($reason, u64)> + use<> {
                $reason::ALL.into_iter().zip(self.0.map($crate::Counter::get))
            }

            /// Name, help text and value of each counter, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + use<> {
                self.by_reason().map(|(reason, count)| (reason.name(), reason.help(), count))
            }

            /// Adds the counters of `other` to these.
            pub fn add(&mut self, other: &Self) {
                for (counter, other) in self.0.iter_mut().zip(&other.0) {
                    counter.add(other.get());
                }
            }
        }

        impl $crate::Counters for $name {
            const DESCRIPTIONS: &'static [(&'static str, &'static str)] =
                &[$(($literal, concat!($($doc),+).trim_ascii()),)+];

            fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                Self::iter(self)
            }

            fn add(&mut self, other: &Self) {
                Self::add(self, other);
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{Counter, Counters};
    use alloc::format;
    use alloc::vec::Vec;
    use core::cell::Cell;

    counters! {
        /// Two counters.
        struct Two {
            /// The first
            /// of two lines.
            first,
            /// The second.
            second,
        }
    }

    counters! {
        /// Counters by reason.
        struct Reasons by
        /// A reason.
        enum Reason {
            /// It was late.
            Late = "late",
            /// It was early.
            Early = "early",
        }
    }

    #[test]
    fn a_counter_wraps_at_its_end() {
        let mut counter = Counter::new(u64::MAX);
        let before = counter;
        counter.bump();
        assert_eq!(counter, 0);
        counter.add(5);
        counter.add_len(2);
        assert_eq!(counter.since(before), 8);
        assert!(counter > 6 && counter < 8);
        assert_eq!(format!("{counter:>3}"), "  7");
        let cell = Cell::new(Counter::new(u64::MAX));
        Counter::bump_in(&cell);
        assert_eq!(cell.get(), 0);
    }

    #[test]
    fn a_set_yields_names_help_and_values() {
        let mut set = Two::default();
        set.first.bump();
        set.second.add(2);
        let mut sum = set;
        Counters::add(&mut sum, &set);
        let listed: Vec<_> = sum.iter().collect();
        assert_eq!(listed, [("first", "The first of two lines.", 2), ("second", "The second.", 4)]);
        assert_eq!(listed, Counters::iter(&sum).collect::<Vec<_>>());
    }

    #[test]
    fn counters_by_reason_count_each_alone() {
        let mut set = Reasons::default();
        set.bump(Reason::Early);
        let mut sum = set;
        Counters::add(&mut sum, &set);
        assert_eq!((sum.get(Reason::Late), sum.get(Reason::Early), sum.total()), (0, 2, 2));
        assert_eq!(sum.by_reason().collect::<Vec<_>>(), [(Reason::Late, 0), (Reason::Early, 2)]);
        let listed: Vec<_> = sum.iter().collect();
        assert_eq!(listed, [("late", "It was late.", 0), ("early", "It was early.", 2)]);
        assert_eq!(listed, Counters::iter(&sum).collect::<Vec<_>>());
    }
}
