//! The sizes of rings, and their places in the control page.
//!
//! ```text
//!   order 10:  1 KiB in the control page at 1024     order 12 … 20:  4 KiB … 1 MiB in pages of their own
//!   order 11:  2 KiB in the control page at 2048                     whose grefs are listed from byte 24 on
//! ```

use core::fmt;
use xen::abi::io_libxenvchan::{
    LARGE_RING_OFFSET, LARGE_RING_ORDER, MAX_RING_ORDER, MIN_PAGES_ORDER, SMALL_RING_OFFSET,
    SMALL_RING_ORDER, offset,
};
use xen::ids::PAGE_SIZE;

/// The size of a ring: 2^order bytes, order 10 to 20. `io/libxenvchan.h`, `left_order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order(u16);

impl Order {
    /// An order that libxenvchan takes; `None` for any other number.
    #[must_use]
    pub const fn new(order: u16) -> Option<Self> {
        if order >= SMALL_RING_ORDER && order <= MAX_RING_ORDER { Some(Self(order)) } else { None }
    }

    /// The number, as it is in the control page.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// Bytes of the ring.
    #[must_use]
    pub const fn size_bytes(self) -> u32 {
        1 << self.0
    }

    /// Separate pages of the ring; 0 if it is in the control page.
    #[must_use]
    pub const fn nr_pages(self) -> usize {
        if self.0 < MIN_PAGES_ORDER { 0 } else { 1 << self.0.saturating_sub(MIN_PAGES_ORDER) }
    }

    /// The place of the ring in the control page, if it is there.
    pub(crate) const fn in_control(self) -> Option<usize> {
        match self.0 {
            SMALL_RING_ORDER => Some(SMALL_RING_OFFSET),
            LARGE_RING_ORDER => Some(LARGE_RING_OFFSET),
            _ => None,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2^{} bytes", self.0)
    }
}

/// The sizes of both rings, which fit one control page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    left: Order,
    right: Order,
}

impl Sizes {
    /// The client writes `left`, the server writes `right`.
    ///
    /// `None` if they exclude each other: orders 10 and 11 may be used once each, and the list of grefs must end
    /// before a ring in the control page begins (a small ring beside one of 1 MiB would overlap it).
    #[must_use]
    pub const fn new(left: Order, right: Order) -> Option<Self> {
        let nr_grefs = left.nr_pages().saturating_add(right.nr_pages());
        let end = offset::GRANTS.saturating_add(nr_grefs.saturating_mul(size_of::<u32>()));
        if end > lower(first_byte(left), first_byte(right)) || (left.0 == right.0 && left.0 < MIN_PAGES_ORDER)
        {
            return None;
        }
        Some(Self { left, right })
    }

    /// 64 KiB to the server, 4 KiB to the client: for data one way, and answers the other.
    pub const PUSH: Self = Self { left: Order(16), right: Order(12) };

    /// As [`Sizes::PUSH`] with 256 KiB: a quarter of the switches between the domains for a large block.
    pub const PUSH_LARGE: Self = Self { left: Order(18), right: Order(12) };

    /// 4 KiB to the server, 64 KiB to the client: for data to dom0, and its answers.
    pub const PULL: Self = Self { left: Order(12), right: Order(16) };

    /// As [`Sizes::PULL`] with 256 KiB.
    pub const PULL_LARGE: Self = Self { left: Order(12), right: Order(18) };

    /// The client's way to the server.
    #[must_use]
    pub const fn left(self) -> Order {
        self.left
    }

    /// The server's way to the client.
    #[must_use]
    pub const fn right(self) -> Order {
        self.right
    }
}

/// The start of the ring in the control page; the page's end, if the ring is elsewhere.
const fn first_byte(order: Order) -> usize {
    match order.in_control() {
        Some(at) => at,
        None => PAGE_SIZE,
    }
}

const fn lower(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}
