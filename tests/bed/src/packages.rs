//! Debian packages by name: resolved by the host's apt, downloaded, verified and unpacked, never installed.
//!
//! apt knows the versions and the hashes from its signed lists; nothing about them is written down here. So the bed
//! follows security updates by itself: a new version changes the key of the image, and the image is built again.

use crate::error::{Doing, Error, Result};
use crate::hash;
use crate::paths::{self, bed_dir};
use crate::progress::Progress;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Xen's release on the bed; it is part of the names of Debian's packages.
pub(crate) const XEN: &str = "4.17";

/// The package that depends on the current kernel.
const KERNEL_META: &str = "linux-image-amd64";

/// What dom0 needs besides Xen, its tools and the kernel: the libraries that the tools are linked with.
const LIBRARIES: &[&str] = &[
    "libc6",
    "libfdt1",
    // Else xl aborts in pthread_cancel when its console child ends.
    "libgcc-s1",
    "liblzma5",
    // xentop's.
    "libncurses6",
    "libtinfo6",
    // Descriptions of terminals.
    "ncurses-base",
    "libuuid1",
    "libxencall1",
    "libxendevicemodel1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxenhypfs1",
    "libxenstore4",
    "libxentoolcore1",
    "libxentoollog1",
    "libyajl2",
    "libzstd1",
    "zlib1g",
];

/// A package as apt resolved it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    /// The file's name, which has the package's name, version and architecture in it.
    pub(crate) file: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Its SHA-256 in hexadecimal, from apt's signed lists.
    pub(crate) sha256: String,
}

impl Package {
    /// Where the downloaded file lies.
    #[must_use]
    pub(crate) fn path(&self) -> PathBuf {
        bed_dir().join("debs").join(&self.file)
    }

    /// Whether the file is there and complete. Its hash was checked when it came.
    fn present(&self) -> bool {
        fs::metadata(self.path()).is_ok_and(|meta| meta.len() == self.size)
    }
}

/// The answer of apt, kept until its lists change: asking takes a second.
#[derive(Serialize, Deserialize)]
struct Resolved {
    lists: Option<SystemTime>,
    /// What was asked for besides what depends on releases.
    libraries: Vec<String>,
    extra: Vec<String>,
    packages: Vec<Package>,
}

impl Resolved {
    /// Whether all of it was downloaded.
    fn present(&self) -> bool {
        self.packages.iter().all(Package::present)
    }
}

/// Resolves everything that dom0 is made of, and the `extra` packages.
///
/// # Errors
/// When apt is missing or does not know a package.
pub(crate) fn resolve(extra: &[String]) -> Result<Vec<Package>> {
    let cache = bed_dir().join(format!("resolved-{}.json", hash::short(&extra.join(" "))));
    let known: Option<Resolved> = fs::read(&cache).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let lists = lists_changed();
    if let Some(known) = &known
        && known.lists == lists
        && known.libraries == LIBRARIES
        && known.extra == extra
    {
        return Ok(known.packages.clone());
    }
    let packages = match ask_apt(extra) {
        Ok(packages) => packages,
        // A machine whose lists were cleared away still has what it once downloaded.
        Err(_) if known.as_ref().is_some_and(|known| known.libraries == LIBRARIES && known.present()) => {
            return Ok(known.map(|known| known.packages).unwrap_or_default());
        }
        Err(error) => return Err(error),
    };
    let libraries = LIBRARIES.iter().map(|name| (*name).to_owned()).collect();
    let resolved = Resolved { lists, libraries, extra: extra.to_vec(), packages };
    paths::create_dir(&bed_dir())?;
    paths::write(&cache, serde_json::to_vec(&resolved).doing(|| "keeping apt's answer".into())?)?;
    Ok(resolved.packages)
}

/// When apt's lists changed last.
fn lists_changed() -> Option<SystemTime> {
    fs::metadata("/var/lib/apt/lists").and_then(|meta| meta.modified()).ok()
}

fn ask_apt(extra: &[String]) -> Result<Vec<Package>> {
    let kernel = kernel_of(&apt("apt-cache", &["depends", KERNEL_META])?)?;
    let mut names: BTreeSet<String> = LIBRARIES.iter().map(|name| (*name).to_owned()).collect();
    names.extend(["busybox-static", "xen-utils-common", "xenstore-utils"].map(str::to_owned));
    names.extend([format!("xen-hypervisor-{XEN}-amd64"), format!("xen-utils-{XEN}"), kernel]);
    names.insert(format!("libxenmisc{XEN}"));
    names.extend(extra.iter().cloned());
    let mut arguments = vec!["download", "--print-uris"];
    arguments.extend(names.iter().map(String::as_str));
    let packages = parse_uris(&apt("apt-get", &arguments)?);
    if packages.len() < names.len() {
        return Err(Error::host(format!("apt resolved {} of {} packages", packages.len(), names.len()))
            .next("run: apt-get update"));
    }
    Ok(packages)
}

/// Runs one of apt's programs and returns what it printed.
fn apt(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        Error::host(format!("running {program}")).because(error).next("the bed needs a Debian host with apt")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::host(format!("{program} {}", arguments.join(" ")))
        .because(String::from_utf8_lossy(&output.stderr))
        .next(format!("run: apt-get update (the bed needs the packages of Debian 12, which has Xen {XEN})")))
}

/// The kernel's package among the dependencies of the meta package.
fn kernel_of(depends: &str) -> Result<String> {
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let kernel = names.map(str::trim).find(|name| name.starts_with("linux-image-"));
    kernel
        .map(str::to_owned)
        .ok_or_else(|| Error::host(format!("{KERNEL_META} names no kernel")).next("run: apt-get update"))
}

/// Reads `apt-get download --print-uris`: `'uri' file size SHA256:hash` a line.
fn parse_uris(text: &str) -> Vec<Package> {
    let parse = |line: &str| {
        let mut fields = line.rsplit(' ');
        let sha256 = fields.next()?.strip_prefix("SHA256:")?.to_owned();
        let size = fields.next()?.parse().ok()?;
        Some(Package { file: fields.next()?.to_owned(), size, sha256 })
    };
    text.lines().filter_map(parse).collect()
}

/// Downloads what is missing and verifies it against apt's hashes.
///
/// # Errors
/// When apt cannot download, or a file is not what apt's lists say.
pub(crate) fn download(packages: &[Package], progress: &Progress) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|package| !package.present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let folder = bed_dir().join("debs-partial");
    let _ = fs::remove_dir_all(&folder);
    paths::create_dir(&folder)?;
    fetch(&missing, &folder, progress)?;
    paths::create_dir(&bed_dir().join("debs"))?;
    for package in missing {
        let file = folder.join(&package.file);
        if hash::of_file(&file)? != package.sha256 {
            return Err(Error::host(format!("{} is not what apt's lists say", package.file))
                .next("run apt-get update, then try again"));
        }
        fs::rename(&file, package.path()).doing(|| format!("keeping {}", package.file))?;
    }
    let _ = fs::remove_dir_all(&folder);
    Ok(())
}

/// Lets apt download into `folder`, and shows how far it is.
fn fetch(missing: &[&Package], folder: &Path, progress: &Progress) -> Result<()> {
    let total = missing.iter().map(|package| package.size).sum();
    let log = folder.join("apt.log");
    let output = fs::File::create(&log).doing(|| format!("creating {}", log.display()))?;
    let errors = output.try_clone().doing(|| "sharing apt's log".into())?;
    let mut child = Command::new("apt-get")
        .args(["-q", "-o", "APT::Sandbox::User=root", "download"])
        .args(missing.iter().filter_map(|package| request(&package.file)))
        .current_dir(folder)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .doing(|| "running apt-get".into())?;
    let status = loop {
        if let Some(status) = child.try_wait().doing(|| "waiting for apt-get".into())? {
            break status;
        }
        let sizes = missing.iter().filter_map(|package| fs::metadata(folder.join(&package.file)).ok());
        progress.bytes(sizes.map(|meta| meta.len()).sum(), total);
        std::thread::sleep(Duration::from_millis(200));
    };
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    let next = "check the network, run apt-get update, then try again";
    Err(Error::host("apt-get download failed").because(said).next(next))
}

/// `name=version`, as apt wants it, from `name_version_arch.deb`.
fn request(file: &str) -> Option<String> {
    let mut parts = file.split('_');
    Some(format!("{}={}", parts.next()?, parts.next()?.replace("%3a", ":")))
}

/// Unpacks packages into a folder.
///
/// # Errors
/// When `dpkg-deb` is missing or refuses a file.
pub(crate) fn unpack(packages: &[Package], root: &Path) -> Result<()> {
    paths::create_dir(root)?;
    for package in packages {
        let output = Command::new("dpkg-deb").arg("-x").arg(package.path()).arg(root).output();
        let output =
            output.doing(|| "running dpkg-deb".into()).map_err(|error| error.next("apt-get install dpkg"))?;
        if !output.status.success() {
            return Err(Error::host(format!("unpacking {}", package.file))
                .because(String::from_utf8_lossy(&output.stderr))
                .next(format!("remove {} and try again", package.path().display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_and_noise_is_not() {
        let text = "W: a warning\n'http://mirror/b/busybox-static_1.35.0-4%2bb1_amd64.deb' \
                    busybox-static_1%3a1.35.0-4+b1_amd64.deb 928188 SHA256:3d3f\n";
        let expected = Package {
            file: "busybox-static_1%3a1.35.0-4+b1_amd64.deb".into(),
            size: 928_188,
            sha256: "3d3f".into(),
        };
        assert_eq!(parse_uris(text), [expected]);
    }

    #[test]
    fn version_is_asked_for_with_its_epoch() {
        assert_eq!(request("zlib1g_1%3a1.2.13_amd64.deb").as_deref(), Some("zlib1g=1:1.2.13"));
        assert_eq!(request("nonsense"), None);
    }

    #[test]
    fn kernel_is_found_among_dependencies() {
        let text = "linux-image-amd64\n  Depends: linux-image-6.1.0-99-amd64\n";
        assert_eq!(kernel_of(text).unwrap(), "linux-image-6.1.0-99-amd64");
        assert!(kernel_of("linux-image-amd64\n").is_err());
    }
}
