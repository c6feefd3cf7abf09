//! Runs this program under callgrind, and reads its output.
//!
//! A dump ends each warm-up and each case; the warm-up's is thrown away. Names are not compressed, so that a dump is a
//! list of `fn=NAME` with lines of costs, of which those after `calls=` are another function's.

use std::path::Path;
use std::process::Command;

/// A case that was counted.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) packets: u64,
    pub(crate) allocations: u64,
    /// Instructions in all.
    pub(crate) instructions: u64,
    /// Of these, in functions that copy or clear.
    pub(crate) copies: u64,
}

impl Figure {
    /// Instructions a packet without those that copy or clear, in tenths.
    pub(crate) const fn per_packet(&self) -> u64 {
        tenths(self.instructions - self.copies, self.packets)
    }

    /// Instructions a packet that copy or clear, in tenths.
    pub(crate) const fn copies_per_packet(&self) -> u64 {
        tenths(self.copies, self.packets)
    }
}

const fn tenths(sum: u64, count: u64) -> u64 {
    (sum * 10 + count / 2) / count
}

/// Functions that move or clear bytes of packets and pages.
const COPIES: [&str; 7] = [
    "Shared::read_bytes",
    "Shared::take_bytes",
    "Shared::write_bytes",
    "Shared::zero",
    "memcpy",
    "memmove",
    "memset",
];

/// Counts every case; the dumps stay in the folder.
pub(crate) fn count(folder: &Path) -> Vec<Figure> {
    let out = folder.join("callgrind");
    for entry in std::fs::read_dir(folder).expect("the folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("callgrind") {
            std::fs::remove_file(entry.path()).expect("an old dump");
        }
    }
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no", "--compress-strings=no"])
        .args([
            "--compress-pos=no",
            "--toggle-collect=cost::rig::counted*",
            "--dump-after=cost::cases::dump_here*",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().expect("this program"))
        .arg("run")
        .output();
    let output = run.expect("valgrind is missing: make bench-host installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    // Dump 1 is the first warm-up's, dump 2 the first case's.
    text.lines()
        .zip(1..)
        .map(|(line, number)| figure(line, &format!("{}.{}", out.display(), number * 2)))
        .collect()
}

fn figure(line: &str, dump: &str) -> Figure {
    let mut fields = line.split('\t');
    let mut field = || fields.next().expect("name, packets, allocations");
    let (name, packets, allocations) = (field(), field(), field());
    let (instructions, copies) = read(dump);
    let number = |text: &str| text.parse().expect("a number");
    Figure {
        name: name.to_owned(),
        packets: number(packets),
        allocations: number(allocations),
        instructions,
        copies,
    }
}

/// All instructions of a dump, and those in functions that copy.
fn read(path: &str) -> (u64, u64) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (mut all, mut copies, mut copying, mut called) = (0, 0, false, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            copying = COPIES.iter().any(|known| name.contains(known));
        } else if line.starts_with("calls=") {
            called = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let cost: u64 = line.split(' ').nth(1).and_then(|cost| cost.parse().ok()).unwrap_or(0);
            if !std::mem::take(&mut called) {
                all += cost;
                copies += if copying { cost } else { 0 };
            }
        }
    }
    (all, copies)
}
