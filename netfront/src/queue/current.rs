//! The current frame of a receive queue: where it lies.

use crate::queue::rx_slots::slot_of;
use xen::abi::io_netif::NetRxFlags;

/// Where the current frame lies.
#[derive(Debug, Default)]
pub(super) enum Current {
    /// There is no current frame.
    #[default]
    None,
    /// At the beginning of the scratch buffer.
    Copied {
        /// The length in bytes.
        len: usize,
        /// The flags of its first response.
        flags: NetRxFlags,
    },
    /// In its page.
    InPlace(Extent),
}

impl Current {
    /// The flags of the first response of the frame.
    #[inline]
    pub(super) fn flags(&self) -> NetRxFlags {
        match self {
            Self::None => NetRxFlags::empty(),
            Self::Copied { flags, .. } => *flags,
            Self::InPlace(extent) => NetRxFlags::from_bits_retain(extent.flags),
        }
    }
}

/// The data of a frame in the page of a slot. The fields have the order and the sizes of a response's, from which they
/// were validated, so that keeping it is a copy of its 8 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Extent {
    /// The slot: the last one that was answered. Below 256.
    pub(super) id: u16,
    /// The beginning of the frame in the page, in bytes.
    pub(super) offset: u16,
    /// The flags of the frame's first response.
    pub(super) flags: u16,
    /// The length in bytes.
    pub(super) len: u16,
}

impl Extent {
    /// The slot.
    #[inline]
    pub(super) fn slot(&self) -> u8 {
        slot_of(u32::from(self.id))
    }
}
