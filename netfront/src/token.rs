//! smoltcp's tokens: a frame to read, and the promise of a frame to send.
//!
//! ```text
//!   NetDevice::receive ──► RxToken { &mut rx } ──consume──► frame in scratch, or in its page ──drop──► page back
//!                     └──► TxToken { &mut tx } ──consume──► frame built in a granted page ──► queued
//! ```
//!
//! Each token borrows one direction of one queue: no allocation, no count, no lock; and as long as it lives, nobody else
//! can take what it promises. A token that is dropped unused costs nothing on the way out, and the frame on the way in.

use crate::rx::RxQueue;
use crate::tx::TxQueue;
use core::num::NonZeroU16;
use smoltcp::phy;

/// A received frame.
#[derive(Debug)]
pub struct RxToken<'a> {
    pub(crate) rx: &'a mut RxQueue,
}

impl phy::RxToken for RxToken<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.rx.frame())
    }
}

impl Drop for RxToken<'_> {
    #[inline]
    fn drop(&mut self) {
        self.rx.release();
    }
}

/// A slot and a page for a frame to send.
#[derive(Debug)]
pub struct TxToken<'a> {
    tx: &'a mut TxQueue,
    /// The frame is to be cut into TCP segments with so many bytes.
    segment: Option<NonZeroU16>,
}

impl<'a> TxToken<'a> {
    pub(crate) const fn new(tx: &'a mut TxQueue) -> Self {
        Self { tx, segment: None }
    }
}

impl phy::TxToken for TxToken<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, build: F) -> R {
        self.tx.send(len, self.segment, build)
    }

    #[inline]
    fn set_meta(&mut self, meta: phy::PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}
