//! A ustar archive to its files, without copying one.
//!
//! ```text
//!   0 name 100 … 124 size 12, octal … 148 check 8 … 156 type … 257 "ustar" … 345 prefix 155
//! ```
//!
//! Regular files count, folders are implied. A `path` of a pax header is honoured; what else such a header says is not
//! needed here. Links, devices and GNU's own long names are refused: half a tree is worse than none.

use super::name;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

const RECORD: usize = 512;

/// Paths and places of all files; `None` if the bytes are no archive that is understood.
pub(super) fn files(bytes: &[u8], prefix: &str) -> Option<Vec<(String, Range<usize>)>> {
    let mut found = Vec::new();
    let (mut at, mut pax_path) = (0_usize, None);
    loop {
        let header = bytes.get(at..at.checked_add(RECORD)?)?;
        if header.iter().all(|byte| *byte == 0) {
            return Some(found);
        }
        let start = at.checked_add(RECORD)?;
        let len = usize::try_from(octal(header.get(124..136)?)?).ok()?;
        let end = start.checked_add(len)?;
        let content = bytes.get(start..end)?;
        check(header)?;
        match header.get(156)? {
            b'0' | 0 => {
                let path = pax_path.take().map_or_else(|| ustar_path(header), Some)?;
                let path = name::from_push(&path).filter(|path| !path.is_empty())?;
                found.push((format!("{prefix}{path}"), start..end));
            }
            b'5' => pax_path = None,
            b'x' => pax_path = pax(content),
            b'g' => {}
            _ => return None,
        }
        at = end.checked_next_multiple_of(RECORD)?;
    }
}

fn text(field: &[u8]) -> Option<&str> {
    core::str::from_utf8(field.split(|byte| *byte == 0).next()?).ok()
}

fn octal(field: &[u8]) -> Option<u64> {
    u64::from_str_radix(text(field)?.trim(), 8).ok()
}

fn ustar_path(header: &[u8]) -> Option<String> {
    let name = text(header.get(..100)?)?;
    // GNU's old format has other things where POSIX has the prefix.
    let posix = header.get(257..263)? == b"ustar\0";
    match text(header.get(345..500)?)? {
        prefix if posix && !prefix.is_empty() => Some(format!("{prefix}/{name}")),
        _ => Some(name.into()),
    }
}

/// The sum of all bytes, its own field taken as blanks.
fn check(header: &[u8]) -> Option<()> {
    let said = octal(header.get(148..156)?)?;
    let own: u64 = header.get(148..156)?.iter().map(|byte| u64::from(*byte)).sum();
    let all: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    (header.get(257..262)? == b"ustar" && all.checked_sub(own)?.checked_add(8 * 32)? == said).then_some(())
}

/// The `path` among records of the form `LENGTH KEY=VALUE\n`.
fn pax(content: &[u8]) -> Option<String> {
    let lines = core::str::from_utf8(content).ok()?.lines();
    let mut values = lines.filter_map(|line| line.split_once(' ')?.1.strip_prefix("path="));
    values.next_back().map(String::from)
}
