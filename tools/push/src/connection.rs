//! A connection with its two threads, so that whoever drives it never waits without an end.
//!
//! ```text
//!   driver ── chunks, at most DEPTH ──► writer thread ──► to_guest
//!   driver ◄── Frame, Room, Ended ───── reader thread ◄── from_guest
//! ```

use crate::dial::Way;
use datafront::block::Frame;
use datafront::block::wire::HEADER_BYTES;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Chunks between the driver and the writer.
const DEPTH: usize = 4;

/// What happens on a connection.
#[derive(Debug)]
pub enum News {
    /// The guest said something.
    Frame(Frame),
    /// There is room for another chunk.
    Room,
    /// The connection has ended, and why.
    Ended(String),
}

/// A connection to the guest.
pub struct Connection {
    chunks: SyncSender<Vec<u8>>,
    news: Receiver<News>,
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
        Self { chunks, news, said: way.said, _hold: way.hold }
    }

    /// Gives the writer a chunk; gives it back if there is no room.
    ///
    /// # Errors
    /// The chunk.
    pub fn offer(&self, chunk: Vec<u8>) -> Result<(), Vec<u8>> {
        self.chunks.try_send(chunk).map_err(|error| match error {
            // Whoever waits hears why from the thread that has ended.
            TrySendError::Full(chunk) | TrySendError::Disconnected(chunk) => chunk,
        })
    }

    /// What happened next, if anything does within `limit`.
    #[must_use]
    pub fn next(&self, limit: Duration) -> Option<News> {
        match self.news.recv_timeout(limit) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(News::Ended("both threads have ended".into())),
        }
    }

    /// What the way itself said last.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(from_guest: &mut dyn Read, news: &Sender<News>) {
    let mut head = [0; HEADER_BYTES];
    loop {
        let frame = from_guest.read_exact(&mut head).map_err(|_| "the connection was closed".to_owned());
        // A receiver's frames have no names.
        let frame = frame.and_then(|()| Frame::parse(&head, b"").map_err(|why| format!("no frame: {why:?}")));
        match frame {
            Ok(frame) => {
                if news.send(News::Frame(frame)).is_err() {
                    return;
                }
            }
            Err(why) => {
                let _ = news.send(News::Ended(why));
                return;
            }
        }
    }
}
