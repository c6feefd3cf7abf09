//! Grants belong to a connection: after a restore, after the end of a backend, and of queues that are not used any more.

mod common;

use common::{Rig, frame};
use netfront::{Config, Nic as _};
use xen::{DomId, Memory as _};
use xen_sim::{Guest, VifConfig};

const BACKEND: DomId = DomId(5);
const OTHER: DomId = DomId(7);
const NEW_DOMAIN: DomId = DomId(20);
const SECOND: u64 = 1_000_000_000;

fn vif() -> VifConfig {
    VifConfig { backend: BACKEND, ..VifConfig::default() }
}

/// Grants to a domain, as its grant table has them.
fn grants_to(guest: &Guest, domid: DomId) -> usize {
    guest.granted().into_iter().filter(|entry| entry.to == domid).count()
}

/// Saves the guest and restores it in a new domain, where `backend` serves the vif.
fn restore(rig: &Rig, backend: DomId) -> Guest {
    let guest = rig.xen.machine.clone();
    let restored = rig.sim.restore(&guest, NEW_DOMAIN, &[(&rig.netback, backend)]);
    xen_sim::resume(&rig.xen, restored);
    guest
}

#[test]
fn h81_after_a_restore_no_domain_with_the_old_domid_has_grants() {
    for backend in [OTHER, BACKEND] {
        let mut rig = Rig::connected_with(vif(), Config::default());
        assert!(rig.send(&frame(1000, 3)));
        rig.rounds(2);
        let guest = restore(&rig, backend);
        assert_eq!(grants_to(&guest, BACKEND), 0, "before the handshake");
        rig.until_down();
        rig.until_up();
        rig.works();
        let expected = if backend == BACKEND { 0 } else { grants_to(&guest, BACKEND) };
        assert_eq!(expected, 0, "after the handshake");
        assert!(grants_to(&guest, backend) > 700);
    }
}

#[test]
fn h82_a_quarantine_ends_when_no_domain_has_the_pages_mapped() {
    let config = Config { quarantine_max: 3, ..Config::default() };
    let mut rig = Rig::connected_with(vif().lenient(), config);
    rig.netback.faults(|faults| faults.keep_mapped = true);
    for number in 0..10 {
        assert!(rig.send(&frame(1000, number)));
    }
    rig.rounds(2);
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.return_as(OTHER);
    rig.rounds(40);
    assert!(!rig.device.link_up(), "too many pages are quarantined");
    rig.netback.faults(|faults| faults.keep_mapped = false);
    let guest = restore(&rig, DomId(0));
    for _ in 0..100 {
        rig.round();
        rig.sim.advance(SECOND);
    }
    assert!(rig.device.link_up());
    let stats = rig.device.stats();
    assert_eq!((stats.tx_pool.quarantined, grants_to(&guest, BACKEND)), (0, 0));
    let (kept, back) = (stats.device.quarantined_rings.get(), stats.device.recovered_rings.get());
    assert!(kept > 0 && back == kept, "{back} of {kept} pages of rings came back");
    rig.works();
}

#[test]
fn h83_pools_of_queues_that_are_gone_are_not_granted() {
    let config = Config { queues: 2, ..Config::default() };
    let mut rig = Rig::connected_with(vif().feature("multi-queue-max-queues", "2"), config);
    for (queues, pages) in [("1", 768), ("2", 768)] {
        rig.netback.unload();
        rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
        rig.netback.offer("multi-queue-max-queues", queues);
        rig.netback.return_as(OTHER);
        rig.until_up();
        rig.works();
        assert_eq!(rig.device.stats().features.queues.to_string(), queues);
        assert_eq!(grants_to(&rig.xen.machine, BACKEND), 0);
        let stats = rig.device.stats();
        assert!(stats.rx_pool.total + stats.tx_pool.total <= pages, "{stats:?}");
        assert!(stats.rx_pool.total >= 256, "{stats:?}");
    }
}

#[test]
fn h84_grants_end_with_a_backend_that_is_destroyed() {
    let mut rig = Rig::connected_with(vif(), Config::default());
    rig.works();
    let memory = rig.xen.machine.free_pages();
    rig.netback.vanish();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.rounds(3);
    assert_eq!(grants_to(&rig.xen.machine, BACKEND), 0);
    let stats = rig.device.stats();
    assert_eq!((stats.rx_pool.free, stats.tx_pool.free), (512, 256), "the pages stay for the next backend");
    assert!(rig.xen.machine.free_pages() >= memory);
    rig.netback.return_as(OTHER);
    rig.until_up();
    rig.works();
}
