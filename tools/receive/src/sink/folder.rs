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
use std::cell::{OnceCell, RefCell};
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

/// Names whose versions are known without a look at the disk.
const MAX_KNOWN: usize = 16;

/// What is there under a name. The folder is ours alone, so it is read once.
#[derive(Debug)]
struct Known {
    name: String,
    /// The oldest first.
    versions: Vec<String>,
    /// Their folder, open.
    folder: File,
}

/// A folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    keep: usize,
    /// The name that was used last is at the end. One that is at work, or where something failed, is not among them.
    known: RefCell<Vec<Known>>,
    /// The root, open.
    open: OnceCell<File>,
}

impl Folder {
    /// In this folder, with as many versions of each name as `keep` says, at least one.
    #[must_use]
    pub fn new(root: PathBuf, keep: usize) -> Self {
        Self { root, keep: keep.max(1), known: RefCell::default(), open: OnceCell::new() }
    }

    /// What is known of a block's name: its folder is made if it is missing.
    fn take_known(&self, disk: &Disk, block: &Block) -> io::Result<Known> {
        let mut all = self.known.borrow_mut();
        if let Some(at) = all.iter().position(|known| known.name == name(block)) {
            return Ok(all.remove(at));
        }
        let folder = self.versions(block);
        disk.create_folders(&folder)?;
        Ok(Known { name: name(block).to_owned(), versions: list(&folder)?, folder: File::open(&folder)? })
    }

    /// Keeps it for the next block of the name.
    fn put_known(&self, known: Known) {
        let mut all = self.known.borrow_mut();
        if all.len() >= MAX_KNOWN {
            all.remove(0);
        }
        all.push(known);
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
        let among = |versions: &[String]| versions.iter().any(|version| version.ends_with(&key));
        if let Some(known) = self.known.borrow().iter().find(|known| known.name == name(block)) {
            return Ok(among(&known.versions));
        }
        Ok(among(&list(&self.versions(block))?))
    }

    fn deliver(&self, disk: &Disk, block: &Block, file: &File, path: &Path) -> io::Result<Status> {
        let versions = self.versions(block);
        let mut known = self.take_known(disk, block)?;
        let last = known.versions.last().and_then(|last| number(last)).unwrap_or(0);
        let newest = format!("{:012}{}", last.saturating_add(1), key(block));
        let version = versions.join(&newest);
        known.versions.push(newest);
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
        self.lead(disk, block, &mut known).map_err(io::Error::other)?;
        self.put_known(known);
        Ok(Status::ACCEPTED)
    }

    fn settle(&self, disk: &Disk, block: &Block) -> io::Result<()> {
        let mut known = self.take_known(disk, block)?;
        self.lead(disk, block, &mut known)?;
        self.put_known(known);
        Ok(())
    }
}

impl Folder {
    /// Lets the name lead to the newest of these versions, and removes what is too old.
    fn lead(&self, disk: &Disk, block: &Block, known: &mut Known) -> io::Result<()> {
        let (name, folder) = (name(block), self.versions(block));
        disk.sync(&known.folder)?;
        let Some(newest) = known.versions.last() else { return Ok(()) };
        let place = self.root.join(name);
        let up = "../".repeat(Path::new(name).components().count().saturating_sub(1));
        let above = place.parent().filter(|above| *above != self.root);
        above.map_or(Ok(()), |above| disk.create_folders(above))?;
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
        disk.rename(&new, &place)?;
        match above {
            Some(above) => disk.sync_folder(above)?,
            None => disk.sync(self.open_root()?)?,
        }
        while known.versions.len() > self.keep {
            disk.remove(&folder.join(known.versions.remove(0)))?;
        }
        Ok(())
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
