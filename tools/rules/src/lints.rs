//! Crates that ship have strict lints in their crate root: no panic anywhere, and in images no unchecked arithmetic.
//!
//! The lints that hold for tests too are in the workspace's Cargo.toml. Cargo has no lints for one target of a
//! package, so those that a test need not keep stand in the crate roots, under `not(test)`.

use crate::{Finding, files};
use std::fs;
use std::path::Path;

/// For every crate outside of `tests/`.
const NO_PANIC: [&str; 2] = [
    "#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]",
    "#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]",
];

/// For every crate that is part of an image: it has `no_std`.
const IMAGE: [&str; 3] = [
    "#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]",
    "#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]",
    "#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]",
];

/// Checks every crate root.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for path in files::sources(root)? {
        let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if !is_root(&place) {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{place}: {error}"))?;
        findings.extend(missing(&text).into_iter().map(|line| Finding {
            place: place.clone(),
            what: format!("lacks a line of lints at its head: {line}"),
        }));
    }
    Ok(findings)
}

/// Whether a file is the root of a crate that ships.
fn is_root(place: &str) -> bool {
    let root = place.ends_with("/src/lib.rs") || place.ends_with("/src/main.rs");
    root && !files::is_test(place) && !place.starts_with("tools/new/")
}

/// The lines that a crate root lacks.
fn missing(text: &str) -> Vec<&'static str> {
    let image = text.lines().any(|line| line.starts_with("#![") && line.contains("no_std"));
    let wanted = NO_PANIC.iter().chain(IMAGE.iter().filter(|_| image));
    wanted.copied().filter(|line| !text.lines().any(|known| known == *line)).collect()
}

#[cfg(test)]
mod tests {
    use super::{IMAGE, NO_PANIC, is_root, missing};

    #[test]
    fn an_image_needs_all_lines_and_a_tool_the_first_two() {
        assert_eq!(missing("#![no_std]\n"), [NO_PANIC.as_slice(), IMAGE.as_slice()].concat());
        assert_eq!(missing("#![forbid(unsafe_code)]\n"), NO_PANIC);
        assert!(missing(&NO_PANIC.join("\n")).is_empty());
    }

    #[test]
    fn crates_under_tests_are_free() {
        assert!(is_root("xen/src/lib.rs") && is_root("tools/push/src/main.rs"));
        assert!(!is_root("tests/sim/src/lib.rs") && !is_root("xen/src/ring.rs"));
    }
}
