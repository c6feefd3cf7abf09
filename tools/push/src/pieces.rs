//! A stream without a known length, as blocks: parts of one name, read as they are wanted.
//!
//! ```text
//!   reader ─► a thread: 1 MiB at a time ─► at most DEPTH parts wait ─► Pusher ─► First, Middle …, Last
//! ```
//!
//! In memory are only waiting and unacknowledged pieces. A source that ends within the first piece is one block,
//! as a file would be.

use crate::error::Error;
use crate::source::Source;
use datafront::block::Part;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Bytes of a part.
pub const PIECE: usize = 1 << 20;
/// Parts that wait to be sent.
const DEPTH: usize = 1;

/// Parts to come.
#[derive(Debug)]
pub struct Pieces {
    name: Arc<str>,
    /// Ends after the last part, or after an error.
    parts: Receiver<Result<Source, Error>>,
    /// Bytes read so far.
    read: Arc<AtomicU64>,
}

impl Pieces {
    /// The next part, if it has been read. `Disconnected` after the last one.
    ///
    /// # Errors
    /// There is none, or none yet.
    pub fn try_recv(&self) -> Result<Result<Source, Error>, TryRecvError> {
        self.parts.try_recv()
    }

    /// Bytes read so far: as long as this number grows, the source is not silent.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// The name of the parts.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Opens a source and reads it to its end in a thread of its own, as blocks of this name. To open may wait: a FIFO
/// does so for its writer.
pub fn pieces<R: Read>(name: &str, open: impl FnOnce() -> io::Result<R> + Send + 'static) -> Pieces {
    let (sender, parts) = sync_channel(DEPTH);
    let name: Arc<str> = name.into();
    let read = Arc::new(AtomicU64::new(0));
    let pieces = Pieces { name: Arc::clone(&name), parts, read: Arc::clone(&read) };
    std::thread::spawn(move || {
        let opened = open().map_err(|error| Error::Source(name.to_string(), error));
        if let Err(error) = opened.and_then(|reader| cut(&name, Counted { reader, read }, &sender)) {
            let _ = sender.send(Err(error));
        }
    });
    pieces
}

/// A reader that counts its bytes.
struct Counted<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(into)?;
        self.read.fetch_add(u64::try_from(len).unwrap_or(0), Relaxed);
        Ok(len)
    }
}

/// One piece is read ahead, so that the last one is known to be the last.
fn cut(
    name: &Arc<str>,
    mut reader: impl Read,
    sender: &SyncSender<Result<Source, Error>>,
) -> Result<(), Error> {
    let mut next = || fill(&mut reader).map_err(|error| Error::Source(name.to_string(), error));
    let (mut piece, mut is_first) = (next()?, true);
    loop {
        let after = if piece.len() < PIECE { Vec::new() } else { next()? };
        let part = match (is_first, after.is_empty()) {
            (true, true) => Part::Whole,
            (true, false) => Part::First,
            (false, false) => Part::Middle,
            (false, true) => Part::Last,
        };
        let source = Source::bytes(Arc::clone(name), piece)?.as_part(part);
        // The receiver has ended, and has reported why.
        if sender.send(Ok(source)).is_err() || after.is_empty() {
            return Ok(());
        }
        (piece, is_first) = (after, false);
    }
}

/// A whole piece, or the rest.
fn fill(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.take(u64::try_from(PIECE).unwrap_or(u64::MAX)).read_to_end(&mut piece)?;
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::{PIECE, pieces};
    use datafront::block::Part;
    use std::io::Read;

    #[test]
    fn every_byte_is_in_one_part_and_the_last_is_known() {
        let (first, middle, last) = (Part::First, Part::Middle, Part::Last);
        let cases = [
            (0, vec![Part::Whole]),
            (5, vec![Part::Whole]),
            (PIECE, vec![Part::Whole]),
            (PIECE + 1, vec![first, last]),
            (3 * PIECE, vec![first, middle, last]),
        ];
        for (len, parts) in cases {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256).to_le_bytes()[0]).collect();
            let (mut back, mut found) = (Vec::new(), Vec::new());
            let source = bytes.clone();
            let pieces = pieces("x", move || Ok(std::io::Cursor::new(source)));
            for source in &pieces.parts {
                let source = source.unwrap();
                found.push(source.part);
                source.open().unwrap().read_to_end(&mut back).unwrap();
            }
            assert_eq!(found, parts, "{len}");
            assert!(back == bytes);
            assert_eq!(pieces.bytes_read(), len as u64);
        }
    }
}
