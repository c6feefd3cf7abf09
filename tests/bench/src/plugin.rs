//! Whose instructions they were: counters of a QEMU plugin, `plugin/count.c`, that is compiled here.
//!
//! The plugin keeps its counters in a file that it maps; this side reads the file before and after a run and takes the
//! difference. So nothing stops for it, and the machine's time, which counts instructions, is the same as without.

use crate::Outcome;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Numbers before the blocks, and a block's numbers: as in `count.c`.
const HEAD: usize = 16;
const BLOCK: usize = 6;
/// Bytes of a number.
const WORD: usize = 8;
/// The number that keeps the plugin from counting.
const HELD: u64 = 7;

/// The compiled plugin and the file that it counts in.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    object: PathBuf,
    counters: PathBuf,
}

/// The image moves by a multiple of 4 MiB (`boot::ImageLayout::moved`): these bits of an address are those of the file.
pub(crate) const IN_IMAGE: u64 = (4 << 20) - 1;

/// The counts so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    xen: u64,
    dom0: u64,
    domu: u64,
    exits: u64,
    vmmcalls: u64,
    hlts: u64,
    lost: u64,
    /// Of the guest, by the address and length of the block.
    blocks: HashMap<(u64, u64), Block>,
    /// Instructions of Xen and dom0, by the same.
    elsewhere: HashMap<(u64, u64), u64>,
}

/// The counts of a block of code.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Block {
    /// Instructions that ran in it.
    pub(crate) instructions: u64,
    /// VM exits after which it was the block that had begun last.
    pub(crate) exits: u64,
}

impl Plugin {
    /// Compiles the plugin into a folder, with the compiler that Rust links with.
    pub(crate) fn build(folder: &Path) -> Outcome<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugin/count.c");
        let object = folder.join("count.so");
        let output = Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-o"])
            .args([&object, &source])
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cc {}: {said}", source.display()).into());
        }
        Ok(Self { object, counters: folder.join("counters") })
    }

    /// The arguments for QEMU.
    pub(crate) fn argument(&self) -> String {
        format!("file={},counters={}", self.object.display(), self.counters.display())
    }

    /// Reads the counters at the end of something: the sums first. The machine goes on while the blocks are read, and
    /// an idle one has its timers: a tenth of a second of them is a million instructions.
    pub(crate) fn read(&self) -> Outcome<Reading> {
        let mut bytes = Vec::new();
        File::open(&self.counters)?.read_to_end(&mut bytes)?;
        let words: Vec<u64> = bytes.chunks_exact(WORD).map(word).collect();
        let (head, blocks) = words.split_at_checked(HEAD).ok_or("the plugin's file is too short")?;
        let mut reading = sums(head)?;
        for block in blocks.chunks_exact(BLOCK) {
            let &[address, instructions, _, runs, exits, elsewhere] = block else { continue };
            if runs > 0 {
                let block = reading.blocks.entry((address, instructions)).or_default();
                block.instructions += runs * instructions;
                block.exits += exits;
            }
            if elsewhere > 0 {
                *reading.elsewhere.entry((address, instructions)).or_default() += elsewhere * instructions;
            }
        }
        Ok(reading)
    }

    /// As [`Plugin::read`], and nothing is counted meanwhile: sums and blocks agree.
    #[allow(dead_code, reason = "used by the other program that counts")]
    pub(crate) fn read_held(&self) -> Outcome<Reading> {
        let counters = File::options().write(true).open(&self.counters)?;
        let hold = |held: u64| counters.write_all_at(&held.to_le_bytes(), HELD * 8);
        hold(1)?;
        let reading = self.read();
        hold(0)?;
        reading
    }

    /// As [`Plugin::read`], before something begins: the sums last.
    pub(crate) fn read_to_begin(&self) -> Outcome<Reading> {
        let Reading { blocks, elsewhere, .. } = self.read()?;
        let mut head = [0; HEAD * WORD];
        File::open(&self.counters)?.read_exact(&mut head)?;
        let head: Vec<u64> = head.chunks_exact(WORD).map(word).collect();
        Ok(Reading { blocks, elsewhere, ..sums(&head)? })
    }
}

/// The numbers at the file's beginning.
fn sums(head: &[u64]) -> Outcome<Reading> {
    let &[xen, dom0, domu, exits, vmmcalls, hlts, lost, ..] = head else {
        return Err("no counters".into());
    };
    Ok(Reading { xen, dom0, domu, exits, vmmcalls, hlts, lost, ..Reading::default() })
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

impl Reading {
    /// The difference to another reading, or to another run: a smaller count then is 0.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let change = |(key, after): (&(u64, u64), &Block)| {
            let before = before.blocks.get(key).copied().unwrap_or_default();
            let instructions = after.instructions.saturating_sub(before.instructions);
            let exits = after.exits.saturating_sub(before.exits);
            (instructions > 0).then_some((*key, Block { instructions, exits }))
        };
        Self {
            xen: self.xen.saturating_sub(before.xen),
            dom0: self.dom0.saturating_sub(before.dom0),
            domu: self.domu.saturating_sub(before.domu),
            exits: self.exits.saturating_sub(before.exits),
            vmmcalls: self.vmmcalls.saturating_sub(before.vmmcalls),
            hlts: self.hlts.saturating_sub(before.hlts),
            lost: self.lost.saturating_sub(before.lost),
            blocks: self.blocks.iter().filter_map(change).collect(),
            elsewhere: self
                .elsewhere
                .iter()
                .map(|(key, after)| {
                    (*key, after.saturating_sub(before.elsewhere.get(key).copied().unwrap_or(0)))
                })
                .filter(|(_, instructions)| *instructions > 0)
                .collect(),
        }
    }

    /// All instructions of the machine.
    #[allow(dead_code, reason = "used by the other program that counts")]
    pub(crate) const fn all(&self) -> f64 {
        (self.xen + self.dom0 + self.domu) as f64
    }

    /// Instructions of Xen and dom0 by the address where their block begins.
    #[allow(dead_code, reason = "used by the other program that counts")]
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.elsewhere.iter().map(|((address, _), instructions)| (*address, *instructions))
    }

    /// How often a block of Xen's or dom0's code ran, by the address where it begins.
    #[allow(dead_code, reason = "used by the other program that counts")]
    pub(crate) fn runs_elsewhere(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let runs = |instructions: u64, each: u64| instructions.checked_div(each).unwrap_or(0);
        self.elsewhere.iter().map(move |((address, each), sum)| (*address, runs(*sum, *each)))
    }

    /// The figures by name.
    pub(crate) fn figures(&self) -> [(&'static str, u64); 7] {
        [
            ("guest instructions", self.domu),
            ("Xen instructions", self.xen),
            ("dom0 instructions", self.dom0),
            ("VM exits", self.exits),
            ("vmmcall", self.vmmcalls),
            ("hlt", self.hlts),
            ("blocks not counted", self.lost),
        ]
    }

    /// The blocks by the address where each begins.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (u64, Block)> + '_ {
        self.blocks.iter().map(|((address, _), block)| (*address, *block))
    }
}
