//! ELF notes of the image in memory: which build this is. Pure.
//!
//! ```text
//!   namesz u32 │ descsz u32 │ type u32 │ name, padded to 4 │ desc, padded to 4 │ next note …
//! ```
//!
//! The linker writes `.note.gnu.build-id`, a hash of everything it linked. The image begins with its notes, so they are
//! mapped; what follows them is other data, at which the search ends.

/// The type of the note that holds the build id (`elf.h`, `NT_GNU_BUILD_ID`).
const BUILD_ID: u32 = 3;
/// Notes that are looked at.
const MOST: usize = 32;

/// The build id among notes; `None` if there is none.
pub(crate) fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    for _ in 0..MOST {
        let (name_len, rest) = word(notes)?;
        let (desc_len, rest) = word(rest)?;
        let (kind, rest) = word(rest)?;
        let (name, rest) = padded(rest, name_len)?;
        let (desc, rest) = padded(rest, desc_len)?;
        if kind == BUILD_ID && name == b"GNU\0" {
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

/// The first `len` bytes, and what follows their padding.
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
    fn what_are_no_notes_end_the_search() {
        assert_eq!(build_id(&[]), None);
        assert_eq!(build_id(&[0xff; 64]), None);
        assert_eq!(build_id(&[0; 4096]), None);
        let cut = note(b"GNU\0", BUILD_ID, &[1; 20]);
        for len in 0..cut.len() {
            assert_eq!(build_id(&cut[..len]), None, "{len} bytes");
        }
    }
}
