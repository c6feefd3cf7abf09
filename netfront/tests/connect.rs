//! Finding the backend: the handshake in all the orders in which it can happen, and connecting again.

mod common;

use common::Rig;
use netfront::{Config, ConnectError, Nic as _};
use std::rc::Rc;
use xen::abi::io_xenbus::XenbusState;
use xen::{DomId, Memory as _};
use xen_sim::netback::{Hotplug, Index, Side};
use xen_sim::{Sim, VifConfig, block_on};

#[test]
fn a_fresh_vif_connects_and_frames_flow_both_ways() {
    let mut rig = Rig::connected();
    assert_eq!(rig.device.mac().0, [0x00, 0x16, 0x3e, 0x00, 0x00, 0x01]);
    assert_eq!(rig.device.link_generation(), 1);
    let flags = rig.netback.frontend_flags();
    assert!(flags.rx_copy && flags.rx_notify);
    assert!(flags.sg && flags.gso_tcpv4 && flags.gso_tcpv6 && flags.csum_offload && flags.ipv6_csum_offload);
    assert!(rig.device.stats().features.split_event_channels);
    assert_eq!(rig.netback.posted().len(), 256);
    rig.works();
}

#[test]
fn what_the_operator_refuses_is_not_agreed_upon() {
    use netfront::Feature;
    for (refuse, off) in [
        (Feature::SCATTER_GATHER, "sg gso4 gso6"),
        (Feature::CHECKSUM_IPV4, "csum4 gso4"),
        (Feature::CHECKSUM_IPV6, "csum6 gso6"),
        (Feature::GSO_TCPV4, "gso4"),
        (Feature::GSO_TCPV6, "gso6"),
        (Feature::all(), "sg csum4 csum6 gso4 gso6"),
    ] {
        let mut rig = Rig::connected_with(VifConfig::default(), Config { refuse, ..Config::default() });
        let flags = rig.netback.frontend_flags();
        let features = rig.device.stats().features;
        for (word, told) in [
            ("sg", flags.sg),
            ("csum4", flags.csum_offload),
            ("csum6", flags.ipv6_csum_offload),
            ("gso4", flags.gso_tcpv4),
            ("gso6", flags.gso_tcpv6),
        ] {
            let expected = !off.split(' ').any(|gone| gone == word);
            assert_eq!(told, expected, "{word} without {refuse}");
            assert_eq!(features.rx.words().any(|known| known == word), expected, "{word} without {refuse}");
        }
        assert_eq!(features.split_event_channels, !refuse.contains(Feature::SPLIT_EVENT_CHANNELS));
        rig.works();
    }
}

#[test]
fn an_old_backend_gets_one_event_channel_and_no_queue_count() {
    let vif = VifConfig::default().without("feature-split-event-channels").without("multi-queue-max-queues");
    let mut rig = Rig::connected_with(vif, Config::default());
    assert!(!rig.device.stats().features.split_event_channels);
    let front = rig.netback.frontend_path();
    assert_eq!(rig.sim.store().read(&format!("{front}/multi-queue-num-queues")), None);
    assert!(rig.sim.store().read(&format!("{front}/event-channel")).is_some());
    rig.works();
}

#[test]
fn a_backend_without_copy_is_refused_and_waited_for() {
    let mut rig = Rig::with(VifConfig::default().feature("feature-rx-copy", "0"), Config::default());
    for _ in 0..20 {
        rig.round();
        rig.sim.advance(1_000_000_000);
    }
    assert!(!rig.device.link_up());
    assert_eq!(rig.device.stats().device.connects, 0);
    assert_eq!(rig.xen.grants.stats().issued, rig.xen.grants.stats().ended);
}

#[test]
fn frames_wait_for_a_late_hotplug_script() {
    let vif = VifConfig::default().hotplug(Hotplug::Manual);
    let mut rig = Rig::with(vif, Config::default());
    rig.until("the rings are in use", |rig| rig.netback.has_rings());
    rig.netback.send(common::frame(60, 1));
    for _ in 0..20 {
        rig.round();
        rig.sim.advance(1_000_000_000);
    }
    assert!(!rig.device.link_up());
    assert!(!rig.send(&common::frame(60, 2)), "no token while the link is down");
    assert!(rig.device.tx_exhausted());
    rig.netback.hotplug();
    rig.until_up();
    assert!(!rig.device.tx_exhausted());
    rig.rounds(2);
    assert_eq!(rig.received, [common::frame(60, 1)], "what came before the link was up is not lost");
    rig.works();
}

#[test]
fn a_vif_that_a_former_driver_left_in_any_state_is_reset() {
    for state in 1..=6 {
        let mut rig = Rig::with(VifConfig::default().frontend_state(state).lenient(), Config::default());
        rig.until_up();
        rig.works();
    }
}

#[test]
fn malformed_nodes_are_brought_into_range_or_refused_by_name() {
    for mtu in ["0", "67", "4294967296", "x", "", "-1", "65536"] {
        let vif = VifConfig { mtu: Some(mtu.to_owned()), ..VifConfig::default() };
        let mut rig = Rig::connected_with(VifConfig { strict: false, ..vif }, Config::default());
        let most = if mtu.parse::<u32>().is_ok() { 65_521 } else { 1500 };
        assert!((576..=most).contains(&rig.device.stats().mtu), "{mtu}");
        rig.works();
    }
    let sim = Sim::builder().build();
    let netback = sim.add_vif(VifConfig::default());
    for node in [netback.frontend_path(), netback.backend_path()] {
        sim.store().write(&format!("{node}/mac"), "ff:ff:ff:ff:ff:ff");
    }
    let xen = sim.xen();
    let error = block_on(&xen, netfront::open(Rc::clone(&xen), 0, Config::default())).unwrap_err();
    assert!(matches!(error, ConnectError::Invalid { .. }), "{error}");
}

#[test]
fn the_backend_s_address_serves_when_the_frontend_has_none() {
    let rig =
        Rig::connected_with(VifConfig { mac_at_frontend: false, ..VifConfig::default() }, Config::default());
    assert_eq!(rig.device.mac().0, [0x00, 0x16, 0x3e, 0x00, 0x00, 0x01]);
}

#[test]
fn a_reloaded_backend_is_found_again_and_pages_stay_granted() {
    let mut rig = Rig::connected();
    rig.works();
    let before = rig.xen.grants.stats().issued;
    for generation in 2..5 {
        rig.netback.unload();
        rig.until_down();
        rig.rounds(5);
        assert!(!rig.send(&common::frame(60, 1)));
        rig.netback.load();
        rig.until_up();
        assert_eq!(rig.device.link_generation(), generation);
        rig.works();
    }
    // Two rings each time, and the control ring with its table; no page of a pool.
    assert_eq!(rig.xen.grants.stats().issued.since(before), 12);
    let stats = rig.device.stats();
    assert_eq!((stats.rx_pool.total, stats.tx_pool.total), (512, 256));
    assert_eq!(stats.rx_pool_stats.regranted, 0);
}

#[test]
fn a_new_driver_domain_gets_the_pages_cleared() {
    let mut rig = Rig::with(VifConfig { backend: DomId(5), ..VifConfig::default() }, Config::default());
    rig.until_up();
    let secret = b"for domain five only";
    rig.sim.canary(secret);
    let mut bytes = common::frame(1400, 1);
    bytes[100..120].copy_from_slice(secret);
    assert_eq!(rig.give(bytes.clone()).as_ref(), Some(&bytes));
    assert!(rig.send(&bytes));
    rig.rounds(2);
    assert!(!rig.sim.leaks_to(DomId(5)).is_empty(), "it was sent there");
    rig.netback.vanish();
    rig.until_down();
    rig.rounds(3);
    rig.netback.return_as(DomId(7));
    rig.until_up();
    assert_eq!(rig.device.stats().backend, Some(DomId(7)));
    assert_eq!(rig.sim.leaks_to(DomId(7)), []);
    assert!(rig.device.stats().rx_pool_stats.regranted >= 512);
    assert!(rig.xen.machine.granted().iter().all(|entry| entry.to == DomId(7)));
    rig.works();
}

#[test]
fn a_detached_vif_waits_to_be_attached_again() {
    let mut rig = Rig::connected();
    let (front, back) = (rig.netback.frontend_path(), rig.netback.backend_path());
    rig.sim.store().write(&format!("{back}/online"), "0");
    rig.netback.show_state(5);
    rig.until("the frontend is closed", |rig| {
        rig.sim.store().read(&format!("{front}/state")).as_deref() == Some("6")
    });
    rig.rounds(5);
    assert!(!rig.device.link_up());
    assert_eq!(
        rig.sim.store().read(&format!("{front}/state")).as_deref(),
        Some("6"),
        "it does not start again"
    );
    rig.sim.store().remove(&front);
    rig.netback.vanish();
    rig.rounds(5);
    rig.netback.return_as(DomId(0));
    rig.until_up();
    rig.works();
}

#[test]
fn a_backend_that_jumps_between_states_ends_up_connected() {
    let mut rig = Rig::connected();
    for states in [&[6, 4][..], &[5, 5, 6], &[4, 4], &[1], &[9], &[2, 6, 4], &[7, 8, 4]] {
        for state in states {
            rig.netback.show_state(*state);
            rig.rounds(3);
        }
        // The truth again: netback is where the frontend's last word has brought it.
        rig.netback.unload();
        rig.rounds(10);
        rig.netback.load();
        rig.until_up();
        rig.works();
    }
}

#[test]
fn indexes_wrap() {
    let config = Config { ring_start: u32::MAX - 300, ..Config::default() };
    let mut rig = Rig::connected_with(VifConfig::default(), config);
    for number in 0..1000 {
        let bytes = common::frame(60 + number, number);
        assert_eq!(rig.give(bytes.clone()).as_ref(), Some(&bytes));
        assert!(rig.send(&bytes));
        rig.rounds(1);
        assert_eq!(rig.sent(), [bytes]);
    }
    assert!(rig.netback.ring(Side::Tx).index(Index::ReqProd) < 1000);
    assert!(rig.device.broken().is_none());
}

#[test]
fn too_little_memory_is_said_and_survived() {
    let sim = Sim::builder().memory_pages(100).build();
    let mut rig = Rig::on(sim, VifConfig::default(), Config::default());
    for _ in 0..20 {
        rig.round();
        rig.sim.advance(1_000_000_000);
    }
    assert!(!rig.device.link_up());
    assert!(rig.xen.machine.free_pages() < 100);
}

#[test]
fn a_small_grant_table_gives_small_pools() {
    // 512 entries, 8 reserved, 2 for the rings and 2 for the control ring: both pools share what is too little for
    // both, and none starves.
    const FREE: usize = 512 - 8 - 2 - 2;
    for (wanted, rx, tx) in
        [((512, 512), FREE / 2, FREE / 2), ((512, 32), FREE - 32, 32), ((300, 300), FREE / 2, FREE / 2)]
    {
        let sim = Sim::builder().max_grant_frames(1).build();
        let config = Config { pool_rx: wanted.0, pool_tx: wanted.1, ..Config::default() };
        let mut rig = Rig::on(sim, VifConfig::default(), config);
        rig.until_up();
        let stats = rig.device.stats();
        assert_eq!((stats.rx_pool.total, stats.tx_pool.total), (rx, tx), "{wanted:?}");
        rig.works();
    }
}

#[test]
fn our_state_follows_the_protocol() {
    let mut rig = Rig::connected();
    let front = rig.netback.frontend_path();
    assert_eq!(rig.sim.store().read(&format!("{front}/state")).as_deref(), Some("4"));
    assert_eq!(rig.netback.state(), XenbusState::Connected);
    assert_eq!(rig.netback.violations(), []);
    rig.rounds(1);
}

#[test]
fn frames_flow_while_the_backend_has_carrier() {
    let mut rig = Rig::connected();
    let carrier = format!("{}/carrier", rig.netback.backend_path());
    let generation = rig.device.link_generation();
    rig.sim.store().write(&carrier, "0");
    rig.until_down();
    assert!(!rig.device.stats().carrier);
    assert!(!rig.send(&common::frame(60, 1)) && rig.device.broken().is_none());
    rig.netback.send(common::frame(60, 2));
    rig.rounds(3);
    assert!(rig.received.is_empty());
    rig.sim.store().write(&carrier, "1");
    rig.until_up();
    assert_eq!(rig.device.link_generation(), generation + 1, "neighbours are told");
    rig.rounds(2);
    assert_eq!(rig.received, [common::frame(60, 2)]);
    rig.works();
    // Invalid values do not stop the connection.
    rig.sim.store().write(&carrier, "maybe");
    rig.rounds(10);
    assert!(rig.device.link_up());
}

#[test]
fn an_unreadable_carrier_node_does_not_change_the_link() {
    let mut rig = Rig::connected();
    rig.sim.store().write(&format!("{}/carrier", rig.netback.backend_path()), "0");
    rig.until_down();
    rig.sim.store().refuse(|_, _, path| path.ends_with("/carrier").then_some("EACCES"));
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.load();
    rig.until_up();
    rig.works();
}

#[test]
fn a_backend_without_carrier_connects_and_waits() {
    let mut rig = Rig::with(VifConfig::default().feature("carrier", "0"), Config::default());
    rig.until("the node was read", |rig| !rig.device.stats().carrier);
    assert!(!rig.device.link_up() && rig.device.stats().backend.is_some());
    rig.sim.store().write(&format!("{}/carrier", rig.netback.backend_path()), "1");
    rig.until_up();
    rig.works();
}

#[test]
fn a_ring_that_stands_for_want_of_credit_is_no_hang() {
    let vif = VifConfig::default().feature("rate", "1250000,50000");
    let mut rig = Rig::connected_with(vif, Config::default());
    let rate = netfront::Rate { bytes: 1_250_000, microseconds: 50_000 };
    assert_eq!(rig.device.stats().rate, Some(rate));
    rig.netback.faults(|faults| faults.hold_tx = true);
    while rig.send(&common::frame(60, 1)) {}
    for _ in 0..10 {
        rig.sim.advance(60_000_000_000);
        rig.rounds(2);
    }
    assert!(rig.device.link_up() && rig.device.broken().is_none());
    rig.netback.faults(|faults| faults.hold_tx = false);
    rig.rounds(3);
    rig.works();
}
