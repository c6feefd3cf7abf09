//! Where the guest's instructions go, by function: the plugin's blocks, named by the symbols of the image.
//!
//! The image that runs is stripped; the symbols are in the one that cargo left. If that is another build, its names
//! would be lies, so the two are compared first.

use crate::Outcome;
use crate::plugin::Reading;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Functions that are listed.
const LISTED: usize = 30;

/// The functions of an image, by address.
#[derive(Debug)]
pub(crate) struct Symbols {
    functions: BTreeMap<u64, String>,
}

impl Symbols {
    /// Those of the image in a file whose name is `IMAGE.elf`.
    pub(crate) fn of(booted: &Path) -> Outcome<Self> {
        let image = booted.file_stem().ok_or("an image without a name")?;
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| bed::repository().join("target"), PathBuf::from);
        let whole = target.join("x86_64-unknown-none/release").join(image);
        let stripped = booted.with_extension("stripped");
        program("strip", &["-o".as_ref(), stripped.as_path(), whole.as_path()])?;
        if fs::read(&stripped)? != fs::read(booted)? {
            return Err(format!("{} is another build than the one that runs", whole.display()).into());
        }
        let listing = program("nm", &["-C".as_ref(), "--defined-only".as_ref(), whole.as_path()])?;
        Ok(Self { functions: listing.lines().filter_map(symbol).collect() })
    }

    fn name(&self, address: u64) -> &str {
        self.functions.range(..=address).next_back().map_or("?", |(_, name)| name)
    }

    /// The functions that took most, with their instructions a unit.
    pub(crate) fn top(&self, reading: &Reading, units: f64) -> Vec<(String, f64)> {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for (address, instructions) in reading.addresses() {
            *sums.entry(self.name(address)).or_default() += instructions as f64 / units;
        }
        let mut sums: Vec<(String, f64)> =
            sums.into_iter().map(|(name, sum)| (name.to_owned(), sum)).collect();
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        sums.truncate(LISTED);
        sums
    }
}

fn program(name: &str, arguments: &[&Path]) -> Outcome<String> {
    let output = Command::new(name).args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// A line of `nm`: address, kind, name. Only text.
fn symbol(line: &str) -> Option<(u64, String)> {
    let mut fields = line.splitn(3, ' ');
    let address = u64::from_str_radix(fields.next()?, 16).ok()?;
    let text = matches!(fields.next()?, "t" | "T" | "w" | "W");
    text.then_some((address, fields.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_has_a_name() {
        let line = "0000000000101000 t kernel::turn";
        assert_eq!(symbol(line), Some((0x0010_1000, "kernel::turn".to_owned())));
        assert_eq!(symbol("0000000000201000 d kernel::TABLE"), None);
    }
}
