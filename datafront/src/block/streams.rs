//! The position of each stream: "exactly once" holds although a sender dies.
//!
//! Bounded: the stream that was quiet for longest makes room for a new one. A sender that comes back after that is
//! taken at its word, as after a restart of this guest: it goes on at its first unacknowledged block.
//!
//! A receiver that is to survive a restart keeps them elsewhere, as bytes (little endian):
//!
//! ```text
//!   | streams u32 | for each: id u64 | completed u64 | last use u64 | kept u32 | for each: status u32 | bytes u64 |
//! ```

use super::status::Status;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Streams that are remembered.
pub(crate) const MAX_STREAMS: usize = 16;
/// Blocks of a stream whose status is remembered; twice a window, so that no unacknowledged one is missed.
pub(crate) const MAX_KEPT: usize = 32;

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    id: u64,
    completed: u64,
    /// Status and length of the last completed blocks, the last one at the end.
    kept: VecDeque<(Status, u64)>,
    last_use: u64,
}

impl Stream {
    /// The last completed block; 0 before the first.
    pub(crate) const fn completed(&self) -> u64 {
        self.completed
    }

    /// Status and length of a completed block, as far as they are kept.
    pub(crate) fn kept(&self, seq: u64) -> Option<(Status, u64)> {
        let back = usize::try_from(self.completed.checked_sub(seq)?).ok()?;
        let at = self.kept.len().checked_sub(back.checked_add(1)?)?;
        self.kept.get(at).copied()
    }

    /// Completes the next block.
    pub(crate) fn complete(&mut self, status: Status, len: u64) {
        if self.kept.len() >= MAX_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((status, len));
        self.completed = self.completed.saturating_add(1);
    }
}

/// How far each stream has come, and the status of its last blocks.
#[derive(Debug, Default)]
pub struct Streams {
    all: Vec<Stream>,
    uses: u64,
}

impl Streams {
    /// The stream with this id; a new one counts as completed up to the block before `first`.
    pub(crate) fn enter(&mut self, id: u64, first: u64) -> &mut Stream {
        self.uses = self.uses.wrapping_add(1);
        let at = self.all.iter().position(|stream| stream.id == id).unwrap_or_else(|| {
            if self.all.len() >= MAX_STREAMS {
                let oldest = self.all.iter().enumerate().min_by_key(|(_, stream)| stream.last_use);
                let oldest = oldest.map_or(0, |(at, _)| at);
                self.all.swap_remove(oldest);
            }
            let completed = first.saturating_sub(1);
            self.all.push(Stream { id, completed, kept: VecDeque::new(), last_use: 0 });
            self.all.len().saturating_sub(1)
        });
        #[allow(clippy::indexing_slicing, reason = "found, or pushed just now")]
        let stream = &mut self.all[at];
        stream.last_use = self.uses;
        stream
    }

    /// Appends them as bytes: at most 6.6 KiB.
    pub fn save(&self, to: &mut Vec<u8>) {
        to.extend(count(self.all.len()).to_le_bytes());
        for stream in &self.all {
            for word in [stream.id, stream.completed, stream.last_use] {
                to.extend(word.to_le_bytes());
            }
            to.extend(count(stream.kept.len()).to_le_bytes());
            for (status, len) in &stream.kept {
                to.extend(status.0.to_le_bytes());
                to.extend(len.to_le_bytes());
            }
        }
    }

    /// What [`Streams::save`] has written, and nothing more; `None` for any other bytes.
    #[must_use]
    pub fn load(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let mut streams = Self::default();
        let len = usize::try_from(take(from).map(u32::from_le_bytes)?).ok()?;
        for _ in 0..Some(len).filter(|len| *len <= MAX_STREAMS)? {
            let mut word = || take(from).map(u64::from_le_bytes);
            let (id, completed, last_use) = (word()?, word()?, word()?);
            let len = usize::try_from(take(from).map(u32::from_le_bytes)?).ok()?;
            let mut kept = VecDeque::new();
            for _ in 0..Some(len).filter(|len| *len <= MAX_KEPT)? {
                kept.push_back((Status(u32::from_le_bytes(take(from)?)), u64::from_le_bytes(take(from)?)));
            }
            streams.uses = streams.uses.max(last_use);
            streams.all.push(Stream { id, completed, kept, last_use });
        }
        from.is_empty().then_some(streams)
    }

    /// The stream with this id, if it is known.
    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Stream> {
        self.all.iter_mut().find(|stream| stream.id == id)
    }
}

/// A length that is far below 2^32.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Takes the first bytes.
fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_are_loaded_are_those_that_were_saved() {
        let mut streams = Streams::default();
        for id in 0..20_u64 {
            let stream = streams.enter(id, id);
            (0..id * 3).for_each(|len| stream.complete(Status((len % 3) as u32), len));
        }
        let mut saved = Vec::new();
        streams.save(&mut saved);
        let mut loaded = Streams::load(&saved).expect("what was saved");
        let mut again = Vec::new();
        loaded.save(&mut again);
        assert_eq!(saved, again);
        let last = loaded.get(19).expect("the last stream");
        assert_eq!((last.completed(), last.kept(75)), (75, Some((Status(2), 56))));
        // The one that was quiet for longest makes room, as before.
        loaded.enter(99, 1);
        assert!(loaded.get(4).is_none() && loaded.get(5).is_some());
    }

    #[test]
    fn bytes_that_were_not_saved_are_no_streams() {
        let mut streams = Streams::default();
        streams.enter(7, 1).complete(Status::ACCEPTED, 5);
        let mut saved = Vec::new();
        streams.save(&mut saved);
        assert!((0..saved.len()).all(|len| Streams::load(&saved[..len]).is_none()));
        assert!(Streams::load(&[saved.as_slice(), &[0]].concat()).is_none());
        assert!(Streams::load(&17_u32.to_le_bytes()).is_none());
        assert!(Streams::load(&[255; 64]).is_none());
    }
}
