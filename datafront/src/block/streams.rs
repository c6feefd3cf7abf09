//! The position of each stream: "exactly once" holds although a sender dies.
//!
//! Bounded: the stream that was quiet for longest makes room for a new one. A sender that comes back after that is
//! taken at its word, as after a restart of this guest: it goes on at its first unacknowledged block.
//!
//! A receiver that is to survive a restart keeps them elsewhere, as bytes (little endian):
//!
//! ```text
//!   a stream, 412 bytes:  | id u64 | completed u64 | last use u64 | kept u32 | 32 × | status u32 | bytes u64 | |
//! ```
//!
//! Each stream stays in its place as long as it is known, so that a block changes the bytes of its own stream alone.

use super::status::Status;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Streams that are remembered.
pub(crate) const MAX_STREAMS: usize = 16;
/// Blocks of a stream whose status is remembered; twice a window, so that no unacknowledged one is missed.
pub(crate) const MAX_KEPT: usize = 32;

/// Bytes of an answer that is kept: its status and the block's length.
const KEPT_BYTES: usize = 4 + 8;
/// Bytes of a stream by which a change of it is seen: its number, what is completed, and its last use.
const CHANGES_BYTES: usize = 3 * 8;
/// Bytes of a stream.
const STREAM_BYTES: usize = CHANGES_BYTES + 4 + MAX_KEPT * KEPT_BYTES;

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

    /// What differs from before if anything does: each block that is completed is counted.
    fn changes(&self) -> [u8; CHANGES_BYTES] {
        let words = [self.id, self.completed, self.last_use].map(u64::to_le_bytes);
        words.as_flattened().try_into().unwrap_or([0; CHANGES_BYTES])
    }

    /// Its bytes, in place of those of before.
    fn save(&self, to: &mut [u8; STREAM_BYTES]) {
        to.fill(0);
        let Some((changes, rest)) = to.split_first_chunk_mut() else { return };
        *changes = self.changes();
        let Some((kept, rest)) = rest.split_first_chunk_mut() else { return };
        *kept = u32::try_from(self.kept.len()).unwrap_or(0).to_le_bytes();
        for ((status, len), to) in self.kept.iter().zip(rest.as_chunks_mut::<KEPT_BYTES>().0) {
            let [a, b, c, d] = status.0.to_le_bytes();
            let [e, f, g, h, i, j, k, l] = len.to_le_bytes();
            *to = [a, b, c, d, e, f, g, h, i, j, k, l];
        }
    }

    /// What [`Stream::save`] has written.
    fn load(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let mut word = || take(from).map(u64::from_le_bytes);
        let (id, completed, last_use) = (word()?, word()?, word()?);
        let len = usize::try_from(take(from).map(u32::from_le_bytes)?).ok()?;
        let mut kept = VecDeque::new();
        for _ in 0..Some(len).filter(|len| *len <= MAX_KEPT)? {
            kept.push_back((Status(u32::from_le_bytes(take(from)?)), u64::from_le_bytes(take(from)?)));
        }
        Some(Self { id, completed, kept, last_use })
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
            let completed = first.saturating_sub(1);
            self.add(Stream { id, completed, kept: VecDeque::new(), last_use: 0 })
        });
        #[allow(clippy::indexing_slicing, reason = "found, or pushed just now")]
        let stream = &mut self.all[at];
        stream.last_use = self.uses;
        stream
    }

    /// Adds a stream, in the place of the one that was quiet for longest if there is no room; where it is.
    fn add(&mut self, new: Stream) -> usize {
        if self.all.len() >= MAX_STREAMS
            && let Some((at, oldest)) =
                self.all.iter_mut().enumerate().min_by_key(|(_, stream)| stream.last_use)
        {
            *oldest = new;
            return at;
        }
        self.all.push(new);
        self.all.len().saturating_sub(1)
    }

    /// Makes these bytes, which are those of an earlier call or none, those of the streams as they are now: at most 6.5 KiB.
    pub fn save(&self, to: &mut Vec<u8>) {
        to.resize(self.all.len().saturating_mul(STREAM_BYTES), 0);
        for (stream, to) in self.all.iter().zip(to.as_chunks_mut::<STREAM_BYTES>().0) {
            if !to.starts_with(&stream.changes()) {
                stream.save(to);
            }
        }
    }

    /// What [`Streams::save`] has written, and nothing more; `None` for any other bytes.
    #[must_use]
    pub fn load(bytes: &[u8]) -> Option<Self> {
        let (streams, rest) = bytes.as_chunks::<STREAM_BYTES>();
        if streams.len() > MAX_STREAMS || !rest.is_empty() {
            return None;
        }
        let all: Vec<Stream> = streams.iter().map(|bytes| Stream::load(bytes)).collect::<Option<_>>()?;
        let uses = all.iter().map(|stream| stream.last_use).max().unwrap_or(0);
        Some(Self { all, uses })
    }

    /// The stream with this id, if it is known.
    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Stream> {
        self.all.iter_mut().find(|stream| stream.id == id)
    }
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

    fn saved(streams: &Streams) -> Vec<u8> {
        let mut bytes = Vec::new();
        streams.save(&mut bytes);
        bytes
    }

    #[test]
    fn streams_that_are_loaded_are_those_that_were_saved() {
        let mut streams = Streams::default();
        for id in 0..20_u64 {
            let stream = streams.enter(id, id);
            (0..id * 3).for_each(|len| stream.complete(Status((len % 3) as u32), len));
        }
        let bytes = saved(&streams);
        assert_eq!(bytes.len(), MAX_STREAMS * STREAM_BYTES);
        let mut loaded = Streams::load(&bytes).expect("what was saved");
        assert_eq!(bytes, saved(&loaded));
        let last = loaded.get(19).expect("the last stream");
        assert_eq!((last.completed(), last.kept(75)), (75, Some((Status(2), 56))));
        // The one that was quiet for longest makes room, as before.
        loaded.enter(99, 1);
        assert!(loaded.get(4).is_none() && loaded.get(5).is_some());
    }

    #[test]
    fn bytes_that_are_saved_again_are_those_of_now() {
        let (mut streams, mut kept) = (Streams::default(), Vec::new());
        for nth in 0..400_u64 {
            let stream = streams.enter(nth * nth % 23, nth % 5);
            (0..nth % 4).for_each(|len| stream.complete(Status::ACCEPTED, nth + len));
            if nth % 3 == 0 {
                streams.save(&mut kept);
                assert_eq!(kept, saved(&streams), "{nth}");
            }
        }
    }

    #[test]
    fn bytes_that_were_not_saved_are_no_streams() {
        let mut streams = Streams::default();
        streams.enter(7, 1).complete(Status::ACCEPTED, 5);
        let one = saved(&streams);
        assert!((1..one.len()).all(|len| Streams::load(&one[..len]).is_none()));
        assert!(Streams::load(&[one.as_slice(), &[0]].concat()).is_none());
        assert!(Streams::load(&one.repeat(MAX_STREAMS)).is_some());
        assert!(Streams::load(&one.repeat(MAX_STREAMS + 1)).is_none());
        assert!(Streams::load(&[255; STREAM_BYTES]).is_none());
    }
}
