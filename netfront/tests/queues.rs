//! Several queues: as many as both ends support, each with its share of the pages, each flow on one of them.

mod common;

use common::{NOW, Rig, frame};
use netfront::{Config, Nic as _};
use smoltcp::phy::{Device as _, RxToken as _, TxToken as _};
use xen_sim::VifConfig;

fn rig(offered: &str, queues: usize) -> Rig {
    let vif = VifConfig::default().feature("multi-queue-max-queues", offered);
    Rig::connected_with(vif, Config { queues, ..Config::default() })
}

fn sent_by_each(rig: &Rig) -> Vec<u64> {
    rig.device.queue_packets().map(|queue| queue.tx_packets.get()).collect()
}

#[test]
fn there_are_as_many_queues_as_both_ends_want() {
    for (offered, wanted, found) in [("8", 1, 1), ("1", 8, 1), ("2", 8, 2), ("8", 3, 3), ("8", 8, 8)] {
        let mut rig = rig(offered, wanted);
        assert_eq!(rig.device.stats().features.queues, found, "{offered} offered, {wanted} wanted");
        // Enough for the largest frame on each, whatever the grant table has left.
        assert!(rig.netback.posted().len() >= 64 * found as usize);
        let front = rig.netback.frontend_path();
        let top = rig.sim.store().read(&format!("{front}/tx-ring-ref"));
        assert_eq!(top.is_some(), found == 1, "the keys of several queues stand in their directories");
        rig.works();
    }
}

#[test]
fn frames_arrive_on_every_queue_and_none_starves_the_others() {
    let mut rig = rig("4", 4);
    for queue in 0..4 {
        for number in 0..50 {
            rig.netback.send_to(queue, frame(300 + queue, number));
        }
    }
    rig.sim.run();
    // An iteration with a small budget: after four of them, each queue was first once.
    for _ in 0..4 {
        xen_sim::iterate(&rig.xen);
        rig.device.reap();
        let shown = rig.device.peek().expect("a frame").frame.to_vec();
        let (token, _) = rig.device.receive(NOW).unwrap();
        token.consume(|bytes| assert_eq!(bytes, shown));
        rig.received.push(shown);
        rig.end_turn();
    }
    let mut lengths: Vec<usize> = rig.received.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [300, 301, 302, 303]);
    rig.rounds(3);
    assert_eq!(rig.received.len(), 200);
    assert!(rig.device.queue_packets().all(|queue| queue.rx_packets == 50));
}

#[test]
fn a_flow_is_sent_on_one_queue_also_when_it_answers() {
    let mut rig = rig("4", 4);
    for flow in 0..8 {
        rig.device.steer(flow);
        assert!(rig.send(&frame(100, 1)));
    }
    assert_eq!(sent_by_each(&rig), [2, 2, 2, 2]);
    // A frame from any queue is answered on that of its flow.
    for from in 0..4 {
        rig.netback.send_to(from, frame(100, 2));
        rig.sim.run();
        rig.device.reap();
        assert!(rig.device.peek().is_some());
        rig.device.steer(7);
        let (rx, tx) = rig.device.receive(NOW).expect("both tokens");
        rx.consume(|_| ());
        tx.consume(100, |into| into.copy_from_slice(&frame(100, 3)));
        rig.end_turn();
    }
    assert_eq!(sent_by_each(&rig), [2, 2, 2, 6]);
    rig.rounds(2);
    assert_eq!(rig.sent().len(), 12);
}

#[test]
fn a_queue_that_is_full_holds_up_its_own_flows_only() {
    let mut rig = rig("2", 2);
    rig.netback.faults(|faults| faults.hold_tx = true);
    rig.device.steer(0);
    while rig.send(&frame(60, 1)) {}
    rig.device.steer(1);
    assert!(rig.send(&frame(60, 2)));
    rig.netback.faults(|faults| faults.hold_tx = false);
    rig.rounds(3);
    rig.device.steer(0);
    assert!(rig.send(&frame(60, 3)));
}

#[test]
fn the_number_of_queues_may_change_with_the_backend() {
    let mut rig = rig("4", 4);
    for (offered, found) in [("2", 2), ("1", 1), ("8", 4)] {
        rig.device.steer(3);
        rig.netback.unload();
        rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
        rig.netback.offer("multi-queue-max-queues", offered);
        rig.netback.load();
        rig.until_up();
        assert_eq!(rig.device.stats().features.queues, found);
        rig.works();
    }
}
