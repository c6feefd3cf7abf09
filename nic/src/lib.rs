//! The interface between a network driver and the network stack.
//!
//! ```text
//!   net (the stack) ──► trait Nic: smoltcp's Device, and what a stack needs beyond it ◄── netfront (a driver)
//! ```
//!
//! A stack and a driver both import this crate, and neither imports the other.
//!
//! | module | contents |
//! |---|---|
//! | this one | the trait [`Nic`], [`Received`], [`Checksum`] |
//! | [`checksum`] | the sum of the Internet checksum |
//! | [`partial`] | [`PartialTcp`]: a frame whose checksum the driver or the device completes |
//! | [`toeplitz`] | [`HashKey`]: the hash by which a flow is assigned to a queue |
//!
//! `rx` is from the network to us and `tx` is from us to the network.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

#[cfg(test)]
extern crate std;

pub mod checksum;
pub mod partial;
pub mod toeplitz;

pub use partial::{IpVersion, PartialTcp};
pub use pool::Packet;
pub use toeplitz::HashKey;

use smoltcp::phy::{Device, TxToken as _};
use smoltcp::wire::EthernetAddress;

/// What is known of the TCP or UDP checksum of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing. The receiver verifies it.
    #[default]
    Unknown,
    /// The sender's side has verified it.
    Validated,
    /// The field holds the sum of the pseudo-header only, because the frame never was on a wire. The checksum must be
    /// completed before the frame goes out again.
    Blank,
}

/// A received frame.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The bytes of the whole frame, from the Ethernet header on.
    pub frame: &'a [u8],
    /// What is known of its checksum.
    pub checksum: Checksum,
}

/// A network interface that works in loop iterations.
///
/// ```text
///   one iteration:  reap ─► (peek ─► receive ─► transmit)* ─► flush ─► final_check ─► sleep
/// ```
///
/// [`Device::receive`] gives a token only while a frame can also be sent, so each token can be used. While
/// [`Nic::tx_exhausted`] is true, the stack ignores `poll_at`: time alone does not free a slot.
///
/// A device that segments TCP over IPv6 (`segmentation.tcpv6`) learns the segment size by [`Nic::set_segment_size`]:
/// smoltcp 0.14 does not pass it.
pub trait Nic: Device {
    /// The MAC address.
    fn mac(&self) -> EthernetAddress;

    /// Whether frames can flow: the backend is connected and has carrier.
    fn link_up(&self) -> bool;

    /// The number of times that the link came up. After a change the stack announces its addresses: the other end may be
    /// a different one.
    fn link_generation(&self) -> u32;

    /// Begins an iteration: takes back what the backend has sent.
    fn reap(&mut self);

    /// The next received frame, whole, for the demultiplexer. The frame stays: the next [`Device::receive`] gives the
    /// same one. `None` when there is none, or when a reply could not be sent (see [`Nic::tx_exhausted`]).
    ///
    /// Where the capabilities of the device say that smoltcp does not verify TCP and UDP checksums, the caller verifies
    /// those of frames with [`Checksum::Unknown`].
    fn peek(&mut self) -> Option<Received<'_>>;

    /// Sets the size of the segments, in bytes of TCP payload, into which frames are segmented from now on. `None`: as
    /// many as the link takes, which is the limit in any case. Valid only while the device segments.
    fn set_segment_size(&mut self, payload: Option<u16>) {
        let _ = payload;
    }

    /// Sends a TCP frame of `len` bytes whose checksum is partial: `build` leaves the pseudo-header's sum in the field
    /// ([`PartialTcp::write_pseudo_sum`]), and the device completes it or has it completed.
    #[inline]
    fn send_tcp<R>(
        token: Self::TxToken<'_>,
        len: usize,
        partial: PartialTcp,
        build: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        token.consume(len, |frame| {
            let result = build(frame);
            partial.complete(frame);
            result
        })
    }

    /// Drops the frame that [`Nic::peek`] shows. Does nothing if there is none.
    fn discard(&mut self);

    /// Takes the frame that [`Nic::peek`] shows, for an application that retains it after this iteration. `None` if there
    /// is none, or if as many are retained as the limit allows; then the frame stays.
    fn retain(&mut self) -> Option<Packet>;

    /// Sends on the queue of the flow with this hash, until the next call: an interface with several queues keeps a flow
    /// on one of them.
    fn steer(&mut self, _flow: u32) {}

    /// The key by which flows are hashed for [`Nic::steer`], so that a flow is sent on the queue on which it is received.
    /// `None`: any hash will do.
    fn flow_key(&self) -> Option<HashKey> {
        None
    }

    /// Sets the multicast groups whose frames are wanted: all of them. The list stays in force over later connections.
    /// The interface may let frames to other groups in, too.
    fn set_multicast(&mut self, _groups: &[EthernetAddress]) {}

    /// Whether a frame was held back because no transmit slot is free.
    fn tx_exhausted(&self) -> bool;

    /// Ends an iteration: shows the backend what was queued, with at most one notification for each direction.
    fn flush(&mut self);

    /// Looks at the rings a last time before sleep, and asks for an event with the next response. Returns whether there
    /// is more work; then another iteration is due instead of sleep.
    fn final_check(&mut self) -> bool;
}
