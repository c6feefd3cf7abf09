//! The way of the data: frames of every size in both directions, under every policy, and the bytes that remain.

mod common;

use common::{NOW, Rig, frame};
use netfront::config::Trust;
use netfront::{Clearing, Config, Nic as _};
use smoltcp::phy::{Device as _, RxToken as _, TxToken as _};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use xen::Clock as _;
use xen::ids::PAGE_SIZE;
use xen_sim::netback::{Order, POISON};
use xen_sim::{Sim, VifConfig};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// The size of allocations that fail, in bytes. 0: none.
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[allow(unsafe_code, reason = "an allocator that counts; the work is the system's")]
// SAFETY: every call goes to the system's allocator unchanged, or fails as an allocation may.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        if REFUSED.with(Cell::get) == layout.size() {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sizes around every edge: shortest frame, threshold, MTU, VLAN tag.
const SIZES: [usize; 14] = [14, 15, 42, 59, 60, 64, 255, 256, 257, 1400, 1499, 1513, 1514, 1518];

fn untrusted() -> VifConfig {
    VifConfig { check_cleared: true, ..VifConfig::default().trusted(Some("0")) }
}

#[test]
fn frames_of_every_size_arrive_unchanged_under_every_policy() {
    for threshold in [0, 256, 4096] {
        for vif in [VifConfig::default(), untrusted(), VifConfig::default().trusted(None)] {
            // With clearing, so that a netback that checks for remains finds every omission.
            let config = Config { threshold, clearing: Clearing::Copied, ..Config::default() };
            let mut rig = Rig::connected_with(vif, config);
            for (number, len) in SIZES.into_iter().enumerate() {
                let bytes = frame(len, number);
                assert_eq!(rig.give(bytes.clone()).as_ref(), Some(&bytes), "{len} bytes");
                // The longest that our own MTU allows is 1514.
                if len <= 1514 {
                    assert!(rig.send(&bytes));
                    rig.rounds(2);
                    assert_eq!(rig.sent(), [bytes]);
                }
            }
        }
    }
}

#[test]
fn only_long_frames_of_a_trusted_backend_are_not_copied() {
    let mut rig = Rig::connected_with(VifConfig::default(), Config { threshold: 256, ..Config::default() });
    for len in [60, 255, 256, 1514] {
        rig.give(frame(len, 1)).unwrap();
    }
    let rx = rig.device.stats().rx;
    assert_eq!((rx.copied_packets.get(), rx.copied_bytes.get()), (2, 315));
    assert_eq!((rx.zero_copy_packets.get(), rx.zero_copy_bytes.get()), (2, 1770));
    assert_eq!(rx.cleared_bytes, 315);

    let config = Config { clearing: Clearing::Copied, ..Config::default() };
    let mut rig = Rig::connected_with(untrusted(), config);
    for len in [60, 255, 256, 1514] {
        rig.give(frame(len, 1)).unwrap();
    }
    let stats = rig.device.stats();
    assert_eq!((stats.rx.copied_packets.get(), stats.rx.zero_copy_packets.get()), (4, 0));
    assert!(!stats.trusted);
}

#[test]
fn a_lent_page_stays_out_until_the_token_is_dropped() {
    let mut rig = Rig::connected();
    rig.netback.send(frame(1000, 1));
    rig.sim.run();
    rig.device.reap();
    let before = rig.device.stats().rx_pool;
    assert_eq!(rig.device.peek().unwrap().frame.len(), 1000);
    let (rx, _) = rig.device.accounting().unwrap();
    assert_eq!((rx.in_use, rx.in_ring), (1, before.in_ring - 1));
    let (token, _) = rig.device.receive(NOW).unwrap();
    token.consume(|bytes| assert_eq!(bytes, frame(1000, 1)));
    let (rx, _) = rig.device.accounting().unwrap();
    // It waits in its slot for the next request.
    assert_eq!((rx.in_use, rx.free, rx.in_ring), (0, before.free, before.in_ring));
}

#[test]
fn what_a_copied_frame_used_is_cleared_and_nothing_else() {
    for (trusted, clearing, len, cleared) in [
        ("1", Clearing::Small, 200, true),
        ("1", Clearing::Small, 1000, false),
        ("1", Clearing::Copied, 1000, false),
        ("1", Clearing::All, 1000, true),
        ("1", Clearing::Off, 200, false),
        ("0", Clearing::Small, 200, true),
        ("0", Clearing::Small, 1000, false),
        ("0", Clearing::Copied, 1000, true),
    ] {
        let config = Config { clearing, threshold: 256, ..Config::default() };
        let mut rig = Rig::connected_with(VifConfig::default().trusted(Some(trusted)), config);
        let gref = rig.netback.posted()[0].gref;
        let gfn = rig.xen.machine.granted().iter().find(|entry| entry.gref == gref).unwrap().gfn;
        rig.netback.faults(|faults| faults.rx_offset = 32);
        rig.netback.send(frame(len, 1));
        rig.sim.run();
        rig.device.reap();
        drop(rig.device.receive(NOW).unwrap());
        // Before the page is posted again, and filled with poison.
        let bytes = rig.xen.machine.page_bytes(gfn).unwrap();
        assert_eq!(
            bytes[32..32 + len].iter().all(|byte| *byte == 0),
            cleared,
            "{trusted} {clearing:?} {len}"
        );
        assert!(bytes[..32].iter().chain(&bytes[32 + len..]).all(|byte| *byte == POISON));
    }
}

#[test]
fn peek_keeps_the_next_frame_and_discard_drops_it() {
    let mut rig = Rig::connected();
    for number in 0..3 {
        rig.netback.send(frame(100 + number, number));
    }
    rig.sim.run();
    rig.device.reap();
    assert_eq!(rig.device.peek().unwrap().frame, frame(100, 0));
    assert_eq!(rig.device.peek().unwrap().frame, frame(100, 0));
    rig.device.discard();
    assert_eq!(rig.device.peek().unwrap().frame, frame(101, 1));
    let (token, _) = rig.device.receive(NOW).unwrap();
    token.consume(|bytes| assert_eq!(bytes, frame(101, 1)));
    assert_eq!(rig.device.peek().unwrap().frame, frame(102, 2));
    // A token that is not used takes its frame along.
    drop(rig.device.receive(NOW));
    assert!(rig.device.peek().is_none());
    rig.device.discard();
    rig.check();
}

#[test]
fn no_token_without_a_slot_and_the_frame_waits() {
    let config = Config { refuse: netfront::Feature::SCATTER_GATHER, ..Config::default() };
    let mut rig = Rig::connected_with(VifConfig::default(), config);
    // The new connection has sent all its requests to the device.
    rig.rounds(3);
    rig.netback.faults(|faults| faults.hold_tx = true);
    for number in 0..256 {
        assert!(rig.send(&frame(64, number)), "{number}");
    }
    assert!(!rig.device.tx_exhausted());
    assert!(!rig.send(&frame(64, 256)));
    assert!(rig.device.tx_exhausted());
    rig.netback.send(frame(500, 7));
    rig.rounds(3);
    assert_eq!(rig.received, Vec::<Vec<u8>>::new());
    assert!(rig.device.peek().is_none());
    assert!(!rig.device.final_check(), "it can sleep: nothing but a slot helps");
    rig.netback.faults(|faults| faults.hold_tx = false);
    rig.sim.run();
    assert!(rig.device.final_check() || rig.xen.events.dispatch() > 0, "the slot wakes it");
    rig.rounds(1);
    assert!(!rig.device.tx_exhausted());
    assert_eq!(rig.received, [frame(500, 7)]);
    assert_eq!(rig.sent().len(), 256);
}

#[test]
fn an_iteration_replies_and_notifies_once_a_direction() {
    for split in [true, false] {
        let vif = VifConfig::default();
        let vif = if split { vif } else { vif.without("feature-split-event-channels") };
        let mut rig = Rig::connected_with(vif, Config::default());
        rig.rounds(3);
        // The backend was notified once on each channel when it connected.
        let spurious = rig.netback.stats().spurious_notifications;
        assert!(spurious <= if split { 2 } else { 1 });
        for iteration in 0..50 {
            for number in 0..40 {
                rig.netback.send(frame(60 + number, iteration));
            }
            rig.sim.run();
            let before = rig.xen.machine.counters();
            rig.device.reap();
            while let Some((rx, tx)) = rig.device.receive(NOW) {
                rx.consume(|bytes| tx.consume(bytes.len(), |into| into.copy_from_slice(bytes)));
            }
            rig.device.flush();
            rig.device.final_check();
            let since = rig.xen.machine.counters().since(&before);
            assert!(since.notifications_sent <= if split { 2 } else { 1 }, "{since:?}");
            assert_eq!(since.hypercalls(), since.notifications_sent);
            rig.sim.run();
            rig.iterate();
            assert_eq!(rig.sent().len(), 40);
        }
        assert_eq!(rig.device.stats().device.notify_errors, 0);
        assert_eq!(rig.netback.stats().spurious_notifications, spurious, "split: {split}");
    }
}

#[test]
fn packets_cost_no_allocation_and_no_grant() {
    let mut rig = Rig::connected();
    rig.works();
    let mut worst = 0;
    let grants = rig.xen.grants.stats();
    for iteration in 0..200 {
        for number in 0..20 {
            rig.netback.send(frame(60 + number * 70, iteration));
        }
        rig.sim.run();
        let before = ALLOCATIONS.with(Cell::get);
        rig.device.reap();
        let mut taken = 0;
        while rig.device.peek().is_some() {
            let (rx, tx) = rig.device.receive(NOW).unwrap();
            rx.consume(|bytes| tx.consume(bytes.len(), |into| into.copy_from_slice(bytes)));
            taken += 1;
        }
        rig.device.flush();
        rig.device.final_check();
        worst = worst.max(ALLOCATIONS.with(Cell::get) - before);
        assert_eq!(taken, 20);
        rig.sim.run();
        rig.iterate();
        drop(rig.sent());
    }
    assert_eq!(worst, 0);
    let after = rig.xen.grants.stats();
    assert_eq!((after.issued, after.ended), (grants.issued, grants.ended));
}

#[test]
fn responses_in_any_order_free_what_they_name() {
    let mut rig = Rig::connected();
    for (iteration, order) in
        [Order::Reversed, Order::Permuted(1), Order::Permuted(99)].into_iter().enumerate()
    {
        rig.netback.faults(|faults| faults.order = order);
        for _ in 0..30 {
            for number in 0..100 {
                assert!(rig.send(&frame(64 + number, iteration)));
            }
            rig.rounds(2);
            assert_eq!(rig.sent().len(), 100);
        }
    }
    assert_eq!(rig.device.stats().tx_pool.in_ring, 0);
    assert!(rig.device.broken().is_none());
}

#[test]
fn a_token_that_is_not_used_costs_nothing() {
    let mut rig = Rig::connected();
    let before = rig.device.accounting().unwrap();
    for _ in 0..1000 {
        let _unused = rig.device.transmit(NOW).unwrap();
    }
    assert_eq!(rig.device.accounting().unwrap(), before);
    rig.round();
    assert_eq!(rig.sent(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_frame_that_no_backend_would_take_is_not_sent() {
    let mut rig = Rig::connected();
    for len in [0, 1, 13, PAGE_SIZE + 1, 100_000] {
        let token = rig.device.transmit(NOW).unwrap();
        assert_eq!(token.consume(len, |into| into.len()), len);
    }
    rig.rounds(2);
    assert_eq!(rig.sent(), Vec::<Vec<u8>>::new());
    assert_eq!(rig.device.stats().tx.refused, 5);
    rig.works();
}

#[test]
fn pools_grow_when_they_are_empty_and_shrink_when_they_are_idle() {
    let config = Config { pool_rx: 32, pool_rx_max: 300, pool_tx: 32, pool_tx_max: 100, ..Config::default() };
    let mut rig = Rig::connected_with(VifConfig::default(), config);
    let stats = rig.device.stats();
    // The ring needs 256 pages.
    assert_eq!((stats.rx_pool.in_ring, stats.rx_pool.total), (256, 256));
    assert_eq!(stats.rx_pool_stats.grows, 7);
    rig.netback.faults(|faults| faults.hold_tx = true);
    let mut sent = 0;
    while rig.send(&frame(64, sent)) {
        sent += 1;
    }
    assert_eq!(sent, 100, "the cap");
    assert!(rig.device.tx_exhausted());
    rig.netback.faults(|faults| faults.hold_tx = false);
    rig.rounds(3);
    assert_eq!(rig.device.stats().tx_pool.free, 100);
    for _ in 0..2000 {
        rig.idle_turn();
    }
    assert_eq!(rig.device.stats().tx_pool.total, 100, "no time has passed");
    let mut seconds = 0;
    while let Some(next) = rig.device.maintain(rig.xen.machine.now()) {
        assert!(next > rig.xen.machine.now(), "it would be called for ever");
        rig.sim.advance(1_000_000_000);
        rig.iterate();
        seconds += 1;
        assert!(seconds < 60, "{:?}", rig.device.stats());
    }
    let stats = rig.device.stats();
    assert_eq!((stats.tx_pool.total, stats.tx_pool.free), (32, 32), "after {seconds} s");
    assert_eq!((stats.rx_pool.total, stats.rx_pool.in_ring), (256, 256), "the ring keeps what it needs");
    assert!(stats.tx_pool_stats.shrinks > 2, "step by step");
    rig.works();
}

#[test]
fn a_frame_that_waits_keeps_its_page_while_the_ring_is_filled() {
    let mut rig = Rig::connected();
    for number in 0..3 {
        rig.netback.send(frame(1000, number));
    }
    rig.sim.run();
    rig.device.reap();
    for number in 0..3 {
        for _ in 0..2 {
            assert_eq!(rig.device.peek().unwrap().frame, frame(1000, number));
            // All that can be is posted, and the backend overwrites every page that it has.
            rig.device.flush();
            rig.sim.run();
            rig.check();
        }
        rig.device.discard();
    }
    rig.rounds(2);
    assert_eq!(rig.device.stats().rx_pool.in_ring, 256);
    rig.works();
}

#[test]
fn with_trust_never_every_frame_is_copied() {
    for (trust, lent) in [(Trust::Toolstack, 1), (Trust::Never, 0)] {
        let vif = VifConfig::default().trusted(Some("1"));
        let mut rig = Rig::connected_with(vif, Config { trust, ..Config::default() });
        assert_eq!(rig.give(frame(1500, 3)), Some(frame(1500, 3)));
        let stats = rig.device.stats();
        assert_eq!(
            (stats.rx.zero_copy_packets.get(), stats.rx.copied_packets.get()),
            (lent, 1 - lent),
            "{trust}"
        );
        assert_eq!((stats.trusted, stats.config.trust), (lent == 1, trust));
    }
}

#[test]
fn without_memory_to_grow_the_device_works_with_what_it_has() {
    let sim = Sim::builder().memory_pages(100).build();
    let config = Config { pool_rx: 32, pool_tx: 32, ..Config::default() };
    let mut rig = Rig::on(sim, VifConfig::default(), config);
    rig.until_up();
    let stats = rig.device.stats();
    assert!(stats.rx_pool_stats.grow_failures > 0 && stats.rx.starved > 0);
    for number in 0..500 {
        assert_eq!(rig.give(frame(700, number)), Some(frame(700, number)));
    }
    rig.works();
}

#[test]
fn frames_lost_with_the_backend_are_counted() {
    let mut rig = Rig::connected();
    rig.netback.faults(|faults| faults.hold_tx = true);
    for number in 0..10 {
        assert!(rig.send(&frame(64, number)));
    }
    rig.round();
    for number in 0..7 {
        assert!(rig.send(&frame(64, number)));
    }
    rig.netback.unload();
    // Without a flush in between, the rings are not accessed again.
    rig.until_down();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    let stats = rig.device.stats();
    assert_eq!(stats.tx.lost_queued.get() + stats.tx.lost_in_flight.get(), 17);
    assert_eq!((stats.tx_pool.free, stats.rx_pool.free), (256, 512));
    rig.netback.faults(|faults| faults.hold_tx = false);
    rig.netback.load();
    rig.until_up();
    drop(rig.sent());
    rig.works();
}

#[test]
fn h85_a_frame_whose_copy_fails_is_not_lost() {
    let config = Config { trust: Trust::Never, ..Config::default() };
    let mut rig = Rig::connected_with(VifConfig::default(), config);
    let frames = [frame(777, 1), frame(300, 2)];
    frames.iter().for_each(|bytes| rig.netback.send(bytes.clone()));
    rig.sim.run();
    xen_sim::iterate(&rig.xen);
    rig.device.reap();
    assert_eq!(rig.device.peek().map(|shown| shown.frame.len()), Some(777));
    REFUSED.with(|size| size.set(777));
    let refused = rig.device.retain();
    REFUSED.with(|size| size.set(0));
    assert!(refused.is_none());
    assert_eq!(rig.device.stats().rx.retained_refused, 1);
    // The frame is still the next one: discarding it does not discard its successor.
    assert_eq!(rig.device.peek().map(|shown| shown.frame.to_vec()), Some(frames[0].clone()));
    rig.device.discard();
    let kept = rig.device.retain().expect("the second frame");
    assert_eq!(kept[..], frames[1]);
    rig.end_turn();
}
