//! The consumers of memory, and their shares.

/// The consumers of memory whose size peers or dom0 decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consumer {
    /// Buffers and state of TCP connections.
    Tcp,
    /// Datagrams that wait to be read or sent.
    Udp,
    /// Fragments that wait to be reassembled.
    Fragments,
    /// Content that dom0 has pushed, or is pushing.
    Content,
    /// Replies that are generated, until they are sent.
    Replies,
    /// What else an appliance keeps for its clients.
    Appliance,
    /// Blocks for dom0, until it has them.
    Outgoing,
    /// Messages and watches of xenstore.
    Xenstore,
    /// Console output that waits to be read.
    Log,
    /// Hardware addresses of neighbours.
    Neighbours,
}

/// The share of a consumer: fractions of the ledger's bytes, in 256ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The consumer.
    pub consumer: Consumer,
    /// Its name in `/status.json`.
    pub name: &'static str,
    /// What it can use whatever the others do.
    pub floor: u8,
    /// What it can use at most.
    pub limit: u8,
}

/// The shares. The floors leave more than half of the memory to any consumer.
pub const SHARES: [Share; 10] = [
    Share { consumer: Consumer::Tcp, name: "tcp", floor: 32, limit: 144 },
    Share { consumer: Consumer::Udp, name: "udp", floor: 8, limit: 48 },
    Share { consumer: Consumer::Fragments, name: "fragments", floor: 4, limit: 16 },
    Share { consumer: Consumer::Content, name: "content", floor: 32, limit: 160 },
    Share { consumer: Consumer::Replies, name: "replies", floor: 8, limit: 72 },
    Share { consumer: Consumer::Appliance, name: "appliance", floor: 8, limit: 64 },
    Share { consumer: Consumer::Outgoing, name: "outgoing", floor: 4, limit: 32 },
    Share { consumer: Consumer::Xenstore, name: "xenstore", floor: 4, limit: 16 },
    Share { consumer: Consumer::Log, name: "log", floor: 4, limit: 16 },
    Share { consumer: Consumer::Neighbours, name: "neighbours", floor: 4, limit: 24 },
];

impl Consumer {
    /// Its place in [`SHARES`].
    pub(crate) fn index(self) -> usize {
        SHARES.iter().position(|share| share.consumer == self).unwrap_or_default()
    }
}
