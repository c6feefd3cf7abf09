//! Frames: data outside its page, too short, too long, chains and extras without end, checksums that were not agreed on.

use crate::{EXTRA, MORE, dropped, dropped_by, plain, response, restarted, rig};
use xen::abi::io_netif::{NetRxFlags, NetifRxResponse};
use xen_sim::netback::{RxSlot, Side};
use zerocopy::IntoBytes as _;

#[test]
fn h26_h27_data_outside_its_page() {
    for (offset, status) in
        [(4095, 2), (4090, 60), (65_535, 1), (4096, 14), (1, 4096), (0, 4097), (0, i16::MAX)]
    {
        dropped("rx_bounds", 60, move |slots| {
            let response = response(slots, 0);
            (response.offset, response.status) = (offset, status);
        });
    }
}

#[test]
fn h28_h29_frames_shorter_than_a_header() {
    for status in 0..14 {
        dropped("rx_short", 60, move |slots| response(slots, 0).status = status);
    }
}

#[test]
fn h30_h32_h33_chains_without_scatter_gather() {
    // Two slots, and what a backend could make of two pages.
    dropped_by(plain(), "rx_fragments", 5000, |_| ());
    for slots in [2_u16, 18, 19, 20, 200, 255] {
        let mut rig = plain();
        let ring = rig.netback.ring(Side::Rx);
        for id in 0..slots {
            let flags = if id + 1 == slots { 0 } else { MORE };
            ring.put(NetifRxResponse { id, offset: 0, flags, status: 4096 }.as_bytes());
        }
        ring.push();
        rig.rounds(2);
        assert_eq!(rig.misbehaved(if slots > 19 { "rx_slots" } else { "rx_fragments" }), 1, "{slots}");
        assert_eq!(rig.device.stats().rx_pool.in_ring, 256);
        restarted(&mut rig);
    }
}

#[test]
fn h31_h32_a_chain_that_never_ends() {
    for slots in [1_u16, 5, 256] {
        let mut rig = rig();
        let ring = rig.netback.ring(Side::Rx);
        for id in 0..slots {
            ring.put(NetifRxResponse { id, offset: 0, flags: MORE, status: 100 }.as_bytes());
        }
        ring.push();
        rig.rounds(2);
        assert_eq!(rig.misbehaved("rx_incomplete"), 1);
        assert_eq!(rig.device.stats().rx_pool.in_ring, 256);
        restarted(&mut rig);
    }
}

#[test]
fn h34_h35_extras_that_are_missing_or_never_end() {
    let mut rig1 = rig();
    let ring = rig1.netback.ring(Side::Rx);
    ring.put(NetifRxResponse { id: 0, offset: 0, flags: EXTRA, status: 60 }.as_bytes());
    ring.push();
    rig1.rounds(2);
    assert_eq!(rig1.misbehaved("rx_incomplete"), 1);
    restarted(&mut rig1);

    let mut rig2 = rig();
    let ring = rig2.netback.ring(Side::Rx);
    ring.put(NetifRxResponse { id: 0, offset: 0, flags: EXTRA, status: 60 }.as_bytes());
    for _ in 1..256 {
        ring.put(&[4, 1, 0, 1, 0, 0, 0, 0]);
    }
    ring.push();
    rig2.rounds(2);
    assert_eq!(rig2.device.stats().misbehaviour.total(), 1);
    assert_eq!(rig2.device.stats().rx_pool.in_ring, 256);
    restarted(&mut rig2);
}

#[test]
fn h37_a_blank_checksum_that_was_not_negotiated() {
    let blank = |slots: &mut Vec<RxSlot>| response(slots, 0).flags |= NetRxFlags::CSUM_BLANK.bits();
    dropped_by(plain(), "rx_checksum_blank", 60, blank);
}

#[test]
fn h38_a_frame_longer_than_the_mtu() {
    dropped("rx_long", 1519, |_| ());
    dropped("rx_long", 4096, |_| ());
}
