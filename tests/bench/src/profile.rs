//! Where the guest's instructions go, by function: the plugin's blocks, named by the symbols of the image.
//!
//! The image that runs is stripped; the symbols are in the one that cargo left. If that is another build, its names
//! would be wrong, so the two are compared first.

use crate::Outcome;
use crate::plugin::{IN_IMAGE, Reading};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Functions that are listed for their instructions.
const LISTED: usize = 30;
/// VM exits a unit for which a function is listed in any case.
const EXITS: f64 = 0.01;

/// What a function of the guest took, a unit.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) instructions: f64,
    /// VM exits in it, for any reason.
    pub(crate) exits: f64,
}

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
        let whole = target.join("x86_64-unknown-linux-musl/release").join(image);
        let stripped = booted.with_extension("stripped");
        program("strip", &["-o".as_ref(), stripped.as_path(), whole.as_path()])?;
        if fs::read(&stripped)? != fs::read(booted)? {
            return Err(format!("{} is another build than the one that runs", whole.display()).into());
        }
        let listing = program("nm", &["-C".as_ref(), "--defined-only".as_ref(), whole.as_path()])?;
        Ok(Self { functions: listing.lines().filter_map(symbol).collect() })
    }

    fn name(&self, address: u64) -> &str {
        let address = address & IN_IMAGE;
        self.functions.range(..=address).next_back().map_or("?", |(_, name)| name)
    }

    /// The functions that took most, and those that the guest was in at a VM exit.
    pub(crate) fn top(&self, reading: &Reading, units: f64) -> Vec<Function> {
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (address, block) in reading.addresses() {
            let sum = sums.entry(self.name(address)).or_default();
            sum.0 += block.instructions as f64 / units;
            sum.1 += block.exits as f64 / units;
        }
        let function = |(name, (instructions, exits)): (&str, (f64, f64))| Function {
            name: name.to_owned(),
            instructions,
            exits,
        };
        let mut sums: Vec<Function> = sums.into_iter().map(function).collect();
        sums.sort_by(|a, b| b.instructions.total_cmp(&a.instructions));
        let mut place = 0;
        sums.retain(|function| {
            place += 1;
            place <= LISTED || function.exits >= EXITS
        });
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
    fn a_function_has_its_name_wherever_the_image_has_moved() {
        let functions = [(0x0010_1000, "turn".to_owned())].into();
        assert_eq!(Symbols { functions }.name(0xffff_d2f5_7740_0000 + 0x0010_1008), "turn");
    }

    #[test]
    fn only_text_has_a_name() {
        let line = "0000000000101000 t kernel::turn";
        assert_eq!(symbol(line), Some((0x0010_1000, "kernel::turn".to_owned())));
        assert_eq!(symbol("0000000000201000 d kernel::TABLE"), None);
    }
}
