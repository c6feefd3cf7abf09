//! Checks what the compiler cannot: who imports whom, the unsafe budget, module heads, file sizes.
//!
//! Every rule names the file that breaks it and the next step. Run by `make check`.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod budget;
mod files;
mod imports;

use std::path::Path;
use std::process::ExitCode;

/// A rule that is broken: where, and what to do.
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
    let checks: [(&str, Check); 3] =
        [("imports", imports::check), ("budget", budget::check), ("files", files::check)];
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
