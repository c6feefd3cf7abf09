//! How many `unsafe` blocks each file may have. A file that is not listed may have none.
//!
//! `docs/soundness.md` has a row with the reason for each use; a number goes up only together with a new row.

use crate::{Finding, files};
use std::fs;
use std::path::Path;

/// Blocks, functions, implementations and attributes with `unsafe`, by file.
const BUDGET: &[(&str, usize)] = &[
    ("boot/src/entry.rs", 2),
    ("boot/src/multiboot.rs", 1),
    ("kernel/src/cpu/bytes.rs", 3),
    ("kernel/src/cpu/early_console.rs", 2),
    ("kernel/src/cpu/gdt.rs", 8),
    ("kernel/src/cpu/hypercall.rs", 5),
    ("kernel/src/cpu/idt.rs", 8),
    ("kernel/src/cpu/on_cpu.rs", 2),
    ("kernel/src/cpu/tsc.rs", 1),
    ("kernel/src/domain/domu.rs", 23),
    ("kernel/src/lib.rs", 2),
    ("kernel/src/mem/boot_memory.rs", 3),
    ("kernel/src/mem/frames.rs", 1),
    ("kernel/src/mem/heap.rs", 6),
    ("kernel/src/mem/paging.rs", 7),
    ("kernel/src/start/memory.rs", 1),
    ("kernel/src/start/mod.rs", 3),
    ("kernel/src/task/entropy.rs", 1),
    ("tools/vchan/src/libxenvchan.rs", 14),
    ("tools/vchan/src/processor.rs", 4),
    ("xen/src/crc32c.rs", 4),
    ("xen/src/memory/foreign.rs", 2),
    ("xen/src/gnttab/mod.rs", 2),
    ("xen/src/hypervisor.rs", 1),
    ("xen/src/memory/page.rs", 7),
    ("xen/src/memory/shared.rs", 2),
    ("xen/src/memory/contiguous.rs", 1),
];

/// Counts the keyword outside of comments, strings and lint names.
fn count(text: &str) -> usize {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .map(|line| line.split("//").next().unwrap_or_default())
        .map(|code| {
            // Every second piece is inside of quotes.
            let code: String = code.split('"').step_by(2).collect();
            let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            words.filter(|word| *word == "unsafe").count()
        })
        .sum()
}

/// Compares each file with its budget.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for path in files::sources(root)? {
        let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        // Tests stand in for the machine or provoke its faults. They are no part of the product.
        if files::is_test(&place) {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{place}: {error}"))?;
        let budget = BUDGET.iter().find(|(file, _)| *file == place).map_or(0, |(_, budget)| *budget);
        let found = count(&text);
        if found > budget {
            let what = format!("has {found} uses of unsafe, its budget is {budget}: see docs/soundness.md");
            findings.push(Finding { place, what });
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_keyword_counts_outside_of_comments_and_text() {
        assert_eq!(
            count(
                "unsafe { a() } // unsafe\n#[unsafe(naked)]\nlet text = \"unsafe\";\n#![deny(unsafe_code)]"
            ),
            2
        );
        assert_eq!(count("#[cfg(test)]\nmod tests { unsafe {} }"), 0);
    }
}
