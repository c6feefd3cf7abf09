//! The files of a tar archive, in place: ustar, pax (POSIX.1-2001) and GNU's long names.
//!
//! ```text
//!   0 name 100 … 124 size 12, octal … 136 mtime 12 … 148 checksum 8 … 156 type … 257 "ustar" … 345 prefix 155
//!
//!   x  pax header: records for the next entry ─┐
//!   L  GNU: the name of the next entry ────────┴─► 0 file, 5 folder
//! ```
//!
//! Folders are implied by their files. What cannot be published as it is meant (links, devices, sparse files, entries of
//! unknown types) refuses the whole archive, by name and type: half a tree is worse than none.

use super::name;
use super::pax::{Pax, PaxError};
use crate::content::Content;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

const RECORD: usize = 512;
/// Bytes of a pax header or of a long name at most.
const LONGEST_META: usize = 64 * 1024;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The path below which it is published.
    pub(super) path: String,
    /// Its bytes.
    pub(super) range: Range<usize>,
    /// Its modification time, seconds since 1970.
    pub(super) modified: u64,
}

/// Why an archive is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The record at this offset is no header of a tar archive.
    NotTar(usize),
    /// The archive ends within an entry or before its end mark.
    Truncated,
    /// An entry of a type that cannot be published.
    Type { name: String, what: &'static str },
    /// A name that cannot be a path: not UTF-8, `..`, control characters.
    Name(String),
    /// A pax header that does not parse.
    Pax(PaxError),
    /// No memory for the list of files.
    Memory,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTar(at) => write!(f, "no tar header at offset {at}"),
            Self::Truncated => f.write_str("the archive ends too early"),
            Self::Type { name, what } => {
                write!(f, "{name}: {what} cannot be published; archive its target or leave it out")
            }
            Self::Name(name) => write!(f, "{name}: the name cannot be a path"),
            Self::Pax(error) => write!(f, "pax header: {error}"),
            Self::Memory => f.write_str("no memory for the list of files"),
        }
    }
}

/// What headers say of the next entry.
#[derive(Debug, Default)]
struct Next {
    pax: Pax,
    long_name: Option<Vec<u8>>,
}

/// The files of an archive, their paths below `prefix`.
pub(super) fn files(content: &Content, prefix: &str) -> Result<Vec<Entry>, Refused> {
    let (mut found, mut at, mut next) = (Vec::new(), 0_usize, Next::default());
    loop {
        let header = Header::read(content, at)?;
        let start = at.saturating_add(RECORD);
        let Some(header) = header else { return Ok(found) };
        let own_size = header.size().ok_or(Refused::NotTar(at))?;
        let is_meta = matches!(header.kind(), b'x' | b'g' | b'L' | b'K');
        let size = if is_meta { own_size } else { next.pax.size.unwrap_or(own_size) };
        let size = usize::try_from(size).map_err(|_| Refused::Truncated)?;
        let end = start.checked_add(size).filter(|end| *end <= content.len()).ok_or(Refused::Truncated)?;
        if is_meta {
            next.read(header.kind(), content, start..end)?;
        } else {
            let Next { pax, long_name } = core::mem::take(&mut next);
            let path = pax.path.clone().or(long_name).unwrap_or_else(|| header.path());
            if let Some(path) = accept(&header, &pax, &path)? {
                let modified = pax.modified.or_else(|| header.modified()).unwrap_or(0);
                found.try_reserve(1).map_err(|_| Refused::Memory)?;
                found.push(Entry { path: format!("{prefix}{path}"), range: start..end, modified });
            }
        }
        at = end.checked_next_multiple_of(RECORD).ok_or(Refused::Truncated)?;
    }
}

/// The path of a file; `None` for a folder.
fn accept(header: &Header, pax: &Pax, path: &[u8]) -> Result<Option<String>, Refused> {
    let shown = || String::from_utf8_lossy(path).into_owned();
    let refused = |what| Err(Refused::Type { name: shown(), what });
    let what = match header.kind() {
        _ if pax.sparse => return refused("a sparse file"),
        b'5' => return Ok(None),
        // Before POSIX a folder was a file whose name ends so.
        0 | b'0' if path.ends_with(b"/") => return Ok(None),
        0 | b'0' | b'7' => {
            let text = core::str::from_utf8(path).map_err(|_| Refused::Name(shown()))?;
            let path = name::from_push(text).filter(|path| !path.is_empty());
            return path.map(Some).ok_or_else(|| Refused::Name(shown()));
        }
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' | b'4' => "a device",
        b'6' => "a FIFO",
        b'S' => "a sparse file",
        b'D' | b'M' | b'V' => "an entry of an incremental or multi-volume archive",
        _ => "an entry of an unknown type",
    };
    refused(what)
}

impl Next {
    fn read(&mut self, kind: u8, content: &Content, range: Range<usize>) -> Result<(), Refused> {
        if range.len() > LONGEST_META {
            return Err(Refused::Pax(PaxError::TooLong));
        }
        let bytes = content.copy(range).ok_or(Refused::Memory)?;
        match kind {
            b'x' => self.pax.read(&bytes).map_err(Refused::Pax)?,
            // For all entries that follow; nothing in it is needed, but it must be readable.
            b'g' => Pax::default().read(&bytes).map_err(Refused::Pax)?,
            b'L' => {
                let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                if name.len() > name::LONGEST {
                    return Err(Refused::Pax(PaxError::TooLong));
                }
                self.long_name = Some(name.to_vec());
            }
            // The long target of a link: the link itself is refused.
            _ => {}
        }
        Ok(())
    }
}

/// A header record.
struct Header([u8; RECORD]);

impl Header {
    /// Reads and checks the record at an offset; `None` is the end mark.
    fn read(content: &Content, at: usize) -> Result<Option<Self>, Refused> {
        let mut record = [0; RECORD];
        let end = at.checked_add(RECORD).ok_or(Refused::Truncated)?;
        let mut filled = 0_usize;
        for run in content.runs(at..end) {
            let to = filled.saturating_add(run.len());
            record.get_mut(filled..to).ok_or(Refused::Truncated)?.copy_from_slice(run);
            filled = to;
        }
        if filled < RECORD {
            return Err(if at == 0 { Refused::NotTar(0) } else { Refused::Truncated });
        }
        if record.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Self(record);
        if header.checks() { Ok(Some(header)) } else { Err(Refused::NotTar(at)) }
    }

    fn field(&self, range: Range<usize>) -> &[u8] {
        self.0.get(range).unwrap_or_default()
    }

    fn text(&self, range: Range<usize>) -> &[u8] {
        self.field(range).split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn octal(&self, range: Range<usize>) -> Option<u64> {
        u64::from_str_radix(core::str::from_utf8(self.text(range)).ok()?.trim(), 8).ok()
    }

    fn kind(&self) -> u8 {
        self.field(156..157).first().copied().unwrap_or_default()
    }

    fn size(&self) -> Option<u64> {
        self.octal(124..136)
    }

    fn modified(&self) -> Option<u64> {
        self.octal(136..148)
    }

    /// The magic, and the sum of all bytes with the sum's own field as blanks.
    fn checks(&self) -> bool {
        let sum = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum.saturating_add(u64::from(*byte)));
        let (all, own) = (sum(&self.0), sum(self.field(148..156)));
        let expected = all.saturating_sub(own).saturating_add(8 * 32);
        self.field(257..262) == b"ustar" && self.octal(148..156) == Some(expected)
    }

    /// The name, and before it the prefix of POSIX; GNU's old format has other fields in its place.
    fn path(&self) -> Vec<u8> {
        let (name, prefix) = (self.text(0..100), self.text(345..500));
        let is_posix = self.field(257..263) == b"ustar\0";
        if is_posix && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
    }
}
