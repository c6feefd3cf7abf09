//! What the stack asks of a network interface, besides smoltcp's [`Device`].
//!
//! ```text
//!   one turn:  reap ─► (peek ─► receive ─► transmit)* ─► flush ─► final_check ─► sleep
//! ```
//!
//! `rx` is backend → us and `tx` is us → backend, here and everywhere.

use crate::held::Packet;
use crate::toeplitz::HashKey;
use smoltcp::phy::Device;
use smoltcp::wire::EthernetAddress;

/// What is known of the TCP or UDP checksum of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing: it is to be verified.
    #[default]
    Unknown,
    /// Somebody before us has verified it.
    Validated,
    /// It holds the sum of the pseudo-header only, because the frame never was on a wire. Before such a frame goes
    /// out again, its checksum is to be completed.
    Blank,
}

/// A received frame.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The bytes of the whole frame.
    pub frame: &'a [u8],
    /// What is known of its checksum.
    pub checksum: Checksum,
}

/// A network interface that works in turns.
///
/// [`Device::receive`] gives a token only while a frame can also be sent: a token that cannot be honoured does not
/// exist. While [`Nic::tx_exhausted`] says so, `poll_at` is to be ignored: time alone will not free a slot.
///
/// A device that cuts TCP over IPv6 (`segmentation.tcpv6`) is told how by [`Nic::cut`]: smoltcp 0.14 does not say it.
pub trait Nic: Device {
    /// The MAC address.
    fn mac(&self) -> EthernetAddress;

    /// Whether frames can flow: the backend is connected and has carrier.
    fn link_up(&self) -> bool;

    /// Counts the times that the link came up. A change calls for a gratuitous ARP: the other end may be new.
    fn link_generation(&self) -> u32;

    /// The start of a turn: takes back what the backend has sent.
    fn reap(&mut self);

    /// The next received frame, whole, without taking it: for the demultiplexer. The next [`Device::receive`] gives
    /// the same frame. `None` when there is none, or when it could not be answered (see [`Nic::tx_exhausted`]).
    ///
    /// Where the device's capabilities say that checksums of received TCP and UDP are not smoltcp's to verify, they are
    /// the caller's: of frames whose checksum is [`Checksum::Unknown`].
    fn peek(&mut self) -> Option<Received<'_>>;

    /// From here on, TCP whose payload has more bytes is cut into segments of so many; `None`: by what the link takes, which
    /// limits it in any case. Only while the device says that it cuts.
    fn cut(&mut self, payload: Option<u16>) {
        let _ = payload;
    }

    /// Drops the frame that [`Nic::peek`] shows; nothing if there is none.
    fn discard(&mut self);

    /// Takes the frame that [`Nic::peek`] shows, for somebody who keeps it beyond this turn. `None`, and the frame stays,
    /// if there is none, or if as many are kept as may be.
    fn hold(&mut self) -> Option<Packet>;

    /// What is sent from here on belongs to the flow with this hash, until the next call: an interface with several
    /// queues keeps a flow on one of them.
    fn steer(&mut self, _flow: u32) {}

    /// The key with which [`Nic::steer`] wants flows of TCP to be hashed, so that a flow leaves by the queue by which it
    /// comes; `None` where any hash will do.
    fn flow_key(&self) -> Option<HashKey> {
        None
    }

    /// The groups whose frames are wanted, all of them: those of the call before that are not among these are left. The
    /// interface may let others in, too. They stay for connections to come.
    fn set_multicast(&mut self, _groups: &[EthernetAddress]) {}

    /// Whether a frame was held back because no slot to send is free.
    fn tx_exhausted(&self) -> bool;

    /// The end of a turn: shows the backend what was queued, with at most one notification for each direction.
    fn flush(&mut self);

    /// The last look before sleep: asks for an event with the next response, and says whether something came in
    /// between (then another turn is due instead of sleep).
    fn final_check(&mut self) -> bool;
}
