//! What TCP needs to know of the interface: the size of its packets, and how it chooses a queue.

use nic::HashKey;
use smoltcp::wire::IpAddress;
use tcp::tuple::FourTuple;

/// Bytes of the IP header and of TCP's without options.
pub(crate) const HEADERS_V4: u16 = 40;
pub(crate) const HEADERS_V6: u16 = 60;

/// An interface, as connections see it.
#[derive(Debug)]
pub(crate) struct Link {
    /// Bytes of an IP packet at most.
    pub(crate) mtu: usize,
    /// The key of the hash by which several queues share the flows; `None`: there is one queue.
    pub(crate) flow_key: Option<HashKey>,
}

impl Link {
    /// The MSS that is announced from an address of ours: the MTU less fixed headers (RFC 9293, section 3.7.1).
    pub(crate) fn mss(&self, local: IpAddress) -> u16 {
        let headers = if matches!(local, IpAddress::Ipv4(_)) { HEADERS_V4 } else { HEADERS_V6 };
        u16::try_from(self.mtu).unwrap_or(u16::MAX).saturating_sub(headers)
    }

    /// The hash of a flow, by which an interface with several queues chooses one.
    pub(crate) fn flow(&self, tuple: &FourTuple) -> u32 {
        self.flow_key.as_ref().map_or_else(
            || u32::from(tuple.remote_port) ^ u32::from(tuple.local_port),
            |key| key.flow((tuple.remote, tuple.remote_port), (tuple.local, tuple.local_port)),
        )
    }
}
