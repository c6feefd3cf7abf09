//! Lanes: how many tests run at a time, over all processes that share the cache.
//!
//! ```text
//!   test ─┐                ┌─ lane-0.lock ─ a machine
//!   test ─┼─ first free ──►┤
//!   test ─┘                └─ lane-1.lock ─ a machine
//! ```

use crate::error::Result;
use crate::paths::{Lock, bed_dir};
use std::thread::{available_parallelism, sleep};
use std::time::Duration;

/// A machine is little more than one busy thread; more than two at a time were never tried.
const MOST: usize = 2;

/// How often a test looks for a free lane.
const LOOK: Duration = Duration::from_millis(100);

/// How many tests run at a time: one on a host with one processor, otherwise two; `BED_LANES` in the environment
/// overrides it.
#[must_use]
pub fn lanes() -> usize {
    let asked = std::env::var("BED_LANES").ok().and_then(|lanes| lanes.parse().ok());
    let processors = || available_parallelism().map_or(1, usize::from).min(MOST);
    asked.filter(|lanes| *lanes > 0).unwrap_or_else(processors)
}

/// A lane, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lane {
    _lane: Lock,
}

impl Lane {
    /// Waits until a lane is free.
    pub(crate) fn wait() -> Result<Self> {
        loop {
            for number in 0..lanes() {
                if let Some(lane) = Lock::take(&bed_dir().join(format!("lane-{number}.lock")))? {
                    return Ok(Self { _lane: lane });
                }
            }
            sleep(LOOK);
        }
    }
}
