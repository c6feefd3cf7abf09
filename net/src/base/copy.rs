//! Copies whose length somebody outside decides: an allocation that fails is an ordinary answer.

use alloc::vec::Vec;

/// The slices, one behind the other; `None`: there is no memory.
pub(crate) fn concat(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let len = parts.iter().fold(0_usize, |len, part| len.saturating_add(part.len()));
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).ok()?;
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Some(bytes)
}

/// A copy; `None`: there is no memory.
pub(crate) fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    concat(&[bytes])
}

/// So many zeros; `None`: there is no memory.
pub(crate) fn zeros(len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).ok()?;
    bytes.resize(len, 0);
    Some(bytes)
}
