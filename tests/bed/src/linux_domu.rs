//! A Linux guest: Debian's kernel as a PVH or HVM domU with a ramdisk of busybox and a script.
//!
//! It tests the test bed, is the other end in tests, and the reference of benchmarks.

use crate::bed::Bed;
use crate::cpio::Archive;
use crate::device_model::{self, Card};
use crate::dom0::{self, AGENT};
use crate::domcfg::{DomainConfig, Value};
use crate::error::{Doing, Result};
use crate::hash::Key;
use crate::image::{self, Image};
use crate::packages;
use crate::paths::{self, Lock, bed_dir};
use crate::progress::Progress;
use crate::release::Release;
use std::fs;
use std::path::Path;

/// The guest's init; the script of the caller follows.
const INIT: &str = include_str!("../dom0/guest-init");
/// The script of the DHCP client.
const LEASE: &str = include_str!("../dom0/guest-lease");

/// Builds a Linux guest.
///
/// ```no_run
/// # fn main() -> bed::Result<()> {
/// # let bed = bed::Bed::start(bed::Options::default())?;
/// let config = bed::linux_domu::Linux::new("peer")
///     .address("10.0.2.20")
///     .file("www/index.html", 0o644, "hello\n")
///     .script("httpd -h /www && echo serving\nsleep 1000")
///     .config(&bed)?;
/// let guest = bed.create(&config)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Linux {
    name: String,
    address: Option<String>,
    script: String,
    files: Vec<(String, u32, Vec<u8>)>,
    packages: Vec<String>,
    /// What is added to its command line.
    words: Vec<String>,
    /// The card of an HVM guest; nothing for a PVH guest.
    hvm: Option<Card>,
}

impl Linux {
    /// A guest of that name that takes its address by DHCP and then powers off.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
            script: String::new(),
            files: Vec::new(),
            packages: Vec::new(),
            words: Vec::new(),
            hvm: None,
        }
    }

    /// Gives it a static address in 10.0.2.0/24.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.address = Some(address.to_owned());
        self
    }

    /// The script that it runs, in busybox's shell, when its network is up. When the script ends, the guest powers
    /// off. Besides busybox's programs there is `bed-agent echo PORT`, which echoes by TCP and UDP.
    #[must_use]
    pub fn script(mut self, script: &str) -> Self {
        script.clone_into(&mut self.script);
        self
    }

    /// Adds a word to the command line of its kernel.
    #[must_use]
    pub fn word(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// Makes it an HVM guest with that card, on a machine with [`Options::device_model`](crate::Options::device_model). It starts
    /// from a disk that has kernel and ramdisk, and has no screen.
    #[must_use]
    pub const fn hvm(mut self, card: Card) -> Self {
        self.hvm = Some(card);
        self
    }

    /// Puts a file into its ramdisk.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), mode, bytes.into()));
        self
    }

    /// Puts a Debian package into its ramdisk, whole. Its dependencies are not followed: name those that it needs too,
    /// `libc6` among them.
    #[must_use]
    pub fn package(mut self, name: &str) -> Self {
        self.packages.push(name.to_owned());
        self
    }

    /// Writes the ramdisk and returns a configuration of 256 MiB and one vif.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn config(&self, bed: &Bed) -> Result<DomainConfig> {
        let mut packed = self.ramdisk(bed)?.pack();
        if self.hvm.is_some() {
            packed = device_model::disk(bed.image().folder(), &packed, &self.cmdline())?;
        }
        let mut key = Key::default();
        key.add(&packed);
        let folder = bed_dir().join("linux");
        paths::create_dir(&folder)?;
        let file = folder.join(format!("{}.img", key.finish()));
        if !file.exists() {
            paths::write(&file, packed)?;
        }
        let config = match self.hvm {
            None => {
                let config = DomainConfig::pvh(&self.name, bed.image().kernel());
                config.ramdisk(file).cmdline(&self.cmdline())
            }
            Some(card) => hvm(&self.name, card, &file),
        };
        Ok(config.memory_mib(256))
    }

    /// Its command line.
    fn cmdline(&self) -> String {
        let address = self.address.as_ref().map_or_else(String::new, |address| format!(" address={address}"));
        let hvm = self.hvm.map_or("", Card::cmdline);
        let more: String = self.words.iter().map(|word| format!(" {word}")).collect();
        format!("console=hvc0 quiet{hvm}{more}{address}")
    }

    fn ramdisk(&self, bed: &Bed) -> Result<Archive> {
        let mut tree = Archive::default();
        for folder in ["proc", "sys", "dev", "tmp", "root", "run"] {
            tree.folder(folder);
        }
        tree.device("dev/console", 5, 1);
        self.unpack_packages(bed.image().release, &mut tree)?;
        let guest = bed.image().guest();
        let emulated = self.hvm.and_then(|card| card.modules(bed.image().folder()));
        tree.file("bin/busybox", 0o755, paths::read(&guest.join(Image::BUSYBOX))?);
        let modules = emulated.unwrap_or(guest);
        for entry in
            fs::read_dir(&modules).doing(|| format!("reading the folder {}", modules.display()))?.flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != Image::BUSYBOX {
                tree.file(&format!("modules/{name}"), 0o755, paths::read(&entry.path())?);
            }
        }
        tree.link("bin/sh", "busybox");
        // For its echo service: `bed-agent echo 7`.
        tree.file("bin/bed-agent", 0o755, AGENT);
        tree.file("init", 0o755, INIT);
        tree.file("etc/lease", 0o755, LEASE);
        tree.file("etc/script", 0o755, format!("{}\n", self.script));
        for (path, mode, bytes) in &self.files {
            tree.file(path, *mode, bytes.clone());
        }
        Ok(tree)
    }

    /// Adds the packages that were requested by name. Debian's `/lib` and so on are below `/usr` in our tree.
    fn unpack_packages(&self, release: Release, tree: &mut Archive) -> Result<()> {
        if self.packages.is_empty() {
            return Ok(());
        }
        let _lock = Lock::wait("linux", || {})?;
        let (_, asked) = image::split(&packages::resolve(release, &self.packages)?.packages, &self.packages);
        packages::download(release, &asked, &Progress::new(1))?;
        let work = bed_dir().join("linux-partial");
        let _ = fs::remove_dir_all(&work);
        packages::unpack(&asked, &work)?;
        for folder in ["lib", "lib64", "sbin"] {
            tree.folder(&format!("usr/{folder}"));
            tree.link(folder, &format!("usr/{folder}"));
        }
        dom0::merge(tree, &work, Path::new(""))?;
        fs::remove_dir_all(&work).doing(|| format!("removing {}", work.display()))
    }
}

/// An HVM guest of that name that starts from this disk, without a screen. Its clock, console and event channels are those of
/// Xen, as a PVH guest's. The disk is one of AHCI, which firmware reads by DMA.
fn hvm(name: &str, card: Card, disk: &Path) -> DomainConfig {
    let text = |text: &str| Value::Text(text.to_owned());
    let disk = format!("format=raw,backendtype=qdisk,vdev=hda,access=rw,target={}", disk.display());
    let config = DomainConfig::pvh(name, "").without("kernel").set("type", text("hvm"));
    let none = |config: DomainConfig, key: &str| config.set(key, Value::Number("0".into()));
    let config = ["vnc", "sdl", "usb"].into_iter().fold(config, none);
    let config = config.set("vga", text("none")).set("hdtype", text("ahci"));
    config.set("disk", Value::List(vec![Value::Text(disk)])).vif([card.vif().as_str()])
}
