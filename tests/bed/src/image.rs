//! Builds the machine's images: Xen, the kernel, and dom0 as an initramfs.
//!
//! dom0 is no Debian installation, only the handful of its programs that Xen's toolstack needs, with their libraries,
//! the modules, our own init and the agent. Everything comes from packages and nothing from the host, so the
//! host's release does not matter.

use crate::dom0;
use crate::error::{Doing, Result};
use crate::hash::Key;
use crate::packages::{self, Package, Resolved};
use crate::paths::{self, Lock, bed_dir};
use crate::progress::Progress;
use crate::release::Release;
use crate::{device_model, kernel, modules};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The modules of a Linux guest; console, xenstore and the PVH entry are built into Debian's kernel.
const GUEST_MODULES: &[&str] = &["xen-netfront"];

/// Raised when the way the image is built changes.
const RECIPE: &str = "2";

/// What a machine boots from.
#[derive(Clone, Debug)]
pub struct Image {
    /// The hash of everything it was made of.
    pub(crate) key: String,
    /// Xen's release.
    pub(crate) release: Release,
    folder: PathBuf,
}

impl Image {
    /// The names of the files in the folder, in the order of the machine's command line.
    pub(crate) const XEN: &'static str = "xen";
    pub(crate) const KERNEL: &'static str = "vmlinux";
    pub(crate) const DOM0: &'static str = "dom0.img";
    /// What a Linux guest is made of: see [`crate::linux_domu`].
    const GUEST: &'static str = "guest";
    /// The program of the guest in that folder; the other files are its modules.
    pub(crate) const BUSYBOX: &'static str = "busybox";
    /// The lengths of the files, to notice one that was cut short.
    const SUMS: &'static str = "sums";

    /// The paths of Xen, the kernel and dom0's initramfs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernel as an ELF file, good for a PVH guest too.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.join(Self::KERNEL)
    }

    /// The folder with busybox and the modules of a Linux guest.
    pub(crate) fn guest(&self) -> PathBuf {
        self.folder.join(Self::GUEST)
    }

    fn complete(&self) -> bool {
        fs::read_to_string(self.folder.join(Self::SUMS)).is_ok_and(|sums| sums == sizes(&self.folder))
    }

    /// Returns the image for these extra packages; builds it if its inputs changed or it is not there.
    ///
    /// # Errors
    /// When packages cannot be fetched or unpacked, or the disk is full.
    pub fn ensure(release: Release, extra: &[String], progress: &mut Progress) -> Result<Self> {
        let resolved = packages::resolve(release, extra)?;
        let key = key_of(&resolved.packages);
        let image = Self { folder: bed_dir().join(format!("image-{key}")), release, key };
        if image.complete() {
            used(&image.folder.join(Self::SUMS));
            return Ok(image);
        }
        let waiting = || progress.note("another process builds the image; waiting for it");
        let _lock = Lock::wait("image", waiting)?;
        if !image.complete() {
            image.build(&resolved, extra, progress)?;
        }
        Ok(image)
    }

    fn build(&self, resolved: &Resolved, extra: &[String], progress: &mut Progress) -> Result<()> {
        let Resolved { xen, packages } = resolved;
        progress.step(&format!("downloading {} Debian packages (Xen {xen}, Linux, tools)", packages.len()));
        packages::download(self.release, packages, progress)?;
        progress.step("unpacking the packages, Xen and the kernel");
        let work = bed_dir().join("image-partial");
        let _ = fs::remove_dir_all(&work);
        let root = work.join("root");
        let (base, added) = split(packages, extra);
        packages::unpack(&base, &root)?;
        let extra_root = work.join("extra");
        packages::unpack(&added, &extra_root)?;
        paths::write(&work.join(Self::XEN), gunzip(&root.join(format!("boot/xen-{xen}-amd64.gz")))?)?;
        let kernel = kernel::unpack(&paths::read(&vmlinuz(&root)?)?)?;
        paths::write(&work.join(Self::KERNEL), kernel)?;
        progress.step("packing dom0");
        let hvm = device_model::is_among(extra);
        paths::write(&work.join(Self::DOM0), dom0::tree(xen, &root, &extra_root, hvm)?.pack())?;
        guest(&root, &work.join(Self::GUEST))?;
        if hvm {
            device_model::guest(&root, &extra_root, &work)?;
        }
        for unpacked in [root, extra_root] {
            fs::remove_dir_all(&unpacked).doing(|| format!("removing {}", unpacked.display()))?;
        }
        paths::write(&work.join(Self::SUMS), sizes(&work))?;
        let _ = fs::remove_dir_all(&self.folder);
        fs::rename(&work, &self.folder).doing(|| format!("keeping {}", self.folder.display()))?;
        prune("image-", Self::SUMS);
        Ok(())
    }
}

/// How long an unused image or snapshot is kept.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// Marks an image or a snapshot as used.
pub(crate) fn used(mark: &Path) {
    // A mark that cannot be set costs a rebuild in two weeks.
    let _ = fs::File::options().write(true).open(mark).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes the folders with that prefix that were not used for long; `mark` is the file that [`used`] touches.
pub(crate) fn prune(prefix: &str, mark: &str) {
    let Ok(entries) = fs::read_dir(bed_dir()) else { return };
    let old = |path: &Path| {
        let age = fs::metadata(path.join(mark)).and_then(|meta| meta.modified()).map(|time| time.elapsed());
        matches!(age, Ok(Ok(age)) if age > KEPT)
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) && old(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn key_of(packages: &[Package]) -> String {
    let mut key = Key::default();
    key.add(RECIPE);
    dom0::add_inputs(&mut key);
    GUEST_MODULES.iter().for_each(|name| key.add(name));
    for package in packages {
        key.add(&package.file);
        key.add(&package.sha256);
    }
    key.finish()
}

fn sizes(folder: &Path) -> String {
    let size = |name: &str| fs::metadata(folder.join(name)).map_or(0, |meta| meta.len());
    [Image::XEN, Image::KERNEL, Image::DOM0].map(|name| format!("{name} {}\n", size(name))).concat()
}

/// Splits off the packages that were asked for by name: they are unpacked whole.
pub(crate) fn split(packages: &[Package], extra: &[String]) -> (Vec<Package>, Vec<Package>) {
    let asked = |package: &&Package| extra.iter().any(|name| package.file.starts_with(&format!("{name}_")));
    let added: Vec<Package> = packages.iter().filter(asked).cloned().collect();
    (packages.iter().filter(|package| !asked(package)).cloned().collect(), added)
}

fn gunzip(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let packed = paths::read(file)?;
    let mut reader = flate2::read::GzDecoder::new(packed.as_slice());
    reader.read_to_end(&mut bytes).doing(|| format!("unpacking {}", file.display()))?;
    Ok(bytes)
}

/// The file in a folder whose name begins so.
fn find(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).doing(|| format!("reading the folder {}", folder.display()))?;
    let mut names = entries.flatten().map(|entry| entry.path());
    let found =
        names.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    found.ok_or(prefix).doing(|| format!("looking in {} for a file that begins with", folder.display()))
}

/// The kernel's file: beside its modules in newer packages.
pub(crate) fn vmlinuz(root: &Path) -> Result<PathBuf> {
    let versions = fs::read_dir(modules::folder(root)).into_iter().flatten().flatten();
    let beside = versions.map(|version| version.path().join("vmlinuz")).find(|file| file.is_file());
    beside.map_or_else(|| find(&root.join("boot"), "vmlinuz-"), Ok)
}

/// Keeps what a Linux guest is made of: busybox, and its modules in the order in which they are loaded.
fn guest(root: &Path, to: &Path) -> Result<()> {
    paths::create_dir(to)?;
    paths::write(&to.join(Image::BUSYBOX), paths::read(&dom0::busybox(root))?)?;
    for (number, module) in modules::closure(&modules::folder(root), GUEST_MODULES)?.iter().enumerate() {
        paths::write(&to.join(format!("{number:02}-{}.ko", module.name)), &module.bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(file: &str) -> Package {
        Package { file: file.into(), size: 1, sha256: "00".into() }
    }

    #[test]
    fn key_follows_the_packages() {
        let one = key_of(&[package("a_1_amd64.deb")]);
        assert_eq!(one, key_of(&[package("a_1_amd64.deb")]));
        assert_ne!(one, key_of(&[package("a_2_amd64.deb")]));
    }

    #[test]
    fn extra_packages_are_split_off_by_name() {
        let packages = [package("iperf_2_amd64.deb"), package("iperf3_3_amd64.deb")];
        let (base, added) = split(&packages, &["iperf".to_owned()]);
        assert_eq!(added, [package("iperf_2_amd64.deb")]);
        assert_eq!(base, [package("iperf3_3_amd64.deb")]);
    }
}
