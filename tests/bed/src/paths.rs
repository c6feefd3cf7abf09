//! The folders of the test bed: everything is in `build/bed/` of the repository.
//!
//! | path | what |
//! |---|---|
//! | `debs/` | packages as downloaded, verified |
//! | `image-KEY/` | Xen, the kernel and dom0's initramfs; KEY is the hash of their inputs |
//! | `snapshot-KEY/` | a machine with dom0 ready; KEY also covers QEMU and its arguments |
//! | `run/PID-N/` | the files of a running machine |
//! | `logs/TEST/` | the logs of a failed test |
//!
//! `BED_DIR` in the environment puts it all elsewhere.

use crate::error::{Doing, Error, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The root of the repository this crate was built in.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The folder of caches, runs and logs.
#[must_use]
pub fn bed_dir() -> PathBuf {
    std::env::var_os("BED_DIR").map_or_else(|| repository().join("build/bed"), PathBuf::from)
}

/// Creates a folder and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).doing(|| format!("creating the folder {}", path.display()))
}

/// Reads a file, and names it if that fails.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).doing(|| format!("reading {}", path.display()))
}

/// Writes a file, and names it if that fails.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, bytes).doing(|| format!("writing {}", path.display()))
}

/// A lock between processes (and threads), held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock with that name; says so when it has to wait.
    pub(crate) fn wait(name: &str, waiting: impl FnOnce()) -> Result<Self> {
        let file = Self::open(&bed_dir().join(format!("{name}.lock")))?;
        if file.try_lock().is_err() {
            waiting();
            file.lock().doing(|| format!("waiting for the lock {name} of the test bed"))?;
        }
        Ok(Self { _file: file })
    }

    /// Takes the lock in that file; `None` if another process has it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>> {
        let file = Self::open(path)?;
        Ok(file.try_lock().is_ok().then_some(Self { _file: file }))
    }

    fn open(path: &Path) -> Result<File> {
        if let Some(folder) = path.parent() {
            create_dir(folder)?;
        }
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        options.open(path).doing(|| format!("opening the lock {}", path.display()))
    }
}

/// A folder for one running machine, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    _owner: Lock,
}

impl RunDir {
    /// Makes a new one, and clears away those whose owners are gone.
    pub(crate) fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let runs = bed_dir().join("run");
        // Between making the folder and taking its lock, a sweep of another process must not remove it.
        let _alone = Lock::wait("run", || {})?;
        sweep(&runs);
        let path = runs.join(format!("{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let owner = Lock::take(&path.join("owner"))?;
        let owner = owner.ok_or_else(|| Error::host(format!("{} belongs to another", path.display())))?;
        Ok(Self { path, _owner: owner })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that ended without doing so; a running owner has its lock.
fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.join("owner").exists() && matches!(Lock::take(&path.join("owner")), Ok(Some(_))) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}
