//! The standard output as what gets the blocks, one after the other, without anything between them.

use datafront::block::Status;
use receive::sink::Block;
use receive::{Disk, Error, Sink};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The standard output.
#[derive(Debug)]
pub(crate) struct Output;

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the standard output")
    }
}

impl Sink for Output {
    fn is_sure(&self) -> bool {
        false
    }

    fn deliver(&self, _disk: &Disk, _block: &Block, _file: &File, path: &Path) -> io::Result<Status> {
        let mut output = io::stdout().lock();
        io::copy(&mut File::open(path)?, &mut output)?;
        output.flush()?;
        Ok(Status::ACCEPTED)
    }
}

/// A folder for blocks that are coming, which goes away with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new one, below the system's folder for such.
    pub(crate) fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("pull-{}", std::process::id()));
        // One that a killed predecessor with the same number has left is of no use.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(|error| Error::Disk(path.clone(), error))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
