//! Every change to the file system, a step each: tests stop the receiver before any of them, or fill the disk.

use crate::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

/// Called before a step with its name; an error takes the step's place.
pub type Before = Box<dyn Fn(&'static str) -> io::Result<()> + Send>;

/// The file system.
#[derive(Default)]
pub struct Disk {
    before: Option<Before>,
    /// What counts as free, if not what the system says.
    free: Option<u64>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    /// One whose steps are looked at.
    #[must_use]
    pub fn watched(before: Before) -> Self {
        Self { before: Some(before), free: None }
    }

    /// One that has this many bytes free.
    #[must_use]
    pub const fn small(free: u64) -> Self {
        Self { before: None, free: Some(free) }
    }

    /// A step of this name is next.
    pub(crate) fn step(&self, name: &'static str) -> io::Result<()> {
        self.before.as_ref().map_or(Ok(()), |before| before(name))
    }

    /// Makes a folder and those above it, where they are missing.
    pub(crate) fn create_folders(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        self.step("create folders")?;
        fs::create_dir_all(path)
    }

    /// Makes an empty file, in place of an older one.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        self.step("create")?;
        File::create(path)
    }

    /// Opens a file to be written on behind its first `len` bytes. `UnexpectedEof`: it is shorter.
    pub(crate) fn reopen(&self, path: &Path, len: u64) -> io::Result<File> {
        self.step("reopen")?;
        let mut file = File::options().write(true).open(path)?;
        if file.metadata()?.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.set_len(len)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    /// Adds the bytes of one file, from its start, to the end of another one.
    pub(crate) fn append(&self, from: &Path, mut to: &File) -> io::Result<()> {
        self.step("append")?;
        io::copy(&mut File::open(from)?, &mut to).map(drop)
    }

    /// Cuts a file to this length.
    pub(crate) fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.step("truncate")?;
        let file = File::options().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    /// Writes all of these bytes.
    pub(crate) fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        self.step("write")?;
        file.write_all(bytes)
    }

    /// Waits until a file is on the medium.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        self.step("sync")?;
        file.sync_all()
    }

    /// Waits until the names in a folder are on the medium.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step("sync folder")?;
        File::open(path)?.sync_all()
    }

    /// Waits until everything on the file system of a folder is on the medium.
    pub(crate) fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.step("sync all")?;
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    }

    /// Renames, in one step.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename")?;
        fs::rename(from, to)
    }

    /// Makes a symbolic link.
    pub(crate) fn link(&self, target: &Path, at: &Path) -> io::Result<()> {
        self.step("link")?;
        symlink(target, at)
    }

    /// Removes a file, a link or a whole folder, if there is one.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step("remove")?;
        let removed = match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(path),
            other => other,
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    /// Puts a file with these bytes into the place of an older one: it has all of them at any moment, or all of the old.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = path.with_extension("new");
        let file = self.create(&new)?;
        self.write(&file, bytes)?;
        self.sync(&file)?;
        self.rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| self.sync_folder(folder))
    }

    /// Opens a file, or makes an empty one whose name is on the medium; and what is in it.
    pub(crate) fn open_or_create(&self, path: &Path) -> io::Result<(File, Vec<u8>)> {
        let is_new = !path.exists();
        if is_new {
            self.step("create")?;
        }
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        if is_new {
            path.parent().map_or(Ok(()), |folder| self.sync_folder(folder))?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((file, bytes))
    }

    /// Puts these bytes, and nothing else, into a file that is open, and waits until they are on the medium. No name is
    /// looked up for it. Half of them may be there when it is ended.
    pub(crate) fn overwrite(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.step("overwrite")?;
        file.write_all_at(bytes, 0)?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if file.metadata()?.len() > len {
            file.set_len(len)?;
        }
        self.step("sync")?;
        file.sync_data()
    }

    /// Whether a file of this length has room on the file system of an open folder. A system that does not say has it.
    pub(crate) fn has_room(&self, folder: &File, len: u64) -> bool {
        // A file system without a size of its own (ramfs) says 0 of 0.
        let sized = || rustix::fs::fstatvfs(folder).ok().filter(|is| is.f_blocks > 0);
        let free = || sized().map(|is| is.f_bavail.saturating_mul(is.f_frsize));
        self.free.or_else(free).is_none_or(|free| free >= len)
    }
}

/// Makes both folders. A version is renamed from the state's folder into its place, so both must be on one file system.
///
/// # Errors
/// They are not, or cannot be made.
pub fn same_file_system(own: &Path, state: &Path) -> Result<(), Error> {
    let device = |path: &Path| {
        let made = fs::create_dir_all(path).and_then(|()| path.metadata());
        made.map(|found| found.dev()).map_err(|error| Error::Disk(path.to_owned(), error))
    };
    if device(own)? == device(state)? {
        return Ok(());
    }
    let what = format!("--state {} is on another file system than --dir: leave --state out", state.display());
    Err(Error::Usage(what))
}

/// Whether an error says that the disk is full: the block is refused, and the receiver goes on.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
