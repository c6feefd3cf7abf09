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
    files: BTreeMap<String, File>,
    /// Files that share a block, and its bytes, by its address.
    blocks: BTreeMap<usize, (usize, usize)>,
    bytes: usize,
}

impl Edition {
    /// Bytes that it holds; those that several files share count once.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn block(file: &File) -> usize {
        Rc::as_ptr(&file.data).addr()
    }

    /// Puts a file at a path, in place of the one that is there.
    pub(super) fn insert(&mut self, path: String, file: File) {
        let block = self.blocks.entry(Self::block(&file)).or_insert((0, file.data.len()));
        block.0 = block.0.saturating_add(1);
        if block.0 == 1 {
            self.bytes = self.bytes.saturating_add(block.1);
        }
        if let Some(old) = self.files.insert(path, file) {
            self.forget(&old);
        }
    }

    /// Removes every file whose path begins so.
    pub(super) fn remove_below(&mut self, prefix: &str) {
        let below = |path: &String| path.starts_with(prefix);
        let from = String::from(prefix);
        let paths: Vec<String> =
            self.files.range(from..).map(|(path, _)| path).take_while(|path| below(path)).cloned().collect();
        for path in paths {
            if let Some(old) = self.files.remove(&path) {
                self.forget(&old);
            }
        }
    }

    /// One file less has its block.
    fn forget(&mut self, file: &File) {
        let block = Self::block(file);
        let Some((files, len)) = self.blocks.get_mut(&block) else { return };
        *files = files.saturating_sub(1);
        if *files == 0 {
            self.bytes = self.bytes.saturating_sub(*len);
            self.blocks.remove(&block);
        }
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

    /// Publishes the next edition: what `change` makes of the present one, in one step. A reader of the present one keeps
    /// it; without a reader nothing is copied, however much is published.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Edition)) {
        change(Rc::make_mut(&mut *self.current.borrow_mut()));
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
