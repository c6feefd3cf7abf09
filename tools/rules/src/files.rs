//! Every file begins with lines that say what it is.

use crate::Finding;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders without sources of this repository.
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
    place
        .split('/')
        .any(|part| matches!(part, "tests" | "tests.rs" | "examples") || part.starts_with("test_"))
}

/// Checks the heads.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for path in sources(root)? {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if !has_head(&text) {
            let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            findings.push(Finding {
                place,
                what: "has no head: begin it with //! lines that say what it is".into(),
            });
        }
    }
    Ok(findings)
}

/// Whether a file begins with a doc comment about itself.
fn has_head(text: &str) -> bool {
    text.trim_start().starts_with("//!")
}

#[cfg(test)]
mod tests {
    use super::{has_head, is_test};

    #[test]
    fn a_head_comes_before_everything_else() {
        assert!(has_head("\n//! What it is.\n"));
        assert!(!has_head("use a;\n//! Too late.\n"));
        assert!(!has_head("// No doc comment.\n"));
    }

    #[test]
    fn tests_are_known_by_their_path() {
        for place in [
            "tests/sim/src/lib.rs",
            "net/tests/a.rs",
            "config/tests.rs",
            "push/examples/a.rs",
            "xen/src/test_machine.rs",
        ] {
            assert!(is_test(place), "{place}");
        }
        assert!(!is_test("kernel/src/run/mod.rs"));
    }
}
