//! The records of a pax header: `LENGTH KEY=VALUE\n`, where the length counts the whole record (POSIX.1-2017, pax).
//!
//! A value may have any bytes, line ends too: a record ends where its length says. Unknown keys are skipped.

use super::name;
use alloc::vec::Vec;
use core::fmt;

/// What a pax header says of its entry, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Seconds since 1970.
    pub(super) modified: Option<u64>,
    /// GNU's sparse format: the entry's bytes are not the file's.
    pub(super) sparse: bool,
}

/// Why a header does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PaxError {
    /// A record without a length, or with one that does not fit.
    Length,
    /// A record without a key, or that does not end in a line end.
    Record,
    /// A number that is none.
    Number,
    /// Longer than is read.
    TooLong,
}

impl fmt::Display for PaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a record has a wrong length",
            Self::Record => "a record is not KEY=VALUE and a line end",
            Self::Number => "a size or time is not a number",
            Self::TooLong => "it is longer than 64 KiB, or its path longer than 1024 bytes",
        })
    }
}

impl Pax {
    /// Reads all records; a later one wins.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), PaxError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let len = number(rest.get(..digits).unwrap_or_default()).ok_or(PaxError::Length)?;
            let len = usize::try_from(len).map_err(|_| PaxError::Length)?;
            let (record, behind) = rest.split_at_checked(len).ok_or(PaxError::Length)?;
            let record = record.get(digits..).ok_or(PaxError::Length)?;
            let record = record.strip_prefix(b" ").and_then(|record| record.strip_suffix(b"\n"));
            let record = record.ok_or(PaxError::Record)?;
            let mark = record.iter().position(|byte| *byte == b'=').ok_or(PaxError::Record)?;
            let (key, value) = record.split_at_checked(mark).ok_or(PaxError::Record)?;
            self.set(key, value.get(1..).unwrap_or_default())?;
            rest = behind;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), PaxError> {
        match key {
            b"path" if value.len() > name::LONGEST => return Err(PaxError::TooLong),
            b"path" => self.path = Some(value.to_vec()),
            b"size" => self.size = Some(number(value).ok_or(PaxError::Number)?),
            b"mtime" => {
                // Seconds with a fraction; times before 1970 count as no time.
                let seconds = value.split(|byte| *byte == b'.').next().unwrap_or_default();
                self.modified = if value.starts_with(b"-") {
                    None
                } else {
                    Some(number(seconds).ok_or(PaxError::Number)?)
                };
            }
            _ => self.sparse |= key.starts_with(b"GNU.sparse."),
        }
        Ok(())
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Pax, PaxError};

    fn read(bytes: &[u8]) -> Result<Pax, PaxError> {
        let mut pax = Pax::default();
        pax.read(bytes).map(|()| pax)
    }

    #[test]
    fn records_end_where_their_length_says() {
        // A binary value with line ends and what looks like a record.
        let bytes =
            b"31 SCHILY.xattr.a=\x00\xff\n9 path=x\n\n15 path=long/p\n11 size=42\n19 mtime=100.25001\n";
        let pax = read(bytes).unwrap();
        assert_eq!(pax.path.as_deref(), Some(b"long/p".as_slice()));
        assert_eq!((pax.size, pax.modified, pax.sparse), (Some(42), Some(100), false));
        assert!(read(b"22 GNU.sparse.major=1\n").unwrap().sparse);
        assert_eq!(read(b"13 mtime=-1.5\n"), Err(PaxError::Record));
        assert_eq!(read(b"14 mtime=-1.5\n").unwrap().modified, None);
        assert_eq!(read(b""), Ok(Pax::default()));
    }

    #[test]
    fn records_that_do_not_parse_are_errors() {
        for (bytes, error) in [
            (b"path=x\n".as_slice(), PaxError::Length),
            (b"99 path=x\n", PaxError::Length),
            (b"0 path=x\n", PaxError::Length),
            (b"1 path=x\n", PaxError::Record),
            (b"8 path=x\n", PaxError::Record),
            (b"9 pathxxx\n", PaxError::Record),
            (b"10 path=x\0", PaxError::Record),
            (b"10 size=x1\n", PaxError::Record),
            (b"11 size=x1\n", PaxError::Number),
            (b"10 size=+1\n", PaxError::Record),
            (b"9 size=x\n", PaxError::Number),
            (b"99999999999999999999 path=x\n", PaxError::Length),
        ] {
            assert_eq!(read(bytes), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
    }
    use alloc::string::String;
}
