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
    pub(crate) tx: &'a mut TxQueue,
}

impl phy::TxToken for TxToken<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, build: F) -> R {
        self.tx.send(len, build)
    }
}
