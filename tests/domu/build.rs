//! Compiles the client that runs in dom0: packets between it and a guest cross netback and nothing else.
//!
//! A static program of the standard library alone, made of this crate's own modules, so that it depends on nothing in
//! dom0.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=client");
    println!("cargo::rerun-if-changed=src");
    let Some(out) = std::env::var_os("OUT_DIR").map(|dir| PathBuf::from(dir).join("client")) else {
        return fail("OUT_DIR is not set");
    };
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition", "2024", "--crate-name", "client", "--crate-type", "bin"])
        .args(["--target", "x86_64-unknown-linux-gnu", "-C", "target-feature=+crt-static"])
        .args(["-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols", "-o"])
        .arg(&out)
        .arg("client/main.rs")
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => fail(&format!("rustc ended with {status} on client/main.rs")),
        Err(error) => fail(&format!("rustc does not start: {error}")),
    }
}

fn fail(why: &str) -> ExitCode {
    println!("cargo::error=the client for dom0 could not be built: {why}");
    ExitCode::FAILURE
}
