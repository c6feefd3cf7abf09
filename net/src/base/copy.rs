//! Copies whose length a peer or an application decides: the allocation may fail.

use alloc::vec::Vec;

/// The slices, joined. Returns `None` without memory.
pub(crate) fn concat(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let len = parts.iter().fold(0_usize, |len, part| len.saturating_add(part.len()));
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).ok()?;
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Some(bytes)
}

/// A copy. Returns `None` without memory.
pub(crate) fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    concat(&[bytes])
}

/// `len` zero bytes. Returns `None` without memory.
pub(crate) fn zeros(len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).ok()?;
    bytes.resize(len, 0);
    Some(bytes)
}
