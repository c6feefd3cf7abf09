//! TCP over IPv6 that the backend is to segment, by the sizes of peer and link, which smoltcp does not pass on.

mod common;

use common::Rig;
use netfront::{Config, Feature, Nic as _};
use smoltcp::phy::Device as _;
use xen_sim::VifConfig;
use xen_sim::netback::Packet;

/// A segment over IPv6, with a timestamp option, as the stack leaves it: without a checksum.
fn segment(payload: usize) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    let len = ((32 + payload) as u16).to_be_bytes();
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, len[0], len[1], 6, 64]);
    bytes.extend((0..32).map(|at| 10 + at as u8));
    bytes.extend([0, 80, 0x20, 1, 0xff, 0xff, 0, 0]);
    bytes.extend([0, 0, 0, 1, 0x80, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]);
    bytes.extend((0..payload).map(|at| (at * 3) as u8));
    bytes
}

/// Bytes of Ethernet, IPv6 and TCP with its option.
const HEADERS: usize = 14 + 40 + 32;

fn sent(rig: &Rig) -> Vec<Packet> {
    std::iter::from_fn(|| rig.netback.recv()).collect()
}

#[test]
fn frames_are_cut_by_what_the_peer_and_the_link_take() {
    for (peer, size) in
        [(None, 1428), (Some(1440), 1428), (Some(9000), 1428), (Some(1340), 1328), (Some(500), 488)]
    {
        for payload in [size, size + 1, 2000, 5000, 20_000, 65_000] {
            let mut rig = Rig::connected();
            rig.device.set_segment_size(peer);
            let frame = segment(payload);
            assert!(rig.send(&frame));
            rig.device.set_segment_size(None);
            rig.rounds(2);
            let packets = sent(&rig);
            let [packet] = &packets[..] else { panic!("{} packets", packets.len()) };
            let gso = packet.gso.map(|gso| (gso.kind, usize::from(gso.size)));
            assert_eq!(gso, (payload > size).then_some((2, size)), "{peer:?}, {payload} bytes");
            assert!(packet.csum_blank && packet.data.len() == frame.len());
            assert_eq!(packet.data[HEADERS..], frame[HEADERS..]);
            let pieces = packets.into_iter().flat_map(Packet::segmented);
            assert!(pieces.into_iter().all(|piece| piece.data.len() <= HEADERS + size));
            assert_eq!(rig.device.stats().tx.refused, 0);
            // The peer's size limits no other flow.
            assert!(rig.send(&segment(1428)));
            rig.rounds(2);
            assert!(sent(&rig).iter().all(|packet| packet.gso.is_none()));
            rig.works();
        }
    }
}

#[test]
fn refused_or_not_offered_nothing_is_longer_than_the_link_takes() {
    let refuse = Feature::GSO_TCPV6;
    for (vif, config) in [
        (VifConfig::default(), Config { refuse, ..Config::default() }),
        (VifConfig::default().without("feature-gso-tcpv6"), Config::default()),
        (VifConfig::default().without("feature-sg"), Config::default()),
    ] {
        let mut rig = Rig::connected_with(vif, config);
        assert_eq!(rig.device.capabilities().segmentation.tcpv6, None);
        for payload in [1429, 2000, 5000] {
            rig.send(&segment(payload));
        }
        rig.rounds(2);
        assert_eq!(sent(&rig).len(), 0);
        assert_eq!(rig.device.stats().tx.refused, 3);
        rig.works();
    }
}
