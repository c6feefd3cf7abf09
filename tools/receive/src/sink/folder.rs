//! Files and trees in a folder. Each version appears under its name in one step, and the last ones are kept.
//!
//! ```text
//!   DIR/report.json ──────────► .receive/versions/report.json/000000000007-<stream>-<seq>
//!   DIR/current (a tree without a name) ► .receive/versions/current/000000000003-<stream>-<seq>/index.html …
//!                                         .receive/versions/current/000000000002-…                  kept
//! ```
//!
//! A block of the form that is appended goes to the end of a real file of its name, without versions.
//!
//! A version's own name says which block it was: a block that comes again is known by it. So versions of blocks that may
//! come again are kept.
//!
//! ```text
//!   deliver:   file, fsync ─► rename to its version        blocks that come together: names are led in their order
//!   publish:   versions' folder, fsync ─► link, rename     for each name
//!              folders of the names, fsync
//!   recorded:  versions that are too old are removed
//! ```

use super::{Block, Sink};
use crate::archive;
use crate::disk::Disk;
use crate::keeper::MAX_TOGETHER;
use datafront::block::{Form, Status};
use std::cell::{OnceCell, RefCell, RefMut};
use std::fmt;
use std::fs::{self, File, FileType};
use std::io;
use std::path::{Path, PathBuf};

/// What is the folder's own.
pub const OWN: &str = ".receive";
/// The name of what has none.
const UNNAMED: &str = "current";
/// Bytes of a name between slashes, at most, by most file systems.
const MAX_COMPONENT: usize = 255;

/// Names whose versions are known without a look at the disk: all those of blocks that are recorded together are.
const MAX_KNOWN: usize = MAX_TOGETHER;

/// What is there under a name. The folder is ours alone, so it is read once.
#[derive(Debug)]
struct Known {
    name: String,
    /// The oldest first.
    versions: Vec<String>,
    /// Their folder, open.
    folder: File,
    /// The name does not lead to the newest version yet.
    is_behind: bool,
}

/// A folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// What is ours in it: each name's folder of versions.
    versions: PathBuf,
    keep: usize,
    /// The name that was used last is at the end. They are read again when one could not be led.
    known: RefCell<Vec<Known>>,
    /// The root, open.
    open: OnceCell<File>,
}

impl Folder {
    /// In this folder, with as many versions of each name as `keep` says, at least one.
    #[must_use]
    pub fn new(root: PathBuf, keep: usize) -> Self {
        let versions = root.join(OWN).join("versions");
        Self { root, versions, keep: keep.max(1), known: RefCell::default(), open: OnceCell::new() }
    }

    /// What is known of a block's name, which moves to the end: its folder is made if it is missing.
    fn known(&self, disk: &Disk, block: &Block) -> io::Result<RefMut<'_, Known>> {
        let mut all = self.known.borrow_mut();
        let at = all.iter().position(|known| known.name == name(block));
        // Names are led in the order of their last block: those between its two blocks, before the second one.
        let is_last = at.is_some_and(|at| at.saturating_add(1) == all.len());
        let waits = at.and_then(|at| all.get(at)).is_some_and(|known| known.is_behind);
        if waits && !is_last {
            self.lead_all(disk, &mut all)?;
        }
        let known = match at {
            Some(at) => all.remove(at),
            None => self.read(disk, block)?,
        };
        // It was used before the last record: what was recorded is in order.
        if all.len() >= MAX_KNOWN {
            all.remove(0);
        }
        all.push(known);
        RefMut::filter_map(all, |all| all.last_mut()).map_err(|_| io::ErrorKind::NotFound.into())
    }

    /// Reads a name's versions from the disk.
    fn read(&self, disk: &Disk, block: &Block) -> io::Result<Known> {
        let folder = self.versions(name(block));
        disk.create_folders(&folder)?;
        let (name, versions) = (name(block).to_owned(), list(&folder)?);
        Ok(Known { name, versions, folder: File::open(&folder)?, is_behind: false })
    }

    /// Whether a name has a version to which it does not lead yet.
    fn is_behind(&self, name: &str) -> bool {
        self.known.borrow().iter().any(|known| known.is_behind && known.name == name)
    }

    /// The folder of a name's versions.
    fn versions(&self, name: &str) -> PathBuf {
        self.versions.join(name)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.display().fmt(f)
    }
}

fn name(block: &Block) -> &str {
    if block.name.is_empty() { UNNAMED } else { &block.name }
}

/// What a version's name ends with.
fn key(block: &Block) -> String {
    format!("-{:016x}-{}", block.stream, block.seq)
}

/// The versions in a folder, the oldest first.
fn list(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if number(&name).is_some() {
            names.push(name);
        }
    }
    names.sort_unstable_by_key(|name| number(name));
    Ok(names)
}

/// The number that a version's name begins with.
fn number(version: &str) -> Option<u64> {
    let (number, rest) = version.split_once('-')?;
    if rest.is_empty() || number.len() < 12 { None } else { number.parse().ok() }
}

/// Whether a name stays below the folder and out of what is the folder's own.
fn is_usable(name: &str) -> bool {
    let is_plain = |part: &str| !matches!(part, "" | "." | ".." | OWN) && part.len() <= MAX_COMPONENT;
    !name.contains('\0') && name.split('/').all(is_plain)
}

impl Sink for Folder {
    fn is_sure(&self) -> bool {
        true
    }

    fn look(&self, block: &Block) -> Result<(), Status> {
        let name = name(block);
        if !is_usable(name) {
            return Err(Status::BAD_NAME);
        }
        // It was looked at for a block before, whose version it is about to lead to.
        if block.form != Form::Append && self.is_behind(name) {
            return Ok(());
        }
        // What is above it is a real folder, and in its place is a link of ours, or nothing.
        let path = self.root.join(name);
        let kind = |path: &Path| path.symlink_metadata().ok().map(|found| found.file_type());
        let above = name.match_indices('/').filter_map(|(at, _)| name.get(..at));
        let blocked = above.filter_map(|above| kind(&self.root.join(above))).any(|kind| !kind.is_dir());
        // A log is a file of its own, which anybody may read, rotate or remove.
        let fits =
            |kind: FileType| if block.form == Form::Append { kind.is_file() } else { kind.is_symlink() };
        if blocked || kind(&path).is_some_and(|kind| !fits(kind)) {
            return Err(Status::BAD_NAME);
        }
        Ok(())
    }

    fn log(&self, block: &Block) -> Option<PathBuf> {
        Some(self.root.join(name(block)))
    }

    fn has(&self, block: &Block) -> io::Result<bool> {
        let key = key(block);
        let among = |versions: &[String]| versions.iter().any(|version| version.ends_with(&key));
        if let Some(known) = self.known.borrow().iter().find(|known| known.name == name(block)) {
            return Ok(among(&known.versions));
        }
        Ok(among(&list(&self.versions(name(block)))?))
    }

    fn takes_file(&self, form: Form) -> bool {
        form == Form::Bytes
    }

    fn deliver(&self, disk: &Disk, block: &Block, file: &File, path: &Path) -> io::Result<Status> {
        let mut known = self.known(disk, block)?;
        let last = known.versions.last().and_then(|last| number(last)).unwrap_or(0);
        let newest = format!("{:012}{}", last.saturating_add(1), key(block));
        let version = self.versions(name(block)).join(&newest);
        match block.form {
            Form::Secret => return Ok(Status::NO_SECRETS),
            // These go where `log` says.
            Form::Append => return Ok(Status::BAD_FORM),
            Form::Bytes => {
                disk.sync(file)?;
                disk.rename(path, &version)?;
            }
            Form::Tree => {
                let tree = path.with_extension("tree");
                disk.remove(&tree)?;
                disk.create_folders(&tree)?;
                let unpacked = archive::unpack(disk, File::open(path)?, &tree);
                if !matches!(unpacked, Ok(Status::ACCEPTED)) {
                    let _ = disk.remove(&tree);
                    return unpacked;
                }
                disk.sync_all(&tree)?;
                disk.rename(&tree, &version)?;
            }
        }
        known.versions.push(newest);
        known.is_behind = true;
        Ok(Status::ACCEPTED)
    }

    fn settle(&self, disk: &Disk, block: &Block) -> io::Result<()> {
        self.known(disk, block)?.is_behind = true;
        Ok(())
    }

    fn publish(&self, disk: &Disk) -> io::Result<()> {
        self.lead_all(disk, &mut self.known.borrow_mut())
    }

    fn recorded(&self, disk: &Disk) -> io::Result<()> {
        let mut all = self.known.borrow_mut();
        let removed = all.iter_mut().try_for_each(|known| self.remove_old(disk, known));
        if removed.is_err() {
            all.clear();
        }
        removed
    }
}

impl Folder {
    /// Lets each name that is behind lead to its newest version, in the order of their last blocks.
    fn lead_all(&self, disk: &Disk, all: &mut Vec<Known>) -> io::Result<()> {
        let mut above = Vec::new();
        let led = all.iter().filter(|known| known.is_behind).try_for_each(|known| {
            above.push(self.lead(disk, known)?);
            Ok(())
        });
        above.dedup();
        match led.and_then(|()| above.into_iter().try_for_each(|above| self.sync_names(disk, above))) {
            Ok(()) => all.iter_mut().for_each(|known| known.is_behind = false),
            // The versions are there: also on a full disk this is not a refusal any more.
            Err(error) => {
                all.clear();
                return Err(io::Error::other(error));
            }
        }
        Ok(())
    }

    /// Lets a name lead to its newest version; the folder below the root in which the name is.
    fn lead(&self, disk: &Disk, known: &Known) -> io::Result<Option<PathBuf>> {
        let name = known.name.as_str();
        let above = name.rsplit_once('/').map(|(above, _)| self.root.join(above));
        disk.sync(&known.folder)?;
        let Some(newest) = known.versions.last() else { return Ok(above) };
        let up = "../".repeat(name.matches('/').count());
        above.as_ref().map_or(Ok(()), |above| disk.create_folders(above))?;
        let (new, target) = (
            self.root.join(OWN).join("link.new"),
            PathBuf::from(format!("{up}{OWN}/versions/{name}/{newest}")),
        );
        match disk.link(&target, &new) {
            // A predecessor was ended in between.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&new)?;
                disk.link(&target, &new)?;
            }
            other => other?,
        }
        disk.rename(&new, &self.root.join(name))?;
        Ok(above)
    }

    /// Puts the names in a folder, or in the root, on the medium.
    fn sync_names(&self, disk: &Disk, folder: Option<PathBuf>) -> io::Result<()> {
        folder.map_or_else(|| disk.sync(self.open_root()?), |folder| disk.sync_folder(&folder))
    }

    /// Removes the versions of a name that are too old.
    fn remove_old(&self, disk: &Disk, known: &mut Known) -> io::Result<()> {
        let old = known.versions.len().saturating_sub(self.keep);
        let folder = self.versions(&known.name);
        known.versions.drain(..old).try_for_each(|version| disk.remove(&folder.join(version)))
    }

    fn open_root(&self) -> io::Result<&File> {
        if self.open.get().is_none() {
            let _ = self.open.set(File::open(&self.root)?);
        }
        self.open.get().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_folder() {
        for good in ["a", "a/b.txt", "..a", "a..", "current", "ä/ö"] {
            assert!(is_usable(good), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "a/./b", "./a", "a\0", OWN, &long] {
            assert!(!is_usable(bad), "{bad}");
        }
        assert!(!is_usable(".receive/state") && !is_usable("a/.receive/b"));
    }

    #[test]
    fn versions_are_sorted_by_their_number() {
        assert_eq!(number("000000000007-00000000000000ff-3"), Some(7));
        assert_eq!(number("1000000000000-00000000000000ff-3"), Some(1_000_000_000_000));
        for other in ["a.txt", "7-1", "000000000007", "000000000007-"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
