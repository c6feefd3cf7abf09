//! Debian's apt for one suite: the host's own lists, or separate lists for any other suite.
//!
//! ```text
//!   host's suite    /var/lib/apt/lists                        apt-get update is the owner's business
//!   another one     build/bed/apt/SUITE/{sources.list, lists} updated here, once a day at most
//! ```
//!
//! The mirror is the one that the host's apt uses. Lists are verified with Debian's own keyring either way.

use crate::error::{Doing, Error, Result};
use crate::paths::{self, Lock, bed_dir};
use crate::release::Release;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Debian's keys, of the package debian-archive-keyring.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The mirror of a host whose apt names none of Debian's.
const MIRROR: &str = "http://deb.debian.org/debian/";
/// Lists younger than this are not fetched again.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// apt with the lists of one suite.
#[derive(Clone, Debug)]
pub(crate) struct Apt {
    release: Release,
    /// Where the lists are.
    lists: PathBuf,
    options: Vec<String>,
}

impl Apt {
    /// apt for a release. Fetches the lists of a suite that the host's own apt does not have.
    ///
    /// # Errors
    /// When apt is missing, or the suite cannot be reached and was never fetched before.
    pub(crate) fn of(release: Release) -> Result<Self> {
        let host = Self { release, lists: "/var/lib/apt/lists".into(), options: Vec::new() };
        if host.has_suite() {
            return Ok(host);
        }
        let folder = bed_dir().join("apt").join(release.suite());
        let apt = Self { release, lists: folder.join("lists"), options: options(&folder) };
        let _lock = Lock::wait(&format!("apt-{}", release.suite()), || {})?;
        apt.update(&folder)?;
        Ok(apt)
    }

    /// Runs one of apt's programs and returns its output.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(program).args(arguments).output();
        let output = output.map_err(|error| {
            Error::host(format!("running {program}"))
                .because(error)
                .next("the test bed needs a Debian host with apt")
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::host(format!("{program} {}", arguments.join(" ")))
            .because(String::from_utf8_lossy(&output.stderr))
            .next(self.remedy()))
    }

    /// The program with the options that choose the lists.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// When the lists changed last.
    pub(crate) fn lists_changed(&self) -> Option<SystemTime> {
        fs::metadata(&self.lists).and_then(|meta| meta.modified()).ok()
    }

    /// What a person does when a package is not to be had.
    pub(crate) fn remedy(&self) -> String {
        if self.options.is_empty() {
            return "run: sudo apt-get update".to_owned();
        }
        format!("remove {}, so that Xen {} is looked up again", self.lists.display(), self.release)
    }

    /// Whether these lists have the suite.
    fn has_suite(&self) -> bool {
        let listed = self.run("apt-get", &["indextargets", "--format", "$(CODENAME) $(ORIGIN)"]);
        let wanted = format!("{} Debian", self.release.suite());
        listed.is_ok_and(|text| text.lines().any(|line| line == wanted))
    }

    /// Fetches the lists, unless they are fresh. Old ones serve if the mirror cannot be reached.
    fn update(&self, folder: &Path) -> Result<()> {
        let mark = folder.join("updated");
        let age =
            fs::metadata(&mark).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age < FRESH) && self.lists.exists() {
            return Ok(());
        }
        for part in ["lists/partial", "cache/archives/partial"] {
            paths::create_dir(&folder.join(part))?;
        }
        paths::write(&folder.join("status"), "")?;
        paths::write(&folder.join("sources.list"), sources(self.release, &mirror()))?;
        let output =
            self.command("apt-get").args(["-q", "update"]).output().doing(|| "running apt-get".into())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // apt-get warns of a mirror that it cannot reach, and succeeds.
        let failed =
            !output.status.success() || said.lines().any(|line| line.starts_with("W: Failed to fetch"));
        if failed && age.is_none() {
            return Err(Error::host(format!("fetching the lists of Xen {}", self.release))
                .because(said)
                .next(format!(
                    "check the network and {KEYRING} (package debian-archive-keyring), then try again"
                )));
        }
        if failed { Ok(()) } else { paths::write(&mark, "") }
    }
}

/// The options with which apt uses a folder of the test bed and nothing of the host's.
fn options(folder: &Path) -> Vec<String> {
    let folder = folder.display();
    [
        format!("Dir::State={folder}"),
        format!("Dir::State::lists={folder}/lists"),
        format!("Dir::State::status={folder}/status"),
        format!("Dir::Cache={folder}/cache"),
        format!("Dir::Etc::sourcelist={folder}/sources.list"),
        "Dir::Etc::sourceparts=-".to_owned(),
        "APT::Architecture=amd64".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Languages=none".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

/// `sources.list` of a release on that mirror.
fn sources(release: Release, mirror: &str) -> String {
    let (mirror, suite) = (mirror.trim_end_matches('/'), release.suite());
    let mut text = format!("deb [signed-by={KEYRING}] {mirror}/ {suite} main\n");
    if release.has_security() {
        text.push_str(&format!("deb [signed-by={KEYRING}] {mirror}-security/ {suite}-security main\n"));
    }
    text
}

/// The mirror that the host's apt has Debian from.
fn mirror() -> String {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN) $(REPO_URI)"])
        .stdin(Stdio::null())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let uris = text.lines().filter_map(|line| line.strip_prefix("Debian "));
    uris.filter(|uri| uri.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
        .next()
        .unwrap_or(MIRROR.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_name_the_suite_and_its_security_updates() {
        let text = sources(Release::Xen4_20, "http://mirror/debian/");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("http://mirror/debian/ trixie main"), "{text}");
        assert!(lines[1].ends_with("http://mirror/debian-security/ trixie-security main"), "{text}");
        assert_eq!(sources(Release::Sid, MIRROR).lines().count(), 1);
    }

    #[test]
    fn options_leave_the_host_alone() {
        let options = options(Path::new("/x")).join(" ");
        assert!(options.contains("-o Dir::State=/x ") && options.contains("-o Dir::Etc::sourceparts=- "));
    }
}
