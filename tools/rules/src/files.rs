//! Every file says what it is in its head, and holds one idea.

use crate::Finding;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines above which a file has more than one idea, tests not counted.
const MOST_LINES: usize = 400;
/// Folders that hold no source of ours.
const NOT_OURS: [&str; 4] = ["target", "build", ".git", "fuzz"];

/// Every Rust file below `folder`.
pub(crate) fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !NOT_OURS.contains(&name) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file is part of the tests, by its path.
pub(crate) fn is_test(place: &str) -> bool {
    place.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "examples"))
}

/// Lines before the tests at the end of a file.
fn lines_without_tests(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

/// Checks heads and sizes.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for path in sources(root)? {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if !text.trim_start().starts_with("//!") {
            findings.push(Finding {
                place: place.clone(),
                what: "begins without a head: add //! lines that say what it is".into(),
            });
        }
        let lines = lines_without_tests(&text);
        if lines > MOST_LINES && !is_test(&place) {
            findings.push(Finding {
                place,
                what: format!("has {lines} lines, at most {MOST_LINES}: split it by ideas"),
            });
        }
    }
    Ok(findings)
}
