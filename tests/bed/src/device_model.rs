//! HVM guests: what dom0 needs beyond the other guests' tools, and the cards that a Linux guest may have.
//!
//! ```text
//!   dom0: xl ──► qemu-system-i386 -machine xenfv, the device model: disk, e1000, rtl8139
//!                  ▲  page of I/O requests, event channel          │ tap
//!   Xen ───────────┘  hvmloader, SeaBIOS, GRUB, Linux              └──► xenbr0
//! ```
//!
//! Only machines with [`Options::device_model`](crate::Options::device_model) have it: its packages make dom0's image three
//! times as large. Debian 12's packages, so Xen 4.17 alone.

use crate::cpio::Archive;
use crate::error::{Doing, Error, Result};
use crate::image;
use crate::modules;
use crate::paths::{self, bed_dir};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The device model, its firmware, and its libraries that dom0 does not have anyway.
pub(crate) const PACKAGES: &[&str] = &[
    QEMU,
    "qemu-system-data",
    "seabios",
    "ipxe-qemu",
    "grub-pc-bin",
    "libbz2-1.0",
    "libdw1",
    "libelf1",
    "libffi8",
    "libglib2.0-0",
    "libgstreamer-plugins-base1.0-0",
    "libgstreamer1.0-0",
    "libjpeg62-turbo",
    "liblz4-1",
    "libopus0",
    "liborc-0.4-0",
    "libpcre2-8-0",
    "libpixman-1-0",
    "libsasl2-2",
    "libspice-server1",
    "libssl3",
    "libstdc++6",
    "libudev1",
    "libunwind8",
    "libusb-1.0-0",
];
const QEMU: &str = "qemu-system-xen";
/// GRUB for the guests' firmware, which stays on the host.
pub(crate) const GRUB: &str = "usr/lib/grub";

/// dom0's module beyond the others': the device model's end of a card is a TAP device.
const MODULES: &[&str] = &["tun"];

/// The folder of the image with what an HVM Linux guest is made of, and its kernel as firmware loads it.
const FOLDER: &str = "hvm";
const BZIMAGE: &str = "vmlinuz";

/// The network card of an HVM guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// netfront, as in the other guests; nothing is emulated for it.
    Netfront,
    /// Intel's 82540EM, emulated by the device model.
    E1000,
    /// Realtek's RTL8139C+, emulated by the device model.
    Rtl8139,
}

impl Card {
    const EMULATED: [Self; 2] = [Self::E1000, Self::Rtl8139];

    /// Its name; as xl has it in `model=`, if it is emulated.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Netfront => "netfront",
            Self::E1000 => "e1000",
            Self::Rtl8139 => "rtl8139",
        }
    }

    /// Linux's driver. 8139cp is that of the C+, which has descriptor rings.
    const fn driver(self) -> &'static str {
        match self {
            Self::Netfront => "xen-netfront",
            Self::E1000 => "e1000",
            Self::Rtl8139 => "8139cp",
        }
    }

    /// The vif, as xl has it.
    #[must_use]
    pub fn vif(self) -> String {
        match self {
            Self::Netfront => "type=vif,bridge=xenbr0".to_owned(),
            emulated => format!("type=ioemu,model={},bridge=xenbr0", emulated.name()),
        }
    }

    /// What Linux's command line needs: with an emulated card, that the kernel does not unplug it for netfront's. `noearly`: the
    /// emulated processor is of AMD's family 15, for which the kernel looks for an AGP bridge at 65,536 places of the PCI
    /// bus, each an access to the device model.
    pub(crate) const fn cmdline(self) -> &'static str {
        match self {
            Self::Netfront => " pci=noearly",
            Self::E1000 | Self::Rtl8139 => " pci=noearly xen_emul_unplug=never",
        }
    }

    /// The folder of the image with the card's modules; nothing for those that every Linux guest has.
    pub(crate) fn modules(self, image: &Path) -> Option<PathBuf> {
        (self != Self::Netfront).then(|| image.join(FOLDER).join(self.name()))
    }
}

/// Whether these packages, asked for by name, make a dom0 with a device model.
pub(crate) fn is_among(packages: &[String]) -> bool {
    packages.iter().any(|name| name == QEMU)
}

/// Adds what dom0 needs besides the packages; returns dom0's modules.
pub(crate) fn add(tree: &mut Archive, xen: &str, root: &Path) -> Result<&'static [&'static str]> {
    let loader = format!("usr/lib/xen-{xen}/boot/hvmloader");
    tree.host_file(&loader, &root.join(&loader))?;
    Ok(MODULES)
}

/// Keeps what an HVM Linux guest is made of: GRUB, the kernel's file as Debian has it, and the modules of each emulated card.
pub(crate) fn guest(root: &Path, extra: &Path, image: &Path) -> Result<()> {
    let folder = image.join(FOLDER);
    paths::create_dir(&folder)?;
    paths::write(&folder.join(BZIMAGE), paths::read(&image::vmlinuz(root)?)?)?;
    let grub = extra.join(GRUB).join("i386-pc");
    fs::rename(&grub, folder.join("grub")).doing(|| format!("keeping {}", grub.display()))?;
    for card in Card::EMULATED {
        let to = folder.join(card.name());
        paths::create_dir(&to)?;
        for (number, module) in modules::closure(&modules::folder(root), &[card.driver()])?.iter().enumerate()
        {
            paths::write(&to.join(format!("{number:02}-{}.ko", module.name)), &module.bytes)?;
        }
    }
    Ok(())
}

/// Sectors of a disk, and where the kernel begins: what is before it is GRUB's.
const SECTOR: usize = 512;
const KERNEL_AT: usize = 2048;
/// Where a boot sector has the number of the sector that it loads (`boot/i386/pc/boot.S`, GRUB 2.06).
const NEXT_SECTOR: Range<usize> = 0x5c..0x64;

/// A disk that starts Linux. There is no file system: GRUB finds kernel and ramdisk by their sectors. (By `kernel=` firmware
/// would read both through a port of the device model, byte by byte, for minutes in emulation.)
///
/// ```text
///   boot.img │ core.img: GRUB with its commands │ … │ kernel │ ramdisk
///   0          1                                     2048
/// ```
pub(crate) fn disk(image: &Path, ramdisk: &[u8], cmdline: &str) -> Result<Vec<u8>> {
    let folder = image.join(FOLDER);
    let kernel = paths::read(&folder.join(BZIMAGE))?;
    let sectors = |bytes: &[u8]| bytes.len().div_ceil(SECTOR);
    let ramdisk_at = KERNEL_AT + sectors(&kernel);
    let commands = format!(
        "linux (hd0){KERNEL_AT}+{} {cmdline}\ninitrd (hd0){ramdisk_at}+{}\nboot\n",
        sectors(&kernel),
        sectors(ramdisk)
    );
    let grub = folder.join("grub");
    let mut disk = paths::read(&grub.join("boot.img"))?;
    disk.resize(SECTOR, 0);
    if let Some(next) = disk.get_mut(NEXT_SECTOR) {
        next.copy_from_slice(&1_u64.to_le_bytes());
    }
    disk.extend(core(&grub, &commands)?);
    for (sector, bytes) in [(KERNEL_AT, kernel.as_slice()), (ramdisk_at, ramdisk)] {
        if disk.len() > sector * SECTOR {
            return Err(Error::host(format!("GRUB has {} bytes, which reach into the kernel", disk.len())));
        }
        disk.resize(sector * SECTOR, 0);
        disk.extend_from_slice(bytes);
    }
    disk.resize(disk.len().next_multiple_of(SECTOR), 0);
    Ok(disk)
}

/// GRUB with the commands that it is to run.
fn core(grub: &Path, commands: &str) -> Result<Vec<u8>> {
    let work = bed_dir().join(format!("grub-{}", std::process::id()));
    paths::create_dir(&work)?;
    let (config, core) = (work.join("early.cfg"), work.join("core.img"));
    paths::write(&config, commands)?;
    let made = Command::new("grub-mkimage")
        .args(["-O", "i386-pc", "-p", "/", "-d"])
        .arg(grub)
        .arg("-c")
        .arg(&config)
        .arg("-o")
        .arg(&core)
        .args(["biosdisk", "linux", "boot"])
        .output()
        .doing(|| "running grub-mkimage".into())
        .map_err(|error| error.next("apt-get install grub-common"))?;
    if !made.status.success() {
        return Err(Error::host("grub-mkimage fails").because(String::from_utf8_lossy(&made.stderr)));
    }
    let core = paths::read(&core)?;
    fs::remove_dir_all(&work).doing(|| format!("removing {}", work.display()))?;
    Ok(core)
}
