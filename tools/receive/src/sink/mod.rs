//! What gets the blocks.
//!
//! | file | idea |
//! |---|---|
//! | [`folder`] | files and trees, each version published in one step, the last ones kept |
//! | [`program`] | a program a block: standard input, and its exit status is the acknowledgement's |
//! | [`socket`] | a program that listens at a Unix socket: a connection a block |

pub mod folder;
pub mod program;
pub mod socket;

use crate::disk::Disk;
use datafront::block::{Form, Status};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub use folder::Folder;
pub use program::Program;
pub use socket::Socket;

/// Something that came whole: a block, or all parts of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub name: String,
    /// Its stream.
    pub stream: u64,
    /// Its number; of parts, the last one's.
    pub seq: u64,
    /// What it is.
    pub form: Form,
    /// Its bytes, of all parts together.
    pub len: u64,
    /// The sink may have been given it before: the receiver was ended before it was recorded.
    pub again: bool,
}

impl Block {
    /// The word for its form.
    #[must_use]
    pub const fn form(&self) -> &'static str {
        match self.form {
            Form::Bytes => "bytes",
            Form::Tree => "tree",
            Form::Secret => "secret",
            Form::Append => "append",
        }
    }
}

/// What gets the blocks. Its name, by `Display`, stands in errors.
pub trait Sink: fmt::Debug + fmt::Display + Send {
    /// Whether it knows by itself what it has, by [`Sink::has`].
    fn is_sure(&self) -> bool;

    /// Looks at what is known of a block before its bytes.
    ///
    /// # Errors
    /// The status that refuses it.
    fn look(&self, _block: &Block) -> Result<(), Status> {
        Ok(())
    }

    /// The file to whose end a block of [`Form::Append`] is added, if the sink has files. `None`: it is delivered as any
    /// other.
    fn log(&self, _block: &Block) -> Option<PathBuf> {
        None
    }

    /// Whether it has the block.
    ///
    /// # Errors
    /// What the system says.
    fn has(&self, _block: &Block) -> io::Result<bool> {
        Ok(false)
    }

    /// Takes a block, whose bytes are in this file at this path. What is returned is acknowledged.
    ///
    /// # Errors
    /// A failure that is not the block's: it is not acknowledged, and comes again.
    fn deliver(&self, disk: &Disk, block: &Block, file: &File, path: &Path) -> io::Result<Status>;

    /// Whether a block of this form that was accepted has taken its file away.
    fn takes_file(&self, _form: Form) -> bool {
        false
    }

    /// Completes a block that it has: it may have been stopped behind the step by which it has it.
    ///
    /// # Errors
    /// As for [`Sink::deliver`].
    fn settle(&self, _disk: &Disk, _block: &Block) -> io::Result<()> {
        Ok(())
    }

    /// Ends what `deliver` and `settle` have left to be done for several blocks at once. They are recorded next.
    ///
    /// # Errors
    /// As for [`Sink::deliver`], for all of these blocks.
    fn publish(&self, _disk: &Disk) -> io::Result<()> {
        Ok(())
    }

    /// Every block that was published is recorded: it does not come again, and need not be known any more.
    ///
    /// # Errors
    /// A failure that is no block's.
    fn recorded(&self, _disk: &Disk) -> io::Result<()> {
        Ok(())
    }
}
