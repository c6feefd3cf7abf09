//! How QEMU runs the machine: nested virtualisation where the host has it and it works, else emulation.

use crate::error::Result;
use crate::hash::Key;
use crate::paths::{self, bed_dir};
use crate::qemu;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How the machine's instructions are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// KVM with nested virtualisation.
    Kvm,
    /// QEMU's emulation. It has AMD's SVM with nested paging, all that Xen needs for PVH guests.
    Tcg,
}

impl Accel {
    /// Chooses. `BED_ACCEL=tcg` or `kvm` in the environment decides; otherwise KVM is taken if its devices, the
    /// processor's flags, a trial and experience (a host on which Xen did not come up is remembered) all speak for it.
    ///
    /// # Errors
    /// When QEMU is missing.
    pub fn choose() -> Result<Self> {
        match std::env::var("BED_ACCEL").as_deref() {
            Ok("kvm") => return Ok(Self::Kvm),
            Ok("tcg") => return Ok(Self::Tcg),
            _ => {}
        }
        Ok(if nested_virtualisation() && trusted()? && kvm_starts() { Self::Kvm } else { Self::Tcg })
    }

    /// Remembers that Xen did not come up on this host's KVM, so that the next start does not try again.
    pub(crate) fn distrust_kvm() -> Result<()> {
        paths::create_dir(&bed_dir())?;
        paths::write(&verdict()?, "Xen's dom0 did not come up under KVM on this host\n")
    }

    pub(crate) const fn accel(self, one_thread: bool) -> &'static str {
        match (self, one_thread) {
            (Self::Kvm, _) => "kvm",
            (Self::Tcg, true) => "tcg,thread=single",
            (Self::Tcg, false) => "tcg,thread=multi",
        }
    }

    /// The processor. In emulation: with `smap` QEMU 7.2 faults a PV dom0's user-to-user IRET; with `rdtscp` it
    /// reports the intercept as RDTSC and the guest hangs; with `xsave` guests and dom0 that use AVX get an invalid
    /// opcode now and then, when Xen has switched between them; Xen 4.17 has no use for `la57`.
    pub(crate) const fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Tcg => "max,-smap,-la57,-rdtscp,-xsave",
        }
    }
}

/// Whether the processor has virtualisation and `/dev/kvm` opens.
fn nested_virtualisation() -> bool {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut flags = flags.lines().filter(|line| line.starts_with("flags")).flat_map(str::split_whitespace);
    let has = flags.any(|flag| flag == "svm" || flag == "vmx");
    has && module_allows_nesting() && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

fn module_allows_nesting() -> bool {
    let nested = ["kvm_amd", "kvm_intel"].map(|module| format!("/sys/module/{module}/parameters/nested"));
    nested
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .any(|value| matches!(value.trim(), "Y" | "1"))
}

/// The file that records that KVM failed, for this QEMU, kernel and processor.
fn verdict() -> Result<PathBuf> {
    let mut key = Key::default();
    key.add(qemu::version()?);
    key.add(fs::read_to_string("/proc/version").unwrap_or_default());
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    key.add(processor.lines().find(|line| line.starts_with("model name")).unwrap_or_default());
    Ok(bed_dir().join(format!("no-kvm-{}", key.finish())))
}

fn trusted() -> Result<bool> {
    Ok(!verdict()?.exists())
}

/// Starts an empty machine under KVM and lets it end at once.
fn kvm_starts() -> bool {
    let child = Command::new(qemu::program())
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-m", "32M"])
        .args(["-accel", "kvm", "-cpu", "host", "-S", "-monitor", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut monitor) = child.stdin.take() {
        let _ = std::io::Write::write_all(&mut monitor, b"quit\n");
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
