//! Compiles the agent that runs in dom0 and leaves it where the library embeds it.
//!
//! The agent is a static program of the standard library alone, so it depends neither on the C library of the
//! host nor on the one in dom0, and a test that links this crate always has the agent that belongs to it.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=agent");
    let Some(out) = std::env::var_os("OUT_DIR").map(|dir| PathBuf::from(dir).join("bed-agent")) else {
        return fail("OUT_DIR is not set");
    };
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    // Paths are relative to this folder, so that equal sources give an equal binary in any folder.
    let status = Command::new(rustc)
        .args(["--edition", "2024", "--crate-name", "bed_agent", "--crate-type", "bin"])
        .args(["--target", "x86_64-unknown-linux-gnu", "-C", "target-feature=+crt-static"])
        .args(["-C", "opt-level=s", "-C", "panic=abort", "-C", "strip=symbols", "-o"])
        .arg(&out)
        .arg("agent/main.rs")
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => fail(&format!("rustc ended with {status} on agent/main.rs")),
        Err(error) => fail(&format!("rustc does not start: {error}")),
    }
}

fn fail(why: &str) -> ExitCode {
    println!("cargo::error=the agent for dom0 could not be built: {why}");
    ExitCode::FAILURE
}
