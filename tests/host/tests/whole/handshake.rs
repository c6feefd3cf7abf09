//! The handshake, when xenstore and the backend are slow, unwilling or not where they should be.

use crate::guest::{Os, run_until};
use crate::upper::{Mirror, frame};
use netfront::{Config, Nic as _};
use std::cell::Cell;
use std::rc::Rc;
use xen::DomId;
use xen::abi::io_xenbus::XenbusState;
use xen_sim::netback::Hotplug;
use xen_sim::{Delivery, Netback, Quota, Sim, VifConfig};

const GUEST: DomId = DomId(1);

/// Boots a guest over this vif, runs it until the link is up, and sends a frame both ways.
pub(crate) fn connects(sim: &Sim, netback: &Netback) -> [Os<Mirror>; 1] {
    let mut guests = [Os::boot(sim.guest(), Config::default(), Mirror::new)];
    run_until(sim, &mut guests, "the link is up", |guests| guests[0].device().link_up());
    assert_eq!(netback.state(), XenbusState::Connected);
    works(sim, netback, &mut guests);
    guests
}

/// Checks that a frame goes out and comes in.
pub(crate) fn works(sim: &Sim, netback: &Netback, guests: &mut [Os<Mirror>; 1]) {
    while netback.recv().is_some() {}
    netback.send(frame(777, 1));
    run_until(sim, guests, "a frame was seen", |guests| !guests[0].upper.seen.is_empty());
    assert_eq!(guests[0].upper.seen.pop(), Some(frame(777, 1)));
    sim.run();
    assert_eq!(netback.recv().map(|packet| packet.data), Some(frame(777, 1)));
}

fn machine() -> Sim {
    Sim::builder().memory_pages(2048).build()
}

#[test]
fn from_every_state_that_a_former_driver_can_have_left() {
    for state in [1, 4, 6] {
        let sim = machine();
        let netback = sim.add_vif(VifConfig::default().frontend_state(state));
        connects(&sim, &netback);
        assert_eq!(netback.stats().connects, 1, "from state {state}");
    }
}

#[test]
fn with_a_hotplug_script_that_takes_nine_seconds() {
    let sim = machine();
    let netback = sim.add_vif(VifConfig::default().hotplug(Hotplug::After(9_000_000_000)));
    let began = sim.now();
    connects(&sim, &netback);
    assert!(sim.now() - began >= 9_000_000_000);
}

#[test]
fn with_transactions_that_conflict_again_and_again() {
    let sim = machine();
    let netback = sim.add_vif(VifConfig::default());
    sim.store().fail_commits(7);
    connects(&sim, &netback);
    let log = sim.store().log();
    let ends = log.iter().filter(|entry| entry.operation == "XS_TRANSACTION_END").count();
    assert_eq!(ends, 8);
    assert_eq!(sim.store().open_transactions(GUEST), 0);
}

#[test]
fn with_a_xenstore_ring_that_starts_elsewhere_in_three_bytes() {
    let sim = Sim::builder().memory_pages(2048).ring_start(u32::MAX - 500).build();
    let netback = sim.add_vif(VifConfig::default());
    sim.store().set_delivery(GUEST, Delivery::Pieces(3));
    connects(&sim, &netback);
}

#[test]
fn with_a_xenstored_that_falls_silent_for_a_minute() {
    let sim = machine();
    let netback = sim.add_vif(VifConfig::default());
    let mut guests = [Os::boot(sim.guest(), Config::default(), Mirror::new)];
    sim.store().set_delivery(GUEST, Delivery::Silent);
    let store = sim.store();
    sim.after(60_000_000_000, move || store.set_delivery(GUEST, Delivery::Whole));
    run_until(&sim, &mut guests, "the link is up", |guests| guests[0].device().link_up());
    works(&sim, &netback, &mut guests);
}

#[test]
fn with_writes_that_are_refused_for_a_while() {
    for error in ["EACCES", "EQUOTA", "ENOSPC", "EIO", "nonsense"] {
        let sim = machine();
        let netback = sim.add_vif(VifConfig::default());
        let left = Rc::new(Cell::new(3));
        let count = Rc::clone(&left);
        sim.store().refuse(move |_, operation, path| {
            let refused = operation == "XS_WRITE" && path.contains("/vif/0/") && count.get() > 0;
            count.set(count.get() - u32::from(refused));
            refused.then_some(error)
        });
        connects(&sim, &netback);
        assert_eq!(left.get(), 0, "{error}");
        assert_eq!(sim.store().open_transactions(GUEST), 0);
    }
}

#[test]
fn with_few_nodes_and_watches() {
    let sim = machine();
    let netback = sim.add_vif(VifConfig::default());
    sim.store().set_quota(Quota { watches: 4, transactions: 1, nodes: 60, ..Quota::default() });
    connects(&sim, &netback);
    assert!(sim.store().watches(GUEST) <= 4);
}

#[test]
fn again_and_again_with_the_same_backend() {
    let sim = machine();
    let netback = sim.add_vif(VifConfig::default());
    let mut guests = connects(&sim, &netback);
    let (grants, ports) = (guests[0].xen.grants.stats(), guests[0].xen.machine.open_ports());
    let watches = sim.store().watches(GUEST);
    for round in 0..if cfg!(miri) { 2 } else { 30 } {
        netback.unload();
        run_until(&sim, &mut guests, "the link is down", |guests| !guests[0].device().link_up());
        netback.load();
        run_until(&sim, &mut guests, "the link is up", |guests| guests[0].device().link_up());
        works(&sim, &netback, &mut guests);
        assert_eq!(guests[0].xen.machine.open_ports(), ports, "in round {round}");
        assert_eq!(sim.store().watches(GUEST), watches, "in round {round}");
    }
    // Two rings a round are granted and ended; the pool does not change.
    let after = guests[0].xen.grants.stats();
    assert_eq!(
        (after.issued.since(grants.issued), after.free),
        (after.ended.since(grants.ended), grants.free)
    );
}

#[test]
fn with_one_driver_domain_after_the_other() {
    let sim = machine();
    let netback = sim.add_vif(VifConfig { backend: DomId(3), ..VifConfig::default() });
    let mut guests = connects(&sim, &netback);
    for id in 4..8 {
        netback.vanish();
        run_until(&sim, &mut guests, "the link is down", |guests| !guests[0].device().link_up());
        netback.return_as(DomId(id));
        run_until(&sim, &mut guests, "the link is up", |guests| guests[0].device().link_up());
        works(&sim, &netback, &mut guests);
        let granted = guests[0].xen.machine.granted();
        assert!(granted.iter().all(|entry| entry.to == DomId(id)), "nothing is left to the one before");
    }
}
