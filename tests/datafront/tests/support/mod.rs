//! What the tests of datafront on real Xen share.
//!
//! ```text
//!   tests/push/      push in dom0 ──► web, and the sink, over Debian's vchan-socket-proxy
//!   tests/peers.rs   peer/peer.c over libxenvchan, and the proxy, in both roles ◄──► probe, in both roles
//! ```
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use bed::{Bed, Options, Output};
use datafront::block::wire::Sum;
use domu_tests::Outcome;
use push::tree::{Rules, Tree};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The limit for long operations under emulation.
pub const LONG: Duration = Duration::from_secs(600);

/// A test on a test bed. `DATAFRONT_DOM0_VCPUS=2` gives dom0 two processors: two sides that run at once.
pub fn run(name: &str, body: impl FnOnce(&Bed) -> Outcome) {
    run_with(name, Options::default(), body);
}

/// As [`run`], on another machine.
pub fn run_with(name: &str, options: Options, body: impl FnOnce(&Bed) -> Outcome) {
    let vcpus = std::env::var("DATAFRONT_DOM0_VCPUS").ok();
    let more = vcpus.map(|count| format!("dom0_max_vcpus={count}"));
    let options = more.iter().fold(options, |options, argument| options.xen_arg(argument));
    bed::run_test_with(name, options, body);
}

/// The check of a block's bytes.
#[must_use]
pub fn sum(content: &[u8]) -> u32 {
    let mut own = Sum::default();
    own.add(content);
    own.value()
}

/// The guest's chain over accepted blocks, by docs/datafront.md, from the checksum of the next one.
#[must_use]
pub fn chain(before: u32, seq: u64, check: u32) -> u32 {
    let mut next = Sum::default();
    next.add(&before.to_le_bytes());
    next.add(&seq.to_le_bytes());
    next.add(&check.to_le_bytes());
    next.value()
}

/// Bytes that are the same for the same seed.
#[must_use]
pub fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Runs a script in dom0 that must succeed, and returns its output.
///
/// # Errors
/// When it does not, with everything that it said.
pub fn dom0(bed: &Bed, script: &str) -> Outcome<String> {
    let output = bed.dom0_within(script, LONG)?;
    if output.success() { Ok(output.stdout) } else { Err(format!("{script}: {output:?}").into()) }
}

/// Runs `push` in dom0.
///
/// # Errors
/// When dom0 does not answer.
pub fn push(bed: &Bed, arguments: &str) -> Outcome<Output> {
    Ok(bed.dom0_within(&format!("push {arguments}"), LONG)?)
}

/// Puts `push` into dom0.
///
/// # Errors
/// When it is not built: `make push`.
pub fn install_push(bed: &Bed) -> Outcome {
    Ok(bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?)
}

/// Compiles `peer/peer.c` against Debian's libxenvchan and puts it into dom0 as `peer`.
///
/// # Errors
/// The compiler's output; `make setup` installs it and the headers.
pub fn install_peer(bed: &Bed) -> Outcome {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer/peer.c");
    let program = std::env::temp_dir().join(format!("millpond-peer-{}", std::process::id()));
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(&cc)
        .args(["-O2", "-Wall", "-Werror", "-o"])
        .args([&program, &source])
        .args(["-lxenvchan", "-lxenevtchn"])
        .output()?;
    if !output.status.success() {
        return Err(format!("{cc} {}: {}", source.display(), String::from_utf8_lossy(&output.stderr)).into());
    }
    let put = bed.put_file(&program, "/usr/bin/peer");
    std::fs::remove_file(&program)?;
    Ok(put?)
}

/// Puts a folder of the host into dom0.
///
/// # Errors
/// When either side fails.
pub fn upload(bed: &Bed, folder: &Path, to: &str) -> Outcome {
    let mut archive = Vec::new();
    Tree::list(folder, Rules::default())?.read().read_to_end(&mut archive)?;
    let script = format!("mkdir -p {to} && tar -x -f - -C {to}");
    let output = bed.dom0_with_input(&script, &archive, LONG)?;
    if output.success() { Ok(()) } else { Err(format!("{output:?}").into()) }
}

/// A number after a word of a line: `… accepted 7 …`.
///
/// # Errors
/// When it is not there.
pub fn number_after(line: &str, word: &str) -> Outcome<u64> {
    let rest = line.split(&format!(" {word} ")).nth(1).ok_or_else(|| format!("no {word} in {line:?}"))?;
    Ok(rest.split_whitespace().next().unwrap_or_default().parse()?)
}
