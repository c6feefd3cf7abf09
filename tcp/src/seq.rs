//! Sequence numbers: arithmetic modulo 2³² (RFC 9293 §3.4).
//!
//! ```text
//!   a.lt(b)   is true if b is at most 2³¹ - 1 ahead of a
//! ```
//!
//! `Seq` has no `PartialOrd`: the order is not transitive over the whole circle, so comparisons are named methods.

/// A sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Seq(pub u32);

impl Seq {
    /// The number `count` octets later.
    #[must_use]
    #[inline]
    pub const fn add(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The number `count` octets earlier.
    #[must_use]
    #[inline]
    pub const fn sub(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// Octets from `earlier` to `self`, modulo 2³².
    #[must_use]
    #[inline]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Octets from `earlier` to `self`, or 0 if `self` is before it.
    #[must_use]
    #[inline]
    pub const fn past(self, earlier: Self) -> u32 {
        if self.gt(earlier) { self.since(earlier) } else { 0 }
    }

    /// `self < other`.
    #[must_use]
    #[inline]
    pub const fn lt(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    /// `self <= other`.
    #[must_use]
    #[inline]
    pub const fn le(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() <= 0
    }

    /// `self > other`.
    #[must_use]
    #[inline]
    pub const fn gt(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    /// `self >= other`.
    #[must_use]
    #[inline]
    pub const fn ge(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() >= 0
    }

    /// The later of two.
    #[must_use]
    #[inline]
    pub const fn max(self, other: Self) -> Self {
        if self.ge(other) { self } else { other }
    }

    /// The earlier of two.
    #[must_use]
    #[inline]
    pub const fn min(self, other: Self) -> Self {
        if self.le(other) { self } else { other }
    }
}

impl core::fmt::Debug for Seq {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A slice length or a count as a sequence length. It saturates at 2³² - 1, which does not happen here.
#[must_use]
#[inline]
pub(crate) fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A sequence length as a slice length.
#[must_use]
#[inline]
pub(crate) fn len_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::Seq;

    #[test]
    fn order_holds_across_the_wrap() {
        let before = Seq(u32::MAX - 3);
        let after = before.add(10);
        assert_eq!(after, Seq(6));
        assert!(before.lt(after) && before.le(after) && after.gt(before) && after.ge(before));
        assert_eq!(after.since(before), 10);
        assert_eq!(after.past(before), 10);
        assert_eq!(before.past(after), 0);
        assert_eq!(before.max(after), after);
        assert_eq!(before.min(after), before);
        assert_eq!(after.sub(10), before);
    }
}
