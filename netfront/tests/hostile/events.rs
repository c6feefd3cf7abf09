//! Events without work, storms, none at all; and a hundred restarts.

use crate::common::{Rig, frame};
use crate::{restarted, rig};
use netfront::Nic as _;
use xen::{Clock as _, DomId, Hypervisor as _};
use xen_sim::netback::Notify;

#[test]
fn h46_h50_events_without_work_are_counted() {
    let mut rig = rig();
    rig.netback.faults(|faults| faults.notify = Notify::Always);
    for _ in 0..100 {
        rig.netback.notify_guest();
        rig.turn();
    }
    assert!(rig.device.stats().device.idle_events >= 64);
    rig.works();
}

#[test]
fn h46_a_storm_is_masked_and_frames_go_on() {
    let mut rig = rig();
    let before = rig.device.stats().device;
    // An event before each iteration, 20 µs apart, for a second.
    let (turns, step) = (50_000, 20_000);
    for _ in 0..turns {
        rig.netback.notify_guest();
        rig.idle_turn();
        rig.sim.advance(step);
    }
    let after = rig.device.stats().device;
    let (idle, masks) =
        (after.idle_events.since(before.idle_events), after.event_masks.since(before.event_masks) as usize);
    // Two channels: 32 events each until they are masked, and two for each time that they are unmasked again.
    assert!((2 * 1000 / 32..=2 * (5 + 1000 / 32)).contains(&masks), "{masks} times masked");
    assert!(idle <= 2 * 32 + 2 * masks as u64, "{idle} events of {} were taken", 2 * turns);
    // Something else begins an iteration: frames flow all the same.
    rig.works();
    // The storm is over, and the next frame sends an event.
    rig.sim.advance(40_000_000);
    rig.idle_turn();
    for number in 0..200 {
        let bytes = frame(100, number);
        assert_eq!(rig.give(bytes.clone()), Some(bytes));
    }
    let events = rig.device.stats().device.events;
    rig.works();
    assert!(rig.device.stats().device.events > events);
    assert_eq!(rig.device.stats().device.event_masks, after.event_masks, "and nothing is masked any more");
}

#[test]
fn h46_a_frame_during_the_mask_is_found_afterwards() {
    let mut rig = rig();
    for _ in 0..40 {
        rig.netback.notify_guest();
        rig.idle_turn();
    }
    assert!(rig.device.stats().device.event_masks > 0);
    let bytes = frame(300, 3);
    rig.netback.send(bytes.clone());
    rig.sim.run();
    // Nothing wakes the guest but its own deadline; then it must not sleep before it has looked.
    let deadline = rig.device.maintain(rig.xen.machine.now()).expect("the end of the pause");
    rig.sim.advance(deadline.since(rig.xen.machine.now()));
    let again = rig.device.maintain(rig.xen.machine.now());
    assert_eq!(again, Some(rig.xen.machine.now()), "another iteration at once");
    rig.received.clear();
    rig.turn();
    assert_eq!(rig.received, [bytes]);
}

#[test]
fn h46_a_storm_over_a_broken_vif_wakes_nobody() {
    let mut rig = rig();
    rig.netback.faults(|faults| faults.rx_rsp_prod = Some(Box::new(|index| index.wrapping_add(300))));
    rig.netback.send(frame(100, 1));
    rig.rounds(3);
    assert!(rig.device.broken().is_some());
    let received = rig.xen.events.received();
    for _ in 0..100 {
        rig.netback.notify_guest();
        rig.turn();
    }
    // One or two belong to xenstore: the error is published.
    assert!(rig.xen.events.received() <= received + 2);
    restarted(&mut rig);
}

#[test]
fn h47_without_any_event_polling_finds_the_frames() {
    let mut rig = rig();
    rig.netback.faults(|faults| faults.notify = Notify::Never);
    for number in 0..600 {
        assert_eq!(rig.give(frame(100, number)), Some(frame(100, number)));
        assert!(rig.send(&frame(100, number)));
        rig.round();
    }
    assert_eq!(rig.sent().len(), 600);
}

#[test]
fn h74_a_hundred_restarts_leave_the_accounts_as_they_were() {
    let mut rig = Rig::connected();
    let (before, ports) = (rig.xen.machine.granted().len(), rig.xen.machine.open_ports());
    for _ in 0..100 {
        rig.netback.unload();
        rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
        rig.netback.load();
        rig.until_up();
        rig.works();
    }
    assert_eq!(rig.xen.machine.granted().len(), before);
    assert_eq!(rig.xen.machine.open_ports(), ports);
    assert_eq!(rig.xen.store.nr_watches(), 3, "the backend's state, its carrier, and where the backend is");
}

#[test]
fn h81_a_channel_of_the_former_domain_masks_no_new_port() {
    const NEW: DomId = DomId(20);
    let mut rig = rig();
    let path = format!("{}/event-channel-rx", rig.netback.frontend_path());
    let former: u32 = rig.sim.store().read(&path).expect("a port").parse().unwrap();
    // More events without work than a channel may have: it is about to be masked.
    for _ in 0..40 {
        rig.netback.notify_guest();
        xen_sim::turn(&rig.xen);
        rig.device.reap();
    }
    let guest = rig.xen.machine.clone();
    let restored = rig.sim.restore(&guest, NEW, &[(&rig.netback, DomId(0))]);
    xen_sim::resume(&rig.xen, restored);
    // In the new domain the port is another channel's.
    let port = loop {
        let port = guest.evtchn_alloc_unbound(DomId(0)).unwrap();
        if port.0 == former {
            break port;
        }
        assert!(port.0 < former, "no channel has the port {former}");
    };
    let signal = rig.xen.events.listen(port);
    let peer = rig.sim.peer(DomId(0));
    let other_end = peer.evtchn_bind(NEW, port).unwrap();
    rig.device.maintain(guest.now());
    peer.evtchn_send(other_end).unwrap();
    xen_sim::turn(&rig.xen);
    assert!(signal.take(), "its event is heard");
}
