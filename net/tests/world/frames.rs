//! Frames by hand, for tests that play the network themselves.

pub(crate) mod big;
pub(crate) mod six;

use net::{EthernetAddress, IpEndpoint, Ipv4Address};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol,
    Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};

/// The stack under test, and the test itself.
pub(crate) const US: EthernetAddress = EthernetAddress([0, 0x16, 0x3e, 0, 0, 1]);
pub(crate) const THEM: EthernetAddress = EthernetAddress([0, 0x16, 0x3e, 0, 0, 9]);

pub(crate) fn ethernet(dst: EthernetAddress, ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    EthernetRepr { src_addr: THEM, dst_addr: dst, ethertype }.emit(&mut frame);
    frame.payload_mut().copy_from_slice(payload);
    bytes
}

pub(crate) fn ipv4_packet(from: Ipv4Address, to: Ipv4Address, next: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let header = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: next,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; 20 + payload.len()];
    header.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    bytes[20..].copy_from_slice(payload);
    bytes
}

pub(crate) fn ipv4(from: Ipv4Address, to: Ipv4Address, next: IpProtocol, payload: &[u8]) -> Vec<u8> {
    ethernet(US, EthernetProtocol::Ipv4, &ipv4_packet(from, to, next, payload))
}

/// A packet cut into pieces of `size` bytes (a multiple of 8).
pub(crate) fn fragments(
    from: Ipv4Address,
    to: Ipv4Address,
    next: IpProtocol,
    payload: &[u8],
    size: usize,
    ident: u16,
) -> Vec<Vec<u8>> {
    let pieces = payload.chunks(size).enumerate();
    pieces
        .map(|(number, piece)| {
            let mut bytes = ipv4_packet(from, to, next, piece);
            let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
            packet.set_ident(ident);
            packet.set_dont_frag(false);
            packet.set_frag_offset((number * size) as u16);
            packet.set_more_frags((number + 1) * size < payload.len());
            packet.fill_checksum();
            ethernet(US, EthernetProtocol::Ipv4, &bytes)
        })
        .collect()
}

pub(crate) fn udp_datagram(from: IpEndpoint, to: IpEndpoint, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8 + data.len()];
    UdpRepr { src_port: from.port, dst_port: to.port }.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[..]),
        &from.addr,
        &to.addr,
        data.len(),
        |space| space.copy_from_slice(data),
        &ChecksumCapabilities::default(),
    );
    bytes
}

pub(crate) fn udp(from: IpEndpoint, to: IpEndpoint, data: &[u8]) -> Vec<u8> {
    ipv4(v4(from.addr), v4(to.addr), IpProtocol::Udp, &udp_datagram(from, to, data))
}

/// A TCP segment without options.
pub(crate) struct Tcp<'a> {
    pub(crate) from: IpEndpoint,
    pub(crate) to: IpEndpoint,
    pub(crate) control: TcpControl,
    pub(crate) seq: i32,
    pub(crate) ack: Option<i32>,
    pub(crate) data: &'a [u8],
}

impl Tcp<'_> {
    pub(crate) fn segment(&self) -> Vec<u8> {
        let repr = TcpRepr {
            src_port: self.from.port,
            dst_port: self.to.port,
            control: self.control,
            seq_number: TcpSeqNumber(self.seq),
            ack_number: self.ack.map(TcpSeqNumber),
            window_len: 60_000,
            window_scale: None,
            max_seg_size: (self.control == TcpControl::Syn).then_some(1460),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: self.data,
        };
        let mut bytes = vec![0; repr.buffer_len()];
        let mut packet = TcpPacket::new_unchecked(&mut bytes[..]);
        repr.emit(&mut packet, &self.from.addr, &self.to.addr, &ChecksumCapabilities::default());
        bytes
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        ipv4(v4(self.from.addr), v4(self.to.addr), IpProtocol::Tcp, &self.segment())
    }
}

pub(crate) fn syn(from: IpEndpoint, to: IpEndpoint, seq: i32) -> Vec<u8> {
    Tcp { from, to, control: TcpControl::Syn, seq, ack: None, data: &[] }.frame()
}

/// Control, sequence and acknowledgement numbers and payload of a TCP frame.
pub(crate) fn parse_tcp(frame: &[u8]) -> Option<(TcpControl, i32, Option<i32>, Vec<u8>)> {
    let packet = parse_ipv4(frame, IpProtocol::Tcp)?;
    let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
    let tcp = TcpPacket::new_checked(packet.payload()).unwrap();
    let repr = TcpRepr::parse(&tcp, &from, &to, &ChecksumCapabilities::default()).unwrap();
    Some((repr.control, repr.seq_number.0, repr.ack_number.map(|ack| ack.0), repr.payload.to_vec()))
}

/// The IPv4 packet of this protocol in a frame.
pub(crate) fn parse_ipv4(frame: &[u8], next: IpProtocol) -> Option<Ipv4Packet<&[u8]>> {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
    (packet.next_header() == next).then_some(packet)
}

pub(crate) fn arp(operation: ArpOperation, from: Ipv4Address, to: Ipv4Address) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: THEM,
        source_protocol_addr: from,
        target_hardware_addr: US,
        target_protocol_addr: to,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
    ethernet(US, EthernetProtocol::Arp, &bytes)
}

/// Sender and target, if the frame is an ARP request.
pub(crate) fn parse_arp(frame: &[u8]) -> Option<(Ipv4Address, Ipv4Address)> {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    if frame.ethertype() != EthernetProtocol::Arp {
        return None;
    }
    match ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap()).unwrap() {
        ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_protocol_addr,
            target_protocol_addr,
            ..
        } => Some((source_protocol_addr, target_protocol_addr)),
        _ => None,
    }
}

pub(crate) fn v4(address: IpAddress) -> Ipv4Address {
    match address {
        IpAddress::Ipv4(v4) => v4,
        IpAddress::Ipv6(_) => panic!("not IPv4"),
    }
}
