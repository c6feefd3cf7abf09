//! Debian packages by name: resolved by apt, downloaded, verified and unpacked, never installed.
//!
//! apt knows the versions and the hashes from its signed lists; no file here has them. So the test bed
//! follows security updates: a new version changes the key of the image, and the image is built again.

use crate::apt::Apt;
use crate::error::{Doing, Error, Result};
use crate::hash;
use crate::paths::{self, bed_dir};
use crate::progress::Progress;
use crate::release::Release;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The package that depends on the current kernel.
const KERNEL_META: &str = "linux-image-amd64";

/// dom0's packages besides Xen, its tools, their libraries and the kernel.
const PACKAGES: &[&str] = &[
    "busybox-static",
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
    "libyajl2",
    "libzstd1",
    "xen-utils-common",
    "xenstore-utils",
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
    /// The path of the downloaded file.
    #[must_use]
    pub(crate) fn path(&self) -> PathBuf {
        bed_dir().join("debs").join(&self.file)
    }

    /// Whether the file exists with its full length. Its hash was checked when it was downloaded.
    fn present(&self) -> bool {
        fs::metadata(self.path()).is_ok_and(|meta| meta.len() == self.size)
    }
}

/// Everything that dom0 is made of, as apt resolved it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resolved {
    /// Xen's release, like 4.17: it is part of the names of packages and folders.
    pub(crate) xen: String,
    /// The packages, those that were asked for by name among them.
    pub(crate) packages: Vec<Package>,
}

impl Resolved {
    /// Whether all of it was downloaded.
    fn present(&self) -> bool {
        self.packages.iter().all(Package::present)
    }
}

/// The answer of apt, kept until its lists change: asking takes a second.
#[derive(Serialize, Deserialize)]
struct Answer {
    lists: Option<SystemTime>,
    /// The requested packages, except those that depend on the release.
    asked: Vec<String>,
    resolved: Resolved,
}

/// Resolves everything that dom0 is made of, and the `extra` packages.
///
/// # Errors
/// When apt is missing or does not know a package, or the suite cannot be reached.
pub(crate) fn resolve(release: Release, extra: &[String]) -> Result<Resolved> {
    let cache = format!("resolved-{}-{}.json", release.name(), hash::short(&extra.join(" ")));
    let cache = bed_dir().join(cache);
    let asked: Vec<String> =
        PACKAGES.iter().map(|name| (*name).to_owned()).chain(extra.iter().cloned()).collect();
    let known: Option<Answer> = fs::read(&cache).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let known = known.filter(|known| known.asked == asked);
    let answer = Apt::of(release).and_then(|apt| {
        let lists = apt.lists_changed();
        if let Some(known) = &known
            && known.lists == lists
        {
            return Ok(None);
        }
        Ok(Some(Answer { lists, asked, resolved: ask(&apt, extra)? }))
    });
    match (answer, known) {
        (Ok(Some(answer)), _) => {
            paths::create_dir(&bed_dir())?;
            paths::write(&cache, serde_json::to_vec(&answer).doing(|| "keeping apt's answer".into())?)?;
            Ok(answer.resolved)
        }
        (Ok(None), Some(known)) => Ok(known.resolved),
        // A machine whose lists were removed still has the packages that it once downloaded.
        (Err(_), Some(known)) if known.resolved.present() => Ok(known.resolved),
        (Err(error), _) => Err(error),
        (Ok(None), None) => Err(Error::host("apt's answer is not there")),
    }
}

fn ask(apt: &Apt, extra: &[String]) -> Result<Resolved> {
    let xen = newest_xen(&apt.run("apt-cache", &["pkgnames", "xen-hypervisor-4"])?)
        .ok_or_else(|| Error::host("the suite has no package xen-hypervisor-4.*-amd64").next(apt.remedy()))?;
    let kernel = dependencies(&apt.run("apt-cache", &["depends", KERNEL_META])?, &["linux-image-"]);
    let kernel = kernel.into_iter().next();
    let kernel =
        kernel.ok_or_else(|| Error::host(format!("{KERNEL_META} names no kernel")).next(apt.remedy()))?;
    // Newer kernels come in parts.
    let parts =
        dependencies(&apt.run("apt-cache", &["depends", &kernel])?, &["linux-binary-", "linux-modules-"]);
    let (tools, misc) = (format!("xen-utils-{xen}"), format!("libxenmisc{xen}"));
    let mut libraries = BTreeSet::new();
    let mut new = BTreeSet::from([tools.clone(), misc.clone(), "xenstore-utils".to_owned()]);
    while !new.is_empty() {
        let mut arguments = vec!["depends"];
        arguments.extend(new.iter().map(String::as_str));
        let found = dependencies(&apt.run("apt-cache", &arguments)?, &["lib"]);
        // Only Xen's own libraries need more that `PACKAGES` does not name.
        new = found.difference(&libraries).filter(|name| name.starts_with("libxen")).cloned().collect();
        libraries.extend(found);
    }
    let mut names: BTreeSet<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    names.extend(libraries);
    names.extend(parts);
    names.extend([format!("xen-hypervisor-{xen}-amd64"), tools, misc, kernel]);
    names.extend(extra.iter().cloned());
    let mut arguments = vec!["download", "--print-uris"];
    arguments.extend(names.iter().map(String::as_str));
    let packages = parse_uris(&apt.run("apt-get", &arguments)?);
    if packages.len() < names.len() {
        let what = format!("apt resolved {} of {} packages", packages.len(), names.len());
        return Err(Error::host(what).next(apt.remedy()));
    }
    Ok(Resolved { xen, packages })
}

/// The newest release among the hypervisor's packages: `4.17` of `xen-hypervisor-4.17-amd64`.
fn newest_xen(names: &str) -> Option<String> {
    let release = |name: &str| {
        let minor = name.strip_prefix("xen-hypervisor-4.")?.strip_suffix("-amd64")?;
        minor.parse::<u32>().ok()
    };
    names.lines().filter_map(release).max().map(|minor| format!("4.{minor}"))
}

/// The packages that `apt-cache depends` lists as dependencies and whose names begin so.
fn dependencies(text: &str, prefixes: &[&str]) -> BTreeSet<String> {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::trim);
    names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).map(str::to_owned).collect()
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

/// Downloads missing packages and verifies them against apt's hashes.
///
/// # Errors
/// When apt cannot download, or a file differs from apt's lists.
pub(crate) fn download(release: Release, packages: &[Package], progress: &Progress) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|package| !package.present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let folder = bed_dir().join("debs-partial");
    let _ = fs::remove_dir_all(&folder);
    paths::create_dir(&folder)?;
    let apt = Apt::of(release)?;
    fetch(&apt, &missing, &folder, progress)?;
    paths::create_dir(&bed_dir().join("debs"))?;
    for package in missing {
        let file = folder.join(&package.file);
        if hash::of_file(&file)? != package.sha256 {
            return Err(
                Error::host(format!("{} is not what apt's lists say", package.file)).next(apt.remedy())
            );
        }
        fs::rename(&file, package.path()).doing(|| format!("keeping {}", package.file))?;
    }
    let _ = fs::remove_dir_all(&folder);
    Ok(())
}

/// Lets apt download into `folder`, and shows how far it is.
fn fetch(apt: &Apt, missing: &[&Package], folder: &Path, progress: &Progress) -> Result<()> {
    let total = missing.iter().map(|package| package.size).sum();
    let log = folder.join("apt.log");
    let output = fs::File::create(&log).doing(|| format!("creating {}", log.display()))?;
    let errors = output.try_clone().doing(|| "sharing apt's log".into())?;
    let mut child = apt
        .command("apt-get")
        .args(["-q", "-o", "APT::Sandbox::User=root", "download"])
        .args(missing.iter().filter_map(|package| request(&package.file)))
        .current_dir(folder)
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
    Err(Error::host("apt-get download failed")
        .because(said)
        .next(format!("check the network; {}", apt.remedy())))
}

/// `name=version`, as apt expects it, from `name_version_arch.deb`.
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
        let text = "linux-image-amd64\n  Depends: linux-base\n  Depends: linux-image-6.1.0-99-amd64\n";
        let found = dependencies(text, &["linux-image-"]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["linux-image-6.1.0-99-amd64"]);
        assert!(dependencies("linux-image-amd64\n", &["linux-image-"]).is_empty());
    }

    #[test]
    fn newest_release_of_xen_is_chosen() {
        let names = "xen-hypervisor-4.9-amd64\nxen-hypervisor-4.20-amd64\nxen-hypervisor-4.20-amd64-dbg\n";
        assert_eq!(newest_xen(names).as_deref(), Some("4.20"));
        assert_eq!(newest_xen("xen-hypervisor-common\n"), None);
    }
}
