//! `push` in dom0 against the web appliance on real Xen, by libxenvchan and over Debian's own `vchan-socket-proxy`.
//!
//! ```text
//!   publish          one sender, killed repeatedly ──► web ──► the page, /status.json, /metrics
//!   restarts         push --watch over a reboot and a restore ──► web
//!   several_senders  several senders, a slow reader, a stream of unknown length ──► web
//!   several_guests   one source into two guests, found by name or by channel
//!   sink             blocks larger than the guest, one at a time, over suspends ──► a guest that checks and drops
//! ```

#![allow(clippy::too_many_lines, reason = "a test follows one story from its beginning to its end")]

mod publish;
mod restarts;
mod several_guests;
mod several_senders;
mod sink;
#[path = "../support/mod.rs"]
mod support;

use bed::Output;
use domu_tests::Outcome;

fn accepted(output: &Output) -> Outcome {
    if output.success() { Ok(()) } else { Err(format!("{output:?}").into()) }
}
