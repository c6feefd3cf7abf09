//! Counts the cost of a unit of work on real Xen: our domU beside a Linux domU, in the same boot of the test bed.
//!
//! ```text
//!  work ──► guests ──► bed (one processor, -icount: the machine's time is its number of instructions)
//!    │                  dom0: wrk, ping, bench-load ──► web, echo │ Linux: nginx, echo
//!    ├──► status        /status.json of ours, before and after
//!    ├──► plugin        instructions by domain, exits, a profile (--plugin)
//!    └──► report        standard output, build/bench/xen.tsv, build/bench/xen.html
//!  tls ──► the same guests with a certificate: build/bench/tls.tsv, tls.html (--tls)
//!  boot ──► guests, plugin, report: build/bench/boot.tsv (--boot)
//!  copies ──► guests, report: build/bench/copies.tsv (--copies)
//! ```
//!
//! `docs/measuring.md` has the meaning of each column, and results. It is a command of its own: no test waits for
//! a figure.
#![forbid(unsafe_code)]

mod boot;
mod copies;
mod guests;
mod html;
mod plugin;
mod profile;
mod report;
mod status;
mod tls;
mod work;
#[path = "../wrk.rs"]
mod wrk;

use clap::Parser;
use std::process::ExitCode;

/// The result of everything: an error has words for a person.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Counts instructions and hypercalls of our domU beside Linux's, on real Xen in QEMU.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// The number of runs of each workload on each side
    #[arg(long, default_value_t = 3)]
    repeats: u32,
    /// Seconds of the machine's own time (500 million instructions each) that a timed workload lasts
    #[arg(long, default_value_t = 1)]
    seconds: u32,
    /// Only workloads whose name contains this, or one of these, separated by commas; `http_1k_16.` is one whole name
    #[arg(long, default_value = "")]
    only: String,
    /// Also count by domain (Xen, dom0, guest), count VM exits, and profile our guest by function
    #[arg(long)]
    plugin: bool,
    /// Measures a start instead of work: size, least memory, instructions to the first page
    #[arg(long)]
    boot: bool,
    /// Measures copies and checksums in an image, by several methods
    #[arg(long)]
    copies: bool,
    /// Measures TLS: handshakes, kept requests and bulk, beside nginx with OpenSSL and the same suite
    #[arg(long)]
    tls: bool,
    /// Features that our guests refuse: `gso6`, or `gso4,gso6`, as in `vif.refuse=`
    #[arg(long, default_value = "")]
    refuse: String,
    /// Only our guests: Linux takes most of the time of a run
    #[arg(long)]
    ours_only: bool,
}

impl Arguments {
    /// Whether a part of `--only` means this workload: it is in the name, or, before a full stop, the whole name.
    fn wants(&self, name: &str) -> bool {
        let is_meant =
            |part: &str| part.strip_suffix('.').map_or_else(|| name.contains(part), |whole| whole == name);
        self.only.split(',').any(is_meant)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[bench] error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome {
    if arguments.boot {
        return boot::run(arguments.repeats, arguments.ours_only);
    }
    if arguments.copies {
        return copies::run();
    }
    let (workloads, name) =
        if arguments.tls { (work::list_tls(arguments), "tls") } else { (work::list(arguments), "xen") };
    if workloads.is_empty() {
        return Err(format!("no workload has `{}` in its name", arguments.only).into());
    }
    let folder = report::folder()?;
    let plugin = if arguments.plugin { Some(plugin::Plugin::build(&folder)?) } else { None };
    let rig = if arguments.tls {
        guests::Rig::start_tls(plugin, arguments.ours_only)?
    } else {
        guests::Rig::start(plugin, arguments.ours_only, &arguments.refuse)?
    };
    let mut rows = Vec::new();
    for (number, workload) in workloads.iter().enumerate() {
        eprintln!("[bench] {}/{} {}", number + 1, workloads.len(), workload.name);
        let row = work::measure(&rig, workload, arguments.repeats)?;
        // Each line as soon as it is known: a complete run takes minutes.
        row.lines().iter().for_each(|line| println!("{line}"));
        rows.push(row);
        report::keep(&rows, name)?;
    }
    eprintln!("[bench] kept in {}: {name}.tsv, {name}.html", folder.display());
    Ok(())
}
