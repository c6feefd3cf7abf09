//! Frames through the device: every size, in numbers, and their cost.

use crate::guest::{Os, run_until};
use crate::upper::{Mirror, frame};
use netfront::Config;
use xen_sim::netback::Order;
use xen_sim::{Netback, Sim, VifConfig};

fn connected(vif: VifConfig) -> (Sim, Netback, [Os<Mirror>; 1]) {
    let sim = Sim::builder().memory_pages(2048).build();
    let netback = sim.add_vif(vif);
    let mut guests = [Os::boot(sim.guest(), Config::default(), Mirror::new)];
    run_until(&sim, &mut guests, "connected", |guests| netfront::Nic::link_up(guests[0].device()));
    // Pending writes to xenstore are done, so that notifications from here on belong to frames.
    for _ in 0..10 {
        guests[0].iterate();
        sim.run();
    }
    (sim, netback, guests)
}

#[test]
fn frames_of_every_size_come_and_go_byte_for_byte() {
    for trusted in ["1", "0"] {
        let (sim, netback, mut guests) = connected(VifConfig::default().trusted(Some(trusted)));
        for len in 14..=1514 {
            netback.send(frame(len, len));
            run_until(&sim, &mut guests, "the frame was seen", |guests| !guests[0].upper.seen.is_empty());
            assert_eq!(guests[0].upper.seen.pop(), Some(frame(len, len)));
            sim.run();
            assert_eq!(netback.recv().map(|packet| packet.data), Some(frame(len, len)));
        }
        assert_eq!(netback.violations(), []);
    }
}

#[test]
fn many_packets_move_no_grant_and_notify_once_an_iteration() {
    let (sim, netback, mut guests) = connected(VifConfig { poison: false, ..VifConfig::default() });
    let packets = if cfg!(miri) { 300 } else { 100_000 };
    let (grants, before) = (guests[0].xen.grants.stats(), netback.stats());
    let (mut sent, mut back) = (0, 0);
    while back < packets {
        // Bursts of all sizes, longer than a ring, so that both sides run out of slots from time to time.
        for _ in 0..(sent % 300 + 1).min(packets - sent) {
            netback.send(frame(14 + sent % 1501, sent));
            sent += 1;
        }
        sim.run();
        let events = netback.stats().notifications_received;
        guests[0].iterate();
        assert!(
            guests[0].last_turn.notifications_sent <= 2,
            "one for each direction: {:?}",
            guests[0].last_turn
        );
        sim.run();
        assert!(netback.stats().notifications_received - events <= 2);
        while let Some(packet) = netback.recv() {
            assert_eq!(packet.data.len(), 14 + back % 1501);
            assert_eq!(packet.data, frame(14 + back % 1501, back));
            back += 1;
        }
        guests[0].upper.seen.clear();
    }
    assert_eq!(guests[0].xen.grants.stats(), grants, "no grant was issued or ended");
    let moved = netback.stats();
    assert_eq!(moved.tx_frames - before.tx_frames, packets as u64);
    let notifications = moved.notifications_received - before.notifications_received;
    assert!(notifications < packets as u64 / 10, "{notifications} notifications");
    assert_eq!(guests[0].device().stats().misbehaviour.total(), 0);
}

#[test]
fn answers_in_any_order_free_the_right_pages() {
    let (sim, netback, mut guests) = connected(VifConfig::default());
    netback.faults(|faults| faults.order = Order::Permuted(1));
    for round in 0..50 {
        guests[0].upper.outgoing = (0..40).map(|number| frame(60 + number, round * 40 + number)).collect();
        run_until(&sim, &mut guests, "all are queued", |guests| guests[0].upper.outgoing.is_empty());
        sim.run();
        for number in 0..40 {
            assert_eq!(
                netback.recv().map(|packet| packet.data),
                Some(frame(60 + number, round * 40 + number))
            );
        }
    }
    guests[0].iterate();
    let (_, tx) = guests[0].device().accounting().unwrap();
    assert_eq!(tx.in_ring, 0, "{tx:?}");
}

#[test]
fn a_backend_that_takes_its_time_stops_nobody_for_ever() {
    let (sim, netback, mut guests) = connected(VifConfig::default());
    netback.faults(|faults| faults.hold_tx = true);
    let late = netback.clone();
    sim.after(3_000_000_000, move || late.faults(|faults| faults.hold_tx = false));
    guests[0].upper.outgoing = (0..700).map(|number| frame(100, number)).collect();
    let began = sim.now();
    // The guest sleeps on its event channel all the while: no timer of its own is set.
    run_until(&sim, &mut guests, "all are queued", |guests| guests[0].upper.outgoing.is_empty());
    assert!(sim.now() - began >= 3_000_000_000);
    sim.run();
    assert_eq!(std::iter::from_fn(|| netback.recv()).count(), 700);
}

#[test]
fn no_byte_that_was_not_sent_can_be_read_by_the_backend() {
    let (sim, netback, mut guests) = connected(VifConfig::default());
    let secret = b"what the application wrote to its own memory";
    sim.canary(secret);
    // The secret has been in memory that the device may use later.
    let mut pages = vec![];
    while let Some(mut page) = xen::Memory::alloc_page(&guests[0].xen.machine) {
        page.bytes_mut().chunks_exact_mut(64).for_each(|chunk| chunk[..secret.len()].copy_from_slice(secret));
        pages.push(page);
    }
    pages.into_iter().for_each(|page| xen::Memory::free_page(&guests[0].xen.machine, page));
    for number in 0..600 {
        netback.send(frame(1514, number));
    }
    run_until(&sim, &mut guests, "all were seen", |guests| guests[0].upper.seen.len() == 600);
    assert_eq!(sim.leaks_to(xen::DomId(0)), []);
}
