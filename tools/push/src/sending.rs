//! A block on its way out: where the rest of its bytes comes from, and its check so far.

use crate::outgoing::Outgoing;
use crate::source::Source;
use datafront::block::wire::{Fate, Sum};
use std::io::{self, Read};
use std::sync::Arc;

/// A block of which the header is out.
pub(crate) struct Sending {
    body: Body,
    left: u64,
    sum: Sum,
    fate: Fate,
    /// Why it could not be read to its end.
    failure: Option<io::Error>,
}

/// Where the rest of its bytes comes from.
enum Body {
    /// Memory, from this byte on.
    Memory(Arc<[u8]>, usize),
    Reader(Box<dyn Read + Send>),
    /// Nowhere: it could not be read to its end.
    Lost,
}

impl Sending {
    /// Opens a source, from the first byte on.
    pub(crate) fn open(source: &Source) -> io::Result<Self> {
        let body = match source.in_memory() {
            Some(bytes) => Body::Memory(Arc::clone(bytes), 0),
            None => Body::Reader(source.open()?),
        };
        Ok(Self { body, left: source.len, sum: Sum::default(), fate: Fate::Whole, failure: None })
    }

    /// Why the source could not be read to its end, once.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Moves bytes of the block on; `None` when it is complete. If a source ends early or fails, the block is filled
    /// with zeros and aborted: the guest drops it, and its acknowledgement says so.
    pub(crate) fn some(mut self, outgoing: &mut Outgoing) -> Option<Self> {
        if self.left == 0 {
            outgoing.push(&self.sum.trailer(self.fate));
            return None;
        }
        let moved = if let Body::Memory(bytes, at) = &mut self.body {
            let len = outgoing.borrow_from(bytes, *at);
            self.sum.add(bytes.get(*at..*at + len).unwrap_or_default());
            *at += len;
            len
        } else {
            let part = outgoing.room(self.left);
            let (filled, failure) = self.body.read(part);
            if let Some(rest @ [_, ..]) = part.get_mut(filled..) {
                rest.fill(0);
                (self.fate, self.body) = (Fate::Aborted, Body::Lost);
                // The first one tells: after it there is nothing to read from.
                self.failure = self.failure.take().or(failure);
            }
            self.sum.add(part);
            part.len()
        };
        self.left -= u64::try_from(moved).unwrap_or(0);
        Some(self)
    }
}

impl Body {
    /// Reads until `part` is full, or there is no more: how much, and why there is no more.
    fn read(&mut self, part: &mut [u8]) -> (usize, Option<io::Error>) {
        let mut filled = 0;
        while let (Self::Reader(reader), Some(rest @ [_, ..])) = (&mut *self, part.get_mut(filled..)) {
            match reader.read(rest) {
                Ok(len @ 1..) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return (filled, Some(io::Error::other("it became shorter while it was read"))),
                Err(error) => return (filled, Some(error)),
            }
        }
        (filled, None)
    }
}
