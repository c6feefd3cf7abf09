//! Packets that an application retains after the loop iteration in which they came.
//!
//! ```text
//!   zero-copy frame ──retain──► Packet (owns the page) ──drop──► ReturnQueue ──collect, once an iteration──► pool
//!   copied frame    ──retain──► Packet (a copy)        ──drop──► ReturnQueue: one copy less
//! ```
//!
//! The ring works without a retained page. When a [`Packet`] is dropped, its page returns to the pool, also after the
//! backend has changed: then [`Pool::collect`] clears the page and grants it to the new backend. The pool counts a
//! retained page as in use. The owner of the pool limits the number of packets, pages and copies together, so that an
//! application that retains too many cannot empty the ring.

use crate::{Piece, Pool};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::ops::Deref;
use xen::{Access, DomId, Granted, Machine, Page, ReadWrite, TrustedBackend, Xen};

/// A page that was retained and has come back.
#[derive(Debug)]
struct Returned<A> {
    page: Page<Granted<A>>,
    /// The backend that it is granted to.
    granted_to: DomId,
}

/// The queue by which retained pages return to their pool.
#[derive(Debug)]
pub(crate) struct ReturnQueue<A> {
    returned: RefCell<Vec<Returned<A>>>,
    /// Retained pages, those in `returned` included.
    pages: Cell<usize>,
    /// Retained copies.
    copies: Cell<usize>,
}

impl<A> Default for ReturnQueue<A> {
    fn default() -> Self {
        Self { returned: RefCell::default(), pages: Cell::new(0), copies: Cell::new(0) }
    }
}

impl<A> ReturnQueue<A> {
    /// Makes room for `pages` pages, so that a return neither fails nor allocates.
    pub(crate) fn reserve(&self, pages: usize) -> bool {
        let mut returned = self.returned.borrow_mut();
        let more = pages.saturating_sub(returned.len());
        returned.try_reserve(more).is_ok()
    }

    /// The number of retained pages.
    pub(crate) const fn pages(&self) -> usize {
        self.pages.get()
    }

    /// Takes the next page that came back.
    fn take(&self) -> Option<Returned<A>> {
        let returned = self.returned.borrow_mut().pop()?;
        self.pages.set(self.pages.get().saturating_sub(1));
        Some(returned)
    }
}

/// The terms on which a page is retained.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The proof that the backend does not write to the page.
    pub trusted: TrustedBackend,
    /// The backend that the page is granted to.
    pub granted_to: DomId,
    /// Whether the bytes of the packet are cleared when it is dropped.
    pub clear: bool,
}

/// A retained page and its way back.
struct Retained {
    piece: Piece,
    lease: Lease,
    returns: Rc<ReturnQueue<ReadWrite>>,
}

enum Bytes {
    /// `None` only while the packet is dropped.
    InPlace(Option<Retained>),
    /// `None` for a packet that belongs to no pool.
    Copy(Vec<u8>, Option<Rc<ReturnQueue<ReadWrite>>>),
}

/// A received frame that belongs to an application: the whole frame, from its Ethernet header on.
///
/// A frame from a trusted backend whose length is at least the threshold is in the page in which it came. Any other
/// frame is a copy. Dropping the packet returns its page to the pool.
pub struct Packet(Bytes);

impl Packet {
    /// A packet that belongs to no pool, for tests of code that handles packets.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Bytes::Copy(bytes.to_vec(), None))
    }

    /// Whether the frame is in the page in which it came.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        matches!(self.0, Bytes::InPlace(_))
    }
}

impl Deref for Packet {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::InPlace(Some(Retained { piece, lease, .. })) => {
                piece.page.lend(piece.offset, piece.len, lease.trusted).unwrap_or_default()
            }
            Bytes::InPlace(None) => &[],
            Bytes::Copy(bytes, _) => bytes,
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        match &mut self.0 {
            Bytes::InPlace(retained) => {
                let Some(Retained { piece, lease, returns }) = retained.take() else { return };
                if lease.clear {
                    piece.page.shared().zero(piece.offset, piece.len);
                }
                let returned = Returned { page: piece.page, granted_to: lease.granted_to };
                returns.returned.borrow_mut().push(returned);
            }
            Bytes::Copy(_, returns) => {
                if let Some(returns) = returns.take() {
                    returns.copies.set(returns.copies.get().saturating_sub(1));
                }
            }
        }
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_in_place() { "in place" } else { "copied" };
        write!(f, "Packet({} bytes, {place})", self.len())
    }
}

impl Pool<ReadWrite> {
    /// A packet over a page of this pool that was taken out.
    #[must_use]
    pub fn retain_page(&self, piece: Piece, lease: Lease) -> Packet {
        self.returns.pages.set(self.returns.pages.get().saturating_add(1));
        Packet(Bytes::InPlace(Some(Retained { piece, lease, returns: Rc::clone(&self.returns) })))
    }

    /// A packet with a copy of these bytes. `None` if there is no memory for it.
    #[must_use]
    pub fn retain_copy(&self, bytes: &[u8]) -> Option<Packet> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).ok()?;
        copy.extend_from_slice(bytes);
        self.returns.copies.set(self.returns.copies.get().saturating_add(1));
        Some(Packet(Bytes::Copy(copy, Some(Rc::clone(&self.returns)))))
    }
}

impl<A: Access> Pool<A> {
    /// The number of retained packets, pages and copies together. A page counts until [`Pool::collect`] has taken it.
    #[must_use]
    pub fn retained(&self) -> usize {
        self.returns.pages.get().saturating_add(self.returns.copies.get())
    }

    /// Takes the retained pages that have come back. Those that are granted to a former backend are cleared and granted
    /// to the present one.
    pub fn collect<M: Machine>(&mut self, xen: &Xen<M>) {
        if self.returns.pages() == 0 {
            return;
        }
        while let Some(Returned { page, granted_to }) = self.returns.take() {
            match self.backend {
                Some(backend) if backend != granted_to || !xen.grants.is_granted(&page) => {
                    self.regrant(xen, page, backend);
                }
                _ => self.put(page),
            }
        }
    }
}
