//! The build script of every image: writes its package note, with version, commit and dependencies. See `bill`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match bill::write_note() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=the image's package note could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}
