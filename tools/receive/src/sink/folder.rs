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
//! A version's own name says which block it was: a block that comes again is known by it.

use super::{Block, Sink};
use crate::archive;
use crate::disk::Disk;
use datafront::block::{Form, Status};
use std::fmt;
use std::fs::{self, File, FileType};
use std::io;
use std::path::{Component, Path, PathBuf};

/// What is the folder's own.
pub const OWN: &str = ".receive";
/// The name of what has none.
const UNNAMED: &str = "current";
/// Bytes of a name between slashes, at most, by most file systems.
const MAX_COMPONENT: usize = 255;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    keep: usize,
}

impl Folder {
    /// In this folder, with as many versions of each name as `keep` says, at least one.
    #[must_use]
    pub fn new(root: PathBuf, keep: usize) -> Self {
        Self { root, keep: keep.max(1) }
    }

    fn versions(&self, block: &Block) -> PathBuf {
        self.root.join(OWN).join("versions").join(name(block))
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
    let path = Path::new(name);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(part) if part.len() <= MAX_COMPONENT && part != OWN));
    // Neither a slash at the end nor two in a row, which components do not show.
    plain && !name.contains('\0') && name.split('/').all(|part| !part.is_empty() && part != ".")
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
        // What is above it is a real folder, and in its place is a link of ours, or nothing.
        let path = self.root.join(name);
        let kind = |path: &Path| path.symlink_metadata().ok().map(|found| found.file_type());
        let above = path.ancestors().skip(1).take_while(|above| *above != self.root);
        let blocked = above.filter_map(kind).any(|kind| !kind.is_dir());
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
        Ok(list(&self.versions(block))?.iter().any(|version| version.ends_with(&key)))
    }

    fn deliver(&self, disk: &Disk, block: &Block, file: &File, path: &Path) -> io::Result<Status> {
        let versions = self.versions(block);
        disk.create_folders(&versions)?;
        let mut known = list(&versions)?;
        let last = known.last().and_then(|last| number(last)).unwrap_or(0);
        let newest = format!("{:012}{}", last.saturating_add(1), key(block));
        let version = versions.join(&newest);
        known.push(newest);
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
        // The version is there: also on a full disk this is not a refusal any more.
        self.lead(disk, block, &known).map_err(io::Error::other)?;
        Ok(Status::ACCEPTED)
    }

    fn settle(&self, disk: &Disk, block: &Block) -> io::Result<()> {
        self.lead(disk, block, &list(&self.versions(block))?)
    }
}

impl Folder {
    /// Lets the name lead to the newest of these versions, and removes what is too old.
    fn lead(&self, disk: &Disk, block: &Block, versions: &[String]) -> io::Result<()> {
        let (name, folder) = (name(block), self.versions(block));
        disk.sync_folder(&folder)?;
        let Some(newest) = versions.last() else { return Ok(()) };
        let place = self.root.join(name);
        let up = "../".repeat(Path::new(name).components().count().saturating_sub(1));
        let target = PathBuf::from(format!("{up}{OWN}/versions/{name}/{newest}"));
        if fs::read_link(&place).ok().as_ref() != Some(&target) {
            let above = place.parent().unwrap_or(&self.root);
            disk.create_folders(above)?;
            let new = self.root.join(OWN).join("link.new");
            disk.remove(&new)?;
            disk.link(&target, &new)?;
            disk.rename(&new, &place)?;
            disk.sync_folder(above)?;
        }
        for old in versions.iter().rev().skip(self.keep) {
            disk.remove(&folder.join(old))?;
        }
        Ok(())
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
