//! Pages: whole, with one owner, and of a type that says which other domain may access them.
//!
//! ```text
//!   Memory::alloc_page ──► Page<Private> ──GrantTable::grant──► Page<Granted<ReadOnly>>   we write, the peer reads
//!            ▲                   ▲                           └─► Page<Granted<ReadWrite>>  the peer writes too
//!            └────free_page──────┴──GrantTable::end─────────────────┘
//! ```
//!
//! A page is neither `Clone` nor `Copy`: taking it out of a pool moves it, so two users of one page cannot exist. A
//! granted page cannot be freed: its type has no way to [`crate::Memory::free_page`]. A page that is dropped is lost to
//! the guest (never reused, so still safe); the pool counts its pages to notice.
//!
//! # What does not compile
//!
//! Each pair differs in one line.
//!
//! A page is granted once: the grant takes it.
//! ```
//! # use xen::gnttab::GrantTable;
//! # use xen::{DomId, Granted, Memory, Page, Private, ReadOnly, ReadWrite};
//! fn share(table: &GrantTable, page: Page<Private>, other: Page<Private>) {
//!     let _first = table.grant::<ReadOnly>(page, DomId(0));
//!     let _second = table.grant::<ReadWrite>(other, DomId(0));
//! }
//! ```
//! ```compile_fail,E0382
//! # use xen::gnttab::GrantTable;
//! # use xen::{DomId, Granted, Memory, Page, Private, ReadOnly, ReadWrite};
//! fn share(table: &GrantTable, page: Page<Private>, other: Page<Private>) {
//!     let _first = table.grant::<ReadOnly>(page, DomId(0));
//!     let _second = table.grant::<ReadWrite>(page, DomId(0));
//! }
//! ```
//!
//! No reference leads to a page that the peer may write; values do.
//! ```
//! # use xen::gnttab::GrantTable;
//! # use xen::{DomId, Granted, Memory, Page, Private, ReadOnly, ReadWrite};
//! fn read(page: &Page<Granted<ReadWrite>>, into: &mut [u8]) {
//!     page.shared().read_bytes(0, into);
//! }
//! ```
//! ```compile_fail,E0599
//! # use xen::gnttab::GrantTable;
//! # use xen::{DomId, Granted, Memory, Page, Private, ReadOnly, ReadWrite};
//! fn read(page: &Page<Granted<ReadWrite>>, into: &mut [u8]) {
//!     into.copy_from_slice(page.bytes());
//! }
//! ```
//!
//! A granted page is not freed: first its grant ends.
//! ```
//! # use xen::gnttab::GrantTable;
//! # use xen::{DomId, Granted, Memory, Page, Private, ReadOnly, ReadWrite};
//! fn free(table: &GrantTable, memory: &impl Memory, page: Page<Granted<ReadOnly>>) {
//!     let Ok(page) = table.end(page) else { return };
//!     memory.free_page(page);
//! }
//! ```
//! ```compile_fail,E0308
//! # use xen::gnttab::GrantTable;
//! # use xen::{DomId, Granted, Memory, Page, Private, ReadOnly, ReadWrite};
//! fn free(table: &GrantTable, memory: &impl Memory, page: Page<Granted<ReadOnly>>) {
//!     let Ok(page) = Ok::<_, ()>(page) else { return };
//!     memory.free_page(page);
//! }
//! ```

#![allow(unsafe_code, reason = "iterations the addresses of pages into bytes; see docs/soundness.md")]

use crate::ids::{Gfn, Gref, PAGE_SIZE};
use crate::memory::shared::{Shared, SharedPage};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// Only this domain can access the page.
#[derive(Debug)]
pub struct Private(());

/// Another domain can access the page, as `A` says.
pub struct Granted<A> {
    gref: Gref,
    access: PhantomData<A>,
}

/// The peer can only read (`GTF_readonly`): for frames to transmit.
#[derive(Debug)]
pub struct ReadOnly(());

/// The peer can read and write: for frames to receive, and for rings.
#[derive(Debug)]
pub struct ReadWrite(());

/// What a grant permits.
pub trait Access {
    /// Whether `GTF_readonly` is set.
    const READ_ONLY: bool;
}
impl Access for ReadOnly {
    const READ_ONLY: bool = true;
}
impl Access for ReadWrite {
    const READ_ONLY: bool = false;
}

/// The toolstack's word that a backend is trusted: `device/vif/N/trusted` is `1`, or absent (Xen's `netif.h`: the
/// default). Without it, no frame can be parsed in a page that the backend can still write.
#[derive(Clone, Copy, Debug)]
pub struct TrustedBackend(());

impl TrustedBackend {
    /// Reads the node's value; `None` means that every frame must be copied out first.
    #[must_use]
    pub fn from_node(value: Option<&str>) -> Option<Self> {
        match value.map(str::trim) {
            None | Some("1") => Some(Self(())),
            Some(_) => None,
        }
    }
}

/// One page of 4096 bytes in state `S`: [`Private`] or [`Granted`].
pub struct Page<S> {
    base: NonNull<u8>,
    gfn: Gfn,
    state: S,
}

impl<S> Page<S> {
    /// Where it is mapped.
    pub(crate) fn address(&self) -> usize {
        self.base.as_ptr().expose_provenance()
    }

    /// Its guest frame number.
    #[must_use]
    pub const fn gfn(&self) -> Gfn {
        self.gfn
    }
}

impl Page<Private> {
    /// Takes ownership of the page at `base`.
    ///
    /// # Safety
    /// `base` is the address of 4096 mapped, readable and writable bytes, aligned to 4096, whose guest frame is `gfn`;
    /// nothing else refers to them for as long as the page, or what it becomes, exists.
    #[must_use]
    pub const unsafe fn from_raw(base: NonNull<u8>, gfn: Gfn) -> Self {
        Self { base, gfn, state: Private(()) }
    }

    /// Gives the ownership up: the address of the page.
    #[must_use]
    pub const fn into_raw(self) -> (NonNull<u8>, Gfn) {
        (self.base, self.gfn)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; PAGE_SIZE] {
        // SAFETY: `from_raw`'s caller gave us the page whole; it is private, and borrowed from us.
        unsafe { self.base.cast().as_ref() }
    }

    /// Its bytes, to write.
    #[must_use]
    pub const fn bytes_mut(&mut self) -> &mut [u8; PAGE_SIZE] {
        // SAFETY: as in `bytes`; `&mut self` makes the borrow the only one.
        unsafe { self.base.cast().as_mut() }
    }

    /// The page under a grant; only the grant table makes one.
    pub(crate) const fn into_granted<A: Access>(self, gref: Gref) -> Page<Granted<A>> {
        Page { base: self.base, gfn: self.gfn, state: Granted { gref, access: PhantomData } }
    }
}

impl<A> Page<Granted<A>> {
    /// The grant reference by which the peer names this page.
    #[must_use]
    pub const fn gref(&self) -> Gref {
        self.state.gref
    }

    /// The page after the end of its grant; only the grant table does this, once the entry is cleared.
    pub(crate) const fn into_private(self) -> Page<Private> {
        Page { base: self.base, gfn: self.gfn, state: Private(()) }
    }
}

impl Page<Granted<ReadOnly>> {
    /// Its bytes, as we wrote them: the peer cannot write here.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; PAGE_SIZE] {
        // SAFETY: the page is ours; the grant is read-only, so no other domain writes, and its reads are not ours.
        unsafe { self.base.cast().as_ref() }
    }

    /// Its bytes, to write: what the peer reads meanwhile is the peer's matter.
    #[must_use]
    pub const fn bytes_mut(&mut self) -> &mut [u8; PAGE_SIZE] {
        // SAFETY: as in `bytes`; `&mut self` makes the borrow the only one in this domain.
        unsafe { self.base.cast().as_mut() }
    }
}

impl Page<Granted<ReadWrite>> {
    /// The page as memory that the peer may write at any moment.
    #[must_use]
    pub const fn shared(&self) -> Shared<'_> {
        // SAFETY: the page is mapped and aligned (`from_raw`) for as long as it exists; `lend` is the only other way
        // to its bytes, and rests on the backend's promise not to write meanwhile.
        unsafe { Shared::new(self.base, PAGE_SIZE) }
    }

    /// Its bytes in place, in a page that a trusted backend could still write, for a frame too large to be worth a
    /// copy. `None` if the range does not lie in the page.
    ///
    /// The proof of trust is the argument: the toolstack says that the backend keeps to the protocol, in which a page
    /// belongs to the frontend between response and next request.
    #[must_use]
    pub fn lend(&self, offset: usize, len: usize, _trusted: TrustedBackend) -> Option<&[u8]> {
        // SAFETY: mapped and aligned (`from_raw`); no one in this domain writes while it is borrowed, and the trusted
        // backend does not write to a page whose response it has given (docs/soundness.md, "Pages read in place").
        let bytes: &[u8; PAGE_SIZE] = unsafe { self.base.cast().as_ref() };
        bytes.get(offset..offset.checked_add(len)?)
    }
}

impl SharedPage for Page<Granted<ReadWrite>> {
    #[inline]
    fn shared(&self) -> Shared<'_> {
        Self::shared(self)
    }
}

impl<S> fmt::Debug for Page<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("gfn", &self.gfn).finish_non_exhaustive()
    }
}

impl<A> fmt::Debug for Granted<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("gref", &self.gref).finish_non_exhaustive()
    }
}
