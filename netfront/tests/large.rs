//! Sending with the backend's help: frames longer than a page, segments left to be made, checksums left to be finished.

mod common;

use common::{NOW, Rig};
use netfront::{Config, Feature, Nic as _};
use smoltcp::phy::{Device as _, PacketMeta, TxToken as _};
use std::num::NonZeroU16;
use xen::abi::io_netif::NetifTxResponse;
use xen_sim::VifConfig;
use xen_sim::netback::{Gso, Order, Packet, Side};
use zerocopy::IntoBytes as _;

/// Payload that fits the link under either version of IP.
const SIZE: u16 = 1440;

/// A TCP segment over IPv4 or IPv6 with `len` bytes after the Ethernet header, and no checksum.
fn tcp(version: u8, ip_len: usize, number: usize) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    let (header, addresses) = if version == 4 { (20, 8) } else { (40, 32) };
    if version == 4 {
        let len = (ip_len as u16).to_be_bytes();
        bytes.extend([8, 0, 0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, 6, 0, 0]);
    } else {
        let len = ((ip_len - 40) as u16).to_be_bytes();
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, len[0], len[1], 6, 64]);
    }
    bytes.extend((0..addresses).map(|at| 10 + at as u8));
    bytes.extend([0, 80, 0x20, number as u8, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes.extend((0..ip_len - header - 20).map(|at| (at * 7 + number) as u8));
    bytes
}

impl Rig {
    /// Sends a frame that the backend is to cut; `false` if no token was given.
    fn send_cut(&mut self, bytes: &[u8], size: u16) -> bool {
        let Some(mut token) = self.device.transmit(NOW) else { return false };
        let mut meta = PacketMeta::default();
        meta.segmentation_offload_size = NonZeroU16::new(size);
        token.set_meta(meta);
        token.consume(bytes.len(), |into| into.copy_from_slice(bytes));
        true
    }

    fn next_packet(&mut self) -> Packet {
        self.rounds(2);
        self.netback.recv().expect("a packet")
    }
}

/// Whether the packets are the same but for their checksums.
fn same(packet: &Packet, bytes: &[u8], version: u8) -> bool {
    let field = if version == 4 { 50..52 } else { 70..72 };
    let mut sent = packet.data.clone();
    sent[field].fill(0);
    sent == bytes
}

#[test]
fn merged_frames_go_out_whole() {
    let mut rig = Rig::connected();
    for (number, version) in [4, 6].into_iter().cycle().take(40).enumerate() {
        let len = [100, 1500, 2948, 4082, 4083, 8178, 8179, 30_000, 65_000, 65_521][number / 4];
        let bytes = tcp(version, len, number);
        assert!(rig.send_cut(&bytes, SIZE));
        let packet = rig.next_packet();
        assert!(same(&packet, &bytes, version), "{len} bytes");
        assert!(packet.csum_blank && packet.data_validated);
        assert_eq!(packet.gso, Some(Gso { size: SIZE, kind: if version == 4 { 1 } else { 2 } }));
    }
    let stats = rig.device.stats();
    assert_eq!(
        (stats.tx.gso_packets.get(), stats.tx.packets.get(), stats.tx.checksum_blank.get()),
        (40, 40, 40)
    );
    assert_eq!((stats.tx_contiguous.in_ring, stats.tx_contiguous.total, stats.tx_pool.in_ring), (0, 128, 0));
    rig.works();
}

#[test]
fn the_backend_can_complete_the_checksum() {
    let mut rig = Rig::connected();
    for version in [4, 6] {
        for len in [100, 1000] {
            let bytes = tcp(version, len, 1);
            assert!(rig.send(&bytes));
            let packet = rig.next_packet();
            assert!(packet.csum_blank && packet.data_validated && packet.gso.is_none());
            let mut whole = packet.data.clone();
            assert!(netfront::offload::complete(&mut whole));
            // A frontend that the backend does not help computes the same.
            let mut alone = Rig::connected_with(
                VifConfig::default(),
                Config { refuse: Feature::CHECKSUM, ..Config::default() },
            );
            assert!(alone.send(&bytes), "finished on the way out");
            assert_eq!(alone.next_packet(), Packet::from(whole));
        }
    }
}

#[test]
fn of_two_protocols_the_backend_may_help_with_one() {
    let vif = VifConfig::default().feature("feature-ipv6-csum-offload", "0");
    let mut rig = Rig::connected_with(vif, Config::default());
    assert_eq!(rig.device.stats().features.tx, Feature::FRAMES - Feature::CHECKSUM_IPV6 - Feature::GSO_TCPV6);
    let bytes = tcp(6, 500, 1);
    assert!(rig.send(&bytes));
    let packet = rig.next_packet();
    assert!(!packet.csum_blank && same(&packet, &bytes, 6) && packet.data != bytes);
    let mut again = packet.data.clone();
    netfront::offload::complete(&mut again);
    assert_eq!(packet.data, again, "it is finished");
}

#[test]
fn a_blank_checksum_can_be_completed_by_the_receiver() {
    let mut rig = Rig::connected();
    let mut whole = tcp(4, 900, 3);
    netfront::offload::complete(&mut whole);
    let mut blank = whole.clone();
    // The contents of a frame that was never on a wire.
    netfront::offload::prepare(&mut blank, |_| true);
    assert_ne!(blank, whole);
    let received = rig.give_packet(Packet { csum_blank: true, ..Packet::from(blank) }).unwrap();
    assert!(rig.send(&received));
    let packet = rig.next_packet();
    assert!(packet.csum_blank);
    let mut data = packet.data;
    netfront::offload::complete(&mut data);
    assert_eq!(data, whole);
}

#[test]
fn tokens_are_given_only_while_the_longest_frame_has_room() {
    for order in [Order::Fifo, Order::Reversed, Order::Permuted(5)] {
        let mut rig = Rig::connected();
        rig.netback.faults(|faults| (faults.hold_tx, faults.order) = (true, order));
        let mut sent = Vec::new();
        for number in 0..100 {
            let bytes = tcp(4, [65_000, 5000, 100, 12_000][number % 4], number);
            if !rig.send_cut(&bytes, SIZE) {
                break;
            }
            sent.push(bytes);
        }
        assert!(rig.device.tx_exhausted() && sent.len() >= 8, "{}", sent.len());
        rig.rounds(3);
        assert!(!rig.send(&tcp(4, 100, 0)), "not even a short one");
        rig.netback.faults(|faults| faults.hold_tx = false);
        rig.rounds(3);
        for bytes in &sent {
            assert!(same(&rig.netback.recv().unwrap(), bytes, 4));
        }
        assert_eq!(rig.device.stats().tx_contiguous.in_ring, 0);
        // The contiguous buffer is used again and again, with the bytes of former frames in it.
        for number in 0..300 {
            let bytes = tcp(4, 200 + number * 211, number);
            assert!(rig.send_cut(&bytes, SIZE), "{number}");
            assert!(same(&rig.next_packet(), &bytes, 4));
        }
    }
}

#[test]
fn without_contiguous_memory_or_sg_frames_stay_small() {
    let sg = Feature::SCATTER_GATHER;
    for (vif, config) in [
        (VifConfig::default(), Config { contiguous: 0, ..Config::default() }),
        (VifConfig::default(), Config { contiguous: 15, ..Config::default() }),
        (VifConfig::default().without("feature-sg"), Config::default()),
        (VifConfig::default(), Config { refuse: sg, ..Config::default() }),
    ] {
        let mut rig = Rig::connected_with(vif, config);
        let stats = rig.device.stats();
        assert!(!stats.features.tx.intersects(sg | Feature::GSO));
        assert_eq!(stats.tx_contiguous.total, 0);
        assert!(rig.device.capabilities().segmentation.tcpv4.is_none());
        assert!(rig.device.capabilities().checksum.tcp.tx() == stats.features.tx.is_empty());
        rig.works();
    }
    let config = Config { refuse: Feature::GSO, ..Config::default() };
    let rig = Rig::connected_with(VifConfig::default(), config);
    assert!(rig.device.stats().features.tx.contains(sg));
    assert!(rig.device.capabilities().segmentation.tcpv4.is_none());
}

#[test]
fn jumbo_frames_take_several_slots_both_ways() {
    let vif = VifConfig { mtu: Some("9000".to_owned()), ..VifConfig::default() };
    let mut rig = Rig::connected_with(vif, Config::default());
    assert_eq!(rig.device.capabilities().ip_mtu(), 9000);
    let bytes = tcp(4, 9000, 1);
    assert_eq!(rig.give(bytes.clone()).as_ref(), Some(&bytes));
    assert!(rig.send(&bytes));
    let packet = rig.next_packet();
    assert!(same(&packet, &bytes, 4) && packet.gso.is_none());
    assert_eq!(rig.device.stats().tx.chains, 1);
    assert_eq!(rig.give(tcp(4, 9005, 1)), None, "longer than agreed");
}

#[test]
fn h17_h19_answers_to_descriptors_are_counted() {
    let mut rig = Rig::connected_with(VifConfig::default().lenient(), Config::default());
    rig.netback.faults(|faults| faults.hold_tx = true);
    assert!(rig.send_cut(&tcp(4, 3000, 1), SIZE));
    rig.round();
    let ring = rig.netback.ring(Side::Tx);
    for status in [1, 1] {
        ring.put(NetifTxResponse { id: 0xffff, status }.as_bytes());
    }
    ring.push();
    rig.rounds(2);
    assert_eq!(rig.misbehaved("tx_null"), 1, "two answers to one descriptor");
    assert!(!rig.device.link_up());
}

#[test]
fn h39_a_contiguous_buffer_in_use_is_replaced() {
    let vif = VifConfig { backend: xen::DomId(5), ..VifConfig::default() }.lenient();
    let mut rig = Rig::connected_with(vif, Config::default());
    rig.netback.faults(|faults| faults.keep_mapped = true);
    assert!(rig.send_cut(&tcp(4, 60_000, 1), SIZE));
    rig.rounds(2);
    drop(rig.sent());
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.return_as(xen::DomId(7));
    rig.until_up();
    let stats = rig.device.stats();
    assert_eq!((stats.tx_contiguous.quarantined, stats.tx_contiguous.total), (15, 128));
    assert!(rig.send_cut(&tcp(4, 60_000, 2), SIZE));
    assert!(same(&rig.next_packet(), &tcp(4, 60_000, 2), 4));
}

#[test]
fn a_contiguous_buffer_for_another_backend_is_cleared() {
    let mut rig =
        Rig::connected_with(VifConfig { backend: xen::DomId(5), ..VifConfig::default() }, Config::default());
    rig.sim.canary(b"\x07\x0e\x15\x1c\x23\x2a\x31\x38");
    assert!(rig.send_cut(&tcp(4, 60_000, 0), SIZE));
    rig.rounds(2);
    drop(rig.sent());
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.return_as(xen::DomId(7));
    rig.until_up();
    assert_eq!(rig.device.stats().tx_contiguous.total, 128);
    assert_eq!(rig.sim.leaks_to(xen::DomId(7)), []);
}
