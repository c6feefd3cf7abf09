//! A connection: bytes out as far as there is room, whole frames in, and one place that waits.
//!
//! ```text
//!   driver ── write: as much as there is room for ──► way ══► guest
//!   driver ◄── next: frames, the end, or nothing ◄── way ◄══ guest
//!                └── nothing there: waits, for a frame or for room
//! ```
//!
//! One thread: each switch between two would cost as much as a small block does.

use crate::dial::Way;
use datafront::block::Frame;
use datafront::block::wire::HEADER_BYTES;
use std::time::Duration;

/// Bytes read at once: many frames.
const BUFFER: usize = 4096;

/// An event on a connection.
#[derive(Debug)]
pub enum News {
    /// The guest sent frames: all that were received.
    Frames(Vec<Frame>),
    /// The connection has ended, and why.
    Ended(String),
}

/// A connection to the guest.
pub struct Connection {
    way: Box<dyn Way>,
    /// Boxed: the owner of a connection moves it.
    bytes: Box<[u8]>,
    filled: usize,
    /// The stream that is pushed on it.
    stream: u64,
    /// Why nothing can be written any more. Frames that the guest sent before are still read.
    broken: Option<String>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Over this way, for a stream.
    #[must_use]
    pub fn new(way: Box<dyn Way>, stream: u64) -> Self {
        Self { way, stream, bytes: vec![0; BUFFER].into_boxed_slice(), filled: 0, broken: None }
    }

    /// Writes as many bytes as there is room for; their number.
    pub fn write(&mut self, from: &[u8]) -> usize {
        if self.broken.is_some() {
            return 0;
        }
        self.way.write(from).unwrap_or_else(|error| {
            self.broken = Some(error.to_string());
            0
        })
    }

    /// The next event within `limit`, if any. Returns early when there may be room, if that is wanted.
    pub fn next(&mut self, for_room: bool, limit: Duration) -> Option<News> {
        if let Some(news) = self.hear() {
            return Some(news);
        }
        if let Some(why) = self.broken.take() {
            return Some(News::Ended(why));
        }
        if let Err(error) = self.way.wait(for_room, limit) {
            return Some(News::Ended(error.to_string()));
        }
        self.hear()
    }

    /// The last message of the way itself.
    #[must_use]
    pub fn said(&self) -> String {
        self.way.said()
    }

    /// The received frames.
    fn hear(&mut self) -> Option<News> {
        match self.way.read(self.bytes.get_mut(self.filled..).unwrap_or_default()) {
            Ok(None) => return None,
            Ok(Some(0)) | Err(_) => return Some(News::Ended("the connection was closed".into())),
            Ok(Some(len)) => self.filled += len,
        }
        // A receiver's frames have no names: each has as many bytes.
        let (heads, _) = self.bytes.get(..self.filled).unwrap_or_default().as_chunks::<HEADER_BYTES>();
        let whole = heads.len() * HEADER_BYTES;
        let mut frames = Vec::with_capacity(heads.len());
        let parsed = heads
            .iter()
            .try_for_each(|head| Frame::parse_answer(head, self.stream).map(|frame| frames.push(frame)));
        self.bytes.copy_within(whole..self.filled, 0);
        self.filled -= whole;
        match parsed {
            Ok(()) if frames.is_empty() => None,
            Ok(()) => Some(News::Frames(frames)),
            Err(why) => Some(News::Ended(format!("no frame: {why:?}"))),
        }
    }
}
