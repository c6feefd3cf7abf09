//! The printed and stored lines: `name<TAB>ours<TAB>linux<TAB>ratio`, a line for each figure.
//!
//! A figure is the median of its repeats. The ratio is Linux's divided by ours: above 1, ours needs
//! less. `spread` lines are the range of the repeats, as a fraction of the median.

use crate::guests::Side;
use crate::plugin::Reading;
use crate::profile::Function;
use crate::{Outcome, html};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The figure that the bars show.
pub(crate) const MAIN: &str = "instructions";

/// Everything known of one workload.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// The counts of a unit, one for each repeat, by name and side.
    figures: BTreeMap<(String, Side), Vec<f64>>,
    /// Where our guest's instructions went, by function, a unit.
    pub(crate) profile: Vec<Function>,
}

impl Row {
    pub(crate) fn new(name: &str, unit: &'static str) -> Self {
        Self { name: name.to_owned(), unit, figures: BTreeMap::new(), profile: Vec::new() }
    }

    /// Adds a repeat's figure.
    pub(crate) fn add(&mut self, side: Side, name: &str, value: f64) {
        self.figures.entry((name.to_owned(), side)).or_default().push(value);
    }

    /// The repeats of a figure.
    pub(crate) fn repeats(&self, side: Side, name: &str) -> &[f64] {
        self.figures.get(&(name.to_owned(), side)).map_or(&[], Vec::as_slice)
    }

    /// The lines of this workload: first the instructions of the whole machine, then all else.
    pub(crate) fn lines(&self) -> Vec<String> {
        let (ours, linux) = (self.repeats(Side::Ours, MAIN), self.repeats(Side::Linux, MAIN));
        let mut lines = vec![
            self.line(MAIN),
            format!("{} {MAIN} spread\t{:.2}%\t{:.2}%\t-", self.name, spread(ours), spread(linux)),
        ];
        let mut names: Vec<&str> = self.figures.keys().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        lines.extend(names.into_iter().filter(|name| *name != MAIN).map(|name| self.line(name)));
        lines
    }

    fn line(&self, name: &str) -> String {
        let side = |side| Some(median(self.repeats(side, name))).filter(|value| !value.is_nan());
        let (ours, linux) = (side(Side::Ours), side(Side::Linux));
        let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), figure);
        let ratio = match (ours, linux) {
            (Some(ours), Some(linux)) if ours > 0.0 => format!("{:.2}", linux / ours),
            _ => "-".to_owned(),
        };
        format!("{} {name}/{}\t{}\t{}\t{ratio}", self.name, self.unit, text(ours), text(linux))
    }
}

/// The folder `build/bench`, created if necessary.
pub(crate) fn folder() -> Outcome<PathBuf> {
    let folder = bed::repository().join("build/bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Writes `build/bench/NAME.tsv` and `build/bench/NAME.html`.
pub(crate) fn keep(rows: &[Row], name: &str) -> Outcome {
    let folder = folder()?;
    let lines: Vec<String> = rows.iter().flat_map(Row::lines).collect();
    fs::write(
        folder.join(format!("{name}.tsv")),
        format!("name\tours\tlinux\tratio\n{}\n", lines.join("\n")),
    )?;
    fs::write(folder.join(format!("{name}.html")), html::page(rows))?;
    let profiles: String = rows.iter().map(profile).collect();
    if !profiles.is_empty() {
        fs::write(
            folder.join("profile.tsv"),
            format!("workload\tinstructions\texits\tfunction\n{profiles}"),
        )?;
    }
    Ok(())
}

/// A line a function.
fn profile(row: &Row) -> String {
    let line = |function: &Function| {
        let (instructions, exits) = (figure(function.instructions), figure(function.exits));
        format!("{}\t{instructions}\t{exits}\t{}\n", row.name, function.name)
    };
    row.profile.iter().map(line).collect()
}

/// Writes `build/bench/blocks-WORKLOAD.tsv`: where each block of the guest's code begins, and its instructions a unit,
/// for `addr2line` and `objdump` on the image with symbols.
pub(crate) fn keep_blocks(workload: &str, reading: &Reading, units: f64) -> Outcome {
    let mut blocks: Vec<(u64, f64)> =
        reading.addresses().map(|(address, block)| (address, block.instructions as f64 / units)).collect();
    blocks.sort_by_key(|(address, _)| *address);
    let line = |(address, instructions): &(u64, f64)| format!("{address:#x}\t{}\n", figure(*instructions));
    let lines: String = blocks.iter().map(line).collect();
    Ok(fs::write(
        folder()?.join(format!("blocks-{workload}.tsv")),
        format!("address\tinstructions\n{lines}"),
    )?)
}

/// The middle of the values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The range of the values, in hundredths of their median.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::MIN, f64::max);
    let least = values.iter().copied().fold(f64::MAX, f64::min);
    if values.is_empty() { 0.0 } else { (most - least) / median(values) * 100.0 }
}

/// As many digits as mean something.
pub(crate) fn figure(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread_are_those_of_the_repeats() {
        let values = [110.0, 100.0, 90.0];
        assert!((median(&values) - 100.0).abs() < 1e-9);
        assert!((spread(&values) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_line_has_four_columns_and_a_ratio_above_one_for_less() {
        let mut row = Row::new("x", "unit");
        row.add(Side::Ours, MAIN, 100.0);
        row.add(Side::Linux, MAIN, 150.0);
        row.add(Side::Ours, "grants", 0.0);
        let lines = row.lines();
        assert_eq!(lines.first().map(String::as_str), Some("x instructions/unit\t100\t150\t1.50"));
        assert_eq!(lines.last().map(String::as_str), Some("x grants/unit\t0.000\t-\t-"));
    }
}
