//! Datagrams that belong to the application, in the pages in which they came.
//!
//! ```text
//!   peek ─► UDP to a port of ours that takes them in place? whole, checksums right? ─► Nic::hold ─► queue ─► recv_owned
//!                │ no                                                                                           │
//!                └─► smoltcp, as any other                                        payload read, dropped: page back
//! ```
//!
//! What is not simply a whole datagram to our address (fragments, broadcasts, options, wrong checksums) goes to smoltcp,
//! which knows what to do; it arrives by the same call, as a copy.

use alloc::collections::VecDeque;
use core::fmt;
use core::ops::Range;
use core::task::Waker;

use nic::Packet;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpEndpoint, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet,
    UdpPacket,
};

use crate::frame::classify::datagram_is_whole;

/// A received datagram that belongs to its holder. Dropping it gives the page back.
pub struct Datagram {
    packet: Packet,
    payload: Range<usize>,
    from: IpEndpoint,
}

impl Datagram {
    /// A datagram without a page.
    pub(crate) fn copied(payload: &[u8], from: IpEndpoint) -> Self {
        Self { packet: Packet::from_bytes(payload), payload: 0..payload.len(), from }
    }

    /// What was sent.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.packet.get(self.payload.clone()).unwrap_or_default()
    }

    /// Who sent it.
    #[must_use]
    pub const fn from(&self) -> IpEndpoint {
        self.from
    }

    /// Whether it is in the page in which it came: nothing was copied.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        self.packet.is_in_place()
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Datagram({} bytes from {}, {:?})", self.payload.len(), self.from, self.packet)
    }
}

/// Datagrams that wait for their application.
#[derive(Debug)]
pub(crate) struct Inbox {
    waiting: VecDeque<Datagram>,
    room: usize,
    pub(crate) reader: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(room: usize) -> Self {
        Self { waiting: VecDeque::with_capacity(room), room, reader: None }
    }

    pub(crate) fn pop(&mut self) -> Option<Datagram> {
        self.waiting.pop_front()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= self.room
    }

    pub(crate) fn push(&mut self, packet: Packet, payload: Range<usize>, from: IpEndpoint) {
        self.waiting.push_back(Datagram { packet, payload, from });
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// A whole datagram in a frame.
pub(crate) struct Found {
    pub(crate) from: IpEndpoint,
    pub(crate) to: IpEndpoint,
    /// Where the payload is in the frame.
    pub(crate) payload: Range<usize>,
}

/// Finds the datagram in a frame, if there is one, whole and undamaged.
pub(crate) fn find(frame: &[u8], verify: bool) -> Option<Found> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let (from, to, payload): (IpAddress, IpAddress, _) = match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => {
            let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
            // With the header's checksum; options are smoltcp's business.
            let repr = Ipv4Repr::parse(&ip, &smoltcp::phy::ChecksumCapabilities::default()).ok()?;
            let whole = !ip.more_frags() && ip.frag_offset() == 0 && ip.header_len() == 20;
            let udp = whole && repr.next_header == IpProtocol::Udp;
            udp.then(|| (repr.src_addr.into(), repr.dst_addr.into(), ip.payload()))?
        }
        EthernetProtocol::Ipv6 => {
            let ip = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
            let udp = ip.next_header() == IpProtocol::Udp;
            udp.then(|| (ip.src_addr().into(), ip.dst_addr().into(), ip.payload()))?
        }
        _ => return None,
    };
    let udp = UdpPacket::new_checked(payload).ok()?;
    if udp.src_port() == 0 || (verify && !datagram_is_whole((from, to), &udp, payload)) {
        return None;
    }
    let ip_header = if matches!(from, IpAddress::Ipv4(_)) { 20 } else { 40 };
    let begin = frame.len().checked_sub(ethernet.payload().len())?.checked_add(ip_header)?.checked_add(8)?;
    let end = begin.checked_add(udp.payload().len())?;
    Some(Found {
        from: IpEndpoint::new(from, udp.src_port()),
        to: IpEndpoint::new(to, udp.dst_port()),
        payload: begin..end,
    })
}
