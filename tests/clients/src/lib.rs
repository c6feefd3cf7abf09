//! A separate network for the machine: a TAP device in a network namespace, in which the host's clients run.
//!
//! ```text
//!   namespace mill-PID                          │ QEMU
//!     iperf3, nmap, scapy, … 10.0.2.2 ── TAP ═══╪══ virtio-net ── dom0's bridge ── vif ── our domU
//! ```
//!
//! Nothing of it is reachable from outside, and nothing in it reaches out. It needs root, `ip` and `/dev/net/tun`.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub mod authority;
pub mod chromium;
pub mod documentation;
pub mod reports;

/// The result of everything: an error has words for a person.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A network namespace; gone when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    script: PathBuf,
}

impl Namespace {
    /// Makes one, and the script by which QEMU hands its TAP device over to it.
    ///
    /// # Errors
    /// Without the right to make namespaces.
    pub fn new() -> Outcome<Self> {
        let name = format!("mill-{}", std::process::id());
        let script = std::env::temp_dir().join(format!("{name}-up"));
        call("ip", &["netns", "add", &name]).map_err(|error| format!("{error}; run as root"))?;
        let namespace = Self { name: name.clone(), script };
        call("ip", &["-n", &name, "link", "set", "lo", "up"])?;
        let up = format!(
            "#!/bin/sh -e
             ip link set \"$1\" netns {name}
             ip -n {name} addr add 10.0.2.2/24 dev \"$1\"
             ip -n {name} addr add fd00:6d69::2/64 dev \"$1\" nodad
             ip -n {name} link set \"$1\" up\n"
        );
        fs::write(&namespace.script, up)?;
        fs::set_permissions(&namespace.script, fs::Permissions::from_mode(0o700))?;
        Ok(namespace)
    }

    /// For [`bed::Options::lan_tap`].
    #[must_use]
    pub fn script(&self) -> &Path {
        &self.script
    }

    /// Runs a command in the namespace, for `seconds` at most, and returns its output. It must succeed.
    ///
    /// # Errors
    /// The output, if it failed or did not end.
    pub fn run(&self, seconds: u32, command: &str) -> Outcome<String> {
        let seconds = seconds.to_string();
        let arguments = ["netns", "exec", &self.name, "timeout", &seconds, "sh", "-c", command];
        call("ip", &arguments).map_err(|error| format!("`{command}`: {error}").into())
    }
}

impl Namespace {
    /// Starts a command in the namespace, which becomes the child itself. Its input and output are nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, command: &str) -> Outcome<Child> {
        let mut child = Command::new("ip");
        child.args(["netns", "exec", &self.name, "sh", "-c", command]);
        Ok(child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing is left to be done about either.
        let _ = call("ip", &["netns", "del", &self.name]);
        let _ = fs::remove_file(&self.script);
    }
}

fn call(program: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(arguments).output()?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    Err(format!("{}: {}{}", output.status, said(&output.stdout), said(&output.stderr)).into())
}
