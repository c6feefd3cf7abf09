//! Indexes that cannot be, that change while they are read, and garbage where the backend's events are asked for.

use crate::common::{NOW, Rig, frame};
use crate::{broken_and_healed, rig};
use netfront::{Config, Nic as _};
use smoltcp::phy::{Device as _, RxToken as _};
use xen_sim::VifConfig;
use xen_sim::netback::{Index, Side};

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
    // It depends on the scheduler whether a look meets the wrong value. If one does, the slots that it found were
    // refused, and an index that then went back has broken the device: never silently.
    assert_eq!(rig.device.link_up(), rig.device.broken().is_none());
    assert!(rig.device.link_up() || rig.device.stats().misbehaviour.total() > 0);
}

#[test]
fn h07_wrong_event_indexes_cost_only_notifications() {
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
