//! Compiles the generators that run in dom0, for the benchmarks to embed: static programs of the standard
//! library alone, which need no C library of dom0's.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=load");
    println!("cargo::rerun-if-changed=datafront/put.rs");
    println!("cargo::rerun-if-changed=datafront/timed.rs");
    println!("cargo::rerun-if-changed=emulated/take.rs");
    let programs = [
        ("bench-load", "load/main.rs"),
        ("put", "datafront/put.rs"),
        ("timed", "datafront/timed.rs"),
        ("take", "emulated/take.rs"),
    ];
    for (name, source) in programs {
        let code = compile(name, source);
        if code != ExitCode::SUCCESS {
            return code;
        }
    }
    ExitCode::SUCCESS
}

fn compile(name: &str, source: &str) -> ExitCode {
    let Some(out) = std::env::var_os("OUT_DIR").map(|dir| PathBuf::from(dir).join(name)) else {
        return fail("OUT_DIR is not set");
    };
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition", "2024", "--crate-name", &name.replace('-', "_"), "--crate-type", "bin"])
        .args(["--target", "x86_64-unknown-linux-gnu", "-C", "target-feature=+crt-static"])
        .args(["-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols", "-o"])
        .arg(&out)
        .arg(source)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => fail(&format!("rustc ended with {status} on {source}")),
        Err(error) => fail(&format!("rustc does not start: {error}")),
    }
}

fn fail(why: &str) -> ExitCode {
    println!("cargo::error=the generator for dom0 could not be built: {why}");
    ExitCode::FAILURE
}
