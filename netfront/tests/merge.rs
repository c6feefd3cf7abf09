//! Segments over IPv6 that are put together on the way out: what a backend cuts of them is what the stack sent.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::drop_non_drop,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_core,
    clippy::alloc_instead_of_core,
    clippy::unwrap_used,
    reason = "a test stops when something is not as it should be"
)]

mod common;

use common::{Rig, frame};
use netfront::{Config, Feature};
use xen_sim::VifConfig;
use xen_sim::netback::Packet;

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;
const MSS: usize = 1428;

/// A segment of a flow over IPv6, with a timestamp option, as the stack leaves it: without a checksum.
fn segment(flow: u8, sequence: u32, payload: usize, flags: u8, stamp: u8) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    let len = ((32 + payload) as u16).to_be_bytes();
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, len[0], len[1], 6, 64]);
    bytes.extend((0..32).map(|at| 10 + at as u8));
    bytes.extend([0, 80, 0x20, flow]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x80, flags, 1, 0, 0, 0, 0, 0]);
    bytes.extend([1, 1, 8, 10, 0, 0, 0, stamp, 0, 0, 0, 1]);
    bytes.extend((0..payload).map(|at| (sequence as usize + at * 3) as u8));
    bytes
}

/// What a wire would see of it.
fn finished(mut frame: Vec<u8>) -> Vec<u8> {
    netfront::offload::complete(&mut frame);
    frame
}

/// What a wire sees of what the guest has sent.
fn on_the_wire(packets: &[Packet]) -> Vec<Vec<u8>> {
    packets.iter().cloned().flat_map(Packet::segmented).map(|packet| finished(packet.data)).collect()
}

fn sent(rig: &Rig) -> Vec<Packet> {
    std::iter::from_fn(|| rig.netback.recv()).collect()
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[test]
fn a_row_of_segments_leaves_as_frames_of_up_to_64_kib() {
    let mut rig = Rig::connected();
    let mut all = Vec::new();
    for number in 0..100 {
        let (len, flags) = if number == 99 { (500, ACK | PSH) } else { (MSS, ACK) };
        let frame = segment(1, 0xffff_0000_u32.wrapping_add(number * MSS as u32), len, flags, 1);
        assert!(rig.send(&frame));
        all.push(finished(frame));
    }
    rig.rounds(2);
    let packets = sent(&rig);
    assert_eq!(packets.len(), 3, "of 45, 45 and 10 segments");
    assert!(
        packets
            .iter()
            .all(|packet| packet.gso.is_some_and(|gso| gso.kind == 2 && usize::from(gso.size) == MSS))
    );
    assert!(packets.iter().all(|packet| packet.csum_blank && packet.data.len() <= 65_535));
    assert_eq!(on_the_wire(&packets), all);
    let tx = rig.device.stats().tx;
    assert_eq!((tx.merged, tx.gso_packets, tx.packets), (100, 3, 3));
    rig.works();
}

#[test]
fn refused_or_not_offered_each_segment_is_a_frame() {
    let refuse = Feature::GSO_TCPV6;
    for (vif, config) in [
        (VifConfig::default(), Config { refuse, ..Config::default() }),
        (VifConfig::default().without("feature-gso-tcpv6"), Config::default()),
        (VifConfig::default().without("feature-sg"), Config::default()),
    ] {
        let mut rig = Rig::connected_with(vif, config);
        for number in 0..20 {
            assert!(rig.send(&segment(1, number * MSS as u32, MSS, ACK, 1)));
        }
        rig.rounds(2);
        let packets = sent(&rig);
        assert!(packets.len() == 20 && packets.iter().all(|packet| packet.gso.is_none()));
        assert_eq!(rig.device.stats().tx.merged, 0);
    }
}

#[test]
fn whatever_is_sent_arrives_as_it_was_and_in_order() {
    for seed in 1..8 {
        let mut dice = Dice(seed);
        let mut rig = Rig::connected();
        let (mut next, mut stamp, mut flow) = ([7_u32, u32::MAX - 20_000, 1_000_000], 0, 0);
        let (mut all, mut arrived) = (Vec::new(), Vec::new());
        for number in 0..3000 {
            if dice.below(8) == 0 {
                flow = dice.below(if seed % 2 == 0 { 3 } else { 1 }) as usize;
            }
            let len = [MSS, MSS, MSS, MSS, MSS, 1200, 700, 1, 0][dice.below(9) as usize];
            let odd = [ACK | PSH, ACK | FIN, ACK | 0x20, 0][dice.below(4) as usize];
            let flags = if dice.below(12) == 0 { odd } else { ACK };
            let bytes = match dice.below(40) {
                0 => frame(60 + dice.below(1400) as usize, number),
                1 => segment(9, 5, 1400, ACK, 0),
                _ => {
                    stamp += u8::from(dice.below(50) == 0 && stamp < 255);
                    if dice.below(60) == 0 {
                        next[flow] = next[flow].wrapping_add(1);
                    }
                    let bytes = segment(flow as u8, next[flow], len, flags, stamp);
                    next[flow] = next[flow].wrapping_add(len as u32);
                    bytes
                }
            };
            if rig.send(&bytes) {
                all.push(finished(bytes));
            }
            if dice.below(25) == 0 {
                rig.rounds(1 + dice.below(2) as usize);
                arrived.extend(sent(&rig));
            }
        }
        rig.rounds(3);
        arrived.extend(sent(&rig));
        let wire = on_the_wire(&arrived);
        let differs = wire.iter().zip(&all).position(|(wire, sent)| wire != sent);
        assert_eq!((differs, wire.len()), (None, all.len()), "seed {seed}");
        let tx = rig.device.stats().tx;
        assert!(tx.merged > 200 && tx.refused == 0, "{tx:?}");
        rig.works();
    }
}

#[test]
fn what_waits_to_go_on_when_the_backend_goes_is_lost_and_nothing_else() {
    let mut rig = Rig::connected();
    assert!(rig.send(&segment(1, 0, MSS, ACK, 1)));
    assert!(rig.send(&segment(1, MSS as u32, MSS, ACK, 1)));
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.load();
    rig.until_up();
    drop(sent(&rig));
    rig.works();
}
