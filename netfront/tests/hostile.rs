//! A backend that breaks the rules, one test per rule: no panic, every page accounted for, and the device either works on
//! or is broken by name and healed by a new connection. The numbers are those of the project's list of hostile cases.

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

use common::{NOW, Rig, frame};
use netfront::{Config, Feature, Misbehaviour, Nic as _};
use smoltcp::phy::{Device as _, RxToken as _};
use xen::abi::io_netif::{NetRxFlags, NetifRxResponse, NetifTxResponse};
use xen::{Clock as _, Memory as _};
use xen_sim::VifConfig;
use xen_sim::netback::{Index, Notify, Order, RxSlot, Side};
use zerocopy::IntoBytes as _;

const MORE: u16 = NetRxFlags::MORE_DATA.bits();
const EXTRA: u16 = NetRxFlags::EXTRA_INFO.bits();

/// A backend that may break rules, and a frontend connected to it.
fn rig() -> Rig {
    Rig::connected_with(VifConfig::default().lenient(), Config::default())
}

/// The same, with a frontend that refuses every feature.
fn plain() -> Rig {
    let config = Config { refuse: Feature::all(), ..Config::default() };
    Rig::connected_with(VifConfig::default().lenient(), config)
}

/// The device is broken by this rule, stays quiet, and is healed by the backend's restart.
fn broken_and_healed(rig: &mut Rig, rule: &str) {
    rig.rounds(3);
    assert!(!rig.device.link_up());
    assert_eq!(rig.misbehaved(rule), 1, "{:?}", rig.device.broken());
    assert_eq!(rig.device.stats().device.breaks, 1);
    assert!(rig.device.peek().is_none());
    assert!(!rig.send(&frame(60, 1)));
    let sent = notifications(rig);
    let req_prod = rig.netback.ring(Side::Rx).index(Index::ReqProd);
    rig.rounds(5);
    assert_eq!(rig.netback.ring(Side::Rx).index(Index::ReqProd), req_prod, "the rings are left alone");
    assert_eq!(notifications(rig), sent);
    let error = rig.sim.store().read("/local/domain/1/error/device/vif/0/error").expect("published");
    assert!(error.starts_with("broken by the backend: "), "{error}");
    restarted(rig);
}

fn notifications(rig: &Rig) -> u64 {
    let stats = rig.device.stats();
    stats.rx.notifications + stats.tx.notifications
}

fn restarted(rig: &mut Rig) {
    rig.netback.faults(|faults| *faults = xen_sim::netback::Faults::default());
    let generation = rig.device.link_generation();
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.load();
    rig.until_up();
    assert_eq!(rig.device.link_generation(), generation + 1);
    assert_eq!(rig.device.broken(), None);
    drop(rig.sent());
    rig.works();
}

/// One frame is spoilt as `spoil` says; it is dropped by this rule, and the next one arrives.
fn dropped(rule: &str, len: usize, spoil: impl FnMut(&mut Vec<RxSlot>) + 'static) {
    dropped_by(rig(), rule, len, spoil);
}

fn dropped_by(mut rig: Rig, rule: &str, len: usize, spoil: impl FnMut(&mut Vec<RxSlot>) + 'static) {
    rig.netback.faults(|faults| faults.rx_responses = Some(Box::new(spoil)));
    rig.netback.send(frame(len, 1));
    rig.sim.run();
    rig.netback.faults(|faults| faults.rx_responses = None);
    rig.rounds(2);
    assert_eq!(rig.received, Vec::<Vec<u8>>::new(), "{rule}");
    if rule.is_empty() {
        assert_eq!(rig.device.stats().misbehaviour.total(), 0);
        assert_eq!(rig.device.stats().rx.backend_errors, 1);
    } else {
        assert_eq!(rig.misbehaved(rule), 1, "{rule}: {:?}", rig.device.stats().misbehaviour);
    }
    assert_eq!(rig.device.stats().rx.dropped, 1);
    let pool = rig.device.stats().rx_pool;
    assert_eq!((pool.in_ring, pool.free), (256, 256), "every page came back");
    rig.works();
}

fn response(slots: &mut [RxSlot], at: usize) -> &mut NetifRxResponse {
    slots[at].response()
}

#[test]
fn h01_h03_h04_h05_a_tx_index_out_of_range() {
    for start in [0, u32::MAX - 2] {
        for bend in [1_u32, 257, 1 << 31, u32::MAX] {
            let config = Config { ring_start: start, ..Config::default() };
            let mut rig = Rig::connected_with(VifConfig::default().lenient(), config);
            assert!(rig.send(&frame(60, 1)));
            rig.rounds(2);
            let ring = rig.netback.ring(Side::Tx);
            ring.set_index(Index::RspProd, ring.index(Index::ReqProd).wrapping_add(bend));
            broken_and_healed(&mut rig, "tx_ring");
        }
    }
}

#[test]
fn h02_h03_h04_h05_an_rx_index_out_of_range() {
    for start in [0, u32::MAX - 2] {
        for bend in [1_u32, 257, 1 << 31] {
            let config = Config { ring_start: start, ..Config::default() };
            let mut rig = Rig::connected_with(VifConfig::default().lenient(), config);
            let ring = rig.netback.ring(Side::Rx);
            ring.set_index(Index::RspProd, ring.index(Index::ReqProd).wrapping_add(bend));
            broken_and_healed(&mut rig, "rx_ring");
        }
        let config = Config { ring_start: start, ..Config::default() };
        let mut rig = Rig::connected_with(VifConfig::default().lenient(), config);
        rig.give(frame(60, 1)).unwrap();
        let ring = rig.netback.ring(Side::Rx);
        ring.set_index(Index::RspProd, ring.index(Index::RspProd).wrapping_sub(1));
        broken_and_healed(&mut rig, "rx_ring");
    }
}

#[test]
fn h06_an_index_that_changes_while_it_is_read() {
    let mut rig = rig();
    let ring = rig.netback.ring(Side::Rx);
    let honest = ring.index(Index::RspProd) as u16;
    let flipper = rig.xen.machine.flip(ring.gfn(), xen::abi::io_ring::offset::RSP_PROD, [honest, honest + 3]);
    for _ in 0..2000 {
        rig.device.reap();
        while let Some((rx, _)) = rig.device.receive(NOW) {
            rx.consume(|_| ());
        }
        rig.check();
    }
    drop(flipper);
    // Whether a look has met with the wrong value is up to the scheduler. If one has, what it found in the slots was
    // refused, and an index that then went back has broken the device: never silently.
    assert_eq!(rig.device.link_up(), rig.device.broken().is_none());
    assert!(rig.device.link_up() || rig.device.stats().misbehaviour.total() > 0);
}

#[test]
fn h07_garbage_in_the_backend_s_event_indexes_costs_notifications_only() {
    let mut rig = rig();
    for garbage in [0, 1, 77, 1 << 31, u32::MAX] {
        rig.netback.ring(Side::Tx).set_index(Index::ReqEvent, garbage);
        rig.netback.ring(Side::Rx).set_index(Index::ReqEvent, garbage);
        assert!(rig.send(&frame(60, 1)));
        rig.rounds(2);
    }
    rig.netback.notify_guest();
    rig.netback.ring(Side::Tx).set_index(Index::ReqEvent, 6);
    rig.check();
    assert!(rig.device.broken().is_none());
}

#[test]
fn h08_our_own_index_overwritten() {
    let mut rig = rig();
    rig.netback.ring(Side::Tx).set_index(Index::ReqProd, 12_345);
    // It is never read back: the next push puts it right.
    assert!(rig.send(&frame(60, 1)));
    rig.device.flush();
    assert_eq!(rig.netback.ring(Side::Tx).index(Index::ReqProd), 1);
    rig.rounds(2);
    assert!(rig.device.broken().is_none());
}

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
fn h14_a_request_that_is_answered_a_thousand_requests_later_is_allowed() {
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
        let found = (stats.tx.backend_errors, stats.tx.backend_dropped, rig.misbehaved("tx_status"));
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
            rig.turn();
            drop(flipper);
            assert!(rig.device.broken().is_none(), "{round}");
        }
        restarted(&mut rig);
    }
}

#[test]
fn h23_h24_an_untrusted_backend_cannot_change_a_frame_that_was_received() {
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

#[test]
fn h39_h40_h41_pages_that_the_backend_keeps_are_never_used_again() {
    let mut rig =
        Rig::with(VifConfig { backend: xen::DomId(5), ..VifConfig::default() }.lenient(), Config::default());
    rig.until_up();
    rig.netback.faults(|faults| faults.keep_mapped = true);
    for number in 0..10 {
        assert!(rig.send(&frame(1000, number)));
    }
    rig.rounds(2);
    drop(rig.sent());
    // As long as they go round with the same backend, nothing is wrong.
    rig.works();
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    assert_eq!(rig.device.stats().device.quarantined_rings, 2);
    let held = rig.xen.machine.grants_in_use();
    rig.netback.return_as(xen::DomId(7));
    rig.until_up();
    let stats = rig.device.stats();
    // A page that it received into, and ten that it was sent from; and the rings.
    assert_eq!((stats.rx_pool.quarantined, stats.tx_pool.quarantined), (1, 10));
    assert_eq!(held.len(), 1 + 10 + 2);
    assert_eq!((stats.rx_pool.total, stats.tx_pool.total), (512 + 1, 256 + 10));
    rig.works();
}

#[test]
fn h41_ring_pages_that_are_let_go_of_later_come_back_by_time() {
    let mut rig = Rig::connected_with(
        VifConfig::default().feature("multi-queue-max-queues", "2").lenient(),
        Config { queues: 2, ..Config::default() },
    );
    let free = rig.xen.machine.free_pages();
    rig.netback.faults(|faults| faults.keep_mapped = true);
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    let rings = |rig: &Rig| {
        let device = rig.device.stats().device;
        (device.quarantined_rings, device.recovered_rings, rig.xen.grants.stats().quarantined)
    };
    assert_eq!(rings(&rig), (4, 0, 4));
    // As long as they are in use, trying again changes nothing.
    for _ in 0..3 {
        rig.sim.advance(3_000_000_000);
        rig.idle_turn();
    }
    assert_eq!(rings(&rig), (4, 0, 4));
    rig.netback.faults(|faults| faults.keep_mapped = false);
    let next = rig.device.tend(rig.xen.machine.now()).expect("a time to try again");
    assert!(next.since(rig.xen.machine.now()) <= 64_000_000_000, "and not too late");
    rig.sim.advance(next.since(rig.xen.machine.now()));
    rig.idle_turn();
    assert_eq!(rings(&rig), (4, 4, 0));
    assert_eq!(rig.device.tend(rig.xen.machine.now()), None, "nobody is woken for nothing");
    // The control ring and its table came back at once.
    assert_eq!(rig.xen.machine.free_pages(), free + 4 + 2);
    restarted_from_nothing(&mut rig);
    assert_eq!(rig.xen.machine.free_pages(), free);
}

#[test]
fn h41_driver_domains_that_let_go_late_never_reach_the_cap() {
    let config = Config { quarantine_max: 6, ..Config::default() };
    let vif = VifConfig { backend: xen::DomId(5), ..VifConfig::default() }.lenient();
    let mut rig = Rig::connected_with(vif, config);
    for restart in 0..20 {
        rig.netback.faults(|faults| faults.keep_mapped = true);
        rig.netback.unload();
        rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
        assert_eq!(rig.xen.grants.stats().quarantined, 2, "restart {restart}");
        // By time it would be tried again a minute from now.
        for _ in 0..8 {
            rig.sim.advance(65_000_000_000);
            rig.idle_turn();
        }
        // Xen is done with the dead domain when the next one has booted.
        rig.netback.faults(|faults| faults.keep_mapped = false);
        rig.netback.return_as(xen::DomId(6 + restart));
        rig.until_up();
        assert_eq!(rig.xen.grants.stats().quarantined, 0, "restart {restart}");
        rig.works();
    }
    let device = rig.device.stats().device;
    assert_eq!((device.quarantined_rings, device.recovered_rings), (40, 40));
}

/// A backend comes to a vif that has none.
fn restarted_from_nothing(rig: &mut Rig) {
    rig.netback.load();
    rig.until_up();
    rig.works();
}

#[test]
fn h39_too_many_kept_pages_stop_the_device() {
    let config = Config { quarantine_max: 3, ..Config::default() };
    let vif = VifConfig { backend: xen::DomId(5), ..VifConfig::default() }.lenient();
    let mut rig = Rig::connected_with(vif, config);
    rig.netback.faults(|faults| faults.keep_mapped = true);
    for number in 0..10 {
        assert!(rig.send(&frame(1000, number)));
    }
    rig.rounds(2);
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.return_as(xen::DomId(7));
    rig.rounds(40);
    assert!(!rig.device.link_up());
    assert!(rig.device.stats().tx_pool.quarantined >= 3);
}

#[test]
fn h43_a_backend_that_holds_everything_and_lets_go() {
    let mut rig = rig();
    rig.netback.faults(|faults| {
        faults.hold_tx = true;
        faults.hold_rx = true;
    });
    while rig.send(&frame(60, 1)) {}
    for number in 0..300 {
        rig.netback.send(frame(60, number));
    }
    rig.rounds(20);
    assert_eq!(rig.device.stats().tx_pool.total, 256);
    rig.netback.faults(|faults| *faults = xen_sim::netback::Faults::default());
    rig.rounds(20);
    assert_eq!(rig.received.len(), 300);
    drop(rig.sent());
    rig.works();
}

#[test]
fn h44_no_page_shows_a_byte_that_was_not_sent() {
    let mut rig = Rig::connected_with(VifConfig::default(), Config { pool_tx: 32, ..Config::default() });
    // The guest's other memory is full of secrets, and the pool grows into it.
    rig.sim.canary(b"not for the backend");
    let mut pages = Vec::new();
    while let Some(mut page) = xen::Memory::alloc_page(&rig.xen.machine) {
        page.bytes_mut()[1000..1019].copy_from_slice(b"not for the backend");
        pages.push(page);
    }
    for page in pages {
        xen::Memory::free_page(&rig.xen.machine, page);
    }
    rig.netback.faults(|faults| faults.hold_tx = true);
    while rig.send(&frame(60, 1)) {}
    rig.rounds(3);
    assert_eq!(rig.device.stats().tx_pool.total, 256);
    assert_eq!(rig.sim.leaks_to(xen::DomId(0)), []);
}

#[test]
fn h46_h50_events_without_work_are_counted() {
    let mut rig = rig();
    rig.netback.faults(|faults| faults.notify = Notify::Always);
    for _ in 0..100 {
        rig.netback.notify_guest();
        rig.turn();
    }
    assert!(rig.device.stats().device.idle_events >= 64);
    rig.works();
}

#[test]
fn h46_a_storm_is_masked_and_frames_go_on() {
    let mut rig = rig();
    let before = rig.device.stats().device;
    // An event before each turn, 20 µs apart, for a second.
    let (turns, step) = (50_000, 20_000);
    for _ in 0..turns {
        rig.netback.notify_guest();
        rig.idle_turn();
        rig.sim.advance(step);
    }
    let after = rig.device.stats().device;
    let (idle, masks) =
        (after.idle_events - before.idle_events, (after.event_masks - before.event_masks) as usize);
    // Two channels: 32 events each until they are masked, and two for each time that they are unmasked again.
    assert!((2 * 1000 / 32..=2 * (5 + 1000 / 32)).contains(&masks), "{masks} times masked");
    assert!(idle <= 2 * 32 + 2 * masks as u64, "{idle} events of {} were taken", 2 * turns);
    // Something else begins a turn: frames flow all the same.
    rig.works();
    // The storm is over, and the next frame rings.
    rig.sim.advance(40_000_000);
    rig.idle_turn();
    for number in 0..200 {
        let bytes = frame(100, number);
        assert_eq!(rig.give(bytes.clone()), Some(bytes));
    }
    let events = rig.device.stats().device.events;
    rig.works();
    assert!(rig.device.stats().device.events > events);
    assert_eq!(rig.device.stats().device.event_masks, after.event_masks, "and nothing is masked any more");
}

#[test]
fn h46_a_frame_that_comes_while_its_channel_is_masked_is_found_when_the_time_is_over() {
    let mut rig = rig();
    for _ in 0..40 {
        rig.netback.notify_guest();
        rig.idle_turn();
    }
    assert!(rig.device.stats().device.event_masks > 0);
    let bytes = frame(300, 3);
    rig.netback.send(bytes.clone());
    rig.sim.run();
    // Nothing wakes the guest but its own deadline; then it must not sleep before it has looked.
    let deadline = rig.device.tend(rig.xen.machine.now()).expect("the end of the pause");
    rig.sim.advance(deadline.since(rig.xen.machine.now()));
    let again = rig.device.tend(rig.xen.machine.now());
    assert_eq!(again, Some(rig.xen.machine.now()), "another turn at once");
    rig.received.clear();
    rig.turn();
    assert_eq!(rig.received, [bytes]);
}

#[test]
fn h46_a_storm_over_a_broken_vif_wakes_nobody() {
    let mut rig = rig();
    rig.netback.faults(|faults| faults.rx_rsp_prod = Some(Box::new(|index| index.wrapping_add(300))));
    rig.netback.send(frame(100, 1));
    rig.rounds(3);
    assert!(rig.device.broken().is_some());
    let received = rig.xen.events.received();
    for _ in 0..100 {
        rig.netback.notify_guest();
        rig.turn();
    }
    // One or two are xenstore's: what is wrong is published.
    assert!(rig.xen.events.received() <= received + 2);
    restarted(&mut rig);
}

#[test]
fn h47_without_any_event_polling_finds_the_frames() {
    let mut rig = rig();
    rig.netback.faults(|faults| faults.notify = Notify::Never);
    for number in 0..600 {
        assert_eq!(rig.give(frame(100, number)), Some(frame(100, number)));
        assert!(rig.send(&frame(100, number)));
        rig.round();
    }
    assert_eq!(rig.sent().len(), 600);
}

#[test]
fn h74_a_hundred_restarts_leave_the_accounts_as_they_were() {
    let mut rig = Rig::connected();
    let (before, ports) = (rig.xen.machine.granted().len(), rig.xen.machine.open_ports());
    for _ in 0..100 {
        rig.netback.unload();
        rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
        rig.netback.load();
        rig.until_up();
        rig.works();
    }
    assert_eq!(rig.xen.machine.granted().len(), before);
    assert_eq!(rig.xen.machine.open_ports(), ports);
    assert_eq!(rig.xen.store.nr_watches(), 3, "the backend's state, its carrier, and where the backend is");
}
