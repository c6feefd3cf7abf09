//! Waiting costs nothing: ten minutes of each kind of absence, in virtual time. No iteration of the loop is without work,
//! attempts become rare, and a line is logged when the error changes.
//!
//! ```text
//!   what is absent ─► the guest blocks in Xen ─► 1 s, 2 s … 60 s: an attempt ─► it comes back: frames go both ways
//! ```

use crate::guest::{Iterations, Os, run_for, run_until};
use crate::handshake::{connects, works};
use crate::upper::Mirror;
use datafront::vchan::{Path, Server, ServerError, Settings};
use netfront::Nic as _;
use pool::SharedPagePool;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use xen::{DomId, GrantedPages};
use xen_sim::{Delivery, Netback, Sim, VifConfig};

const GUEST: DomId = DomId(1);
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * SECOND;
/// Waits of 1 s, 2 s … 60 s fit into ten minutes this often.
const ATTEMPTS: u64 = 15;

fn connected() -> (Sim, Netback, [Os<Mirror>; 1]) {
    let sim = Sim::builder().memory_pages(2048).build();
    let netback = sim.add_vif(VifConfig::default());
    let guests = connects(&sim, &netback);
    (sim, netback, guests)
}

/// Runs the guest for ten minutes: iterations, none of them without work, and few by a timer that was set for nothing.
fn ten_minutes(sim: &Sim, os: &mut Os<Mirror>) -> u64 {
    let Iterations { all, stale_timers, without_work } = run_for(sim, os, 10 * MINUTE);
    assert_eq!(without_work, 0, "of {all} iterations");
    assert!(stale_timers <= ATTEMPTS, "{stale_timers} of {all} iterations");
    all
}

/// The backend ends the connection, and is ready for another one when the guest has seen it.
fn reload(sim: &Sim, netback: &Netback, guests: &mut [Os<Mirror>; 1]) {
    netback.unload();
    let state = format!("{}/state", netback.frontend_path());
    run_until(sim, guests, "our state is Closed", |_| sim.store().read(&state).as_deref() == Some("6"));
    netback.load();
}

/// Waits for the link, at most two minutes, and sends a frame both ways.
fn comes_back(sim: &Sim, netback: &Netback, guests: &mut [Os<Mirror>; 1]) {
    let began = sim.now();
    run_until(sim, guests, "the link is up", |guests| guests[0].device().link_up());
    assert!(sim.now() - began <= 2 * MINUTE, "{} s", (sim.now() - began) / SECOND);
    works(sim, netback, guests);
}

/// Does something every `ns` nanoseconds, for ten minutes.
fn every(sim: &Sim, ns: u64, action: impl FnMut() + 'static) {
    let action = Rc::new(RefCell::new(action));
    for number in 1..10 * MINUTE / ns {
        let action = Rc::clone(&action);
        sim.after(number * ns, move || action.borrow_mut()());
    }
}

#[test]
fn a_connected_guest_sleeps_while_nothing_comes() {
    let (sim, _netback, mut guests) = connected();
    let iterations = ten_minutes(&sim, &mut guests[0]);
    assert!(iterations < 10, "{iterations} iterations");
}

#[test]
fn a_guest_without_a_backend_sleeps() {
    let (sim, netback, mut guests) = connected();
    netback.vanish();
    let iterations = ten_minutes(&sim, &mut guests[0]);
    assert!(iterations < 40, "{iterations} iterations");
    netback.return_as(DomId(7));
    comes_back(&sim, &netback, &mut guests);
}

#[test]
fn a_guest_whose_vif_is_detached_sleeps() {
    let (sim, netback, mut guests) = connected();
    netback.vanish();
    sim.store().remove(&netback.frontend_path());
    let iterations = ten_minutes(&sim, &mut guests[0]);
    assert!(iterations < 40, "{iterations} iterations");
    netback.return_as(DomId(0));
    comes_back(&sim, &netback, &mut guests);
}

#[test]
fn a_backend_that_restarts_all_the_time_is_tried_ever_more_rarely() {
    let (sim, netback, mut guests) = connected();
    let before = netback.stats().connects;
    let (toggled, mut is_loaded) = (netback.clone(), true);
    every(&sim, 50 * MS, move || {
        if is_loaded {
            toggled.unload()
        } else {
            toggled.load()
        }
        is_loaded = !is_loaded;
    });
    ten_minutes(&sim, &mut guests[0]);
    let connects = netback.stats().connects - before;
    assert!((2..=ATTEMPTS).contains(&connects), "{connects} connections");
    sim.advance(SECOND);
    netback.load();
    comes_back(&sim, &netback, &mut guests);
}

#[test]
fn a_backend_whose_state_means_nothing_is_tried_ever_more_rarely() {
    let (sim, netback, mut guests) = connected();
    let states = [6, 4, 2, 5, 1, 9, 3, 7, 2, 4, 8];
    let (shown, mut number) = (netback.clone(), 0);
    every(&sim, 70 * MS, move || {
        shown.show_state(states[number % states.len()]);
        number += 1;
    });
    let written = |sim: &Sim| sim.store().log().iter().filter(|entry| entry.operation == "XS_WRITE").count();
    let before = written(&sim);
    ten_minutes(&sim, &mut guests[0]);
    // A handshake writes some twenty nodes; the states 5, 6 and 1 come on top.
    let written = written(&sim) - before;
    assert!(written < 50 * ATTEMPTS as usize, "{written} writes");
    netback.unload();
    sim.advance(SECOND);
    netback.load();
    comes_back(&sim, &netback, &mut guests);
}

#[test]
fn a_guest_whose_xenstored_is_silent_sleeps() {
    let (sim, netback, mut guests) = connected();
    sim.store().set_delivery(GUEST, Delivery::Silent);
    let (store, sleep) = (guests[0].xen.store.clone(), guests[0].sleeper());
    let failed = Rc::new(Cell::new(0));
    let count = Rc::clone(&failed);
    // A request of each kind, again as soon as it has failed.
    guests[0].spawn(async move {
        loop {
            while store.read_opt("name").await.is_ok() {
                sleep(SECOND).await;
            }
            count.set(count.get() + 1);
        }
    });
    let iterations = ten_minutes(&sim, &mut guests[0]);
    assert!((1..=2 * ATTEMPTS).contains(&failed.get()), "{} failed requests", failed.get());
    assert!(iterations < 4 * ATTEMPTS, "{iterations} iterations");
    sim.store().set_delivery(GUEST, Delivery::Whole);
    reload(&sim, &netback, &mut guests);
    comes_back(&sim, &netback, &mut guests);
}

#[test]
fn writes_that_are_always_refused_are_tried_ever_more_rarely() {
    let (sim, netback, mut guests) = connected();
    let refused = Rc::new(Cell::new(0));
    let count = Rc::clone(&refused);
    sim.store().refuse(move |_, operation, path| {
        let refused = operation == "XS_WRITE" && path.ends_with("tx-ring-ref");
        count.set(count.get() + u64::from(refused));
        refused.then_some("EQUOTA")
    });
    reload(&sim, &netback, &mut guests);
    ten_minutes(&sim, &mut guests[0]);
    assert!((2..=ATTEMPTS).contains(&refused.get()), "{} attempts", refused.get());
    sim.store().refuse_nothing();
    comes_back(&sim, &netback, &mut guests);
}

#[test]
fn a_data_channel_whose_node_is_refused_is_tried_ever_more_rarely() {
    let (sim, _netback, mut guests) = connected();
    let refused = Rc::new(Cell::new(0));
    let count = Rc::clone(&refused);
    sim.store().refuse(move |_, operation, path| {
        let refused = operation == "XS_MKDIR" && path.contains("/data/vchan/");
        count.set(count.get() + u64::from(refused));
        // Another error after five minutes.
        refused.then(|| if count.get() < 10 { "EACCES" } else { "EQUOTA" })
    });
    let pages: Rc<dyn GrantedPages> = Rc::new(SharedPagePool::new(&guests[0].xen, DomId(0)));
    let path = Path::usual(GUEST, DomId(0), "push").unwrap();
    let node = format!("{}/ring-ref", path.as_str());
    let mut server = Server::open(&guests[0].xen, &pages, Settings::new(path, GUEST)).unwrap();
    let (sleep, told) = (guests[0].sleeper(), Rc::new(RefCell::new(Vec::new())));
    let errors = Rc::clone(&told);
    let offered = guests[0].spawn(async move {
        server
            .offer(&sleep, |error: &ServerError| errors.borrow_mut().push(error.to_string()))
            .await
            .map(|()| server)
    });
    let iterations = ten_minutes(&sim, &mut guests[0]);
    assert!((10..=ATTEMPTS).contains(&refused.get()), "{} attempts", refused.get());
    assert!(iterations < 4 * ATTEMPTS, "{iterations} iterations");
    assert_eq!(told.borrow().len(), 2, "{told:?}");
    assert!(!offered.is_done() && sim.store().read(&node).is_none());
    sim.store().refuse_nothing();
    run_until(&sim, &mut guests, "the channel is offered", |_| offered.is_done());
    assert!(offered.take().is_ok() && sim.store().read(&node).is_some());
}

#[test]
fn a_restored_guest_sleeps_and_reads_no_node_of_its_former_backend() {
    let (sim, netback, mut guests) = connected();
    // The connection is settled: its task waits for events.
    run_for(&sim, &mut guests[0], SECOND);
    let former = netback.backend_path();
    let before = sim.store().log().len();
    let machine = guests[0].xen.machine.clone();
    let restored = sim.restore(&machine, DomId(9), &[(&netback, DomId(5))]);
    guests[0].resume(restored);
    let iterations = ten_minutes(&sim, &mut guests[0]);
    assert!(iterations < 60, "{iterations} iterations");
    works(&sim, &netback, &mut guests);
    let log = sim.store().log().split_off(before);
    let stale = |operation| {
        log.iter().filter(|entry| entry.operation == operation && entry.path.starts_with(&former)).count()
    };
    // The watches go as they came, by the client.
    assert_eq!((stale("XS_READ"), stale("XS_WATCH"), stale("XS_UNWATCH")), (0, 2, 2));
}
