//! One direction of a byte ring in a shared page: xenstore's `req` and `rsp`, the console's `in` and `out`.
//!
//! ```text
//!              cons (the reader's)      prod (the writer's)
//!   data  ──────────┴── bytes to be read ──────┴── room ──────   index & (size - 1) is the place in `data`
//! ```
//!
//! Our own index is private: it is read from the page once, when we attach (others may have used the ring before us,
//! so it need not be 0), and only written from then on. The peer's index is read once a look, and believed only if
//! `prod - cons <= size`. What follows from a peer that breaks this is the caller's business.

use crate::memory::shared::{Shared, full_barrier};
use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Where a byte ring lies in its page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Offset of the bytes.
    pub(crate) data: usize,
    /// How many bytes, a power of two.
    pub(crate) size: u32,
    /// Offset of the reader's index.
    pub(crate) cons: usize,
    /// Offset of the writer's index.
    pub(crate) prod: usize,
}

/// The two indexes of a byte ring are further apart than the ring is large: the peer wrote nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// The writer's index.
    pub prod: u32,
    /// The reader's index.
    pub cons: u32,
    /// Bytes of the ring.
    pub size: u32,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prod is {} and cons {} in a ring of {} bytes", self.prod, self.cons, self.size)
    }
}

impl Layout {
    /// Bytes to be read between the two indexes.
    const fn used(&self, prod: u32, cons: u32) -> Result<u32, Overrun> {
        let used = prod.wrapping_sub(cons);
        if used > self.size {
            return Err(Overrun { prod, cons, size: self.size });
        }
        Ok(used)
    }

    /// Cuts `len` bytes at `index` at the end of the ring: the offset of the first, and how many lie before the end.
    fn place(&self, index: u32, len: usize) -> (usize, usize) {
        let at = index & self.size.wrapping_sub(1);
        let before_end = to_usize(self.size.wrapping_sub(at)).min(len);
        (self.data.saturating_add(to_usize(at)), before_end)
    }
}

/// The direction in which we write.
#[derive(Debug)]
pub(crate) struct Outgoing {
    page: Shared<'static>,
    layout: Layout,
    prod: u32,
}

impl Outgoing {
    /// Goes on where the page says that the last writer stopped.
    pub(crate) fn attach(page: Shared<'static>, layout: Layout) -> Self {
        Self { page, layout, prod: page.load(layout.prod, Relaxed) }
    }

    /// Writes as many of `bytes` as there is room for; how many.
    ///
    /// # Errors
    /// The peer's `cons` is impossible; nothing is written.
    ///
    /// # Ordering
    /// `cons` is read (acquire) before the bytes are overwritten; the bytes are written before `prod` (release).
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Overrun> {
        let room = self.layout.size.wrapping_sub(self.unread()?);
        let bytes = bytes.get(..to_usize(room)).unwrap_or(bytes);
        let (at, before_end) = self.layout.place(self.prod, bytes.len());
        let (first, second) = bytes.split_at_checked(before_end).unwrap_or_default();
        self.page.write_bytes(at, first);
        self.page.write_bytes(self.layout.data, second);
        self.prod = self.prod.wrapping_add(to_u32(bytes.len()));
        self.page.store(self.layout.prod, self.prod, Release);
        Ok(bytes.len())
    }

    /// Whether there is no room.
    pub(crate) fn is_full(&self) -> bool {
        self.unread() == Ok(self.layout.size)
    }

    /// Bytes that the peer has not taken.
    ///
    /// # Errors
    /// The peer's `cons` is impossible.
    pub(crate) fn unread(&self) -> Result<u32, Overrun> {
        self.layout.used(self.prod, self.page.load(self.layout.cons, Acquire))
    }

    /// Whether a page holds this ring: our index is in it, and the peer's fits.
    pub(crate) fn is_at(&self, page: &Shared<'static>) -> bool {
        let (prod, cons) = (page.load(self.layout.prod, Relaxed), page.load(self.layout.cons, Relaxed));
        prod == self.prod && self.layout.used(prod, cons).is_ok()
    }

    /// Takes the peer's `cons`, whatever it is, for the end of what we have written: an empty ring.
    pub(crate) fn resynchronise(&mut self) {
        self.prod = self.page.load(self.layout.cons, Acquire);
        self.page.store(self.layout.prod, self.prod, Release);
    }
}

/// The direction in which we read.
#[derive(Debug)]
pub(crate) struct Incoming {
    page: Shared<'static>,
    layout: Layout,
    cons: u32,
}

impl Incoming {
    /// Goes on where the page says that the last reader stopped.
    pub(crate) fn attach(page: Shared<'static>, layout: Layout) -> Self {
        Self { page, layout, cons: page.load(layout.cons, Relaxed) }
    }

    /// Whether there is something to read, or to complain of: one look, for the many iterations in which there is not.
    pub(crate) fn has_news(&self) -> bool {
        self.page.load::<u32>(self.layout.prod, Acquire) != self.cons
    }

    /// Copies bytes out, as many as there are and as `buffer` holds; the part of `buffer` that was filled.
    ///
    /// # Errors
    /// The peer's `prod` is impossible; nothing is taken.
    ///
    /// # Ordering
    /// `prod` is read once (acquire), before the bytes; the bytes are read before `cons` is written (release).
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Overrun> {
        let prod: u32 = self.page.load(self.layout.prod, Acquire);
        let len = to_usize(self.layout.used(prod, self.cons)?).min(buffer.len());
        let buffer = buffer.get_mut(..len).unwrap_or_default();
        let (at, before_end) = self.layout.place(self.cons, len);
        let (first, second) = buffer.split_at_mut_checked(before_end).unwrap_or_default();
        self.page.read_bytes(at, first);
        self.page.read_bytes(self.layout.data, second);
        self.cons = self.cons.wrapping_add(to_u32(len));
        self.page.store(self.layout.cons, self.cons, Release);
        Ok(buffer)
    }

    /// After [`Incoming::read`] has taken `taken` bytes: whether the peer may have met a full ring before, and waits to be
    /// told that it is not any more. As Linux has it in `xb_read` (`drivers/xen/xenbus/xenbus_comms.c`).
    ///
    /// # Ordering
    /// `cons` is written before `prod` is read again (a full fence), as the peer writes `prod` before it reads `cons`: one
    /// of the two sees the other. The second value of `prod` is no index here, only this answer.
    pub(crate) fn was_full(&self, taken: usize) -> bool {
        full_barrier();
        let prod: u32 = self.page.load(self.layout.prod, Acquire);
        prod.wrapping_sub(self.cons.wrapping_sub(to_u32(taken))) >= self.layout.size
    }

    /// Whether a page holds this ring: our index is in it, and the peer's fits.
    pub(crate) fn is_at(&self, page: &Shared<'static>) -> bool {
        let (prod, cons) = (page.load(self.layout.prod, Relaxed), page.load(self.layout.cons, Relaxed));
        cons == self.cons && self.layout.used(prod, cons).is_ok()
    }

    /// Takes everything up to the peer's `prod`, whatever it is, as read; by how much `cons` moved.
    pub(crate) fn discard(&mut self) -> u32 {
        let prod: u32 = self.page.load(self.layout.prod, Acquire);
        let skipped = prod.wrapping_sub(self.cons);
        self.cons = prod;
        self.page.store(self.layout.cons, self.cons, Release);
        skipped
    }
}

/// `u32` to `usize`: always fits where Xen runs.
pub(crate) fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// The length of something that is shorter than a page.
fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
