//! What a machine should be like, and the QEMU command line that makes it so.

use crate::accel::Accel;
use crate::device_model;
use crate::error::Result;
use crate::image::Image;
use crate::qemu::escape;
use crate::release::Release;
use std::path::Path;

/// QEMU's user networks: of the guests, and of dom0 alone. `restrict=on` keeps everything inside: no connection and no
/// datagram reaches the host or its network. DHCP (without a gateway), ping to 10.0.2.2 and forwarded TCP ports still
/// work; what a guest answers to a forwarded UDP port is dropped.
const USER_LAN: &str = "user,id=lan,restrict=on";
const USER_CONTROL: &str = "user,id=control,net=10.0.3.0/24,restrict=on";

/// Options of [`Bed::start`](crate::Bed::start). The default is right for most tests.
///
/// ```no_run
/// # fn main() -> bed::Result<()> {
/// let bed = bed::Bed::start(bed::Options::default().memory_mib(3072).extra_package("iperf"))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    release: Option<Release>,
    oxenstored: bool,
    memory_mib: u32,
    dom0_memory_mib: u32,
    vcpus: u32,
    icount: Option<String>,
    lan_tap: Option<String>,
    snapshot: bool,
    xen_args: Vec<String>,
    qemu_args: Vec<String>,
    packages: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let host = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            release: None,
            oxenstored: false,
            memory_mib: 2048,
            dom0_memory_mib: 512,
            vcpus: if host > 1 { 2 } else { 1 },
            icount: None,
            lan_tap: None,
            snapshot: true,
            xen_args: Vec::new(),
            qemu_args: Vec::new(),
            packages: Vec::new(),
        }
    }
}

impl Options {
    /// Xen's release (default: what `BED_XEN` names, or 4.17).
    #[must_use]
    pub const fn release(mut self, release: Release) -> Self {
        self.release = Some(release);
        self
    }

    /// Runs oxenstored, written in OCaml, in place of the xenstored written in C.
    #[must_use]
    pub const fn oxenstored(mut self) -> Self {
        self.oxenstored = true;
        self
    }

    /// The machine's memory, for Xen, dom0 and all guests (default 2048 MiB).
    #[must_use]
    pub const fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// dom0's share of the memory (default 512 MiB), which includes its file system.
    #[must_use]
    pub const fn dom0_memory_mib(mut self, mib: u32) -> Self {
        self.dom0_memory_mib = mib;
        self
    }

    /// The machine's processors (default 2, or 1 on a host that has only one). dom0 gets one of them.
    #[must_use]
    pub const fn vcpus(mut self, vcpus: u32) -> Self {
        self.vcpus = vcpus;
        self
    }

    /// Counts instructions as time: `shift=1,sleep=off` makes two equal runs agree. Emulation only, one processor.
    #[must_use]
    pub fn icount(mut self, how: &str) -> Self {
        self.icount = Some(how.to_owned());
        self.vcpus = 1;
        self
    }

    /// Boots the machine instead of restoring the snapshot of a booted one.
    #[must_use]
    pub const fn without_snapshot(mut self) -> Self {
        self.snapshot = false;
        self
    }

    /// Puts dom0's bridge on a TAP device in place of QEMU's own network: the script gets the device's name, and gives
    /// it an address. No port of 127.0.0.1 leads to a guest then. Not with a snapshot.
    #[must_use]
    pub fn lan_tap(mut self, script: &Path) -> Self {
        self.lan_tap = Some(escape(script));
        self
    }

    /// Adds an argument to Xen's command line.
    #[must_use]
    pub fn xen_arg(mut self, argument: &str) -> Self {
        self.xen_args.push(argument.to_owned());
        self
    }

    /// Adds an argument to QEMU's command line.
    #[must_use]
    pub fn qemu_arg(mut self, argument: &str) -> Self {
        self.qemu_args.push(argument.to_owned());
        self
    }

    /// Adds a Debian package to dom0, whole. Its dependencies are not followed: name those that it needs too.
    #[must_use]
    pub fn extra_package(mut self, name: &str) -> Self {
        self.packages.push(name.to_owned());
        self
    }

    /// Gives dom0 a device model and firmware, so that it can have HVM guests: see [`device_model`]. dom0's file system is
    /// part of its memory, which is larger then. With Xen 4.17 alone.
    #[must_use]
    pub fn device_model(mut self) -> Self {
        self.packages.extend(device_model::PACKAGES.iter().map(|name| (*name).to_owned()));
        self.dom0_memory_mib = self.dom0_memory_mib.max(768);
        self
    }

    pub(crate) fn packages(&self) -> &[String] {
        &self.packages
    }

    /// The release that was asked for, here or in the environment.
    pub(crate) fn chosen_release(&self) -> Result<Release> {
        self.release.map_or_else(Release::from_env, Ok)
    }

    pub(crate) const fn wants_snapshot(&self) -> bool {
        self.snapshot
    }

    pub(crate) const fn counts_instructions(&self) -> bool {
        self.icount.is_some()
    }

    /// QEMU's arguments; file names are relative to the image's folder, so that no path needs quoting.
    pub(crate) fn arguments(&self, accel: Accel) -> Vec<String> {
        let mut list: Vec<String> = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect();
        let mut add = |name: &str, value: String| list.extend([name.to_owned(), value]);
        add("-machine", "pc".into());
        add("-accel", accel.accel(self.icount.is_some()).into());
        add("-cpu", accel.cpu().into());
        add("-smp", self.vcpus.to_string());
        add("-m", format!("{}M", self.memory_mib));
        if let Some(icount) = &self.icount {
            add("-icount", icount.clone());
        }
        add("-kernel", Image::XEN.into());
        add("-append", self.xen_command_line());
        // `rdinit` because dom0's root is the initramfs and stays it.
        let store = if self.oxenstored { " bed.xenstored=oxenstored" } else { "" };
        add("-initrd", format!("{} console=hvc0 quiet rdinit=/init{store},{}", Image::KERNEL, Image::DOM0));
        let tap = |script| format!("tap,id=lan,script={script},downscript=no");
        add("-netdev", self.lan_tap.as_ref().map_or_else(|| USER_LAN.into(), tap));
        add("-device", "virtio-net-pci,netdev=lan,mac=52:54:00:be:d0:00,romfile=".into());
        add("-netdev", USER_CONTROL.into());
        add("-device", "virtio-net-pci,netdev=control,mac=52:54:00:be:d0:01,romfile=".into());
        list.extend(self.qemu_args.iter().cloned());
        list
    }

    fn xen_command_line(&self) -> String {
        let dom0 = self.dom0_memory_mib;
        // Without boot scrubbing a machine boots faster and its untouched memory stays out of the snapshot.
        let mut line = format!(
            "console=com1 loglvl=warning guest_loglvl=all bootscrub=0 dom0_mem={dom0}M,max:{dom0}M dom0_max_vcpus=1"
        );
        for argument in &self.xen_args {
            line.push(' ');
            line.push_str(argument);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_instructions_means_one_processor() {
        let arguments = Options::default().icount("shift=1,sleep=off").arguments(Accel::Tcg).join(" ");
        assert!(arguments.contains("-smp 1 ") && arguments.contains("-icount shift=1,sleep=off"));
        assert!(arguments.contains("tcg,thread=single"));
    }

    #[test]
    fn every_user_network_is_restricted() {
        let arguments = Options::default().arguments(Accel::Tcg);
        let user: Vec<&String> = arguments.iter().filter(|argument| argument.starts_with("user,")).collect();
        assert_eq!(user.len(), 2);
        assert!(user.iter().all(|argument| argument.contains(",restrict=on")), "{user:?}");
    }

    #[test]
    fn memory_reaches_xen_and_qemu() {
        let arguments =
            Options::default().memory_mib(3072).dom0_memory_mib(700).arguments(Accel::Tcg).join(" ");
        assert!(arguments.contains("-m 3072M") && arguments.contains("dom0_mem=700M,max:700M"));
    }
}
