//! `make bench-tcp`: throughput of a download over paths with delay, loss and reordering, ours beside Linux's.
//!
//! ```text
//!   bench-tcp (namespace A)                                   a child for each run
//!   Linux's receiver ─ tap0 ─ relay: Wire each way ═ pipes ═ the engine, or: tap1 (namespace B) ─ Linux's sender
//! ```
//!
//! Both senders sit behind the same relay, and the receiver is Linux's in both. Runs of the two take turns.

#![forbid(unsafe_code)]

mod cells;
mod frames;
mod relay;
mod report;
mod sender;

use std::env;
use std::process::Command;

use tap_tests::INSIDE;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse().ok()).expect("a number of bytes");
    match arguments.first().map(String::as_str) {
        Some("engine") => sender::engine(number(1)),
        Some("linux") => sender::linux(number(1)),
        _ if env::var_os(INSIDE).is_some() => report::run(),
        _ => {
            let program = env::current_exe().expect("a program knows its own path");
            let status = Command::new("unshare").args(["--net", "--"]).arg(program).env(INSIDE, "1").status();
            let status = status.expect("unshare (util-linux) can be run");
            assert!(status.success(), "bench-tcp needs root, /dev/net/tun and network namespaces: {status}");
        }
    }
}
