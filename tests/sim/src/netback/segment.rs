//! Software segmentation: what a bridge does with a large packet for a guest that cannot take it.
//!
//! ```text
//!   headers | payload of many MSS   ─►   headers' | MSS,  headers' | MSS,  …  headers' | rest
//!                                        sequence number, length, id and checksums made again; FIN and PSH on the last
//! ```

use super::packet::{Packet, headers, internet_checksum};

/// The position of the IP header after an Ethernet header.
const IP: usize = 14;
/// TCP flags that only the last segment keeps: FIN and PSH.
const LAST_ONLY: u8 = 0x09;

impl Packet {
    /// The packet as a guest without GSO gets it: itself, or its segments, with finished checksums.
    #[must_use]
    pub fn segmented(self) -> Vec<Self> {
        let (Some(gso), Some((tcp, _))) = (self.gso, headers(&self.data).transport) else {
            return vec![self];
        };
        let head = headers(&self.data).len;
        let (header, payload) = self.data.split_at(head);
        let segments = payload.chunks(usize::from(gso.size).max(1)).count().max(1);
        let mut all = Vec::with_capacity(segments);
        for (number, chunk) in payload.chunks(usize::from(gso.size).max(1)).enumerate() {
            let mut data = header.to_vec();
            data.extend_from_slice(chunk);
            let sent = (number * usize::from(gso.size)) as u32;
            rewrite(&mut data, tcp, number as u16, sent, number + 1 == segments);
            all.push(Self { data, csum_blank: false, data_validated: true, gso: None });
        }
        all
    }
}

/// Makes the headers of one segment its own.
fn rewrite(data: &mut [u8], tcp: usize, number: u16, sent: u32, last: bool) {
    let len = data.len();
    let add32 = |at: usize, data: &mut [u8]| {
        let old = u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
        data[at..at + 4].copy_from_slice(&old.wrapping_add(sent).to_be_bytes());
    };
    add32(tcp + 4, data);
    if !last {
        data[tcp + 13] &= !LAST_ONLY;
    }
    let is_ipv4 = data[IP] >> 4 == 4;
    if is_ipv4 {
        let id = u16::from_be_bytes([data[IP + 4], data[IP + 5]]).wrapping_add(number);
        data[IP + 2..IP + 4].copy_from_slice(&((len - IP) as u16).to_be_bytes());
        data[IP + 4..IP + 6].copy_from_slice(&id.to_be_bytes());
        data[IP + 10..IP + 12].fill(0);
        let sum = internet_checksum(&[&data[IP..tcp]]);
        data[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    } else {
        data[IP + 4..IP + 6].copy_from_slice(&((len - IP - 40) as u16).to_be_bytes());
    }
    let addresses = if is_ipv4 { IP + 12..IP + 20 } else { IP + 8..IP + 40 };
    data[tcp + 16..tcp + 18].fill(0);
    let pseudo = [&[0, 6][..], &((len - tcp) as u16).to_be_bytes()].concat();
    let sum = internet_checksum(&[&data[addresses], &pseudo, &data[tcp..]]);
    data[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netback::Gso;

    /// A TCP packet over IPv4 with this much payload, FIN and PSH.
    fn large(payload: usize) -> Packet {
        let mut data = vec![0; 12];
        data.extend([8, 0, 0x45, 0, 0, 0, 0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        data.extend([0, 80, 1, 0, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1, 0x50, 0x19, 1, 0, 0, 0, 0, 0]);
        data.extend((0..payload).map(|at| at as u8));
        Packet { data, csum_blank: true, data_validated: true, gso: Some(Gso { size: 1000, kind: 1 }) }
    }

    #[test]
    fn segments_carry_the_payload_once_and_in_order() {
        let segments = large(2500).segmented();
        assert_eq!(segments.iter().map(|packet| packet.data.len()).collect::<Vec<_>>(), [1054, 1054, 554]);
        let payload: Vec<u8> = segments.iter().flat_map(|packet| packet.data[54..].to_vec()).collect();
        assert_eq!(payload, large(2500).data[54..]);
        let field =
            |packet: &Packet, at: usize| u32::from_be_bytes(packet.data[at..at + 4].try_into().unwrap());
        let sequence: Vec<u32> = segments.iter().map(|packet| field(packet, 38)).collect();
        assert_eq!(sequence, [0xffff_fff0, 0x3d8, 0x7c0], "it wraps");
        assert_eq!(segments.iter().map(|packet| packet.data[47]).collect::<Vec<_>>(), [0x10, 0x10, 0x19]);
    }

    #[test]
    fn every_checksum_of_a_segment_is_right() {
        for packet in large(2501).segmented() {
            let data = &packet.data;
            assert_eq!(internet_checksum(&[&data[14..34]]), 0, "IP");
            let len = (data.len() - 34) as u16;
            let pseudo = [&[0, 6][..], &len.to_be_bytes()].concat();
            assert_eq!(internet_checksum(&[&data[26..34], &pseudo, &data[34..]]), 0, "TCP");
        }
    }

    #[test]
    fn a_small_packet_is_left_alone() {
        let packet = Packet::from(vec![0; 60]);
        assert_eq!(packet.clone().segmented(), [packet]);
    }
}
