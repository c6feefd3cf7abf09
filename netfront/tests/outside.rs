//! Inputs from outside the rings: events without work, invalid xenstore nodes, misused grants, extras that change
//! while they are read, and endings at the wrong moment. The numbers are those of
//! `docs/threat-model.md`.

mod common;

use common::{Rig, frame};
use netfront::{Config, Nic as _};
use xen::abi::io_netif::{NetRxFlags, NetifRxResponse};
use xen::{DomId, Errno, Hypervisor as _};
use xen_sim::netback::{Hotplug, Index, Side};
use xen_sim::{Call, VifConfig};
use zerocopy::IntoBytes as _;

const SECOND: u64 = 1_000_000_000;

/// The backend goes, comes back, and frames flow.
fn comes_back(rig: &mut Rig) {
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.load();
    rig.until_up();
    drop(rig.sent());
    rig.works();
}

#[test]
fn h25_an_extra_that_changes_while_it_is_read() {
    let mut rig = Rig::connected_with(VifConfig::default().lenient(), Config::default());
    let ring = rig.netback.ring(Side::Rx);
    for round in 0..if cfg!(miri) { 5 } else { 200_u32 } {
        let head = ring.index(Index::RspProd);
        let id = u16::from(head as u8);
        let flags = NetRxFlags::EXTRA_INFO.bits();
        ring.put(NetifRxResponse { id, offset: 0, flags, status: 60 }.as_bytes());
        ring.put(&[4, 0, 0, 1, 0, 0, 0, 0]);
        // Type 4 without a flag, and type 255 that promises another extra.
        let at = ring.slot_offset((head.wrapping_add(1)) & 255);
        let flipper = rig.xen.machine.flip(ring.gfn(), at, [4, 0x01ff]);
        ring.push();
        rig.iterate();
        drop(flipper);
        assert!(rig.device.broken().is_none(), "{round}");
        assert!(rig.received.is_empty(), "no such frame was asked for");
        assert_eq!(rig.device.stats().rx_pool.in_ring, 256);
    }
    assert!(rig.device.stats().misbehaviour.total() > 0);
    comes_back(&mut rig);
}

#[test]
fn h42_tx_pages_are_granted_for_reading_only() {
    let mut rig = Rig::connected();
    rig.netback.faults(|faults| faults.hold_tx = true);
    while rig.send(&frame(60, 1)) {}
    rig.rounds(2);
    let stats = rig.device.stats();
    let peer = rig.sim.peer(DomId(0));
    let (mut to_read, mut to_write) = (0, 0);
    for entry in rig.xen.machine.granted() {
        let writable = peer.map(rig.xen.machine.id(), entry.gref, true).is_ok();
        assert_eq!(writable, !entry.read_only);
        *(if writable { &mut to_write } else { &mut to_read }) += 1;
    }
    // Both sides write to both rings, to the control ring and to its table.
    assert_eq!(
        (to_read, to_write),
        (stats.tx_pool.total + stats.tx_contiguous.total, stats.rx_pool.total + 4)
    );
}

#[test]
fn h45_too_few_grants_or_event_channels() {
    // 512 entries: enough for 300 pages for receiving, and the rest for sending.
    let sim = xen_sim::Sim::builder().max_grant_frames(1).build();
    let config = Config { pool_rx: 300, pool_tx: 300, ..Config::default() };
    let mut rig = Rig::on(sim, VifConfig::default(), config);
    rig.until_up();
    assert_eq!(rig.xen.grants.stats().free, 0);
    rig.works();

    let mut rig = Rig::with(VifConfig::default(), Config::default());
    let free = rig.xen.grants.stats().free;
    rig.xen.machine.refuse(|call| (call == Call::EvtchnAllocUnbound).then_some(Errno::ENOSPC));
    for _ in 0..10 {
        rig.round();
        rig.sim.advance(SECOND);
    }
    assert!(!rig.device.link_up());
    rig.xen.machine.refuse_nothing();
    rig.until_up();
    let stats = rig.device.stats();
    let used =
        u32::try_from(stats.rx_pool.total + stats.tx_pool.total + stats.tx_contiguous.total + 4).unwrap();
    assert_eq!(rig.xen.grants.stats().free, free - used, "attempts that failed gave everything back");
    rig.works();
}

#[test]
fn h45_a_grant_table_that_xen_refuses_is_an_error() {
    let mut rig = Rig::connected();
    let granted = rig.xen.machine.granted();
    rig.xen.machine.refuse(|call| (call == Call::AddToPhysmap).then_some(Errno::ENOMEM));
    assert_eq!(rig.xen.grants.resume(&rig.xen.machine), Err(Errno::ENOMEM));
    rig.xen.machine.refuse_nothing();
    assert_eq!(rig.xen.grants.resume(&rig.xen.machine), Ok(()));
    assert_eq!(rig.xen.machine.granted(), granted);
    rig.works();
}

#[test]
fn h46_a_storm_of_events_costs_no_hypercall() {
    let mut rig = Rig::connected();
    rig.works();
    // Until the connection task has read what it reads once connected.
    rig.rounds(10);
    let before = rig.xen.machine.counters();
    for _ in 0..1000 {
        rig.netback.notify_guest();
        rig.iterate();
    }
    assert_eq!(rig.xen.machine.counters().since(&before).hypercalls(), 0);
    rig.works();
}

#[test]
fn h48_an_event_on_a_port_that_nobody_listens_to_costs_one_look() {
    let mut rig = Rig::connected();
    let port = rig.xen.machine.evtchn_alloc_unbound(DomId(0)).unwrap();
    let peer = rig.sim.peer(DomId(0));
    let bound = peer.evtchn_bind(rig.xen.machine.id(), port).unwrap();
    rig.xen.events.unmask(port);
    for _ in 0..10 {
        peer.evtchn_send(bound).unwrap();
        rig.iterate();
    }
    assert_eq!(rig.xen.events.stats().stray, 1, "it is masked after the first");
    assert!(!rig.xen.events.has_pending());
    rig.works();
}

#[test]
fn h49_events_before_the_backend_is_connected() {
    let mut rig = Rig::with(VifConfig::default().hotplug(Hotplug::Manual), Config::default());
    rig.until("the rings are in use", |rig| rig.netback.has_rings());
    for _ in 0..100 {
        rig.netback.notify_guest();
        rig.iterate();
    }
    assert!(!rig.device.link_up());
    rig.netback.hotplug();
    rig.until_up();
    rig.works();
}

#[test]
fn h50_events_while_the_connection_ends() {
    let mut rig = Rig::connected();
    let ports = rig.xen.machine.open_ports();
    for _ in 0..5 {
        rig.netback.show_state(5);
        for _ in 0..20 {
            rig.netback.notify_guest();
            rig.iterate();
        }
        comes_back(&mut rig);
    }
    assert_eq!(rig.xen.machine.open_ports(), ports);
}

#[test]
fn h57_a_number_of_queues_that_makes_no_sense() {
    for queues in ["0", "-1", "x", "", "4294967295", "4294967296", "1000000000000000000000"] {
        let vif = VifConfig::default().feature("multi-queue-max-queues", queues).lenient();
        let mut rig = Rig::with(vif, Config::default());
        let free = rig.xen.grants.stats().free;
        // A backend that offers no queue takes none: then there is nothing but to wait for another one.
        for _ in 0..20 {
            rig.rounds(3);
            rig.sim.advance(SECOND);
        }
        let node = format!("{}/multi-queue-num-queues", rig.netback.frontend_path());
        let written = rig.sim.store().read(&node);
        assert!(matches!(written.as_deref(), None | Some("1")), "{queues}: {written:?}");
        if queues == "4294967295" {
            assert!(rig.device.link_up());
            rig.works();
        }
        let stats = rig.device.stats();
        let pages =
            u32::try_from(stats.rx_pool.total + stats.tx_pool.total + stats.tx_contiguous.total).unwrap();
        assert!(
            free - rig.xen.grants.stats().free <= pages + 4,
            "{queues}: two rings at most, and the control ring with its table"
        );
    }
}

#[test]
fn h73_time_that_jumps_does_no_harm_to_a_connection() {
    let mut rig = Rig::connected();
    for ns in [60 * SECOND, 3600 * SECOND, 365 * 86_400 * SECOND] {
        assert!(rig.send(&frame(60, 1)));
        rig.sim.advance(ns);
        rig.rounds(2);
        drop(rig.sent());
        rig.works();
    }
    assert_eq!(rig.device.stats().device.connects, 1);
}

#[test]
fn h75_a_backend_that_closes_at_every_step_and_twice() {
    for steps in 0..24 {
        let mut rig = Rig::with(VifConfig::default(), Config::default());
        let free = rig.xen.grants.stats().free;
        for step in 0..steps {
            if step % 2 == 0 { rig.iterate() } else { rig.sim.run() }
        }
        rig.netback.unload();
        rig.rounds(steps % 3);
        rig.netback.unload();
        rig.rounds(3);
        rig.netback.load();
        rig.until_up();
        rig.works();
        rig.rounds(10);
        let stats = rig.device.stats();
        let used =
            u32::try_from(stats.rx_pool.total + stats.tx_pool.total + stats.tx_contiguous.total + 4).unwrap();
        assert_eq!(rig.xen.grants.stats().free, free - used, "after {steps} steps");
        assert_eq!(rig.xen.store.nr_watches(), 3, "after {steps} steps");
    }
}
