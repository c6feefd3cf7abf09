//! Compiles the generator that runs in dom0 and leaves it where the benchmark embeds it: a static program of the
//! standard library alone, so that it depends on no C library of dom0's.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=load");
    let Some(out) = std::env::var_os("OUT_DIR").map(|dir| PathBuf::from(dir).join("bench-load")) else {
        return fail("OUT_DIR is not set");
    };
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition", "2024", "--crate-name", "bench_load", "--crate-type", "bin"])
        .args(["--target", "x86_64-unknown-linux-gnu", "-C", "target-feature=+crt-static"])
        .args(["-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols", "-o"])
        .arg(&out)
        .arg("load/main.rs")
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => fail(&format!("rustc ended with {status} on load/main.rs")),
        Err(error) => fail(&format!("rustc does not start: {error}")),
    }
}

fn fail(why: &str) -> ExitCode {
    println!("cargo::error=the generator for dom0 could not be built: {why}");
    ExitCode::FAILURE
}
