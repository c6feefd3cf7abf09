//! The time as the caller told it last.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

/// The time in seconds.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    monotonic: AtomicU64,
    unix: AtomicU64,
}

impl Clock {
    /// Sets the time. `unix` is 0 if the wall clock is unknown.
    pub(crate) fn set(&self, monotonic: u64, unix: u64) {
        self.monotonic.store(monotonic, Ordering::Relaxed);
        self.unix.store(unix, Ordering::Relaxed);
    }

    /// Seconds of a clock that does not go back.
    pub(crate) fn monotonic(&self) -> u64 {
        self.monotonic.load(Ordering::Relaxed)
    }
}

impl TimeProvider for Clock {
    /// The wall clock; if it is unknown, the monotonic clock, which is enough to tell the age of a ticket.
    fn current_time(&self) -> Option<UnixTime> {
        let unix = self.unix.load(Ordering::Relaxed);
        let seconds = if unix == 0 { self.monotonic() } else { unix };
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
