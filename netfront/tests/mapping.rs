//! Pages that the backend keeps mapped: no grant operation for a frame, whatever the backend answers.

mod common;

use common::{Rig, frame};
use netfront::{Config, Feature, Nic as _};
use xen::DomId;
use xen_sim::VifConfig;
use xen_sim::netback::Faults;

/// More than there are pages.
const PLENTY: u32 = 4096;

fn vif() -> VifConfig {
    VifConfig::default().gref_mapping(PLENTY)
}

fn config() -> Config {
    Config { pool_rx: 512, pool_rx_max: 1024, pool_tx: 256, pool_tx_max: 512, ..Config::default() }
}

/// A connected vif, after the negotiation.
fn mapped_rig(vif: VifConfig, config: Config) -> Rig {
    let mut rig = Rig::connected_with(vif, config);
    rig.rounds(40);
    rig
}

/// Pages of both pools and of the contiguous buffer.
fn pages(rig: &Rig) -> usize {
    let stats = rig.device.stats();
    stats.rx_pool.total + stats.tx_pool.total + stats.tx_contiguous.total
}

/// Grant operations for `count` frames of all sizes each way.
fn operations(rig: &mut Rig, frames: usize) -> u64 {
    let count = |rig: &Rig| rig.netback.stats().grant_copies + rig.netback.stats().grant_maps;
    let before = count(rig);
    for number in 0..frames {
        let len = [60, 300, 1514][number % 3];
        let there = frame(len, number);
        assert_eq!(rig.give(there.clone()), Some(there));
        let back = frame(len, number + 7);
        assert!(rig.send(&back));
        rig.rounds(2);
        assert_eq!(rig.sent(), [back]);
    }
    count(rig) - before
}

#[test]
fn with_pages_that_stay_mapped_frames_cost_no_grant_operation() {
    let mut rig = mapped_rig(vif(), config());
    assert_eq!(rig.device.stats().mapped_pages, pages(&rig));
    let (writable, readable) = rig.netback.mapped_pages();
    let stats = rig.device.stats();
    assert_eq!(writable, stats.rx_pool.total, "to receive into: to be written");
    assert_eq!(readable, stats.tx_pool.total + stats.tx_contiguous.total, "to send from: to be read alone");
    assert_eq!(operations(&mut rig, 300), 0);
    assert_eq!(rig.device.stats().misbehaviour.total(), 0);
}

#[test]
fn refused_or_not_offered_or_not_known_every_frame_costs_one() {
    let refuse = Feature::GREF_MAPPING;
    for (vif, config, asked) in [
        (vif(), Config { refuse, ..config() }, 0),
        (vif().without("feature-ctrl-ring"), config(), 0),
        (VifConfig::default(), config(), 1),
        (vif().gref_mapping(0), config(), 1),
    ] {
        let mut rig = mapped_rig(vif, config);
        assert_eq!(rig.netback.stats().ctrl_requests, asked);
        assert_eq!((rig.device.stats().mapped_pages, rig.netback.mapped_pages()), (0, (0, 0)));
        assert!(operations(&mut rig, 30) >= 60);
    }
}

#[test]
fn several_queues_map_each_their_own() {
    let vif = vif().feature("multi-queue-max-queues", "4");
    let mut rig = mapped_rig(vif, Config { queues: 4, ..config() });
    assert_eq!(rig.device.stats().mapped_pages, pages(&rig));
    assert_eq!(operations(&mut rig, 40), 0);
}

#[test]
fn where_there_is_not_room_for_all_each_direction_gets_some() {
    for room in [1, 100, 500, 700] {
        let mut rig = mapped_rig(vif().gref_mapping(room), config());
        let (writable, readable) = rig.netback.mapped_pages();
        assert_eq!(writable + readable, room as usize);
        assert!(room == 1 || writable.min(readable) >= room as usize / 2 - 1 || readable >= 300, "{room}");
        assert_eq!(rig.device.stats().mapped_pages, room as usize);
        operations(&mut rig, 30);
        rig.works();
    }
}

#[test]
fn new_pages_are_mapped_and_freed_ones_unmapped_first() {
    let mut rig = mapped_rig(vif(), Config { pool_rx: 300, pool_tx: 64, ..config() });
    let before = pages(&rig);
    // More than the pool has, on their way at once.
    rig.netback.faults(|faults| faults.hold_tx = true);
    for number in 0..100 {
        assert!(rig.send(&frame(200, number)));
        rig.round();
    }
    assert!(pages(&rig) > before);
    rig.sim.advance(1_100_000_000);
    rig.rounds(10);
    assert_eq!(rig.device.stats().mapped_pages, pages(&rig), "the new ones too");
    rig.netback.faults(|faults| faults.hold_tx = false);
    drop(rig.sent());
    for _ in 0..40 {
        rig.sim.advance(1_100_000_000);
        rig.rounds(6);
    }
    assert_eq!(pages(&rig), before, "the pool has shrunk");
    assert_eq!(rig.xen.grants.stats().quarantined, 0, "and no page was in use when it went");
    assert_eq!(rig.device.stats().mapped_pages, before);
    // All that is free goes, and comes back mapped.
    assert!(rig.device.trim() > 0);
    rig.sim.advance(1_100_000_000);
    rig.rounds(10);
    assert!(pages(&rig) < before);
    assert_eq!(rig.xen.grants.stats().quarantined, 0);
    assert!(operations(&mut rig, 30) > 0, "until the new ones are mapped");
    rig.sim.advance(1_100_000_000);
    rig.rounds(10);
    assert_eq!(operations(&mut rig, 30), 0);
}

#[test]
fn everything_is_unmapped_before_a_backend_that_closes_is_left() {
    let vif = VifConfig { backend: DomId(5), ..vif() };
    let mut rig = mapped_rig(vif, config());
    // The backend reports it, and still has its rings; it unmaps them when the frontend's state is 6.
    rig.netback.show_state(5);
    let mut least = usize::MAX;
    while rig.device.stats().backend.is_some() {
        rig.round();
        if rig.netback.has_rings() {
            let (writable, readable) = rig.netback.mapped_pages();
            least = least.min(writable + readable);
        }
    }
    assert_eq!(least, 0, "while the backend still had its rings");
    rig.netback.unload();
    rig.netback.return_as(DomId(7));
    rig.until_up();
    rig.rounds(40);
    assert_eq!(rig.xen.grants.stats().quarantined, 0);
    assert_eq!(rig.device.stats().mapped_pages, pages(&rig));
    assert_eq!(operations(&mut rig, 30), 0);
}

#[test]
fn pages_that_are_not_unmapped_are_quarantined() {
    let mut rig = mapped_rig(vif().lenient(), config());
    rig.netback.faults(|faults| faults.keep_mapped = true);
    let gone = rig.device.trim();
    assert!(gone > 0 && gone < config().quarantine_max * 16);
    rig.sim.advance(1_100_000_000);
    rig.rounds(10);
    let quarantined = rig.xen.grants.stats().quarantined as usize;
    assert_eq!(quarantined, gone, "each page that was to go is in use, says Xen");
    rig.check();
}

#[test]
fn without_mappings_frames_flow_as_before() {
    type Spoil = fn(&mut Faults);
    let cases: [(&str, Spoil); 12] = [
        ("refused", |faults| faults.ctrl_response = Some(Box::new(|answer| answer.status = 1))),
        ("refused", |faults| {
            faults.ctrl_response = Some(Box::new(|answer| answer.status = 2 * u32::from(answer.kind == 9)))
        }),
        ("refused", |faults| {
            faults.ctrl_response = Some(Box::new(|answer| answer.status = 3 * u32::from(answer.kind == 9)))
        }),
        ("silent", |faults| faults.ctrl_silent = true),
        ("silent", |faults| faults.ctrl_deaf_to = Some(8)),
        ("silent", |faults| faults.ctrl_deaf_to = Some(9)),
        ("ctrl_id", |faults| {
            faults.ctrl_response = Some(Box::new(|answer| answer.id ^= u16::from(answer.kind == 9)))
        }),
        ("ctrl_type", |faults| faults.ctrl_response = Some(Box::new(|answer| answer.kind += 1))),
        ("ctrl_status", |faults| {
            faults.ctrl_response = Some(Box::new(|answer| answer.status = 4 * u32::from(answer.kind == 9)))
        }),
        ("ctrl_ring", |faults| faults.ctrl_rsp_prod = Some(Box::new(|index| index.wrapping_add(200)))),
        ("ctrl_ring", |faults| faults.ctrl_rsp_prod = Some(Box::new(|index| index.wrapping_sub(9)))),
        ("fine", |faults| {
            faults.ctrl_response = Some(Box::new(|answer| {
                if answer.kind == 8 {
                    answer.data = u32::MAX;
                }
            }))
        }),
    ];
    for (at, (what, spoil)) in cases.into_iter().enumerate() {
        let mut rig = Rig::with(vif().lenient(), config());
        rig.netback.faults(spoil);
        rig.until_up();
        rig.rounds(20);
        rig.works();
        rig.sim.advance(3_000_000_000);
        rig.rounds(10);
        let stats = rig.device.stats();
        match what {
            "refused" => assert!(stats.device.ctrl_refused >= 1 && stats.mapped_pages == 0, "{at}"),
            "silent" => assert_eq!((stats.device.ctrl_silent.get(), stats.mapped_pages), (1, 0), "{at}"),
            "fine" => assert_eq!(stats.mapped_pages, pages(&rig)),
            rule => assert_eq!((rig.misbehaved(rule), stats.mapped_pages), (1, 0), "{at}"),
        }
        assert!(rig.device.link_up() && stats.device.breaks == 0, "{at}");
        let asked = rig.netback.stats().ctrl_requests;
        for _ in 0..5 {
            rig.sim.advance(1_100_000_000);
            rig.rounds(4);
        }
        assert!(rig.netback.stats().ctrl_requests == asked, "{at}: it is not asked again and again");
        operations(&mut rig, 12);
    }
}

#[test]
fn an_unanswered_list_does_not_delay_the_close() {
    let mut rig = mapped_rig(vif().lenient(), config());
    rig.netback.faults(|faults| faults.ctrl_deaf_to = Some(10));
    rig.netback.show_state(5);
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    assert_eq!(rig.device.stats().device.ctrl_silent, 1);
    rig.netback.unload();
    rig.netback.faults(|faults| faults.ctrl_deaf_to = None);
    rig.netback.load();
    rig.until_up();
    rig.rounds(40);
    assert_eq!(rig.device.stats().mapped_pages, pages(&rig));
    rig.works();
}
