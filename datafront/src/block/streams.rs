//! How far each stream has come: what makes "exactly once" survive a sender that dies.
//!
//! Bounded: the stream that was quiet for longest makes room for a new one. A sender that comes back after that is taken
//! at its word, as after a restart of this guest: it goes on at its first unacknowledged block.

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

/// All streams.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    all: Vec<Stream>,
    uses: u64,
}

impl Streams {
    /// The stream with this id; a new one is taken to have completed what comes before `first`.
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

    /// The stream with this id, if it is known.
    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Stream> {
        self.all.iter_mut().find(|stream| stream.id == id)
    }
}
