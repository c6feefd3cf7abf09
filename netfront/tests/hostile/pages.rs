//! Pages that the backend keeps, releases late, or reads.

use crate::common::{Rig, frame};
use crate::rig;
use netfront::{Config, Nic as _};
use xen::{Clock as _, Memory as _};
use xen_sim::VifConfig;

#[test]
fn h39_h40_h41_pages_in_use_are_never_used_again() {
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
    // A page for receiving, and ten for sending; and the rings.
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
        (device.quarantined_rings.get(), device.recovered_rings.get(), rig.xen.grants.stats().quarantined)
    };
    assert_eq!(rings(&rig), (4, 0, 4));
    // As long as they are in use, trying again changes nothing.
    for _ in 0..3 {
        rig.sim.advance(3_000_000_000);
        rig.idle_turn();
    }
    assert_eq!(rings(&rig), (4, 0, 4));
    rig.netback.faults(|faults| faults.keep_mapped = false);
    let next = rig.device.maintain(rig.xen.machine.now()).expect("a time to try again");
    assert!(next.since(rig.xen.machine.now()) <= 64_000_000_000, "and not too late");
    rig.sim.advance(next.since(rig.xen.machine.now()));
    rig.idle_turn();
    assert_eq!(rings(&rig), (4, 4, 0));
    assert_eq!(rig.device.maintain(rig.xen.machine.now()), None, "nobody is woken for nothing");
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
    assert_eq!((device.quarantined_rings.get(), device.recovered_rings.get()), (40, 40));
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
