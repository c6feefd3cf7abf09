//! Blocks to editions: a file replaces the one of its name, a tree everything below its name.
//!
//! Nothing is published before a block is whole. Memory for it is taken at once, as much as its head says: if it is not
//! to be had, the block is refused and the guest goes on.

use super::archive;
use super::name;
use super::shelf::{Edition, File, Shelf};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use datafront::block::wire::Sum;
use datafront::block::{Application, BlockHead, Form, ReceiverStats, Status};

/// Takes blocks for a shelf.
#[derive(Debug)]
pub struct Inbox {
    shelf: Rc<Shelf>,
    stats: Rc<Cell<ReceiverStats>>,
    current: Option<Incoming>,
}

#[derive(Debug)]
struct Incoming {
    path: String,
    form: Form,
    bytes: Vec<u8>,
}

impl Inbox {
    /// An inbox for this shelf, which keeps `stats` up to date.
    #[must_use]
    pub const fn new(shelf: Rc<Shelf>, stats: Rc<Cell<ReceiverStats>>) -> Self {
        Self { shelf, stats, current: None }
    }

    fn edition(&self, incoming: Incoming) -> Option<Edition> {
        let Incoming { path, form, bytes } = incoming;
        let files = match form {
            Form::Bytes => Vec::from([(path.clone(), 0..bytes.len())]),
            Form::Tree => archive::files(&bytes, &path)?,
        };
        let mut edition = (*self.shelf.edition()).clone();
        if form == Form::Tree {
            let below = format!("{path}/");
            edition.files.retain(|known, _| !known.starts_with(&below));
        }
        let data = Rc::new(bytes);
        for (path, range) in files {
            let mut sum = Sum::default();
            sum.add(data.get(range.clone())?);
            let etag = format!("\"{:08x}-{:x}\"", sum.value(), range.len());
            edition.files.insert(path, File { data: Rc::clone(&data), range, etag });
        }
        Some(edition)
    }
}

impl Application for Inbox {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        let path = name::from_push(head.name).ok_or(Status::BAD_NAME)?;
        if path.is_empty() && head.form == Form::Bytes {
            return Err(Status::BAD_NAME);
        }
        let len = usize::try_from(head.len).map_err(|_| Status::TOO_LARGE)?;
        let mut bytes = Vec::new();
        if len > self.shelf.room() || bytes.try_reserve_exact(len).is_err() {
            return Err(Status::TOO_LARGE);
        }
        self.current = Some(Incoming { path, form: head.form, bytes });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        // The receiver gives no more than the head said: this never grows what was reserved.
        if let Some(incoming) = &mut self.current {
            incoming.bytes.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finish(&mut self) -> Status {
        let Some(edition) = self.current.take().and_then(|incoming| self.edition(incoming)) else {
            return Status::BAD_CONTENT;
        };
        self.shelf.publish(edition);
        Status::ACCEPTED
    }

    fn abandon(&mut self) {
        self.current = None;
    }

    fn progress(&mut self, stats: &ReceiverStats) {
        self.stats.set(*stats);
    }
}
