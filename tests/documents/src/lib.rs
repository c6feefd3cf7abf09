//! The repository's documents, for tests of what they say.

use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The text of a file of the repository.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file with one of these endings, as a path from the root, without what is built.
#[must_use]
pub fn files(endings: &[&str]) -> Vec<String> {
    let (root, mut found) = (root(), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "build", ".git"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path.strip_prefix(&root).unwrap_or(&path).display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// The first groups of all matches of a pattern.
///
/// # Panics
/// If the pattern is none.
#[must_use]
pub fn matches<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
    let pattern = Regex::new(pattern).unwrap_or_else(|error| panic!("{error}"));
    pattern.captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str())).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
#[must_use]
pub fn anchors(document: &str) -> Vec<String> {
    let anchor = |heading: &str| {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    matches(r"(?m)^#+ +(.+)$", document).into_iter().map(anchor).collect()
}

/// The value of a variable of the Makefile, word by word.
#[must_use]
pub fn make_variable(name: &str) -> Vec<String> {
    let makefile = read("Makefile");
    let lines = matches(&format!(r"(?m)^{name} +[:?]?= *(.*)$"), &makefile);
    lines.first().map(|line| line.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}
