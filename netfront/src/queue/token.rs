//! smoltcp's tokens: a frame to read, and a place for a frame to send.
//!
//! ```text
//!   NetDevice::receive ──► RxToken { &mut rx } ──consume──► frame in scratch, or in its page ──drop──► page back
//!                     └──► TxToken { &mut tx } ──consume──► frame built in a granted page ──► queued
//! ```
//!
//! A token borrows one direction of one queue, without allocation, counter or lock. While it lives, no other token can
//! take what it promises. An unused tx token costs nothing; an unused rx token drops its frame.

use crate::queue::rx::RxQueue;
use crate::queue::tx::TxQueue;
use core::num::NonZeroU16;
use nic::PartialTcp;
use smoltcp::phy;

/// A received frame.
#[derive(Debug)]
pub struct RxToken<'a> {
    rx: &'a mut RxQueue,
}

impl<'a> RxToken<'a> {
    pub(super) const fn new(rx: &'a mut RxQueue) -> Self {
        Self { rx }
    }
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
    /// The payload of each TCP segment, in bytes, if the backend is to segment the frame.
    segment: Option<NonZeroU16>,
}

impl<'a> TxToken<'a> {
    pub(super) const fn new(tx: &'a mut TxQueue) -> Self {
        Self { tx, segment: None }
    }
}

impl TxToken<'_> {
    /// See [`Nic::send_tcp`](nic::Nic::send_tcp).
    #[inline]
    pub(crate) fn send_tcp<R>(
        self,
        len: usize,
        partial: PartialTcp,
        build: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        self.tx.send(len, self.segment, Some(partial), build)
    }
}

impl phy::TxToken for TxToken<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, build: F) -> R {
        self.tx.send(len, self.segment, None, build)
    }

    #[inline]
    fn set_meta(&mut self, meta: phy::PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}
