//! Bytes into and out of a ring, in the control page or in separate pages.
//!
//! ```text
//!   index, free-running ── mod size ──► offset ──► page offset / 4096, byte offset mod 4096
//!   a copy is cut at the end of each page, and at the end of the ring
//! ```

use super::order::{Order, Sizes};
use alloc::vec::Vec;
use xen::ids::PAGE_SIZE;
use xen::{Shared, SharedPage};

/// The memory of one ring.
#[derive(Debug)]
pub(crate) struct Ring<P> {
    order: Order,
    /// Its separate pages; none if it is in the control page.
    pages: Vec<P>,
}

/// What a copy does with each contiguous part.
enum Copy<'b> {
    Out(&'b mut [u8]),
    In(&'b [u8]),
}

impl<P: SharedPage> Ring<P> {
    /// A ring of this size. `pages` are as many as the order says.
    pub(crate) const fn new(order: Order, pages: Vec<P>) -> Self {
        Self { order, pages }
    }

    pub(crate) const fn size_bytes(&self) -> u32 {
        self.order.size_bytes()
    }

    pub(crate) fn pages(&self) -> &[P] {
        &self.pages
    }

    pub(crate) fn into_pages(self) -> Vec<P> {
        self.pages
    }

    /// Copies bytes out, from `index` on; the caller has checked that they are available.
    pub(crate) fn read(&self, control: &P, index: u32, into: &mut [u8]) {
        self.copy(control, index, Copy::Out(into));
    }

    /// Copies bytes in, from `index` on; the caller knows that there is room.
    pub(crate) fn write(&self, control: &P, index: u32, from: &[u8]) {
        self.copy(control, index, Copy::In(from));
    }

    fn copy(&self, control: &P, index: u32, mut copy: Copy<'_>) {
        let size = wide(self.size_bytes());
        let mut at = wide(index) & size.wrapping_sub(1);
        loop {
            let left = match &copy {
                Copy::Out(into) => into.len(),
                Copy::In(from) => from.len(),
            };
            let (page, base, room) = match self.order.in_control() {
                Some(offset) => (Some(control), offset.wrapping_add(at), size.wrapping_sub(at)),
                None => {
                    (self.pages.get(at / PAGE_SIZE), at % PAGE_SIZE, PAGE_SIZE.wrapping_sub(at % PAGE_SIZE))
                }
            };
            let len = left.min(room);
            let (Some(page), true) = (page, len > 0) else { return };
            copy = copy.part(page.shared(), base, len);
            at = at.wrapping_add(len) & size.wrapping_sub(1);
        }
    }
}

impl Copy<'_> {
    /// Copies `len` bytes at `base`; returns the rest.
    fn part(self, page: Shared<'_>, base: usize, len: usize) -> Self {
        match self {
            Self::Out(into) => {
                let (now, later) = into.split_at_mut_checked(len).unwrap_or_default();
                page.read_bytes(base, now);
                Self::Out(later)
            }
            Self::In(from) => {
                let (now, later) = from.split_at_checked(len).unwrap_or_default();
                page.write_bytes(base, now);
                Self::In(later)
            }
        }
    }
}

/// Both rings of a channel.
#[derive(Debug)]
pub(crate) struct Rings<P> {
    pub(crate) left: Ring<P>,
    pub(crate) right: Ring<P>,
}

impl<P: SharedPage> Rings<P> {
    /// Rings of these sizes over separate pages: the left ring's first, then the right ring's.
    pub(crate) fn new(sizes: Sizes, mut pages: Vec<P>) -> Self {
        let right = pages.split_off(sizes.left().nr_pages().min(pages.len()));
        Self { left: Ring::new(sizes.left(), pages), right: Ring::new(sizes.right(), right) }
    }
}

/// 32 bits always fit: pages are those of a 64-bit machine.
fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
