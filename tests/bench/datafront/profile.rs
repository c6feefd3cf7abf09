//! Where the instructions of a block go, in all three domains, by function: `--profile`.
//!
//! ```text
//!   plugin: blocks by address ──► Xen: /proc/xen/xensyms │ dom0: /proc/kallsyms, else a program │ guest: nm of probe
//! ```
//!
//! A program of dom0 is one line: the kernel loads it elsewhere each time.

use crate::machine::{Outcome, dom0};
use crate::names::{KERNEL, MACHINE, Names, XEN};
use crate::plugin::{IN_IMAGE, Plugin, Reading};
use bed::Bed;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two looks at the counters, and how many are kept.
const LOOK: Duration = Duration::from_millis(300);
const MOST: usize = 400;
/// Functions that are listed.
const LISTED: usize = 60;
/// The plugin, and the names of its counters.
pub(crate) struct Profile {
    plugin: Plugin,
    machine: Names,
    guest: Names,
}

impl Profile {
    /// Asks dom0 for its names and Xen's, and `nm` for the guest's.
    pub(crate) fn new(plugin: Plugin, bed: &Bed) -> Outcome<Self> {
        let machine = Names::of(&dom0(bed, MACHINE)?);
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| bed::repository().join("target"), Into::into);
        let image: &Path = &target.join("x86_64-unknown-linux-musl/release/probe");
        let output = Command::new("nm").args(["-C", "--defined-only"]).arg(image).output()?;
        Ok(Self { plugin, machine, guest: Names::of(&String::from_utf8_lossy(&output.stdout)) })
    }

    /// Does the work, which returns the cost of a unit, and reads the counters in between: the table is of the middle
    /// of the run, without the start of the programs. A Linux guest has dom0's kernel, at the same addresses.
    pub(crate) fn during(
        &self,
        is_linux: bool,
        work: impl FnOnce() -> Outcome<f64>,
    ) -> Outcome<(f64, String)> {
        let (plugin, is_over) = (&self.plugin, AtomicBool::new(false));
        let (cost, readings) = std::thread::scope(|scope| {
            let sampler = scope.spawn(|| {
                let mut readings = Vec::new();
                while !is_over.load(Ordering::Relaxed) && readings.len() < MOST {
                    readings.extend(plugin.read().ok());
                    std::thread::sleep(LOOK);
                }
                readings
            });
            let cost = work();
            is_over.store(true, Ordering::Relaxed);
            (cost, sampler.join().unwrap_or_default())
        });
        let (cost, at) = (cost?, |tenths: usize| readings.get(readings.len() * tenths / 10));
        let (Some(early), Some(late)) = (at(5), at(8)) else {
            return Err("a run too short to look at".into());
        };
        let part = late.since(early);
        Ok((cost, self.table(&part, part.all() / cost, is_linux)))
    }

    /// A table of the counts, a unit.
    fn table(&self, reading: &Reading, units: f64, is_linux: bool) -> String {
        let mut sums: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (address, block) in reading.addresses() {
            let name = match (is_linux, address < KERNEL) {
                (false, _) => self.guest.name(address & IN_IMAGE),
                (true, true) => "a program",
                (true, false) => self.machine.name(address),
            };
            *sums.entry(("guest", name)).or_default() += block.instructions as f64 / units;
        }
        for (address, instructions) in reading.elsewhere() {
            let whose = if address >> 36 == XEN { "Xen" } else { "dom0" };
            let name = if address < KERNEL { "a program" } else { self.machine.name(address) };
            *sums.entry((whose, name)).or_default() += instructions as f64 / units;
        }
        let mut table: String = reading
            .figures()
            .iter()
            .map(|(name, value)| format!("{:.2}\tall\t{name}\n", *value as f64 / units))
            .collect();
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        for ((whose, name), instructions) in sums.into_iter().take(LISTED) {
            table += &format!("{instructions:.1}\t{whose}\t{name}\n");
        }
        table
    }
}
