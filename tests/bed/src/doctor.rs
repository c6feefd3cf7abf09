//! Checks the host: what the test bed needs, what is missing, and how to install it.

use crate::accel::Accel;
use crate::apt::Apt;
use crate::paths::{bed_dir, create_dir};
use crate::qemu;
use crate::release::Release;
use std::fmt;
use std::process::{Command, Stdio};

/// The result of one check of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub what: String,
    /// What is wrong and how to repair it; `None` if nothing is.
    pub trouble: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trouble {
            None => write!(f, "ok       {}", self.what),
            Some(trouble) => write!(f, "MISSING  {}\n         {trouble}", self.what),
        }
    }
}

/// Programs of the host, the arguments that make them answer, and the package that brings them.
const PROGRAMS: &[(&str, &str, &str)] =
    &[("apt-get", "--version", "apt"), ("apt-cache", "--version", "apt"), ("dpkg-deb", "--version", "dpkg")];

/// Looks at everything.
#[must_use]
pub fn examine() -> Vec<Finding> {
    let mut findings = vec![program(&qemu::program(), "--version", "qemu-system-x86")];
    findings.push(program("setpriv", "--version", "util-linux"));
    findings.extend(PROGRAMS.iter().map(|(name, argument, package)| program(name, argument, package)));
    findings.push(machine());
    findings.push(packages());
    findings.push(folder());
    findings
}

/// How the machine will run on this host, in words.
#[must_use]
pub fn acceleration() -> String {
    match Accel::choose() {
        Ok(Accel::Kvm) => "nested virtualisation (KVM)".to_owned(),
        Ok(Accel::Tcg) => {
            "emulation (no usable nested virtualisation): slower, and it needs nothing".to_owned()
        }
        Err(_) => "unknown: QEMU does not run".to_owned(),
    }
}

fn program(name: &str, argument: &str, package: &str) -> Finding {
    let status = Command::new(name)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let trouble = match status {
        Ok(status) if status.success() => None,
        _ => Some(format!("install it: sudo apt-get install --no-install-recommends {package}")),
    };
    Finding { what: name.to_owned(), trouble }
}

fn machine() -> Finding {
    let trouble = (std::env::consts::ARCH != "x86_64")
        .then(|| "dom0's agent is built for x86_64: use such a host, or a container of it".to_owned());
    Finding { what: "an x86_64 host".to_owned(), trouble }
}

/// Whether apt's lists have the default release of Xen: they have not in a fresh container.
fn packages() -> Finding {
    let release = Release::default();
    let known = Apt::of(release).and_then(|apt| apt.run("apt-cache", &["pkgnames", "xen-hypervisor-4"]));
    let trouble = match known {
        Ok(names) if names.lines().any(|name| name.ends_with("-amd64")) => None,
        Ok(_) => Some("run: sudo apt-get update".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    Finding { what: format!("the packages of Xen {release} in apt's lists"), trouble }
}

fn folder() -> Finding {
    let folder = bed_dir();
    let trouble = create_dir(&folder)
        .err()
        .map(|error| format!("{error}; or set BED_DIR to a folder that can be written"));
    Finding { what: format!("the folder {}", folder.display()), trouble }
}
