//! Time inside the engine: microseconds since the caller's epoch.
//!
//! The API has [`Instant`]. Inside, a number is compared without a branch, and saturates instead of overflowing.

use smoltcp::time::Instant;

/// Microseconds.
pub(crate) type Micros = u64;

/// One millisecond.
pub(crate) const MS: Micros = 1_000;
/// One second.
pub(crate) const SECOND: Micros = 1_000_000;
/// A deadline that never comes.
pub(crate) const NEVER: Micros = Micros::MAX;

/// `now` as a number.
#[inline]
pub(crate) const fn micros(now: Instant) -> Micros {
    now.total_micros().cast_unsigned()
}

/// A deadline for the caller; `None` for [`NEVER`].
#[inline]
pub(crate) fn instant(at: Micros) -> Option<Instant> {
    (at != NEVER).then(|| Instant::from_micros(i64::try_from(at).unwrap_or(i64::MAX)))
}

/// The low 32 bits of the milliseconds, for clocks that wrap.
#[inline]
pub(crate) fn millis32(now: Micros) -> u32 {
    truncate(now.wrapping_div(MS))
}

/// The low 32 bits.
#[inline]
pub(crate) fn truncate(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or_default()
}

/// A duration as 32 bits, saturated at 71 minutes.
#[inline]
pub(crate) fn micros32(duration: Micros) -> u32 {
    u32::try_from(duration).unwrap_or(u32::MAX)
}
