//! A Linux guest: Debian's kernel as a PVH domU with a ramdisk of busybox and a script.
//!
//! It tests the test bed, is the other end in tests, and the reference of benchmarks.

use crate::bed::Bed;
use crate::cpio::Archive;
use crate::dom0::{self, AGENT};
use crate::domcfg::DomainConfig;
use crate::error::{Doing, Result};
use crate::hash::Key;
use crate::paths::{self, Lock, bed_dir};
use crate::progress::Progress;
use crate::release::Release;
use crate::{image, packages};
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
        let packed = self.ramdisk(bed)?.pack();
        let mut key = Key::default();
        key.add(&packed);
        let folder = bed_dir().join("linux");
        paths::create_dir(&folder)?;
        let file = folder.join(format!("{}.img", key.finish()));
        if !file.exists() {
            paths::write(&file, packed)?;
        }
        let line = match &self.address {
            Some(address) => format!("console=hvc0 quiet address={address}"),
            None => "console=hvc0 quiet".to_owned(),
        };
        let config = DomainConfig::pvh(&self.name, bed.image().kernel());
        Ok(config.ramdisk(file).memory_mib(256).cmdline(&line))
    }

    fn ramdisk(&self, bed: &Bed) -> Result<Archive> {
        let mut tree = Archive::default();
        for folder in ["proc", "sys", "dev", "tmp", "root", "run"] {
            tree.folder(folder);
        }
        tree.device("dev/console", 5, 1);
        self.unpack_packages(bed.image().release, &mut tree)?;
        let guest = bed.image().guest();
        for entry in
            fs::read_dir(&guest).doing(|| format!("reading the folder {}", guest.display()))?.flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let bytes = paths::read(&entry.path())?;
            let place = if name == "busybox" { "bin/busybox".to_owned() } else { format!("modules/{name}") };
            tree.file(&place, 0o755, bytes);
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
