//! Parser of the ELF notes of the image in memory.
//!
//! ```text
//!   namesz u32 │ descsz u32 │ type u32 │ name, padded to 4 │ desc, padded to 4 │ next note …
//! ```
//!
//! The linker writes `.note.gnu.build-id`, a hash of everything that it linked. [`note!`](crate::note!) adds a package
//! note with version, commit and dependencies as JSON. The notes are the first bytes of the image, and are mapped.

/// The type of the note that holds the build id (`elf.h`, `NT_GNU_BUILD_ID`).
const BUILD_ID: u32 = 3;
/// The type of the package note (UAPI group, Package Metadata for Executable Files).
const PACKAGE: u32 = 0xcafe_1a7e;
/// Notes that are read at most.
const MOST: usize = 32;

/// The build id, if there is one.
pub(crate) fn build_id(notes: &[u8]) -> Option<&[u8]> {
    find(notes, b"GNU\0", BUILD_ID)
}

/// The JSON text of the package note; empty without one.
pub(crate) fn package(notes: &[u8]) -> &str {
    let text = find(notes, b"FDO\0", PACKAGE).and_then(|text| str::from_utf8(text).ok());
    text.unwrap_or_default().trim_end_matches('\0')
}

/// The string value of `key` in the package note. Values contain no quotes.
pub(crate) fn text<'a>(package: &'a str, key: &str) -> &'a str {
    behind(package, key).and_then(|rest| rest.strip_prefix('"')?.split('"').next()).unwrap_or_default()
}

/// The strings of the list `key` in the package note.
pub(crate) fn list<'a>(package: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let list = behind(package, key).and_then(|rest| rest.strip_prefix('[')?.split(']').next());
    // Quotes delimit the strings and occur nowhere else, so every second piece is a string.
    list.unwrap_or_default().split('"').skip(1).step_by(2)
}

fn behind<'a>(package: &'a str, key: &str) -> Option<&'a str> {
    let mut from = package;
    loop {
        let (_, rest) = from.split_once('"')?;
        if let Some(rest) = rest.strip_prefix(key).and_then(|rest| rest.strip_prefix("\":")) {
            return Some(rest);
        }
        from = rest;
    }
}

fn find<'a>(mut notes: &'a [u8], owner: &[u8], wanted: u32) -> Option<&'a [u8]> {
    for _ in 0..MOST {
        let (name_len, rest) = word(notes)?;
        let (desc_len, rest) = word(rest)?;
        let (kind, rest) = word(rest)?;
        let (name, rest) = padded(rest, name_len)?;
        let (desc, rest) = padded(rest, desc_len)?;
        if kind == wanted && name == owner {
            return Some(desc);
        }
        notes = rest;
    }
    None
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*word), rest))
}

/// The first `len` bytes, and the rest behind their padding.
fn padded(bytes: &[u8], len: u32) -> Option<(&[u8], &[u8])> {
    let len = usize::try_from(len).ok()?;
    let value = bytes.get(..len)?;
    Some((value, bytes.get(len.checked_next_multiple_of(4)?..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [u32::try_from(name.len()).unwrap(), u32::try_from(desc.len()).unwrap(), kind] {
            bytes.extend(word.to_le_bytes());
        }
        for part in [name, desc] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let mut notes = note(b"Xen\0", 18, &[1, 2, 3, 4]);
        notes.extend(note(b"Xen\0", BUILD_ID, &[9; 4]));
        notes.extend(note(b"GNU\0", BUILD_ID, &[0xab; 20]));
        notes.extend([0xff; 40]);
        assert_eq!(build_id(&notes), Some(&[0xab; 20][..]));
    }

    #[test]
    fn commit_and_dependencies_are_read_from_the_package_note() {
        let json = r#"{"commit":"ab-dirty","dependencies":["log 0.4.35","xen 0.1.0"],"name":"web"}"#;
        let mut notes = note(b"Xen\0", 18, &[1, 2, 3, 4]);
        notes.extend(note(b"FDO\0", PACKAGE, &[json.as_bytes(), b"\0"].concat()));
        let package = package(&notes);
        assert_eq!(package, json);
        assert_eq!((text(package, "commit"), text(package, "name")), ("ab-dirty", "web"));
        assert_eq!(list(package, "dependencies").collect::<Vec<_>>(), ["log 0.4.35", "xen 0.1.0"]);
        assert_eq!((text("", "commit"), text("{}", "commit"), list("{", "x").count()), ("", "", 0));
    }

    #[test]
    fn malformed_notes_end_the_search() {
        assert_eq!(build_id(&[]), None);
        assert_eq!(build_id(&[0xff; 64]), None);
        assert_eq!(build_id(&[0; 4096]), None);
        let cut = note(b"GNU\0", BUILD_ID, &[1; 20]);
        for len in 0..cut.len() {
            assert_eq!(build_id(&cut[..len]), None, "{len} bytes");
        }
    }
}
