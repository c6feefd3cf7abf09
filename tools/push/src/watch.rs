//! Whether something has changed: names, lengths and times, looked at twice a second.

use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Folders within folders that are looked at.
const MAX_DEPTH: u32 = 64;

/// A number that changes when the path does.
pub(crate) fn stamp(path: &Path) -> u64 {
    let mut sum = 0;
    visit(path, MAX_DEPTH, &mut sum);
    sum
}

/// What a wait has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing, so far.
    None,
    /// The source is another one.
    Source,
}

/// Waits for another stamp than `before`, and until it stays the same: the first changed file is rarely the last.
/// Without a change, not longer than `limit`.
pub(crate) fn wait_for_change(path: &Path, before: u64, limit: Duration) -> Change {
    let begun = Instant::now();
    let mut last = before;
    loop {
        std::thread::sleep(LOOK);
        let now = stamp(path);
        if now != before && now == last {
            return Change::Source;
        }
        if now == before && begun.elapsed() >= limit {
            return Change::None;
        }
        last = now;
    }
}

/// Adds the present files, in any order.
fn visit(path: &Path, depth: u32, sum: &mut u64) {
    let (Ok(meta), Some(depth)) = (std::fs::metadata(path), depth.checked_sub(1)) else { return };
    let modified =
        meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let nanos = u64::try_from(modified.as_nanos() & u128::from(u64::MAX)).unwrap_or(0);
    let name = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0_u64, |sum, byte| sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte));
    let one = (name ^ nanos.rotate_left(17) ^ meta.len().rotate_left(41)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    *sum = sum.wrapping_add(one ^ (one >> 29));
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        visit(&entry.path(), depth, sum);
    }
}
