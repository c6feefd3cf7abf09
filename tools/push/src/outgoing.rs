//! Bytes to be written: small blocks together in one buffer, and large ones by reference.
//!
//! ```text
//!   buffer: trailer │ header, name, bytes, trailer │ header, name      then  borrowed: bytes of a source in memory
//!           written ─►                       filled ─►
//! ```
//!
//! A write to the channel may wake the guest, so small blocks go together. A large one is copied once, into the ring.

use std::ops::Range;
use std::sync::Arc;

/// Bytes that are gathered before they are written.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Room after them for a header, its name, a trailer.
const SPARE: usize = 512;
/// Sources of at least this many bytes are written from their own memory: one more write costs less than a copy.
const WORTH: usize = 4096;

/// Bytes to be written.
pub(crate) struct Outgoing {
    buffer: Box<[u8]>,
    filled: usize,
    written: usize,
    /// Follows the bytes in the buffer.
    borrowed: Option<(Arc<[u8]>, Range<usize>)>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { buffer: vec![0; CHUNK + SPARE].into_boxed_slice(), filled: 0, written: 0, borrowed: None }
    }
}

impl Outgoing {
    /// The next bytes to write; empty if everything is written.
    pub(crate) fn next(&self) -> &[u8] {
        let gathered = self.buffer.get(self.written..self.filled).unwrap_or_default();
        match &self.borrowed {
            Some((bytes, range)) if gathered.is_empty() => bytes.get(range.clone()).unwrap_or_default(),
            _ => gathered,
        }
    }

    /// Counts bytes of [`Outgoing::next`] as written.
    pub(crate) fn advance(&mut self, len: usize) {
        if self.written < self.filled {
            self.written += len;
        } else if let Some((_, range)) = &mut self.borrowed {
            range.start += len;
        }
        if self.next().is_empty() {
            self.clear();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        (self.filled, self.written, self.borrowed) = (0, 0, None);
    }

    /// Whether more can be gathered.
    pub(crate) const fn takes_more(&self) -> bool {
        self.filled < CHUNK && self.borrowed.is_none()
    }

    /// Adds a header, a name or a trailer: less than there is spare room for.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(to) = self.buffer.get_mut(self.filled..self.filled + bytes.len()) {
            to.copy_from_slice(bytes);
            self.filled += bytes.len();
        }
    }

    /// Where at most `len` bytes of a block go, all of which the caller fills.
    pub(crate) fn room(&mut self, len: u64) -> &mut [u8] {
        let start = self.filled;
        let len = CHUNK.saturating_sub(start).min(usize::try_from(len).unwrap_or(usize::MAX));
        self.filled += len;
        self.buffer.get_mut(start..start + len).unwrap_or_default()
    }

    /// Adds bytes of a source in memory: copies few, and lends many. How many that were.
    pub(crate) fn borrow_from(&mut self, bytes: &Arc<[u8]>, from: usize) -> usize {
        let left = bytes.len().saturating_sub(from);
        if left < WORTH {
            let room = self.room(u64::try_from(left).unwrap_or(0));
            let len = room.len();
            room.copy_from_slice(bytes.get(from..from + len).unwrap_or_default());
            return len;
        }
        let len = left.min(CHUNK);
        self.borrowed = Some((Arc::clone(bytes), from..from + len));
        len
    }
}
