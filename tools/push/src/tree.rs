//! A folder as a POSIX archive, listed first and read later, so that its length is known before its bytes.
//!
//! ```text
//!   | pax header, only for a long path | header 512 | content, filled up to 512 | … | 1024 zeros |   files only, by name
//! ```
//!
//! A file that shrinks in between is an error while reading; one that grows is cut to the length that was listed.
//!
//! An entry that cannot be published (a broken link, a link out of the folder, a device, FIFO or socket) is named,
//! and refuses the folder or is left out, as [`Rules`] say.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

const RECORD: u64 = 512;
/// Folders within folders that are followed.
const MAX_DEPTH: u32 = 64;
/// Files that an error names.
const MAX_NAMED: usize = 20;

/// The published part of a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Also files and folders whose name begins with a dot.
    pub all: bool,
    /// Leave out entries that cannot be published, which otherwise refuse the folder.
    pub skip: bool,
}

/// Why something in a folder is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A link to nothing.
    Dangling,
    /// A link to something outside of the folder.
    Outside,
    /// A device, a FIFO or a socket.
    Special,
    /// A name that is not UTF-8.
    Name,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dangling => "a link to nothing",
            Self::Outside => "a link out of the folder",
            Self::Special => "neither a file nor a folder",
            Self::Name => "its name is not UTF-8",
        })
    }
}

/// Something that is not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    path: PathBuf,
    /// One record; with a pax header before it, three or more.
    header: Vec<u8>,
    len: u64,
}

/// A folder's files.
#[derive(Clone, Debug)]
pub struct Tree {
    entries: Vec<Entry>,
    left_out: Vec<LeftOut>,
}

impl Tree {
    /// Lists a folder and all below it. Links are followed within the folder.
    ///
    /// # Errors
    /// The file system's error, or the names of entries that cannot be published, unless the rules leave them out.
    pub fn list(folder: &Path, rules: Rules) -> io::Result<Self> {
        let mut listing =
            Listing { root: folder.canonicalize()?, rules, entries: Vec::new(), left_out: Vec::new() };
        listing.walk(folder, "", MAX_DEPTH)?;
        let Listing { mut entries, mut left_out, .. } = listing;
        left_out.sort_by(|a, b| a.path.cmp(&b.path));
        if !rules.skip && !left_out.is_empty() {
            let mut text = String::from("cannot be published as it is (--skip leaves out what cannot):");
            left_out.iter().take(MAX_NAMED).for_each(|one| text.push_str(&format!("\n{one}")));
            if let Some(more @ 1..) = left_out.len().checked_sub(MAX_NAMED) {
                text.push_str(&format!("\nand {more} more"));
            }
            return Err(io::Error::other(text));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { entries, left_out })
    }

    /// Entries that are not published, by path.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Names and lengths in bytes of its files, in the order of the archive.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.len))
    }

    /// Bytes of the archive.
    #[must_use]
    pub fn len(&self) -> u64 {
        let entry = |entry: &Entry| {
            u64::try_from(entry.header.len())
                .unwrap_or(u64::MAX)
                .saturating_add(entry.len.next_multiple_of(RECORD))
        };
        self.entries.iter().map(entry).sum::<u64>() + 2 * RECORD
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

/// A folder while it is listed.
struct Listing {
    /// The folder without links in its path.
    root: PathBuf,
    rules: Rules,
    entries: Vec<Entry>,
    left_out: Vec<LeftOut>,
}

impl Listing {
    fn walk(&mut self, folder: &Path, prefix: &str, depth: u32) -> io::Result<()> {
        let at = |path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        let depth =
            depth.checked_sub(1).ok_or_else(|| at(folder, io::Error::other("too many folders deep")))?;
        for found in fs::read_dir(folder).map_err(|error| at(folder, error))? {
            let path = found?.path();
            let base = path.file_name().unwrap_or_default();
            if !self.rules.all && is_hidden(base.as_encoded_bytes()) {
                continue;
            }
            let Some(base) = base.to_str() else {
                self.left_out.push(LeftOut { path, reason: Reason::Name });
                continue;
            };
            let name = format!("{prefix}{base}");
            let meta = match self.target(&path).map_err(|error| at(&path, error))? {
                Ok(meta) => meta,
                Err(reason) => {
                    self.left_out.push(LeftOut { path, reason });
                    continue;
                }
            };
            if meta.is_dir() {
                self.walk(&path, &format!("{name}/"), depth)?;
            } else {
                let header = headers(&name, meta.len());
                self.entries.push(Entry { name, path, header, len: meta.len() });
            }
        }
        Ok(())
    }

    /// The file or folder at a path, with links resolved, or the reason why it is not published.
    fn target(&self, path: &Path) -> io::Result<Result<fs::Metadata, Reason>> {
        let is_link = fs::symlink_metadata(path)?.is_symlink();
        let meta = match fs::metadata(path) {
            Err(error) if is_link && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(Reason::Dangling));
            }
            other => other?,
        };
        if is_link && !path.canonicalize()?.starts_with(&self.root) {
            return Ok(Err(Reason::Outside));
        }
        Ok(if meta.is_dir() || meta.is_file() { Ok(meta) } else { Err(Reason::Special) })
    }
}

/// Whether a name is left out unless all are published.
pub(crate) fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&b'.')
}

/// The headers of a regular file: ustar's (POSIX.1-1988), and before it pax's (POSIX.1-2001) with the path if that is
/// too long for it. Times, owners and modes are left out: equal files, equal bytes.
fn headers(path: &str, len: u64) -> Vec<u8> {
    if let Some((prefix, name)) = split(path) {
        return header(prefix, name, len, b'0').to_vec();
    }
    let record = pax_record("path", path);
    let record_len = u64::try_from(record.len()).unwrap_or(u64::MAX);
    let mut headers = header("", "pax", record_len, b'x').to_vec();
    headers.extend(record.as_bytes());
    headers.resize(headers.len().next_multiple_of(512), 0);
    let short: String = path.rsplit('/').next().unwrap_or_default().chars().take(20).collect();
    headers.extend(header("", &short, len, b'0'));
    headers
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    format!("{len} {key}={value}\n")
}

fn header(prefix: &str, name: &str, len: u64, kind: u8) -> [u8; 512] {
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
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    for (to, from) in header.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *to = from;
    }
    header
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
