//! Datagrams that belong to the application, copied or in the pages in which they came.

use core::fmt;

use ledger::Reservation;
use smoltcp::wire::IpEndpoint;

use crate::base::chunk::Chunk;

/// A received datagram that belongs to its holder. Dropping it gives its memory back.
pub struct Datagram {
    payload: Chunk,
    from: IpEndpoint,
    _memory: Reservation,
}

impl Datagram {
    /// Bytes that a datagram takes beside its payload.
    pub(crate) const OWN: usize = size_of::<Self>().saturating_add(32);

    pub(crate) const fn new(payload: Chunk, from: IpEndpoint, memory: Reservation) -> Self {
        Self { payload, from, _memory: memory }
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The sender.
    #[must_use]
    pub const fn from(&self) -> IpEndpoint {
        self.from
    }

    /// Whether it is in the page in which it came: nothing was copied.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        self.payload.is_in_place()
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Datagram({:?} from {})", self.payload, self.from)
    }
}
