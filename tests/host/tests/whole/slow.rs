//! Slowness and silence: a store or a backend that answers late, in part, or never. What was sent arrives when it can,
//! and waiting costs no iterations of the loop.

use crate::guest::{Os, run_until};
use crate::handshake::{connects, works};
use crate::peers::Pair;
use crate::upper::{Mirror, frame};
use netfront::{Config, Nic as _};
use xen::DomId;
use xen_sim::netback::Pace;
use xen_sim::{Delivery, Sim, VifConfig};

const GUEST: DomId = DomId(1);
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// Iterations of the loop since boot.
fn iterations(os: &Os<Mirror>) -> u64 {
    os.device().stats().device.iterations.get()
}

#[test]
fn a_store_that_answers_late_costs_time_and_no_turns() {
    let sim = Sim::builder().memory_pages(2048).build();
    let netback = sim.add_vif(VifConfig::default());
    sim.store().set_delivery(GUEST, Delivery::Late(2 * SECOND));
    let began = sim.now();
    let guests = connects(&sim, &netback);
    let asked = sim.store().log().len() as u64;
    assert!(sim.now() - began > 20 * SECOND, "{asked} messages in {} ms", (sim.now() - began) / MS);
    assert!(iterations(&guests[0]) < 4 * asked, "{} iterations for {asked} messages", iterations(&guests[0]));
}

#[test]
fn a_store_that_stops_within_an_answer_is_heard_again() {
    for cut in [0, 1, 15, 16, 17, 100, 300, 700] {
        let sim = Sim::builder().memory_pages(2048).build();
        let netback = sim.add_vif(VifConfig::default());
        let mut guests = [Os::boot(sim.guest(), Config::default(), Mirror::new)];
        sim.store().set_delivery(GUEST, Delivery::Cut(cut));
        let store = sim.store();
        sim.after(20 * SECOND, move || store.set_delivery(GUEST, Delivery::Whole));
        run_until(&sim, &mut guests, "the link is up", |guests| guests[0].device().link_up());
        assert!(iterations(&guests[0]) < 300, "cut after {cut} bytes: {} iterations", iterations(&guests[0]));
        works(&sim, &netback, &mut guests);
    }
}

#[test]
fn a_stream_over_a_slow_backend_comes_back() {
    let len = 200_000;
    let mut pair = Pair::new();
    pair.netbacks[0].faults(|faults| {
        faults.tx_pace = Some(Pace { every: 7 * MS, most: 3 });
        faults.rx_pace = Some(Pace { every: 5 * MS, most: 2 });
    });
    let join = pair.start_echo(len);
    pair.finish_echo(&join, len);
    assert!(pair.sim.now() > 500 * MS, "{} ms", pair.sim.now() / MS);
    let stats = pair.guests[0].device().stats();
    assert_eq!((stats.misbehaviour.total(), stats.tx.refused.get()), (0, 0));
}

#[test]
fn a_backend_that_answers_no_more_costs_no_turns() {
    let sim = Sim::builder().memory_pages(2048).build();
    let netback = sim.add_vif(VifConfig::default().lenient());
    let mut guests = connects(&sim, &netback);
    netback.faults(|faults| faults.hold_tx = true);
    // More frames than there are slots to answer from.
    for number in 0..400 {
        netback.send(frame(100, number));
        sim.run();
        guests[0].iterate();
    }
    // Ten minutes in which there is nothing to do.
    let mut busy = 0;
    for _ in 0..600 {
        sim.advance(SECOND);
        busy += u32::from(guests[0].iterate());
        sim.run();
    }
    assert!(busy < 10, "{busy} iterations that found work");
    assert!(guests[0].device().link_up());
    netback.faults(|faults| faults.hold_tx = false);
    for _ in 0..20 {
        sim.run();
        guests[0].iterate();
    }
    assert_eq!(guests[0].upper.seen.len(), 400, "all frames arrive in the end");
    guests[0].upper.seen.clear();
    works(&sim, &netback, &mut guests);
}
