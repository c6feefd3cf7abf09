//! Names functions, files and lines for the addresses in a crash report.
//!
//! ```text
//!   symbolize LOG [IMAGE…]      LOG: a console log, or the contents of data/crash; - is standard input
//!                               IMAGE: unstripped; by default all in target/x86_64-unknown-linux-musl/release
//! ```
//!
//! A report contains the build id of its image. Only the image with that build id is used, since another would give
//! plausible but wrong names.
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
        return Err("the log has no report; a report begins with '=== millpond '".into());
    }
    let mut out = String::new();
    for report in reports {
        let image = images::with_build_id(&candidates, &report.build)?;
        out.push_str(&format!("{}\nimage: {}\n", report.title, image.display()));
        out.push_str(&images::symbolize(&image, &report.addresses)?);
    }
    Ok(out)
}
