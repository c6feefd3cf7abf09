//! The way out for frames that this crate builds itself.

use nic::Nic;
use smoltcp::phy::TxToken as _;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr};

use crate::base::observer::Show;

/// Bytes of an Ethernet header.
pub(crate) const HEADER: usize = 14;

/// An interface to send frames from.
pub(crate) struct Wire<'a, N> {
    pub(crate) nic: &'a mut N,
    pub(crate) now: Instant,
    /// The source address of all frames.
    pub(crate) mac: EthernetAddress,
    pub(crate) show: Show<'a>,
}

impl<N: Nic> Wire<'_, N> {
    /// Sends a frame with `len` bytes of payload, which `build` fills in. `None`: there is no slot.
    pub(crate) fn frame(
        &mut self,
        to: EthernetAddress,
        ethertype: EthernetProtocol,
        len: usize,
        build: impl FnOnce(&mut [u8]),
    ) -> Option<()> {
        let token = self.nic.transmit(self.now)?;
        let head = EthernetRepr { src_addr: self.mac, dst_addr: to, ethertype };
        token.consume(HEADER.saturating_add(len), |buffer| {
            let mut frame = EthernetFrame::new_unchecked(buffer);
            head.emit(&mut frame);
            build(frame.payload_mut());
            self.show.frame(frame.into_inner());
        });
        Some(())
    }
}
