//! The edition that is published, and its budget.

use super::{name, reply};
use crate::http::server::Context;
use crate::http::{Reply, Request};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Range;

/// A file of an edition: a part of a block's bytes.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) data: Rc<Vec<u8>>,
    pub(super) range: Range<usize>,
    pub(super) etag: String,
}

/// Everything that is published at one time, by path.
#[derive(Clone, Debug, Default)]
pub struct Edition {
    pub(super) files: BTreeMap<String, File>,
}

impl Edition {
    /// Bytes that it holds; those that several files share count once.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut blocks: Vec<(*const Vec<u8>, usize)> =
            self.files.values().map(|file| (Rc::as_ptr(&file.data), file.data.len())).collect();
        blocks.sort_unstable();
        blocks.dedup();
        blocks.iter().fold(0, |sum, (_, len)| sum.saturating_add(*len))
    }
}

/// What there is to tell of a shelf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShelfStatus {
    /// Times that the edition changed.
    pub edition: u64,
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: usize,
    /// What an edition and the next one together may have.
    pub budget_bytes: usize,
}

/// The published edition.
#[derive(Debug)]
pub struct Shelf {
    current: RefCell<Rc<Edition>>,
    number: Cell<u64>,
    budget_bytes: usize,
}

impl Shelf {
    /// An empty shelf for so many bytes.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        Self { current: RefCell::default(), number: Cell::new(0), budget_bytes }
    }

    /// The present edition; it does not change under its reader.
    #[must_use]
    pub fn edition(&self) -> Rc<Edition> {
        Rc::clone(&self.current.borrow())
    }

    /// Publishes another edition from now on.
    pub(super) fn publish(&self, edition: Edition) {
        *self.current.borrow_mut() = Rc::new(edition);
        self.number.set(self.number.get().wrapping_add(1));
    }

    /// Bytes that may still come.
    pub(super) fn room(&self) -> usize {
        self.budget_bytes.saturating_sub(self.edition().bytes())
    }

    /// What there is to tell.
    #[must_use]
    pub fn status(&self) -> ShelfStatus {
        let edition = self.edition();
        let (files, bytes) = (edition.files.len(), edition.bytes());
        ShelfStatus { edition: self.number.get(), files, bytes, budget_bytes: self.budget_bytes }
    }

    /// The reply to a request, if its path is published. A folder is its `index.html`.
    #[must_use]
    pub fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>> {
        let edition = self.edition();
        if edition.files.is_empty() {
            return None;
        }
        let path = name::from_request(request.path)?;
        let file = edition.files.get(&path)?;
        Some(Rc::new(reply::make(&path, file, request, context.now)))
    }
}
