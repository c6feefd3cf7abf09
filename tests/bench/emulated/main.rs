//! Counts what an emulated network card costs on real Xen: the same request, and the same blocks, to a Linux HVM guest with
//! e1000 and rtl8139, to the same guest with netfront, and to our images.
//!
//! ```text
//!   dom0: wrk, put ── xenbr0 ─┬─ netback ──────────────────────────────► web, probe app.do=put        ours
//!                             ├─ netback ──────────────────────────────► Linux (HVM): nginx, take     netfront
//!                             └─ tap ── qemu-system-i386: e1000, rtl8139 ► Linux (HVM): nginx, take     emulated
//! ```
//!
//! One processor under `-icount`: dom0's clock counts the instructions of the whole machine (`docs/measuring.md`). One guest
//! runs at a time. The results are in `build/bench/emulated.tsv`, and where they are in Xen and dom0, by function, in
//! `build/bench/emulated-GUEST-WORK.tsv`.

#![forbid(unsafe_code)]

mod guests;
#[path = "../machine.rs"]
mod machine;
#[path = "../names.rs"]
mod names;
// The other benchmark's, of which not everything is used here.
#[allow(dead_code, reason = "shared with another program")]
#[path = "../src/plugin.rs"]
mod plugin;
mod steps;
#[path = "../wrk.rs"]
mod wrk;

use bed::{Bed, Options, Progress};
use guests::{Guest, Kind};
use machine::{ICOUNT, Outcome, PER_SECOND, dom0, put};
use plugin::{Plugin, Reading};
use std::path::PathBuf;
use std::process::ExitCode;
use steps::{Map, Step};

const PUT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/put"));
/// wrk and its libraries that the device model does not need anyway.
const CLIENTS: [&str; 2] = ["wrk", "libluajit-5.1-2"];
/// Reads of a register.
const READS: u32 = 2000;

/// A unit of work, many times.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// wrk with this many connections, for a second.
    Http(u32),
    /// Blocks of this many bytes by HTTP PUT, one after another, this many of them.
    Put(u32, u32),
    /// Reads of a register of the emulated card.
    Registers,
}

const WORKS: [(&str, Work); 6] = [
    ("http_1k_1", Work::Http(1)),
    ("http_1k_16", Work::Http(16)),
    ("put_1k", Work::Put(1 << 10, 400)),
    ("put_64k", Work::Put(64 << 10, 40)),
    ("put_1m", Work::Put(1 << 20, 16)),
    ("register", Work::Registers),
];

/// Calls in Xen that are counted, and what each is.
const CALLS: [(&str, &str); 4] = [
    ("nested page faults", "svm_do_nested_pgfault"),
    ("port instructions", "handle_pio"),
    ("I/O requests to the device model", "ioreq_send"),
    ("domain switches", "__context_switch"),
];

struct Bench {
    bed: Bed,
    plugin: Plugin,
    map: Map,
    folder: PathBuf,
    table: String,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[bench] error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let folder = bed::repository().join("build/bench");
    std::fs::create_dir_all(&folder)?;
    let plugin = Plugin::build(&folder)?;
    let options = Options::default().icount(ICOUNT).device_model();
    let options = options.qemu_arg("-plugin").qemu_arg(&plugin.argument());
    let options = CLIENTS.iter().fold(options, |options, name| options.extra_package(name));
    let mut progress = Progress::new(8);
    let bed = Bed::start_with(&options, &mut progress)?;
    put(&bed, "/usr/bin/put", PUT)?;
    let map = Map::of(&bed)?;
    let mut bench = Bench { bed, plugin, map, folder, table: String::from("guest\twork\tfigure\ta unit\n") };
    // `--only e1000,rtl8139`: some guests.
    let only = std::env::args().skip_while(|word| word != "--only").nth(1);
    let wanted =
        |kind: &Kind| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == kind.name()));
    for kind in Kind::ALL.into_iter().filter(wanted) {
        progress.step(&format!("starting {}", kind.name()));
        bench.measure(kind)?;
    }
    Ok(())
}

impl Bench {
    /// Every work on one kind of guest.
    fn measure(&mut self, kind: Kind) -> Outcome {
        for guest in Guest::start(&self.bed, kind)? {
            self.map.learn_model(&self.bed, guest.domain.domid())?;
            for (name, work) in WORKS.into_iter().filter(|(_, work)| guest.has(*work)) {
                let (reading, units, cost) = self.counted(&guest, work)?;
                self.keep(kind, name, &reading, units, cost)?;
            }
        }
        Ok(())
    }

    /// The counts of a work, its units with those that no clock saw, and the instructions of the whole machine a unit, by dom0's clock.
    fn counted(&self, guest: &Guest, work: Work) -> Outcome<(Reading, f64, Option<f64>)> {
        let name = guest.domain.name();
        dom0(&self.bed, &format!("xl unpause {name}; ping -c 2 -A -q {}", guest.address))?;
        let before = self.plugin.read_held()?;
        let result = self.work(guest, work);
        let after = self.plugin.read_held()?;
        dom0(&self.bed, &format!("xl pause {name}"))?;
        let (units, seconds) = result?;
        // `put` sends a block before it looks at the clock.
        let untimed = if matches!(work, Work::Put(..)) { 1.0 } else { 0.0 };
        Ok((after.since(&before), units + untimed, seconds.map(|seconds| seconds * PER_SECOND / units)))
    }

    fn work(&self, guest: &Guest, work: Work) -> Outcome<(f64, Option<f64>)> {
        let (address, port) = (guest.address, guest.put_port.unwrap_or_default());
        let command = match work {
            Work::Http(connections) => {
                format!("wrk -t 1 -c {connections} -d 1s --timeout 4s http://{address}:80/1k")
            }
            Work::Put(size, count) => format!("put {address}:{port} {size} {count}"),
            Work::Registers => {
                guest.read_registers(READS)?;
                return Ok((f64::from(READS), None));
            }
        };
        let said = dom0(&self.bed, &command)?;
        let figures = match work {
            Work::Http(_) => wrk::requests_and_seconds(&said),
            _ => machine::units_and_seconds(&said),
        };
        let (units, seconds) = figures.ok_or_else(|| format!("{command}: {said}"))?;
        Ok((units, Some(seconds)))
    }

    /// Prints and keeps the figures of a work.
    fn keep(&mut self, kind: Kind, work: &str, reading: &Reading, units: f64, cost: Option<f64>) -> Outcome {
        let mut lines: Vec<(String, f64)> = Vec::new();
        lines.extend(cost.map(|cost| ("instructions".to_owned(), cost)));
        lines.extend(reading.figures().map(|(name, count)| (name.to_owned(), count as f64 / units)));
        lines.extend(
            CALLS.map(|(name, function)| (name.to_owned(), self.map.calls(reading, function, units))),
        );
        let steps = self.map.steps(reading, units);
        lines
            .extend(Step::ALL.map(|step| (step.name().to_owned(), steps.get(&step).copied().unwrap_or(0.0))));
        for (name, value) in lines {
            let line = format!("{}\t{work}\t{name}\t{value:.2}\n", kind.name());
            print!("{line}");
            self.table.push_str(&line);
        }
        std::fs::write(self.folder.join("emulated.tsv"), &self.table)?;
        let functions = self.map.table(reading, units);
        Ok(std::fs::write(self.folder.join(format!("emulated-{}-{work}.tsv", kind.name())), functions)?)
    }
}
