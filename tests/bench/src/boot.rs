//! What a start costs: size, least memory, instructions from `xl create` to the first page, the guest's own part.
//!
//! ```text
//!   one machine with the plugin ──► our web, then Linux with nginx, one at a time:
//!      xl create ─────────────────────────────► GET / answered 200
//!      └ counters before                         └ counters after: Xen, dom0, guest; the guest's own counters
//! ```
//!
//! The first start of a machine is reported apart: dom0 reads xl, its libraries and the scripts of its hotplug from
//! disk then, once.
//! Instructions are those that ran, counted by the plugin; idle time counts none. The cost of the client's
//! polling is in dom0's share, on both sides alike.

use crate::guests::{self, PER_SECOND, Side};
use crate::plugin::{Plugin, Reading};
use crate::profile::{Function, Symbols};
use crate::report::{Row, folder};
use crate::{Outcome, report};
use bed::{Bed, DomainConfig, Progress};
use serde_json::Value;
use std::fs;

/// Addresses of the two guests, and of their vifs.
const OURS: (&str, &str) = ("10.0.2.31", "00:16:3e:be:d1:01");
const LINUX: (&str, &str) = ("10.0.2.32", "00:16:3e:be:d1:02");
/// Seconds of the machine's time in which a guest must answer: many times the usual time.
const OUR_TIMEOUT: u32 = 10;
const LINUX_TIMEOUT: u32 = 90;

/// A guest that is started again and again.
struct Candidate {
    side: Side,
    config: DomainConfig,
    address: &'static str,
    timeout: u32,
}

/// The cost of one start.
struct Start {
    seconds: f64,
    reading: Reading,
    /// The guest's own counters, as JSON; Linux has none.
    counts: String,
}

/// Measures both sides, prints the lines and keeps them in `build/bench/boot.tsv`.
pub(crate) fn run(repeats: u32, ours_only: bool) -> Outcome {
    let plugin = Plugin::build(&folder()?)?;
    let bed = Bed::start_with(&guests::options(Some(&plugin)), &mut Progress::new(5))?;
    guests::put_load(&bed)?;
    let (mut row, mut first) = (Row::new("boot", "start"), Row::new("boot first", "start"));
    let mut profile = Vec::new();
    let mut candidates = vec![ours()?];
    if !ours_only {
        candidates.push(linux(&bed)?);
    }
    for candidate in &candidates {
        candidate.describe(&mut row)?;
        for repeat in 0..=repeats {
            let start = candidate.start(&bed, &plugin, candidate.config.clone())?;
            let row = if repeat == 0 { &mut first } else { &mut row };
            start.figures(candidate.side, row);
            if candidate.side == Side::Ours {
                profile = Symbols::of(&guests::copy_of("web")?)?.top(&start.reading, 1.0);
                start.exits(row)?;
            }
        }
        let least = candidate.least_memory(&bed, &plugin)?;
        row.add(candidate.side, "least memory that serves MiB", f64::from(least));
        keep(&[&first, &row], &profile)?;
    }
    [first, row].iter().flat_map(Row::lines).for_each(|line| println!("{line}"));
    Ok(())
}

fn keep(rows: &[&Row], profile: &[Function]) -> Outcome {
    let lines = rows.iter().flat_map(|row| row.lines()).collect::<Vec<_>>().join("\n");
    fs::write(folder()?.join("boot.tsv"), format!("name\tours\tlinux\tratio\n{lines}\n"))?;
    let lines: String = profile
        .iter()
        .map(|f| format!("{}\t{}\t{}\n", report::figure(f.instructions), report::figure(f.exits), f.name))
        .collect();
    fs::write(folder()?.join("boot-profile.tsv"), format!("instructions\texits\tfunction\n{lines}"))?;
    Ok(())
}

fn ours() -> Outcome<Candidate> {
    let config = guests::ours_config("web", OURS.0)?;
    Candidate::new(Side::Ours, config, OURS, OUR_TIMEOUT)
}

fn linux(bed: &Bed) -> Outcome<Candidate> {
    let config = guests::linux_config(bed, LINUX.0)?;
    Candidate::new(Side::Linux, config, LINUX, LINUX_TIMEOUT)
}

impl Candidate {
    fn new(
        side: Side,
        config: DomainConfig,
        (address, mac): (&'static str, &str),
        timeout: u32,
    ) -> Outcome<Self> {
        // dom0 learns the address from the guest's announcement. With a fixed entry an early request would leave
        // the bridge to QEMU's user network, which connects to such an address outside of the machine.
        let config = config.vif([format!("bridge=xenbr0,mac={mac}").as_str()]).on_crash("destroy");
        Ok(Self { side, config, address, timeout })
    }

    /// Files: kernel, and ramdisk if there is one.
    fn describe(&self, row: &mut Row) -> Outcome {
        let files = ["kernel", "ramdisk"].iter().filter_map(|key| self.config.file(key));
        let mut bytes = 0;
        for file in files {
            bytes += fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?.len();
        }
        row.add(self.side, "image bytes", bytes as f64);
        Ok(())
    }

    /// Creates the guest, waits for its page, and destroys it.
    fn start(&self, bed: &Bed, plugin: &Plugin, config: DomainConfig) -> Outcome<Start> {
        let mut config = config;
        for key in ["kernel", "ramdisk"] {
            if let Some(file) = config.file(key) {
                let place = format!("/var/bed/files/boot-{:?}-{key}", self.side);
                bed.put_file(&file, &place)?;
                config = config.set(key, bed::Value::Text(place));
            }
        }
        let name = config.text("name").unwrap_or_default().to_owned();
        let file = format!("/var/bed/{name}.cfg");
        bed.dom0_with_input(&format!("cat > {file}"), config.render().as_bytes(), guests::LONG)?;
        let before = plugin.read_to_begin()?;
        let said = guests::run(bed, &format!("bench-load boot {}:80 {file} {}", self.address, self.timeout));
        let after = plugin.read()?;
        let counts = bed.dom0(&format!("wget -q -O - http://{}/status.json", self.address));
        bed.dom0(&format!("xl destroy {name} 2>/dev/null; true"))?;
        let said = said?;
        let seconds = said.split_whitespace().nth(1).and_then(|seconds| seconds.parse().ok());
        let seconds = seconds.ok_or_else(|| format!("not understood: {said}"))?;
        let counts = counts.map(|output| output.stdout).unwrap_or_default();
        Ok(Start { seconds, reading: after.since(&before), counts })
    }

    /// The least `memory=` with which the page is served.
    fn least_memory(&self, bed: &Bed, plugin: &Plugin) -> Outcome<u32> {
        let sizes: &[u32] = match self.side {
            Side::Ours => &[2, 3, 4, 5, 6, 8],
            Side::Linux => &[64, 72, 80, 88, 96, 112, 128, 144, 160, 192, 256],
        };
        for mib in sizes {
            match self.start(bed, plugin, self.config.clone().memory_mib(*mib)) {
                Ok(_) => return Ok(*mib),
                Err(error) => eprintln!("[bench] memory={mib}: {}", error.to_string().trim()),
            }
        }
        Err("it served with none of the sizes".into())
    }
}

impl Start {
    /// The figures of a start that only our guest has: exits by their reason. An exchange with xenstore is a
    /// notification, a sleep, and the iteration that the answer begins.
    fn exits(&self, row: &mut Row) -> Outcome {
        let counts: Value = serde_json::from_str(&self.counts)?;
        let count =
            |place: &str| counts.pointer(place).and_then(Value::as_f64).ok_or_else(|| format!("no {place}"));
        let all = self
            .reading
            .figures()
            .iter()
            .find(|(name, _)| *name == "VM exits")
            .map_or(0, |(_, count)| *count);
        let store = count("/xenstore/notifications")? + count("/xenstore/iterations")?;
        row.add(Side::Ours, "requests to xenstore", count("/xenstore/requests")?);
        row.add(Side::Ours, "VM exits for xenstore", store);
        row.add(Side::Ours, "VM exits elsewhere", all as f64 - store);
        for kind in
            ["evtchn_send", "evtchn_other", "sched_other", "set_timer", "grant_table", "memory", "other"]
        {
            row.add(Side::Ours, &format!("hypercalls {kind}"), count(&format!("/hypercalls/{kind}"))?);
        }
        Ok(())
    }

    fn figures(&self, side: Side, row: &mut Row) {
        let count = |name: &str| {
            let found = self.reading.figures().into_iter().find(|(known, _)| *known == name);
            found.map_or(0.0, |(_, count)| count as f64)
        };
        let parts = ["guest instructions", "Xen instructions", "dom0 instructions"];
        row.add(side, report::MAIN, parts.iter().map(|part| count(part)).sum());
        for name in parts.into_iter().chain(["VM exits", "vmmcall", "hlt"]) {
            row.add(side, name, count(name));
        }
        row.add(side, "machine time, as instructions", self.seconds * PER_SECOND);
    }
}
