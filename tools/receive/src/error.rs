//! What can go wrong, in words for a person, and the exit codes by which scripts tell it apart.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a receiver cannot go on.
#[derive(Debug)]
pub enum Error {
    /// A file or folder cannot be read or changed.
    Disk(PathBuf, io::Error),
    /// The file with the state is not what was written there.
    Damaged(PathBuf),
    /// Another receiver uses this state.
    Busy(PathBuf),
    /// What gets the blocks cannot be reached.
    Sink(String, io::Error),
    /// The channel cannot be offered.
    Channel(io::Error),
    /// What the command line asks for cannot be.
    Usage(String),
}

impl Error {
    /// The exit code, as `push` has them; 2 is also clap's.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Disk(..) | Self::Damaged(_) | Self::Busy(_) | Self::Sink(..) => 7,
            Self::Channel(_) => 8,
        }
    }

    /// A short name, for `--json`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Disk(..) => "disk",
            Self::Damaged(_) => "damaged",
            Self::Busy(_) => "busy",
            Self::Sink(..) => "sink",
            Self::Channel(_) => "channel",
        }
    }

    /// An error about a path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Disk(path.to_owned(), error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Damaged(path) => write!(
                f,
                "{}: damaged; remove it, and each sender goes on at its first block without an acknowledgement",
                path.display()
            ),
            Self::Busy(path) => {
                write!(f, "{}: another receive uses this state; give this one --state or --name", path.display())
            }
            Self::Sink(what, error) => write!(f, "{what}: {error}; the block stays with its sender"),
            Self::Channel(error) => write!(f, "no channel: {error}"),
            Self::Usage(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}
