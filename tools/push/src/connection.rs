//! A connection with its two threads, so that whoever drives it never waits without an end.
//!
//! ```text
//!   driver ── at once, if the way can and nothing waits ──────────► to_guest
//!   driver ── what is left, at most DEPTH chunks ──► writer thread ──► to_guest
//!   driver ◄── Frames, Room, Ended ───────────────── reader thread ◄── from_guest
//! ```

use crate::dial::{AtOnce, Way};
use datafront::block::Frame;
use datafront::block::wire::HEADER_BYTES;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes read at once: many frames.
const BUFFER: usize = 4096;
/// Chunks between the driver and the writer.
const DEPTH: usize = 4;

/// What happens on a connection.
#[derive(Debug)]
pub enum News {
    /// The guest said something: all frames that were there.
    Frames(Vec<Frame>),
    /// There is room for another chunk.
    Room,
    /// The connection has ended, and why.
    Ended(String),
}

/// A connection to the guest.
pub struct Connection {
    chunks: SyncSender<Vec<u8>>,
    news: Receiver<News>,
    at_once: RefCell<Option<AtOnce>>,
    /// Chunks that the writer has not written yet.
    queued: Cell<usize>,
    said: Arc<Mutex<String>>,
    /// Dropped with the connection; ends both threads.
    _hold: Box<dyn Send>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Starts both threads.
    #[must_use]
    pub fn start(way: Way) -> Self {
        let (chunks, to_write) = sync_channel::<Vec<u8>>(DEPTH);
        let (sender, news) = channel();
        let for_writer = sender.clone();
        let (mut from_guest, mut to_guest) = (way.from_guest, way.to_guest);
        std::thread::spawn(move || {
            for chunk in to_write {
                let written = to_guest.write_all(&chunk).and_then(|()| to_guest.flush());
                let ended = written.is_err();
                let news = written.map_or_else(|error| News::Ended(error.to_string()), |()| News::Room);
                if for_writer.send(news).is_err() || ended {
                    return;
                }
            }
        });
        std::thread::spawn(move || read(&mut *from_guest, &sender));
        let at_once = RefCell::new(way.at_once);
        Self { chunks, news, at_once, queued: Cell::new(0), said: way.said, _hold: way.hold }
    }

    /// Writes a chunk at once, as far as there is room, and gives the rest to the writer; gives it back if that has no
    /// room.
    ///
    /// # Errors
    /// The chunk, or what is left of it.
    pub fn offer(&self, mut chunk: Vec<u8>) -> Result<(), Vec<u8>> {
        if let (Some(at_once), 0) = (&mut *self.at_once.borrow_mut(), self.queued.get()) {
            // A channel that has ended is heard of by the reader.
            let len = at_once(&chunk).unwrap_or(0);
            if len >= chunk.len() {
                return Ok(());
            }
            chunk.drain(..len);
        }
        let sent = self.chunks.try_send(chunk).map_err(|error| match error {
            // Whoever waits hears why from the thread that has ended.
            TrySendError::Full(chunk) | TrySendError::Disconnected(chunk) => chunk,
        });
        if sent.is_ok() {
            self.queued.set(self.queued.get() + 1);
        }
        sent
    }

    /// What happened next, if anything does within `limit`.
    #[must_use]
    pub fn next(&self, limit: Duration) -> Option<News> {
        let news = match self.news.recv_timeout(limit) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(News::Ended("both threads have ended".into())),
        };
        if matches!(news, Some(News::Room)) {
            self.queued.set(self.queued.get().saturating_sub(1));
        }
        news
    }

    /// What the way itself said last.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(from_guest: &mut dyn Read, news: &Sender<News>) {
    let mut bytes = [0; BUFFER];
    let mut filled = 0;
    let ended = loop {
        match from_guest.read(bytes.get_mut(filled..).unwrap_or_default()) {
            Ok(0) | Err(_) => break "the connection was closed".to_owned(),
            Ok(len) => filled += len,
        }
        // A receiver's frames have no names: each has as many bytes.
        let (heads, _) = bytes.get(..filled).unwrap_or_default().as_chunks::<HEADER_BYTES>();
        let whole = heads.len() * HEADER_BYTES;
        let frames: Result<Vec<Frame>, _> = heads.iter().map(|head| Frame::parse(head, b"")).collect();
        let frames = match frames {
            Ok(frames) if frames.is_empty() => continue,
            Ok(frames) => frames,
            Err(why) => break format!("no frame: {why:?}"),
        };
        if news.send(News::Frames(frames)).is_err() {
            return;
        }
        bytes.copy_within(whole..filled, 0);
        filled -= whole;
    };
    let _ = news.send(News::Ended(ended));
}
