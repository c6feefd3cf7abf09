//! Telling neighbours of us, unasked.
//!
//! After a new link or a new address, switches and neighbours may still send our frames elsewhere. One broadcast ARP
//! request for our own address corrects them (RFC 5227, 3).

use netfront::Nic;
use smoltcp::phy::TxToken as _;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    Ipv4Address,
};

use crate::state::State;
use crate::status::bump;

impl State {
    /// Sends the announcement that is due, if any; stays due when there is no slot to send.
    pub(crate) fn announce<N: Nic>(&mut self, nic: &mut N) {
        let Some(address) = self.me.address.filter(|_| self.address.announce && self.link_up) else { return };
        let Some(token) = nic.transmit(self.now) else { return };
        let arp = gratuitous(self.me.mac, address.address());
        let frame_len = EthernetFrame::<&[u8]>::header_len().saturating_add(arp.buffer_len());
        token.consume(frame_len, |buffer| emit(&arp, self.me.mac, buffer));
        self.address.announce = false;
        bump(&mut self.counters.announced);
    }
}

fn gratuitous(mac: EthernetAddress, address: Ipv4Address) -> ArpRepr {
    ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: mac,
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: address,
    }
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
