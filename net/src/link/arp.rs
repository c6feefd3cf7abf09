//! ARP frames that smoltcp does not send. RFC 826.

use nic::Nic;
use smoltcp::phy::TxToken as _;
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    Ipv4Address,
};

/// Broadcasts a request for `target`. `false`: there is no slot.
pub(crate) fn request<N: Nic>(
    nic: &mut N,
    now: Instant,
    mac: EthernetAddress,
    from: Ipv4Address,
    target: Ipv4Address,
) -> bool {
    let Some(token) = nic.transmit(now) else { return false };
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: mac,
        source_protocol_addr: from,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let frame_len = EthernetFrame::<&[u8]>::header_len().saturating_add(arp.buffer_len());
    token.consume(frame_len, |buffer| emit(&arp, mac, buffer));
    true
}

fn emit(arp: &ArpRepr, mac: EthernetAddress, buffer: &mut [u8]) {
    let ethernet = EthernetRepr {
        src_addr: mac,
        dst_addr: EthernetAddress::BROADCAST,
        ethertype: EthernetProtocol::Arp,
    };
    let mut frame = EthernetFrame::new_unchecked(buffer);
    ethernet.emit(&mut frame);
    arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
}
