//! Turns the addresses of a crash report into functions, files and lines.
//!
//! ```text
//!   symbolize LOG [IMAGE…]      LOG: a console log, or what was in data/crash; - is standard input
//!                               IMAGE: unstripped, by default all in target/x86_64-unknown-none/release
//! ```
//!
//! The report names its build; only the image with that build id is used: names from another one would be wrong and
//! look right.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod images;
mod report;

use report::Report;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("symbolize: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, String> {
    let mut args = std::env::args_os().skip(1);
    let log = args.next().ok_or("name a log: make symbolize LOG=console.log")?;
    let mut bytes = Vec::new();
    if log == "-" {
        std::io::stdin().read_to_end(&mut bytes).map_err(|error| format!("standard input: {error}"))?;
    } else {
        let shown = PathBuf::from(&log).display().to_string();
        bytes = std::fs::read(&log).map_err(|error| format!("{shown}: {error}"))?;
    }
    let given: Vec<PathBuf> = args.map(PathBuf::from).collect();
    let candidates = if given.is_empty() { images::built()? } else { given };
    let text = String::from_utf8_lossy(&bytes);
    let reports = Report::all(&text);
    if reports.is_empty() {
        return Err("there is no report in the log: one begins with '=== millpond '".into());
    }
    let mut out = String::new();
    for report in reports {
        let image = images::with_build_id(&candidates, &report.build)?;
        out.push_str(&format!("{}\nimage: {}\n", report.title, image.display()));
        out.push_str(&images::symbolize(&image, &report.addresses)?);
    }
    Ok(out)
}
