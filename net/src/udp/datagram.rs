//! Datagrams that belong to the application, copied or in the pages in which they came.

use core::fmt;
use core::ops::Range;

use nic::Packet;
use smoltcp::wire::IpEndpoint;

/// A received datagram that belongs to its holder. Dropping it gives the page back.
pub struct Datagram {
    packet: Packet,
    payload: Range<usize>,
    from: IpEndpoint,
}

impl Datagram {
    pub(crate) const fn new(packet: Packet, payload: Range<usize>, from: IpEndpoint) -> Self {
        Self { packet, payload, from }
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.packet.get(self.payload.clone()).unwrap_or_default()
    }

    /// The sender.
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
