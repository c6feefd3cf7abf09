//! Large received frames: over several slots, merged from segments, with blank checksums; good ones and bad ones.

mod common;

use common::{NOW, Rig, frame};
use netfront::{Checksum, Clearing, Config, Feature, Nic as _};
use smoltcp::phy::{Device as _, RxToken as _};
use xen::abi::io_netif::{NetRxFlags, NetifRxResponse};
use xen_sim::VifConfig;
use xen_sim::netback::{Gso, Index, Packet, RxSlot, Side};
use zerocopy::IntoBytes as _;

const MORE: u16 = NetRxFlags::MORE_DATA.bits();
const EXTRA: u16 = NetRxFlags::EXTRA_INFO.bits();
const GSO: [u8; 8] = [1, 0, 0xb4, 5, 1, 0, 0, 0];

/// Sizes around the edges of pages, the largest that a vif of Linux gives, and the largest of all.
const SIZES: [usize; 10] = [1515, 4095, 4096, 4097, 8192, 8193, 32_768, 65_226, 65_535, 65_553];

fn merged(bytes: Vec<u8>, kind: u8) -> Packet {
    Packet { data: bytes, csum_blank: true, data_validated: true, gso: Some(Gso { size: 1448, kind }) }
}

fn untrusted() -> VifConfig {
    VifConfig { check_cleared: true, ..VifConfig::default().trusted(Some("0")) }
}

#[test]
fn merged_frames_of_every_size_arrive_whole_in_one_slice() {
    for vif in [VifConfig::default(), untrusted()] {
        let config = Config { clearing: Clearing::Copied, ..Config::default() };
        let mut rig = Rig::connected_with(vif, config);
        for (number, len) in SIZES.into_iter().enumerate() {
            for kind in [1, 2] {
                let bytes = frame(len, number);
                assert_eq!(rig.give_packet(merged(bytes.clone(), kind)), Some(bytes), "{len} bytes");
                let pool = rig.device.stats().rx_pool;
                assert_eq!((pool.in_ring, pool.free, pool.in_use), (256, 256, 0));
            }
        }
        let rx = rig.device.stats().rx;
        assert_eq!((rx.gso_packets.get(), rx.checksum_blank.get(), rx.packets.get()), (20, 20, 20));
        // All but those of one page at most.
        assert_eq!(rx.chains, 14);
        rig.works();
    }
}

#[test]
fn a_pool_of_the_least_size_is_enough_for_the_largest_frames() {
    let config = Config { pool_rx: 32, pool_rx_max: 32, ..Config::default() };
    let mut rig = Rig::connected_with(VifConfig::default(), config);
    for number in 0..20 {
        rig.netback.send(merged(frame(65_535, number), 1));
    }
    rig.sim.run();
    rig.rounds(60);
    assert_eq!(rig.received.len(), 20);
    assert!((0..20).all(|number| rig.received[number] == frame(65_535, number)));
    // The slots that netback needs before it delivers the largest frame.
    assert!(rig.netback.posted().len() >= 19);
}

#[test]
fn data_may_begin_anywhere_in_its_pages() {
    let mut rig = Rig::connected();
    rig.netback.faults(|faults| faults.rx_offset = 40);
    let bytes = frame(60_000, 3);
    assert_eq!(rig.give_packet(merged(bytes.clone(), 1)), Some(bytes));
}

#[test]
fn what_the_backend_knows_of_a_checksum_is_passed_on() {
    let mut rig = Rig::connected();
    for (csum_blank, data_validated, expected) in [
        (false, false, Checksum::Unknown),
        (false, true, Checksum::Validated),
        (true, true, Checksum::Blank),
        (true, false, Checksum::Blank),
    ] {
        for len in [60, 1000] {
            rig.netback.send(Packet { csum_blank, data_validated, ..Packet::from(frame(len, 1)) });
            rig.sim.run();
            rig.device.reap();
            assert_eq!(rig.device.peek().unwrap().checksum, expected, "{len} bytes");
            let (token, _) = rig.device.receive(NOW).unwrap();
            token.consume(|bytes| assert_eq!(bytes, frame(len, 1)));
            rig.end_turn();
        }
    }
    for refuse in [Feature::empty(), Feature::CHECKSUM] {
        let rig = Rig::connected_with(VifConfig::default(), Config { refuse, ..Config::default() });
        let sums = rig.device.capabilities().checksum;
        assert!(!sums.tcp.rx() && !sums.udp.rx(), "told for each frame");
        assert!(!sums.tcp.tx() && !sums.udp.tx(), "finished by backend or device");
    }
}

/// Puts these slots into the ring, the first ones after the connection; the rule drops them as one frame, and the frame
/// after them arrives.
fn dropped(rule: &str, slots: &[RxSlot]) {
    let mut rig = Rig::connected_with(VifConfig::default().lenient(), Config::default());
    let ring = rig.netback.ring(Side::Rx);
    for slot in slots {
        match slot {
            RxSlot::Response(response) => ring.put(response.as_bytes()),
            RxSlot::Extra(bytes) => ring.put(bytes),
        }
    }
    let next = slots.len() as u16;
    if next < 256 {
        ring.put(NetifRxResponse { id: next, offset: 0, flags: 0, status: 60 }.as_bytes());
    }
    ring.push();
    rig.rounds(2);
    assert_eq!(rig.misbehaved(rule), 1, "{:?}", rig.device.stats().misbehaviour);
    assert_eq!(rig.device.stats().misbehaviour.total(), 1);
    assert_eq!(rig.received.len(), usize::from(next < 256), "the frame after it");
    let pool = rig.device.stats().rx_pool;
    assert_eq!((pool.in_ring, pool.free), (256, 256), "every page came back");
    assert!(rig.device.link_up());
    assert_eq!(
        rig.netback.ring(Side::Rx).index(Index::ReqProd),
        256 + u32::from(next) + u32::from(next < 256)
    );
}

fn slot(id: u16, flags: u16, status: i16) -> RxSlot {
    RxSlot::Response(NetifRxResponse { id, offset: 0, flags, status })
}

/// A chain of `slots` slots of `len` bytes each, without an extra.
fn chain(slots: u16, status: i16) -> Vec<RxSlot> {
    (0..slots).map(|id| slot(id, if id + 1 == slots { 0 } else { MORE }, status)).collect()
}

#[test]
fn h30_h33_chains_that_are_too_long() {
    for slots in [20, 21, 200, 255] {
        dropped("rx_slots", &chain(slots, 100));
    }
    // Within 18 slots, but longer than the MTU, and nothing says that it was merged.
    dropped("rx_long", &chain(2, 800));
    dropped("rx_long", &chain(18, 4096));
    // Merged, and longer than any IP packet.
    for slots in [17, 19] {
        let mut all = vec![slot(0, MORE | EXTRA, 4096), RxSlot::Extra(GSO)];
        all.extend((2..=slots).map(|id| slot(id, if id == slots { 0 } else { MORE }, 4096)));
        dropped("rx_long", &all);
    }
}

#[test]
fn h26_h28_a_bad_slot_spoils_its_chain_wherever_it_stands() {
    for bad in 0..5 {
        for (status, rule) in [(0, "rx_short"), (4097, "rx_bounds"), (-9, "rx_status")] {
            let mut slots = chain(5, 100);
            slots[bad].response().status = status;
            dropped(rule, &slots);
        }
    }
}

#[test]
fn h31_h32_a_chain_that_promises_more_than_there_is() {
    for slots in [1_u16, 18, 255] {
        let mut rig = Rig::connected_with(VifConfig::default().lenient(), Config::default());
        let ring = rig.netback.ring(Side::Rx);
        (0..slots)
            .for_each(|id| ring.put(NetifRxResponse { id, offset: 0, flags: MORE, status: 50 }.as_bytes()));
        ring.push();
        rig.rounds(2);
        assert_eq!(rig.misbehaved("rx_incomplete"), 1);
        assert_eq!(rig.device.stats().rx_pool.in_ring, 256);
    }
    dropped("rx_incomplete", &(0..256).map(|id| slot(id, MORE, 50)).collect::<Vec<_>>());
}

#[test]
fn h35_h36_descriptors_that_make_no_sense() {
    for (extra, rule) in [
        ([1, 0, 0, 0, 1, 0, 0, 0], "rx_gso_size"),
        ([1, 0, 0xb4, 5, 0, 0, 0, 0], "rx_extra_unasked"),
        ([1, 0, 0xb4, 5, 3, 0, 0, 0], "rx_extra"),
        ([0, 0, 0, 0, 0, 0, 0, 0], "rx_extra"),
        ([6, 0, 0, 0, 0, 0, 0, 0], "rx_extra"),
        ([2, 0, 1, 0, 0x5e, 0, 0, 1], "rx_extra_unasked"),
        ([4, 0, 0, 1, 0, 0, 0, 0], "rx_extra_unasked"),
    ] {
        dropped(rule, &[slot(0, EXTRA, 60), RxSlot::Extra(extra)]);
        dropped(rule, &[slot(0, EXTRA | MORE, 60), RxSlot::Extra(extra), slot(2, 0, 60)]);
    }
    // A segment size beyond all frames only says that there is one segment.
    let mut rig = Rig::connected();
    let bytes = frame(1000, 1);
    let odd = Packet { gso: Some(Gso { size: 65_535, kind: 1 }), ..merged(bytes.clone(), 1) };
    assert_eq!(rig.give_packet(odd), Some(bytes));
}

#[test]
fn h36_a_descriptor_that_was_refused() {
    for (refuse, kind) in [(Feature::GSO_TCPV4, 1), (Feature::GSO_TCPV6, 2), (Feature::CHECKSUM_IPV6, 2)] {
        let vif = VifConfig::default().lenient();
        let mut rig = Rig::connected_with(vif, Config { refuse, ..Config::default() });
        assert_eq!(rig.give_packet(merged(frame(9000, 1), kind)), None);
        assert_eq!(rig.misbehaved("rx_extra_unasked"), 1);
        assert!(rig.give_packet(merged(frame(9000, 1), 3 - kind)).is_some(), "the other one");
    }
}
