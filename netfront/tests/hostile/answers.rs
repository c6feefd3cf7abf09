//! Responses: unknown, repeated or swapped ids, statuses, extras that were not negotiated, slots that change while
//! they are read.

use crate::common::{NOW, Rig, frame};
use crate::{EXTRA, MORE, broken_and_healed, dropped, plain, response, restarted, rig};
use netfront::{Config, Misbehaviour, Nic as _};
use smoltcp::phy::{Device as _, RxToken as _};
use xen::abi::io_netif::{NetifRxResponse, NetifTxResponse};
use xen_sim::VifConfig;
use xen_sim::netback::{Index, Order, RxSlot, Side};
use zerocopy::IntoBytes as _;

fn tx_answer(id: u16, status: i16) -> Rig {
    let mut rig = rig();
    rig.netback.faults(|faults| faults.hold_tx = true);
    assert!(rig.send(&frame(60, 1)) && rig.send(&frame(60, 2)));
    rig.round();
    let ring = rig.netback.ring(Side::Tx);
    ring.put(NetifTxResponse { id, status }.as_bytes());
    ring.push();
    rig
}

#[test]
fn h10_h11_h20_a_tx_id_out_of_range() {
    for id in [256, 257, 0x7fff, 0x8000, 0xffff] {
        broken_and_healed(&mut tx_answer(id, 0), "tx_id_range");
    }
}

#[test]
fn h12_a_tx_id_that_was_never_sent() {
    for id in [2, 100, 255] {
        broken_and_healed(&mut tx_answer(id, 0), "tx_id_idle");
    }
}

#[test]
fn h12_a_tx_id_that_was_queued_and_not_shown() {
    let mut rig = tx_answer(2, 0);
    assert!(rig.send(&frame(60, 3)), "the frame with the id 2, before it is pushed");
    rig.device.reap();
    assert_eq!(rig.device.broken(), Some(Misbehaviour::TxIdIdle(2)));
    rig.check();
}

#[test]
fn h13_the_same_tx_id_twice() {
    let mut rig = tx_answer(0, 0);
    let ring = rig.netback.ring(Side::Tx);
    ring.put(NetifTxResponse { id: 0, status: 0 }.as_bytes());
    ring.push();
    broken_and_healed(&mut rig, "tx_id_idle");
}

#[test]
fn h14_two_tx_ids_swapped_is_allowed() {
    let mut rig = tx_answer(1, 0);
    let ring = rig.netback.ring(Side::Tx);
    ring.put(NetifTxResponse { id: 0, status: 0 }.as_bytes());
    ring.push();
    rig.rounds(2);
    assert!(rig.device.link_up());
    assert_eq!(rig.device.stats().tx_pool.in_ring, 0);
}

/// As netback does with a frame that a slow receiver keeps mapped.
#[test]
fn h14_a_request_may_be_answered_a_thousand_later() {
    let mut rig = rig();
    rig.netback.faults(|faults| faults.hold_tx = true);
    assert!(rig.send(&frame(60, 0)));
    for number in 1..=1000 {
        assert!(rig.send(&frame(60, number)), "{number}: {:?}", rig.device.broken());
        rig.round();
        let ring = rig.netback.ring(Side::Tx);
        ring.put(NetifTxResponse { id: 1, status: 0 }.as_bytes());
        ring.push();
        rig.round();
        rig.check();
    }
    let ring = rig.netback.ring(Side::Tx);
    ring.put(NetifTxResponse { id: 0, status: 0 }.as_bytes());
    ring.push();
    rig.rounds(2);
    assert_eq!(rig.device.broken(), None);
    assert_eq!(rig.device.stats().tx_pool.in_ring, 0);
}

/// The first advisory of another pool: ids that are not unique, so that a page is written again while it is on its way.
#[test]
fn msa_ids_and_pages_on_their_way_are_unique() {
    let mut rig = rig();
    for round in 0..4 {
        rig.netback.faults(|faults| (faults.hold_tx, faults.order) = (true, Order::Permuted(round)));
        let frames: Vec<_> = (0..200).map(|number| frame(60, number + 200 * round as usize)).collect();
        for frame in &frames {
            assert!(rig.send(frame));
        }
        rig.round();
        // The backend has them by id: two with one id would be one.
        assert_eq!(rig.netback.tx_in_flight(), 200);
        rig.netback.faults(|faults| faults.hold_tx = false);
        rig.rounds(2);
        let mut sent = rig.sent();
        assert_eq!(sent.len(), 200);
        sent.sort();
        assert!(frames.iter().all(|frame| sent.binary_search(frame).is_ok()), "a page was written over");
    }
    assert_eq!((rig.device.broken(), rig.device.stats().tx_pool.in_ring), (None, 0));
}

#[test]
fn h15_h16_an_rx_id_that_is_not_the_slot_s() {
    for id in [1, 255, 256, 0xffff] {
        let mut rig = rig();
        let spoil = move |slots: &mut Vec<RxSlot>| response(slots, 0).id = id;
        rig.netback.faults(|faults| faults.rx_responses = Some(Box::new(spoil)));
        rig.netback.send(frame(60, 1));
        rig.sim.run();
        broken_and_healed(&mut rig, "rx_id");
    }
}

#[test]
fn h17_a_null_response_to_no_extra() {
    broken_and_healed(&mut tx_answer(0, 1), "tx_null");
}

#[test]
fn h18_tx_statuses_are_counted_and_the_page_comes_back() {
    for (status, counted) in [(-1, "errors"), (-2, "dropped"), (7, "unknown"), (i16::MIN, "unknown")] {
        let mut rig = tx_answer(0, status);
        rig.rounds(2);
        let stats = rig.device.stats();
        assert!(stats.link_up);
        assert_eq!(stats.tx_pool.in_ring, 1);
        let found =
            (stats.tx.backend_errors.get(), stats.tx.backend_dropped.get(), rig.misbehaved("tx_status"));
        let expected = match counted {
            "errors" => (1, 0, 0),
            "dropped" => (0, 1, 0),
            _ => (0, 0, 1),
        };
        assert_eq!(found, expected, "{status}");
    }
}

#[test]
fn h18_rx_statuses() {
    for status in [-1, -2] {
        dropped("", 60, move |slots| response(slots, 0).status = status);
    }
    for status in [-3, -1000, i16::MIN] {
        dropped("rx_status", 60, move |slots| response(slots, 0).status = status);
    }
}

#[test]
fn h19_h35_extras_that_nobody_asked_for() {
    for (bytes, rule) in [
        ([1, 0, 0xb4, 5, 1, 0, 0, 0], "rx_extra_unasked"),
        ([4, 0, 0, 1, 0, 0, 0, 0], "rx_extra_unasked"),
        ([0, 0, 0, 0, 0, 0, 0, 0], "rx_extra"),
        ([6, 0, 0, 0, 0, 0, 0, 0], "rx_extra"),
        ([255, 0, 0, 0, 0, 0, 0, 0], "rx_extra"),
        // H36: a GSO extra of no size, of the largest, and of an odd type.
        ([1, 0, 0, 0, 1, 0, 0, 0], "rx_extra_unasked"),
        ([1, 0, 255, 255, 1, 0, 0, 0], "rx_extra_unasked"),
        ([1, 0, 0xb4, 5, 9, 0, 0, 0], "rx_extra"),
    ] {
        let mut rig = plain();
        let ring = rig.netback.ring(Side::Rx);
        ring.put(NetifRxResponse { id: 0, offset: 0, flags: EXTRA, status: 60 }.as_bytes());
        ring.put(&bytes);
        ring.put(NetifRxResponse { id: 2, offset: 0, flags: 0, status: 60 }.as_bytes());
        ring.push();
        rig.rounds(2);
        assert_eq!(rig.misbehaved(rule), 1, "{bytes:?}");
        assert_eq!(rig.received.len(), 1, "the frame after it arrives");
        assert_eq!(rig.device.stats().rx_pool.in_ring, 256);
        restarted(&mut rig);
    }
}

#[test]
fn h21_h22_a_slot_that_changes_while_it_is_read() {
    for offset in [4, 6] {
        let mut rig = rig();
        let ring = rig.netback.ring(Side::Rx);
        for round in 0..200 {
            let id = u16::from(ring.index(Index::RspProd) as u8);
            let slot = ring.slot_offset(u32::from(id));
            ring.put(NetifRxResponse { id, offset: 0, flags: 0, status: 60 }.as_bytes());
            let values = if offset == 4 { [0, MORE | EXTRA] } else { [60, 0xffff] };
            let flipper = rig.xen.machine.flip(ring.gfn(), slot + offset, values);
            ring.push();
            rig.iterate();
            drop(flipper);
            assert!(rig.device.broken().is_none(), "{round}");
        }
        restarted(&mut rig);
    }
}

#[test]
fn h23_h24_an_untrusted_backend_cannot_change_a_frame() {
    let vif = VifConfig::default().trusted(Some("0")).lenient();
    let mut rig = Rig::connected_with(vif, Config::default());
    let gref = rig.netback.posted()[0].gref;
    let gfn = rig.xen.machine.granted().iter().find(|entry| entry.gref == gref).unwrap().gfn;
    rig.netback.send(frame(1000, 1));
    rig.sim.run();
    rig.device.reap();
    assert_eq!(rig.device.peek().unwrap().frame, frame(1000, 1));
    rig.xen.machine.scribble(gfn, 0, &[0xee; 1000]);
    assert_eq!(rig.device.peek().unwrap().frame, frame(1000, 1));
    let (token, _) = rig.device.receive(NOW).unwrap();
    token.consume(|bytes| assert_eq!(bytes, frame(1000, 1)));
    rig.check();
}
