//! A network namespace for a test: it starts itself again inside one, so that nothing of the host's network is touched.

use std::env;
use std::path::Path;
use std::process::Command;

/// The environment variable that is set in the process inside.
pub const INSIDE: &str = "TAP_TESTS_INSIDE";

/// Runs the test `name` inside a network namespace of its own. `true` in the process that is inside: there the test goes
/// on. `false` outside: the test has passed, or is skipped for a reason that it has printed.
///
/// Panics if the test failed inside.
#[must_use]
pub fn inside(name: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    if let Err(why) = possible() {
        eprintln!("SKIPPED {name}: {why}");
        return false;
    }
    let program = env::current_exe().expect("a test knows its own path");
    let status = Command::new("unshare")
        .args(["--net", "--"])
        .arg(program)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare was there a moment ago");
    assert!(status.success(), "{name} failed inside its network namespace: {status}");
    false
}

/// Whether this host lets a test make namespaces and TAP devices.
fn possible() -> Result<(), String> {
    if !Path::new("/dev/net/tun").exists() {
        return Err("/dev/net/tun is missing: load the module tun".into());
    }
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    device.map_err(|error| format!("/dev/net/tun cannot be opened ({error}): run as root"))?;
    let unshare = Command::new("unshare").args(["--net", "ip", "link"]).output();
    match unshare {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            Err(format!("no network namespace: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => Err(format!("unshare (util-linux) cannot be run: {error}")),
    }
}

/// Runs `ip` with these words. Panics outside of a namespace of ours, or if `ip` fails.
pub fn ip(words: &str) {
    assert!(env::var_os(INSIDE).is_some(), "only in a namespace of ours");
    let status = Command::new("ip").args(words.split_whitespace()).status().expect("ip (iproute2) is there");
    assert!(status.success(), "ip {words}: {status}");
}

/// Gives the TCP of this namespace the buffers that a kernel has by default: up to 4 MiB for the sender, and 6 MiB for the
/// receiver. A host may have larger ones, which namespaces inherit. Panics outside of a namespace of ours.
pub fn default_buffers() {
    assert!(env::var_os(INSIDE).is_some(), "only in a namespace of ours");
    for (name, value) in [("tcp_wmem", "4096 16384 4194304"), ("tcp_rmem", "4096 131072 6291456")] {
        let path = format!("/proc/sys/net/ipv4/{name}");
        std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
    }
}
