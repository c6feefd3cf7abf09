//! Checks beyond the compiler's: which crate imports which, the order of groups inside a crate, the budget of `unsafe`,
//! and that each file says what it is.
//!
//! Each finding names a file and the next step. Run by `make check`.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod budget;
mod files;
mod groups;
mod imports;
mod lints;

use std::path::Path;
use std::process::ExitCode;

/// A broken rule: the file, and what to do.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) place: String,
    pub(crate) what: String,
}

/// A check over the repository at a path.
type Check = fn(&Path) -> Result<Vec<Finding>, String>;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut findings = Vec::new();
    let checks: [(&str, Check); 5] = [
        ("imports", imports::check),
        ("groups", groups::check),
        ("budget", budget::check),
        ("files", files::check),
        ("lints", lints::check),
    ];
    for (name, check) in checks {
        match check(&root) {
            Ok(found) => {
                println!("{name}: {}", if found.is_empty() { "fine" } else { "broken" });
                findings.extend(found);
            }
            Err(error) => {
                eprintln!("{name}: could not be checked: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    for Finding { place, what } in &findings {
        eprintln!("{place}: {what}");
    }
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
