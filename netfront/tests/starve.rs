//! A backend that keeps requests for ever: the rest of the ring still sends and receives.

mod common;

use common::{NOW, Rig, frame};
use netfront::{Config, Nic as _};
use pool::contiguous::{MAX_FRAME_PAGES, MAX_PAGES};
use smoltcp::phy::{Device as _, PacketMeta, TxToken as _};
use std::cell::Cell;
use std::num::NonZeroU16;
use std::rc::Rc;
use xen::abi::io_netif::NetifTxResponse;
use xen_sim::VifConfig;

/// Bytes of a frame that takes every slot of the longest one.
const LONG: usize = 65_000;
/// Slots of the longest frame: 16 pages and an extra.
const LONG_SLOTS: usize = 17;

/// A TCP segment over IPv4 of `len` bytes, with the checksum field empty.
fn segment(len: usize, number: usize) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    let ip_len = ((len - 14) as u16).to_be_bytes();
    bytes.extend([8, 0, 0x45, 0, ip_len[0], ip_len[1], 0, 0, 0x40, 0, 64, 6, 0, 0]);
    bytes.extend((0..8).map(|at| 10 + at));
    bytes.extend([0, 80, 0x20, number as u8, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes.extend((bytes.len()..len).map(|at| (at * 7 + number) as u8));
    bytes
}

/// A backend that keeps as many requests as `allowed` says, and never answers them.
fn keeper(rig: &Rig, allowed: &Rc<Cell<usize>>) -> Rc<Cell<usize>> {
    let (kept, allowed) = (Rc::new(Cell::new(0)), Rc::clone(allowed));
    let counter = Rc::clone(&kept);
    rig.netback.faults(|faults| {
        faults.tx_responses = Some(Box::new(move |responses: &mut Vec<NetifTxResponse>| {
            responses.retain(|response| {
                let keep = response.status == 0 && counter.get() < allowed.get();
                counter.set(counter.get() + usize::from(keep));
                !keep
            });
        }));
    });
    kept
}

/// Sends a frame that the backend is to segment. Returns whether there was a token.
fn send_long(rig: &mut Rig, number: usize) -> bool {
    let bytes = segment(LONG, number);
    let Some(mut token) = rig.device.transmit(NOW) else { return false };
    let mut meta = PacketMeta::default();
    meta.segmentation_offload_size = NonZeroU16::new(1440);
    token.set_meta(meta);
    token.consume(bytes.len(), |into| into.copy_from_slice(&bytes));
    true
}

/// Sends a short frame, at the latest 20 ms from now.
fn send_soon(rig: &mut Rig, bytes: &[u8]) -> bool {
    for _ in 0..20 {
        if rig.send(bytes) {
            return true;
        }
        rig.round();
        rig.sim.advance(1_000_000);
    }
    false
}

fn starve(queues: usize, most: usize, step: usize) {
    let vif = VifConfig::default().feature("multi-queue-max-queues", "4").lenient();
    let mut rig = Rig::connected_with(vif, Config { queues, ..Config::default() });
    let allowed = Rc::new(Cell::new(0));
    let kept = keeper(&rig, &allowed);
    for k in (0..most).step_by(step) {
        allowed.set(k);
        // Requests for the backend to keep.
        while kept.get() < k {
            assert!(send_soon(&mut rig, &frame(60, 1)), "{k} kept");
            rig.rounds(1);
        }
        drop(rig.sent());
        assert!(send_soon(&mut rig, &frame(100, k)), "{k} kept");
        rig.rounds(1);
        assert_eq!(rig.sent(), [frame(100, k)], "{k} kept");
        assert_eq!(rig.give(frame(300, k)), Some(frame(300, k)), "{k} kept");
        if k + LONG_SLOTS <= 256 {
            assert!(send_long(&mut rig, k), "{k} kept");
            rig.rounds(2);
            let sent = rig.sent();
            assert_eq!(sent.len(), 1, "{k} kept");
            assert_eq!(sent[0][54..], segment(LONG, k)[54..], "{k} kept");
        }
    }
    assert_eq!(rig.device.stats().tx.refused, 0);
    assert!(rig.device.stats().link_up);
}

#[test]
fn h79_any_number_of_kept_slots_leaves_the_others_working() {
    starve(1, 256, 1);
}

#[test]
fn h79_kept_slots_of_one_of_four_queues_leave_it_working() {
    // A quarter of the pages: 128 to send from, at most.
    starve(4, 112, 3);
}

#[test]
fn h79_a_kept_page_of_each_long_frame_leaves_them_working() {
    let mut rig = Rig::connected_with(VifConfig::default().lenient(), Config::default());
    let kept = Rc::new(Cell::new(0));
    let counter = Rc::clone(&kept);
    rig.netback.faults(|faults| {
        faults.tx_responses = Some(Box::new(move |responses: &mut Vec<NetifTxResponse>| {
            // One page in 16 of the contiguous buffer: no run of 16 is left in it.
            if counter.get() < MAX_PAGES / MAX_FRAME_PAGES {
                counter.set(counter.get() + 1);
                responses.remove(0);
            }
        }));
    });
    for number in 0..3 * MAX_PAGES / MAX_FRAME_PAGES {
        drop(rig.sent());
        assert!(send_long(&mut rig, number), "frame {number}");
        rig.rounds(2);
        let sent = rig.sent();
        assert_eq!(sent.len(), 1, "frame {number}");
        assert_eq!(sent[0][54..], segment(LONG, number)[54..], "frame {number}");
    }
    assert_eq!(kept.get(), MAX_PAGES / MAX_FRAME_PAGES);
    assert_eq!(rig.device.stats().tx.refused, 0);
}

#[test]
fn h80_a_full_tx_ring_does_not_keep_replies_from_going_out() {
    let mut rig = Rig::connected_with(VifConfig::default().lenient(), Config::default());
    let allowed = Rc::new(Cell::new(usize::MAX));
    let kept = keeper(&rig, &allowed);
    // Long frames, until there is no room for another one.
    while send_long(&mut rig, 1) {
        rig.rounds(1);
    }
    assert!(kept.get() > 200 && kept.get() < 256, "{} kept", kept.get());
    assert!(rig.device.tx_exhausted());
    let (before, left) = (rig.device.stats().tx.packets, 256 - kept.get());
    // At once, without a wait: a received frame is shown, and its reply goes out.
    for number in 0..left {
        rig.netback.send(frame(200, number));
        rig.sim.run();
        xen_sim::iterate(&rig.xen);
        rig.device.reap();
        let (rx, tx) = rig.device.receive(NOW).expect("a frame that can be answered");
        drop(rx);
        tx.consume(60, |into| into.copy_from_slice(&frame(60, number)));
        rig.end_turn();
        rig.sim.run();
    }
    assert_eq!(rig.device.stats().tx.packets.since(before) as usize, left);
    // No slot is left: nothing is received that could not be answered, and nothing keeps the loop awake.
    rig.netback.send(frame(200, 1));
    rig.sim.run();
    rig.idle_turn();
    assert!(rig.device.peek().is_none() && !rig.device.final_check());
}
