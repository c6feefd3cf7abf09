//! A program a block. It reads the block from its standard input, and its exit status is acknowledged.
//!
//! | variable | what it says |
//! |---|---|
//! | `RECEIVE_NAME`, `RECEIVE_BYTES` | the block's name and length |
//! | `RECEIVE_FORM` | `bytes`, or `tree`: a tar archive |
//! | `RECEIVE_STREAM`, `RECEIVE_SEQ` | stream and number: the block's identity |
//! | `RECEIVE_AGAIN` | 1: the program may have had this block before; else 0 |

use super::{Block, Sink};
use crate::disk::Disk;
use datafront::block::Status;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Added to the number of a signal that ended the program, as shells do.
const SIGNALLED: i32 = 128;

/// A program and its arguments.
#[derive(Debug)]
pub struct Program {
    program: String,
    arguments: Vec<String>,
}

impl Program {
    /// The program, found by `PATH` unless it has a slash.
    #[must_use]
    pub const fn new(program: String, arguments: Vec<String>) -> Self {
        Self { program, arguments }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)
    }
}

impl Sink for Program {
    fn is_sure(&self) -> bool {
        false
    }

    fn deliver(&self, _disk: &Disk, block: &Block, _file: &File, path: &Path) -> io::Result<Status> {
        // Its output would get between our lines of JSON.
        let output = io::stderr().as_fd().try_clone_to_owned()?;
        let status = Command::new(&self.program)
            .args(&self.arguments)
            .env("RECEIVE_NAME", &block.name)
            .env("RECEIVE_BYTES", block.len.to_string())
            .env("RECEIVE_FORM", block.form())
            .env("RECEIVE_STREAM", block.stream.to_string())
            .env("RECEIVE_SEQ", block.seq.to_string())
            .env("RECEIVE_AGAIN", u8::from(block.again).to_string())
            .stdin(File::open(path)?)
            .stdout(Stdio::from(output))
            .status()?;
        let code = status.code().unwrap_or_else(|| SIGNALLED + status.signal().unwrap_or_default());
        Ok(Status(u32::try_from(code).unwrap_or(Status::BAD_CONTENT.0)))
    }
}
