//! Blocks to revisions: a file replaces the one of its name, a tree everything below its name.
//!
//! ```text
//!   begin ─► Incoming ─ data … ─► finish ─ whole, or the last part ─► published
//!     ▲                              └ more follows ─► kept, by stream ─┐
//!     └──────────────── the next part goes on with it ◄─────────────────┘
//! ```
//!
//! Nothing is published before it is whole. Memory for a block is taken at once, as much as its head says: if it is not
//! to be had, the block is refused and the guest goes on.

use super::archive;
use super::name;
use super::store::{File, Store};
use crate::content::Content;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use datafront::block::wire::Sum;
use datafront::block::{Application, BlockHead, Form, Part, ReceiverStats, Status};

/// Streams that may be in the middle of something; the one that began first makes room for another.
const MAX_KEPT: usize = 4;

/// Takes blocks for a store.
#[derive(Debug)]
pub struct Inbox {
    store: Rc<Store>,
    stats: Rc<Cell<ReceiverStats>>,
    current: Option<Incoming>,
    /// Parts that are there, of what is not whole yet.
    kept: Vec<Incoming>,
}

#[derive(Debug)]
struct Incoming {
    stream: u64,
    path: String,
    form: Form,
    part: Part,
    content: Content,
    /// Bytes of the parts before the block that comes.
    before: usize,
}

impl Inbox {
    /// An inbox for this store, which keeps `stats` up to date.
    #[must_use]
    pub const fn new(store: Rc<Store>, stats: Rc<Cell<ReceiverStats>>) -> Self {
        Self { store, stats, current: None, kept: Vec::new() }
    }

    /// The parts that came before this one, out of what is kept; nothing for a beginning.
    fn beginning(&mut self, head: &BlockHead<'_>, path: &str) -> Result<Content, Status> {
        let at = self.kept.iter().position(|kept| kept.stream == head.stream);
        let kept = at.map(|at| self.kept.remove(at));
        match kept {
            _ if !head.part.continues() => Ok(Content::new(self.store.budget())),
            Some(kept) if kept.path == path && kept.form == head.form => Ok(kept.content),
            _ => Err(Status::NO_BEGINNING),
        }
    }

    fn keep(&mut self, incoming: Incoming) {
        if self.kept.len() >= MAX_KEPT {
            self.kept.remove(0);
        }
        self.kept.push(incoming);
    }

    fn publish(&self, incoming: Incoming) -> Option<()> {
        let Incoming { path, form, content, .. } = incoming;
        let ranges = match form {
            Form::Bytes => Vec::from([(path.clone(), 0..content.bytes().len())]),
            Form::Tree => archive::files(content.bytes(), &path)?,
        };
        let data = Rc::new(content);
        let mut files = Vec::new();
        for (path, range) in ranges {
            let mut sum = Sum::default();
            sum.add(data.bytes().get(range.clone())?);
            let etag = format!("\"{:08x}-{:x}\"", sum.value(), range.len());
            files.push((path, File { data: Rc::clone(&data), range, etag }));
        }
        self.store.publish(|revision| {
            if form == Form::Tree {
                revision.remove_below(&format!("{path}/"));
            }
            for (path, file) in files {
                revision.insert(path, file);
            }
        });
        Some(())
    }
}

impl Application for Inbox {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        let path = name::from_push(head.name).ok_or(Status::BAD_NAME)?;
        if path.is_empty() && head.form == Form::Bytes {
            return Err(Status::BAD_NAME);
        }
        let len = usize::try_from(head.len).map_err(|_| Status::TOO_LARGE)?;
        let mut content = self.beginning(head, &path)?;
        let before = content.bytes().len();
        if !content.reserve(len) {
            return Err(Status::TOO_LARGE);
        }
        let (stream, form, part) = (head.stream, head.form, head.part);
        self.current = Some(Incoming { stream, path, form, part, content, before });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        // The receiver gives no more than the head said: this never grows what was reserved.
        if let Some(incoming) = &mut self.current {
            incoming.content.extend(bytes);
        }
        Ok(())
    }

    fn finish(&mut self) -> Status {
        let Some(incoming) = self.current.take() else { return Status::BAD_CONTENT };
        if incoming.part.has_more() {
            self.keep(incoming);
            return Status::ACCEPTED;
        }
        match self.publish(incoming) {
            Some(()) => Status::ACCEPTED,
            None => Status::BAD_CONTENT,
        }
    }

    /// The block may come again: the parts before it stay.
    fn abandon(&mut self) {
        let Some(mut incoming) = self.current.take() else { return };
        if incoming.part.continues() {
            incoming.content.truncate(incoming.before);
            self.keep(incoming);
        }
    }

    fn progress(&mut self, stats: &ReceiverStats) {
        self.stats.set(*stats);
    }
}
