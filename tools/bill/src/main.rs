//! Prints the bill of materials of an image: `bill FOLDER-OF-ITS-CRATE SHA256 COMMIT`.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, sha256, commit] = arguments.as_slice() else {
        eprintln!("bill: FOLDER SHA256 COMMIT; make dist calls it");
        return ExitCode::FAILURE;
    };
    match bill::Image::of(Path::new(folder)) {
        Ok(image) => {
            println!("{:#}", bill::cyclonedx(&image, sha256, commit));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bill: {error}");
            ExitCode::FAILURE
        }
    }
}
