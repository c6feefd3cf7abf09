//! Multicast control: frames to groups come where we joined them, and only there.

mod common;

use common::{Rig, frame};
use netfront::{Config, Feature, Nic as _};
use smoltcp::wire::EthernetAddress;
use xen_sim::VifConfig;

const fn group(number: u8) -> EthernetAddress {
    EthernetAddress([1, 0, 0x5e, 0, 0, number])
}

/// A frame to a group.
fn to(group: EthernetAddress) -> Vec<u8> {
    let mut bytes = frame(80, 3);
    bytes[..6].copy_from_slice(&group.0);
    bytes
}

fn told(rig: &Rig) -> Vec<EthernetAddress> {
    rig.netback.groups().into_iter().map(EthernetAddress).collect()
}

#[test]
fn frames_to_groups_come_where_we_joined_them() {
    let mut rig = Rig::connected();
    assert!(rig.device.stats().features.multicast_control);
    assert_eq!(rig.give(to(group(1))), None);
    assert_eq!(rig.netback.stats().rx_filtered, 1);
    rig.device.set_multicast(&[group(1), group(2)]);
    rig.rounds(2);
    assert_eq!(told(&rig), [group(1), group(2)]);
    assert_eq!(rig.give(to(group(1))), Some(to(group(1))));
    // One is left, one stays, one comes.
    rig.device.set_multicast(&[group(3), group(2)]);
    rig.rounds(2);
    assert_eq!(told(&rig), [group(2), group(3)]);
    assert_eq!(rig.give(to(group(1))), None);
    assert_eq!(rig.give(to(group(2))), Some(to(group(2))));
    assert_eq!(rig.give(to(EthernetAddress::BROADCAST)), Some(to(EthernetAddress::BROADCAST)));
    let tx = rig.device.stats().tx;
    assert_eq!((tx.group_requests.get(), tx.groups_refused.get(), tx.packets.get()), (4, 0, 0));
    rig.works();
}

#[test]
fn without_multicast_control_all_frames_come() {
    let refuse = Feature::MULTICAST_CONTROL;
    for (vif, config) in [
        (VifConfig::default(), Config { refuse, ..Config::default() }),
        (VifConfig::default().without("feature-multicast-control"), Config::default()),
    ] {
        let mut rig = Rig::connected_with(vif, config);
        assert!(!rig.device.stats().features.multicast_control);
        rig.device.set_multicast(&[group(1)]);
        rig.rounds(2);
        assert_eq!(rig.give(to(group(7))), Some(to(group(7))));
        assert_eq!(rig.device.stats().tx.group_requests, 0);
        rig.works();
    }
}

#[test]
fn a_new_backend_is_told_of_every_group_again() {
    let mut rig = Rig::with(VifConfig::default(), Config::default());
    rig.device.set_multicast(&[group(1), EthernetAddress([2, 0, 0, 0, 0, 1])]);
    rig.until_up();
    rig.rounds(2);
    assert_eq!(told(&rig), [group(1)], "an address of one station is no group");
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.device.set_multicast(&[group(1), group(2)]);
    rig.netback.load();
    rig.until_up();
    rig.rounds(2);
    assert_eq!(told(&rig), [group(1), group(2)]);
    rig.works();
}

#[test]
fn groups_wait_for_room_in_the_ring() {
    // Without scatter-gather no slots are kept for long frames: the ring can be filled to its last one.
    let config = Config { refuse: Feature::SCATTER_GATHER, ..Config::default() };
    let mut rig = Rig::connected_with(VifConfig::default(), config);
    rig.netback.faults(|faults| faults.hold_tx = true);
    while rig.send(&frame(60, 1)) {}
    rig.device.set_multicast(&[group(1), group(2), group(3)]);
    rig.rounds(3);
    assert!(told(&rig).is_empty());
    rig.netback.faults(|faults| faults.hold_tx = false);
    rig.rounds(4);
    assert_eq!(told(&rig), [group(1), group(2), group(3)]);
    rig.works();
}

#[test]
fn a_backend_that_takes_no_more_groups_is_asked_for_all_frames() {
    let many: Vec<EthernetAddress> = (0..70).map(group).collect();
    for dynamic in [true, false] {
        let vif = VifConfig::default()
            .feature("feature-dynamic-multicast-control", if dynamic { "1" } else { "0" });
        let mut rig = Rig::connected_with(vif, Config::default());
        rig.device.set_multicast(&many);
        rig.rounds(3);
        assert_eq!(told(&rig).len(), 64);
        assert_eq!(rig.device.stats().tx.groups_refused, 6);
        assert_eq!(rig.device.stats().tx.backend_errors, 0, "no frame was lost");
        rig.sim.advance(1_000_000_000);
        rig.rounds(20);
        assert!(!rig.device.stats().features.multicast_control);
        assert_eq!(rig.netback.frontend_flags().multicast_control, !dynamic);
        let last = to(many[69]);
        assert_eq!(rig.give(last.clone()), dynamic.then_some(last));
        rig.works();
    }
}
