//! Packets that somebody keeps beyond the stack's turn.
//!
//! ```text
//!   lent in place ──hold──► Packet ──dropped, whenever that is──► Home ──collect, at the end of a turn──► pool
//!   copied out    ──hold──► Packet (a copy of its own) ──dropped──► Home: one less
//! ```
//!
//! A [`Packet`] owns its page: nobody else has it, and the ring does without. Dropping it gives the page back, also
//! after the backend has gone and another one has come: then the page changes hands first, cleared, as all others did.
//! What is kept is counted as lent, and there is a cap ([`Config::held_max`](crate::Config::held_max)), for pages and copies
//! together: whoever hoards packets gets no more of them, and the ring stays fed.

use crate::chain::Piece;
use crate::config::Clearing;
use crate::pool::{FEWEST, Pool};
use crate::rx::{Current, Extent, RxQueue};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::ops::Deref;
use xen::{Access, DomId, Granted, Machine, Page, ReadWrite, TrustedBackend, Xen};

/// A page that a holder has given back.
#[derive(Debug)]
pub(crate) struct Returned<A> {
    pub(crate) page: Page<Granted<A>>,
    /// The backend that it is granted to.
    pub(crate) granted_to: DomId,
}

/// Where packets that are dropped report to.
#[derive(Debug)]
pub(crate) struct Home<A> {
    returned: RefCell<Vec<Returned<A>>>,
    /// Pages with holders, those in `returned` too.
    pages: Cell<usize>,
    /// Copies with holders.
    copies: Cell<usize>,
}

impl<A> Default for Home<A> {
    fn default() -> Self {
        Self { returned: RefCell::default(), pages: Cell::new(0), copies: Cell::new(0) }
    }
}

impl<A> Home<A> {
    /// Makes room for so many pages to come back: giving back cannot fail, and does not allocate.
    pub(crate) fn reserve(&self, pages: usize) -> bool {
        let mut returned = self.returned.borrow_mut();
        let more = pages.saturating_sub(returned.len());
        returned.try_reserve(more).is_ok()
    }

    /// Pages that holders have.
    pub(crate) const fn pages(&self) -> usize {
        self.pages.get()
    }

    /// Packets that holders have, those in `returned` too.
    pub(crate) const fn packets(&self) -> usize {
        self.pages.get().saturating_add(self.copies.get())
    }

    /// The next page that came back.
    pub(crate) fn take(&self) -> Option<Returned<A>> {
        let returned = self.returned.borrow_mut().pop()?;
        self.pages.set(self.pages.get().saturating_sub(1));
        Some(returned)
    }
}

impl Home<ReadWrite> {
    /// Hands a page out; it comes back without the bytes of the packet if these are to be cleared.
    pub(crate) fn lend(self: &Rc<Self>, piece: Piece, lease: Lease) -> Packet {
        self.pages.set(self.pages.get().saturating_add(1));
        Packet(Bytes::InPlace(Some(Place { piece, lease, home: Rc::clone(self) })))
    }

    /// Hands a copy out; `None` without memory for it.
    pub(crate) fn copy(self: &Rc<Self>, bytes: &[u8]) -> Option<Packet> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).ok()?;
        copy.extend_from_slice(bytes);
        self.copies.set(self.copies.get().saturating_add(1));
        Some(Packet(Bytes::Copy(copy, Some(Rc::clone(self)))))
    }
}

/// On what terms a page is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    /// The backend keeps its hands off.
    pub(crate) trusted: TrustedBackend,
    /// That backend.
    pub(crate) granted_to: DomId,
    /// The bytes are cleared at the end.
    pub(crate) clear: bool,
}

/// A page and the way home.
struct Place {
    piece: Piece,
    lease: Lease,
    home: Rc<Home<ReadWrite>>,
}

enum Bytes {
    /// `None` only while it is dropped.
    InPlace(Option<Place>),
    Copy(Vec<u8>, Option<Rc<Home<ReadWrite>>>),
}

/// A received frame that belongs to its holder, whole, from its Ethernet header on.
///
/// From a trusted backend, a frame of the threshold or more is in the page in which it came; any other is a copy. Drop
/// it to give the page back; while it is held, the pool does without.
pub struct Packet(Bytes);

impl Packet {
    /// A packet that is no interface's, for tests of what handles packets.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Bytes::Copy(bytes.to_vec(), None))
    }

    /// Whether it is in the page in which it came: nothing was copied.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        matches!(self.0, Bytes::InPlace(_))
    }
}

impl Deref for Packet {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::InPlace(Some(Place { piece, lease, .. })) => {
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
            Bytes::InPlace(place) => {
                let Some(Place { piece, lease, home }) = place.take() else { return };
                if lease.clear {
                    piece.page.shared().zero(piece.offset, piece.len);
                }
                home.returned.borrow_mut().push(Returned { page: piece.page, granted_to: lease.granted_to });
            }
            Bytes::Copy(_, home) => {
                if let Some(home) = home.take() {
                    home.copies.set(home.copies.get().saturating_sub(1));
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

impl RxQueue {
    /// Gives the current frame to somebody who keeps it: in its page if it was lent, else a copy. `None`, and the frame
    /// stays, if there is none, or holders have as many as they may, or the ring could not do without the page.
    pub fn hold(&mut self) -> Option<Packet> {
        let home = Rc::clone(&self.pool.home);
        let rest = self.slots.len().saturating_add(self.pool.free());
        let packet = match core::mem::take(&mut self.current) {
            Current::None => return None,
            current if home.packets() >= self.policy.held_max || rest < FEWEST => {
                self.current = current;
                self.stats.held_refused = self.stats.held_refused.wrapping_add(1);
                return None;
            }
            Current::Lent(Extent { slot, offset, len }) => {
                let (page, trusted) = (self.slots.take(slot)?, self.policy.trusted?);
                let piece = Piece { page, offset: usize::from(offset), len: usize::from(len) };
                let clear = self.policy.clearing == Clearing::All;
                home.lend(piece, Lease { trusted, granted_to: self.policy.backend, clear })
            }
            Current::Copied { len } => home.copy(self.scratch.get(..len)?)?,
        };
        self.stats.held_packets = self.stats.held_packets.wrapping_add(1);
        Some(packet)
    }
}

impl<A: Access> Pool<A> {
    /// Takes pages that were held and have come back; those of a former backend change hands first.
    pub(crate) fn collect<M: Machine>(&mut self, xen: &Xen<M>) {
        if self.home.pages() == 0 {
            return;
        }
        while let Some(Returned { page, granted_to }) = self.home.take() {
            match self.backend {
                Some(backend) if backend != granted_to => self.regrant(xen, page, backend),
                _ => self.put(page),
            }
        }
    }
}
