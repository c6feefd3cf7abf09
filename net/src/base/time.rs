//! Xen's nanoseconds at the edge, smoltcp's microseconds inside.

use smoltcp::time::{Duration, Instant};
use xen::SystemTime;

/// The longest duration that an option may ask for: far beyond use, and its sum with any instant does not overflow.
const LONGEST: core::time::Duration = core::time::Duration::from_secs(366 * 24 * 3600);

/// Rounds down: a deadline is never seen as reached before it is.
pub(crate) fn instant(now: SystemTime) -> Instant {
    Instant::from_micros(i64::try_from(now.0 / 1000).unwrap_or(i64::MAX))
}

pub(crate) fn system_time(at: Instant) -> SystemTime {
    SystemTime(u64::try_from(at.total_micros()).unwrap_or(0).saturating_mul(1000))
}

/// `start + duration`, stopping at the end of time.
pub(crate) fn after(start: Instant, duration: Duration) -> Instant {
    let micros = i64::try_from(duration.total_micros()).unwrap_or(i64::MAX);
    Instant::from_micros(start.total_micros().saturating_add(micros))
}

/// The next multiple of `step` since the epoch: deadlines that are rounded up to it are reached together.
pub(crate) fn round_up(at: Instant, step: Duration) -> Instant {
    let step = i64::try_from(step.total_micros()).unwrap_or(i64::MAX).max(1);
    let past = at.total_micros().checked_rem(step).unwrap_or(0);
    let missing = if past == 0 { 0 } else { step.saturating_sub(past) };
    Instant::from_micros(at.total_micros().saturating_add(missing))
}

/// Twice the duration, at most `limit`.
pub(crate) fn double(duration: Duration, limit: Duration) -> Duration {
    Duration::from_micros(duration.total_micros().saturating_mul(2)).min(limit)
}

/// An option's duration, cut to [`LONGEST`].
pub(crate) fn duration(wish: core::time::Duration) -> Duration {
    wish.min(LONGEST).into()
}

/// The time from `now` to `at`; zero when `at` is past.
pub(crate) fn until(now: Instant, at: Instant) -> core::time::Duration {
    let micros = at.total_micros().saturating_sub(now.total_micros());
    core::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_survives_the_way_to_nanoseconds_and_back() {
        let at = instant(SystemTime(1_234_567_899));
        assert_eq!(at.total_micros(), 1_234_567);
        assert_eq!(instant(system_time(at)), at);
    }

    #[test]
    fn the_end_of_time_does_not_overflow() {
        let end = instant(SystemTime(u64::MAX));
        assert!(after(end, duration(core::time::Duration::MAX)) >= end);
        assert_eq!(until(end, Instant::from_micros(0)), core::time::Duration::ZERO);
    }
}
