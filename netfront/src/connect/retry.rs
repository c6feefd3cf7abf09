//! The pause before the next connection, after one that failed or did not last.
//!
//! ```text
//!   an error ──────────────────────────────► 1 s, 2 s … 60 s
//!   the backend restarts: the first time ──► no pause: an operator restarts a driver
//!                         again, at once ──► 1 s, 2 s … 60 s
//!   a resume, or a second of connection ───► from the start
//! ```
//!
//! A backend that changes its state as fast as it can costs a connection at each pause, not one at each change.

use super::store::ConnectError;
use alloc::string::{String, ToString};
use xen::backoff::{Backoff, Wait};

/// Nanoseconds after which a connection has lasted.
const LASTING: u64 = 1_000_000_000;

/// How the task left a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The guest was resumed.
    Resumed,
    /// The backend restarts, or there is another one.
    Restart,
    /// An error.
    Failed(ConnectError),
}

/// Whether a connection of `up_ns` nanoseconds has lasted.
pub(super) const fn is_lasting(up_ns: u64) -> bool {
    up_ns >= LASTING
}

/// The pauses between connections.
#[derive(Debug, Default)]
pub(super) struct Retry {
    backoff: Backoff<String>,
    /// The backend has restarted since the last connection that lasted.
    restarted: bool,
}

impl Retry {
    /// The pause after a connection that was complete for `up_ns` nanoseconds, and its reason.
    pub(super) fn pause(&mut self, end: End, up_ns: u64) -> Option<(Wait, String)> {
        if is_lasting(up_ns) || end == End::Resumed {
            *self = Self::default();
        }
        let why = match end {
            End::Resumed => return None,
            End::Restart if !core::mem::replace(&mut self.restarted, true) => return None,
            End::Restart => "the backend restarts again and again".to_string(),
            End::Failed(error) => error.to_string(),
        };
        Some((self.backoff.failed(why.clone()), why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pause: Option<(Wait, String)>) -> Option<u64> {
        pause.map(|(wait, _)| wait.ns / 1_000_000_000)
    }

    fn failed() -> End {
        End::Failed(ConnectError::Missing("device/vif/0/mac".into()))
    }

    #[test]
    fn the_first_restart_waits_for_nothing_and_later_ones_longer() {
        let mut retry = Retry::default();
        let pauses: [_; 9] = core::array::from_fn(|_| seconds(retry.pause(End::Restart, LASTING - 1)));
        assert_eq!(
            pauses,
            [None, Some(1), Some(2), Some(4), Some(8), Some(16), Some(32), Some(60), Some(60)]
        );
        assert_eq!(seconds(retry.pause(End::Restart, LASTING)), None);
        assert_eq!(seconds(retry.pause(End::Restart, 0)), Some(1));
    }

    #[test]
    fn errors_wait_from_the_first_on_and_are_news_when_they_change() {
        let mut retry = Retry::default();
        let mut next = |end| retry.pause(end, 0).map(|(wait, _)| (wait.ns / LASTING, wait.is_news));
        assert_eq!(next(failed()), Some((1, true)));
        assert_eq!(next(failed()), Some((2, false)));
        assert_eq!(next(End::Restart), None);
        assert_eq!(next(End::Restart), Some((4, true)));
        assert_eq!(next(End::Resumed), None);
        assert_eq!(next(failed()), Some((1, true)));
    }
}
