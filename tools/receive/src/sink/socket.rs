//! A program that listens at a Unix socket: a connection a block.
//!
//! ```text
//!   receive ── {"name":…,"stream":…,"seq":…,"bytes":N,"form":"bytes","again":false}\n  N bytes, end ──► program
//!           ◄── a status as a decimal number, and a newline ──────────────────────────────────────────
//! ```
//!
//! Without an answer the block is not acknowledged: it comes again, with `"again":true`.

use super::{Block, Sink};
use crate::disk::Disk;
use datafront::block::Status;
use serde_json::json;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Bytes of an answer, at most.
const MAX_ANSWER: u64 = 32;
/// The greatest status of an application: those above are the receiver's.
const MAX_STATUS: u32 = i32::MAX.unsigned_abs();

/// A socket's path.
#[derive(Debug)]
pub struct Socket(PathBuf);

impl Socket {
    /// The socket at this path.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Sink for Socket {
    fn is_sure(&self) -> bool {
        false
    }

    fn deliver(&self, _disk: &Disk, block: &Block, _file: &File, path: &Path) -> io::Result<Status> {
        let mut stream = UnixStream::connect(&self.0)?;
        let head = json!({"name": block.name, "stream": block.stream, "seq": block.seq, "bytes": block.len,
            "form": block.form(), "again": block.again});
        // A program that refuses a block need not read it: the answer counts.
        let sent = writeln!(stream, "{head}").and_then(|()| io::copy(&mut File::open(path)?, &mut stream));
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = String::new();
        let read = stream.take(MAX_ANSWER).read_to_string(&mut answer);
        match answer.trim().parse() {
            Ok(status) if status <= MAX_STATUS => Ok(Status(status)),
            Ok(_) => Err(io::Error::other(format!("{answer:?} is no status: at most {MAX_STATUS}"))),
            Err(_) => {
                sent?;
                read?;
                Err(io::Error::other(format!("the answer {answer:?} is no status: a decimal number")))
            }
        }
    }
}
