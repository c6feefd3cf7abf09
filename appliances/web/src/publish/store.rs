//! The revision that is published, and its budget.

use super::{name, reply};
use crate::content::{Budget, Content};
use crate::http::server::Context;
use crate::http::{Reply, Request};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::ops::Range;

/// A file of an revision: a part of a block's bytes.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) data: Rc<Content>,
    pub(super) range: Range<usize>,
    pub(super) etag: String,
}

/// Everything that is published at one time, by path.
#[derive(Debug, Default)]
pub(super) struct Revision {
    files: BTreeMap<String, File>,
}

impl Revision {
    /// Puts a file at a path, in place of the one that is there.
    pub(super) fn insert(&mut self, path: String, file: File) {
        self.files.insert(path, file);
    }

    /// Removes every file whose path begins so.
    pub(super) fn remove_below(&mut self, prefix: &str) {
        self.files.retain(|path, _| !path.starts_with(prefix));
    }
}

/// What there is to tell of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Times that the revision changed.
    pub revision: u64,
    /// Files.
    pub files: usize,
    /// Bytes that they take, with what comes, and with what is still read of former revisions.
    pub bytes: usize,
    /// What all of these may take.
    pub budget_bytes: usize,
}

/// The published revision.
#[derive(Debug)]
pub struct Store {
    current: RefCell<Revision>,
    number: Cell<u64>,
    budget: Rc<Budget>,
}

impl Store {
    /// An empty store for so many bytes.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        Self { current: RefCell::default(), number: Cell::new(0), budget: Rc::new(Budget::new(budget_bytes)) }
    }

    /// Publishes the next revision: what `change` makes of the present one, in one step. Who reads a file of the present one
    /// has its bytes to the end.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Revision)) {
        change(&mut self.current.borrow_mut());
        self.number.set(self.number.get().wrapping_add(1));
    }

    /// What the bytes of all that comes and is published are taken from.
    pub(super) const fn budget(&self) -> &Rc<Budget> {
        &self.budget
    }

    /// What there is to tell.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        let (files, bytes) = (self.current.borrow().files.len(), self.budget.used());
        StoreStatus { revision: self.number.get(), files, bytes, budget_bytes: self.budget.limit() }
    }

    /// The reply to a request, if its path is published. A folder is its `index.html`.
    #[must_use]
    pub fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>> {
        let revision = self.current.borrow();
        if revision.files.is_empty() {
            return None;
        }
        let path = name::from_request(request.path)?;
        let file = revision.files.get(&path)?;
        Some(Rc::new(reply::make(&path, file, request, context.now)))
    }
}
