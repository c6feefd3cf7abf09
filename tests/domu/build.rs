//! Compiles the programs that run in dom0, and a plugin for QEMU.
//!
//! - `client`: packets between it and a guest cross netback and nothing else. A static program of the standard library
//!   alone. It is built from this crate's modules and needs nothing from dom0.
//! - `resume`: resumes a guest through libxl in ways that xl does not offer. Linked with the host's libxenlight,
//!   which is the same as dom0's: both are Debian's.
//! - `flood`, `attack`: sockets without blocking and raw ones, which the standard library does not have. Static
//!   programs.
//! - `share.so`: counts the instructions of each processor.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=client");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=dom0");
    println!("cargo::rerun-if-changed=plugin");
    println!("cargo::rerun-if-changed=../bench/plugin/qemu.h");
    let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from) else {
        return fail("OUT_DIR is not set");
    };
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut client = Command::new(rustc);
    client
        .args(["--edition", "2024", "--crate-name", "client", "--crate-type", "bin"])
        .args(["--target", "x86_64-unknown-linux-gnu", "-C", "target-feature=+crt-static"])
        .args(["-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols", "-o"])
        .arg(out.join("client"))
        .arg("client/main.rs");
    let cc = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut share = Command::new(&cc);
    share.args(["-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-o"]).arg(out.join("share.so"));
    share.arg("plugin/share.c");
    let mut resume = Command::new(&cc);
    resume.args(["-O1", "-Wall", "-Werror", "-s", "-o"]).arg(out.join("resume"));
    resume.args(["dom0/resume.c", "-lxenlight", "-lxentoollog"]);
    let mut flood = Command::new(&cc);
    flood.args(["-O1", "-Wall", "-Werror", "-s", "-static", "-o"]).arg(out.join("flood")).arg("dom0/flood.c");
    let mut attack = Command::new(&cc);
    attack
        .args(["-O1", "-Wall", "-Werror", "-s", "-static", "-o"])
        .arg(out.join("attack"))
        .arg("dom0/attack.c");
    for (what, mut command) in [
        ("client/main.rs", client),
        ("dom0/resume.c (libxen-dev has its headers)", resume),
        ("dom0/flood.c", flood),
        ("dom0/attack.c", attack),
        ("plugin/share.c", share),
    ] {
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return fail(&format!("the compiler ended with {status} on {what}")),
            Err(error) => return fail(&format!("no compiler for {what}: {error}")),
        }
    }
    println!("cargo::rustc-env=SHARE_PLUGIN={}", out.join("share.so").display());
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    println!("cargo::error=a program for dom0 could not be built: {why}");
    ExitCode::FAILURE
}
