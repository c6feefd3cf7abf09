//! `make bench-host`: instructions that the frontend takes for a packet, counted by callgrind on the host.
//!
//! ```text
//!   cost DIR ─► valgrind --tool=callgrind cost run ─► for each case: a rig, warm-up, iterations ─► a dump
//!            ◄─ names, packets, allocations ───────────────────────────────────────────────┘
//!            ─► dumps read ─► name<TAB>value<TAB>unit on stdout and in DIR/host.tsv
//! ```
//!
//! Only the driver's work is counted: `counted` switches the collection on, and the simulated backend works outside
//! of it. It is the complete driver of the image: device, queues, tokens, pools, grant table, over the simulated Xen.
//! **Grant per packet** is the same driver with its pools trimmed after each iteration, so that every packet's page is
//! allocated, granted, ended and freed; its allocator is a list, the cheapest possible one (`machine.rs`).

mod allocations;
mod callgrind;
mod cases;
mod machine;
mod report;
mod rig;

use std::path::PathBuf;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("run") => cases::run(),
        Some(folder) => {
            let folder = PathBuf::from(folder);
            std::fs::create_dir_all(&folder).expect("a folder for the figures");
            let figures = callgrind::count(&folder);
            report::write(&folder, &figures);
        }
        None => {
            eprintln!("usage: cost FOLDER");
            std::process::exit(2);
        }
    }
}
