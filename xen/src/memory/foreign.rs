//! Pages of another domain, mapped into this one under a grant of theirs.
//!
//! ```text
//!   gref of theirs ──Hypervisor::map_foreign──► Foreign ──shared──► values
//!                                                  └──unmap_foreign──► its place is free again
//! ```
//!
//! The owner may write at any moment, so there is no way to the bytes but [`Shared`]. A page that is dropped stays
//! mapped: its frame number is lost, and the owner cannot end the grant. The code that maps a page unmaps it.

#![allow(
    unsafe_code,
    reason = "iterations the address of a mapping into shared memory; see docs/soundness.md"
)]

use crate::Errno;
use crate::abi::grant_table::GrantStatus;
use crate::ids::{Gfn, PAGE_SIZE};
use crate::memory::shared::{Shared, SharedPage};
use core::fmt;
use core::ptr::NonNull;

/// Xen's number of a mapping. `grant_table.h`, `grant_handle_t`.
#[derive(Debug, PartialEq, Eq)]
pub struct MapHandle(pub u32);

/// A page of another domain, mapped read-write.
pub struct Foreign {
    base: NonNull<u8>,
    gfn: Gfn,
    handle: MapHandle,
}

impl Foreign {
    /// Takes ownership of a mapping.
    ///
    /// # Safety
    /// `base` is the address, aligned to 4096, at which the frame `gfn` is mapped, readable and writable, for as long as
    /// the page exists; no reference leads there.
    #[must_use]
    pub const unsafe fn from_raw(base: NonNull<u8>, gfn: Gfn, handle: MapHandle) -> Self {
        Self { base, gfn, handle }
    }

    /// Gives the ownership up.
    #[must_use]
    pub const fn into_raw(self) -> (NonNull<u8>, Gfn, MapHandle) {
        (self.base, self.gfn, self.handle)
    }

    /// The page as memory that its owner may write at any moment.
    #[must_use]
    pub const fn shared(&self) -> Shared<'_> {
        // SAFETY: mapped and aligned for as long as `self` exists (`from_raw`), and nobody has a reference.
        unsafe { Shared::new(self.base, PAGE_SIZE) }
    }
}

impl SharedPage for Foreign {
    #[inline]
    fn shared(&self) -> Shared<'_> {
        Self::shared(self)
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign").field("gfn", &self.gfn).finish_non_exhaustive()
    }
}

/// Why a page of another domain is not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Every place for mappings is taken.
    NoRoom,
    /// Xen refuses: the grant is not valid for us, or not to write.
    Refused(GrantStatus),
    /// Xen refuses the call, or answers with a status that it does not have.
    Xen(Errno),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => f.write_str("no room to map another page of another domain: close a channel"),
            Self::Refused(status) => write!(f, "the grant cannot be mapped: {status:?}"),
            Self::Xen(errno) => write!(f, "Xen refuses to map a grant: {errno}"),
        }
    }
}

impl core::error::Error for MapError {}
