//! A folder as a POSIX ustar archive, listed first and read later, so that its length is known before its bytes.
//!
//! ```text
//!   | header 512 | content, filled up to 512 | header | content | … | 1024 zeros |       regular files only, by name
//! ```
//!
//! A file that shrinks meanwhile is an error while reading; one that grows is cut to the length that was listed.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

const RECORD: u64 = 512;
/// Folders within folders that are followed.
const MAX_DEPTH: u32 = 64;

#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    header: [u8; 512],
    len: u64,
}

/// A folder's files.
#[derive(Clone, Debug)]
pub struct Tree {
    entries: Vec<Entry>,
}

impl Tree {
    /// Lists a folder and all below it. Links are followed; what is neither file nor folder is an error.
    ///
    /// # Errors
    /// What the file system says, or a name that ustar has no room for.
    pub fn list(folder: &Path) -> io::Result<Self> {
        let mut entries = Vec::new();
        walk(folder, "", MAX_DEPTH, &mut entries)?;
        entries.sort_by(|a: &(String, Entry), b| a.0.cmp(&b.0));
        Ok(Self { entries: entries.into_iter().map(|(_, entry)| entry).collect() })
    }

    /// Bytes of the archive.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.entries.iter().map(|entry| RECORD + entry.len.next_multiple_of(RECORD)).sum::<u64>() + 2 * RECORD
    }

    /// Whether there are no files.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The archive's bytes.
    #[must_use]
    pub fn read(&self) -> Archive {
        Archive { left: self.entries.iter().cloned().collect(), current: Box::new(io::empty()), ended: false }
    }
}

fn walk(folder: &Path, prefix: &str, depth: u32, entries: &mut Vec<(String, Entry)>) -> io::Result<()> {
    let at =
        |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let depth = depth.checked_sub(1).ok_or_else(|| io::Error::other("folders within folders without end"))?;
    for found in fs::read_dir(folder).map_err(|error| at(folder, error))? {
        let path = found?.path();
        let base = path.file_name().and_then(|base| base.to_str());
        let base = base.ok_or_else(|| at(&path, io::Error::other("the name is no text")))?;
        let name = format!("{prefix}{base}");
        let meta = fs::metadata(&path).map_err(|error| at(&path, error))?;
        if meta.is_dir() {
            walk(&path, &format!("{name}/"), depth, entries)?;
        } else if meta.is_file() {
            let header = header(&name, meta.len()).map_err(|error| at(&path, error))?;
            entries.push((name, Entry { path, header, len: meta.len() }));
        } else {
            return Err(at(&path, io::Error::other("is neither file nor folder")));
        }
    }
    Ok(())
}

/// A header of POSIX.1-1988 (ustar) for a regular file. Times, owners and modes are left out: equal files, equal bytes.
fn header(name: &str, len: u64) -> io::Result<[u8; 512]> {
    let (prefix, name) =
        split(name).ok_or_else(|| io::Error::other("the path is too long for an archive"))?;
    let mut header = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in header.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{len:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    for (to, from) in header.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *to = from;
    }
    Ok(header)
}

/// Prefix of at most 155 bytes and name of at most 100, cut at a slash.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    let fits = |at: &usize| *at <= 155 && path.len() - at - 1 <= 100;
    let at = path.match_indices('/').map(|(at, _)| at).find(fits)?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

/// The bytes of an archive.
#[allow(missing_debug_implementations, reason = "a reader")]
pub struct Archive {
    left: VecDeque<Entry>,
    current: Box<dyn Read + Send>,
    ended: bool,
}

impl Archive {
    /// Header, content and filling of the next file, or the end.
    fn next(&mut self) -> io::Result<bool> {
        let Some(entry) = self.left.pop_front() else {
            let more = !self.ended;
            self.ended = true;
            self.current = Box::new(io::repeat(0).take(if more { 2 * RECORD } else { 0 }));
            return Ok(more);
        };
        let content = Exactly { file: File::open(&entry.path)?, left: entry.len, path: entry.path };
        let filling = io::repeat(0).take(entry.len.next_multiple_of(RECORD) - entry.len);
        self.current = Box::new(Cursor::new(entry.header).chain(content).chain(filling));
        Ok(true)
    }
}

impl Read for Archive {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = self.current.read(into)?;
            if len > 0 || into.is_empty() || !self.next()? {
                return Ok(len);
            }
        }
    }
}

/// As many bytes of a file as it had when it was listed.
struct Exactly {
    file: File,
    left: u64,
    path: PathBuf,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = (&mut self.file).take(self.left).read(into)?;
        if len == 0 && self.left > 0 && !into.is_empty() {
            return Err(io::Error::other(format!("{} has become shorter", self.path.display())));
        }
        self.left -= u64::try_from(len).unwrap_or(0);
        Ok(len)
    }
}
