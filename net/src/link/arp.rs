//! ARP: what a frame says, and the frames that this host sends. RFC 826, RFC 5227.

use nic::Nic;
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol, Ipv4Address};

use crate::link::wire::Wire;

/// An ARP message for Ethernet and IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) operation: ArpOperation,
    /// The sender; unspecified in a probe.
    pub(crate) from: (EthernetAddress, Ipv4Address),
    /// The target.
    pub(crate) to: (EthernetAddress, Ipv4Address),
}

impl Arp {
    /// Reads a message; `None`: it is malformed, or not about IPv4 over Ethernet.
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let packet = ArpPacket::new_checked(packet).ok()?;
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr,
            source_protocol_addr,
            target_hardware_addr,
            target_protocol_addr,
        } = ArpRepr::parse(&packet).ok()?
        else {
            return None;
        };
        Some(Self {
            operation,
            from: (source_hardware_addr, source_protocol_addr),
            to: (target_hardware_addr, target_protocol_addr),
        })
    }

    /// A request for `target`. `from` is our address, or unspecified in a probe.
    pub(crate) const fn request(mac: EthernetAddress, from: Ipv4Address, target: Ipv4Address) -> Self {
        Self { operation: ArpOperation::Request, from: (mac, from), to: (EthernetAddress([0; 6]), target) }
    }

    /// The reply to a request for an address of ours.
    pub(crate) const fn reply(&self, mac: EthernetAddress) -> Self {
        Self { operation: ArpOperation::Reply, from: (mac, self.to.1), to: self.from }
    }
}

impl<N: Nic> Wire<'_, N> {
    /// Sends an ARP message to one host or to all. `None`: there is no slot.
    pub(crate) fn arp(&mut self, message: &Arp, to: EthernetAddress) -> Option<()> {
        let repr = ArpRepr::EthernetIpv4 {
            operation: message.operation,
            source_hardware_addr: message.from.0,
            source_protocol_addr: message.from.1,
            target_hardware_addr: message.to.0,
            target_protocol_addr: message.to.1,
        };
        self.frame(to, EthernetProtocol::Arp, repr.buffer_len(), |payload| {
            repr.emit(&mut ArpPacket::new_unchecked(payload));
        })
    }
}
