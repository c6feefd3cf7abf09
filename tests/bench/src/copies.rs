//! The cost of copies and checksums in an image, by several methods, in instructions: `build/bench/copies.tsv`.
//!
//! The guest `probe` measures by the timestamp counter, of which two ticks are one instruction on a machine that counts
//! (one nanosecond a tick, `-icount shift=1`).

use crate::Outcome;
use crate::guests::{self, LONG};
use crate::report::folder;
use bed::{Bed, Progress};
use std::collections::BTreeMap;
use std::fs;

const TICKS_AN_INSTRUCTION: f64 = 2.0;

/// Measures, prints a line for each kind and size, and keeps them.
pub(crate) fn run() -> Outcome {
    let bed = Bed::start_with(&guests::options(None), &mut Progress::new(5))?;
    let config = guests::ours_config("probe", "10.0.2.31")?.cmdline("app.do=copy").vif([]);
    let domain = bed.create(&config)?;
    domain.wait_for("Test result: SUCCESS", LONG)?;
    let console = domain.console();
    let mut table: BTreeMap<(String, usize), Vec<(String, f64)>> = BTreeMap::new();
    for line in console.lines() {
        let fields: Vec<&str> = line.trim().split('\t').collect();
        let &[kind @ ("copy" | "sum"), way, bytes, ticks] = fields.as_slice() else { continue };
        let count = ticks.parse::<f64>()? / TICKS_AN_INSTRUCTION;
        table.entry((kind.to_owned(), bytes.parse()?)).or_default().push((way.to_owned(), count));
    }
    let line = |((kind, bytes), ways): (&(String, usize), &Vec<(String, f64)>)| {
        let ways: Vec<String> = ways.iter().map(|(way, count)| format!("{way}\t{count:.0}")).collect();
        format!("{kind}\t{bytes}\t{}", ways.join("\t"))
    };
    let lines: Vec<String> = table.iter().map(line).collect();
    lines.iter().for_each(|line| println!("{line}"));
    fs::write(
        folder()?.join("copies.tsv"),
        format!("kind\tbytes\tway\tinstructions\t…\n{}\n", lines.join("\n")),
    )?;
    Ok(())
}
