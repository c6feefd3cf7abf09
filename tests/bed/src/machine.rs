//! A machine with Xen and a ready dom0: booted, or restored from the snapshot of one that was.
//!
//! Booting takes ten seconds or more in emulation, restoring one. A snapshot fits only the QEMU and the arguments it
//! was made with, so both are in its key.

use crate::accel::Accel;
use crate::agent::Agent;
use crate::error::{Doing, Error, Result};
use crate::hash::Key;
use crate::image::{self, Image};
use crate::options::Options;
use crate::paths::{self, Lock, bed_dir};
use crate::progress::Progress;
use crate::qemu::{self, Network, Qemu};
use crate::wire;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// dom0 on its own network.
const DOM0: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 15);

/// How long dom0 may take to boot in emulation on a busy host, and under KVM.
const BOOT_EMULATED: Duration = Duration::from_secs(900);
const BOOT_KVM: Duration = Duration::from_secs(60);

/// How long a restored dom0 may take to answer.
const RESTORE: Duration = Duration::from_secs(60);

/// A machine and the way to its dom0.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) qemu: Qemu,
    pub(crate) agent: Agent,
}

impl Machine {
    /// Starts a machine by the options, and builds what is missing.
    pub(crate) fn start(options: &Options, progress: &mut Progress) -> Result<(Self, Image)> {
        let image = Image::ensure(options.chosen_release()?, options.packages(), progress)?;
        let accel = if options.counts_instructions() { Accel::Tcg } else { Accel::choose()? };
        match Self::start_on(accel, options, &image, progress) {
            Err(error) if accel == Accel::Kvm => {
                progress.note(&format!("KVM does not carry Xen on this host, emulating instead ({error})"));
                Accel::distrust_kvm()?;
                Self::start_on(Accel::Tcg, options, &image, progress).map(|machine| (machine, image))
            }
            machine => machine.map(|machine| (machine, image)),
        }
    }

    fn start_on(accel: Accel, options: &Options, image: &Image, progress: &mut Progress) -> Result<Self> {
        let arguments = options.arguments(accel);
        if !options.wants_snapshot() {
            progress.step("booting Xen and dom0");
            return Self::boot(accel, image, &arguments);
        }
        let snapshot = Snapshot::of(image, &arguments)?;
        if !snapshot.complete() {
            let waiting = || progress.note("another process makes the snapshot; waiting for it");
            let _lock = Lock::wait("snapshot", waiting)?;
            if !snapshot.complete() {
                progress.step("booting Xen and dom0 once, for the snapshot");
                snapshot.make(accel, image, &arguments)?;
            }
        }
        progress.step("restoring the snapshot");
        snapshot.restore(image, arguments)
    }

    fn boot(accel: Accel, image: &Image, arguments: &[String]) -> Result<Self> {
        let qemu = Qemu::start(image.folder(), arguments, None)?;
        let limit = if accel == Accel::Kvm { BOOT_KVM } else { BOOT_EMULATED };
        Self::ready(qemu, limit)
    }

    /// Waits for the agent, then sets dom0's clock, which stood still in the snapshot; Xen takes it from dom0.
    fn ready(qemu: Qemu, limit: Duration) -> Result<Self> {
        let address = qemu.forward(Network::Control, "tcp", 0, (DOM0, wire::PORT))?;
        let agent = Agent::new(address);
        agent.wait(limit, || qemu.alive()).map_err(|error| {
            let xen = qemu::tail(&qemu.xen_log(), 20);
            error.because(format!("{}\nXen's console ends with:\n{xen}", qemu.complaints()))
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        agent.exec(&format!("date -s @{now} >/dev/null"), b"", RESTORE)?;
        Ok(Self { qemu, agent })
    }
}

/// A machine frozen when its dom0 was ready.
struct Snapshot {
    folder: PathBuf,
}

impl Snapshot {
    const STATE: &'static str = "state.bin";
    const LOG: &'static str = "xen.log";

    fn of(image: &Image, arguments: &[String]) -> Result<Self> {
        let mut key = Key::default();
        key.add(qemu::version()?);
        arguments.iter().for_each(|argument| key.add(argument));
        let folder = bed_dir().join(format!("snapshot-{}-{}", image.key, key.finish()));
        Ok(Self { folder })
    }

    fn complete(&self) -> bool {
        self.folder.join(Self::STATE).exists() && self.folder.join(Self::LOG).exists()
    }

    fn make(&self, accel: Accel, image: &Image, arguments: &[String]) -> Result<()> {
        let work = bed_dir().join("snapshot-partial");
        let _ = fs::remove_dir_all(&work);
        paths::create_dir(&work)?;
        let machine = Machine::boot(accel, image, arguments)?;
        machine.qemu.freeze(&format!("../snapshot-partial/{}", Self::STATE))?;
        let log = machine.qemu.xen_log();
        fs::copy(&log, work.join(Self::LOG)).doing(|| format!("copying {}", log.display()))?;
        drop(machine);
        let _ = fs::remove_dir_all(&self.folder);
        fs::rename(&work, &self.folder).doing(|| format!("keeping {}", self.folder.display()))?;
        image::prune("snapshot-", Self::LOG);
        Ok(())
    }

    fn restore(&self, image: &Image, mut arguments: Vec<String>) -> Result<Machine> {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        arguments.extend(["-incoming".to_owned(), format!("exec:cat ../{name}/{}", Self::STATE)]);
        image::used(&self.folder.join(Self::LOG));
        let restore = || {
            let qemu = Qemu::start(image.folder(), &arguments, Some(&self.folder.join(Self::LOG)))?;
            qemu.thaw()?;
            Machine::ready(qemu, RESTORE)
        };
        restore().map_err(|error: Error| {
            error.next(format!("if this happens again, remove {} and try once more", self.folder.display()))
        })
    }
}
