//! Two engines over a hostile network: the received stream equals the sent one, or the connection ends.

mod world;

use tcp::{CloseReason, Config, Ecn, State};
use world::{App, Link, MS, SECOND, World};

fn apps(up: usize, down: usize, piece: usize) -> [App; 2] {
    [
        App { to_send: up, expected: down, piece, ..App::default() },
        App { to_send: down, expected: up, piece, ..App::default() },
    ]
}

fn world(seed: u64, apps: [App; 2], link: Link) -> World {
    World::new(seed, &Config::default(), apps, [link.clone(), link])
}

#[test]
fn a_clean_path_carries_both_ways_and_closes() {
    let mut world = world(1, apps(300_000, 500_000, 3000), Link::default());
    world.connect();
    world.run(60 * SECOND);
    world.assert_whole();
    for host in &world.hosts {
        assert_eq!(host.env.counters.timeouts, 0);
        assert_eq!(host.env.counters.retransmissions, 0);
        assert!(host.tcb.is_idle());
    }
    assert_eq!(world.hosts[0].tcb.state(), State::TimeWait);
}

#[test]
fn every_kind_of_harm_at_once_leaves_streams_whole() {
    for seed in 0..40 {
        let link = Link {
            delay: 5 * MS,
            jitter: 30 * MS,
            reorder: 10_000,
            loss: 3_000,
            duplicate: 3_000,
            corrupt: 2_000,
            rate: 2_000_000,
            queue: 40_000,
            ..Link::default()
        };
        let mut world = world(seed, apps(200_000, 100_000, 1 + (seed as usize * 977) % 9000), link);
        world.connect();
        let end = world.run(600 * SECOND);
        assert!(end < 600 * SECOND, "seed {seed} hangs: {:?}", world.hosts.map(|host| host.tcb));
        world.assert_whole();
    }
}

#[test]
fn trains_cut_by_the_device_arrive_whole() {
    for seed in 0..20 {
        let link = Link {
            loss: 2_000,
            reorder: 5_000,
            jitter: 3 * MS,
            rate: 12_500_000,
            queue: 200_000,
            ..Link::default()
        };
        let mut world = world(seed, apps(600_000, 600_000, 100_000), link);
        for host in &mut world.hosts {
            host.limits.max_payload = 65_000;
        }
        world.connect();
        let end = world.run(300 * SECOND);
        assert!(end < 300 * SECOND, "seed {seed} hangs");
        world.assert_whole();
    }
}

#[test]
fn a_slow_reader_closes_the_window_and_gets_all() {
    let mut apps = apps(400_000, 0, 10_000);
    apps[1].read_rate = 50_000;
    let mut world = world(3, apps, Link::default());
    world.connect();
    world.run(120 * SECOND);
    world.assert_whole();
    assert_eq!(world.hosts[0].env.counters.retransmissions, 0);
}

#[test]
fn a_path_that_swallows_full_segments_is_found() {
    let mut world = world(4, apps(100_000, 100_000, 10_000), Link { mtu: 1200, ..Link::default() });
    world.connect();
    world.run(120 * SECOND);
    world.assert_whole();
    assert_eq!(world.hosts.each_ref().map(|host| host.env.counters.black_holes), [1, 1]);
}

#[test]
fn marks_take_the_place_of_losses() {
    let link = Link { rate: 2_000_000, queue: 400_000, mark_above: 20_000, ..Link::default() };
    let config = Config { ecn: Ecn::Active, ..Config::default() };
    let mut world = World::new(5, &config, apps(2_000_000, 0, 50_000), [link.clone(), link]);
    world.connect();
    let end = world.run(60 * SECOND);
    world.assert_whole();
    let counters = &world.hosts[0].env.counters;
    assert!(counters.congestion_marks > 0);
    assert_eq!((counters.retransmissions, world.links[0].dropped), (0, 0));
    assert!(end < 2 * SECOND + SECOND / 2, "the link is used: {end}");
}

#[test]
fn a_peer_that_vanishes_is_given_up() {
    let mut world = world(6, apps(10_000_000, 10_000_000, 10_000), Link::default());
    world.connect();
    world.run(world.now + 300 * MS);
    assert!(world.hosts[0].app.received > 0);
    for link in &mut world.links {
        link.loss = 100_000;
    }
    let end = world.run(1000 * SECOND);
    assert!(end < 400 * SECOND, "{end}");
    for host in &world.hosts {
        assert_eq!(host.tcb.close_reason(), Some(CloseReason::TimedOut));
        assert!(host.tcb.is_idle());
    }
}

#[test]
fn a_path_that_recovers_goes_on() {
    let mut world = world(7, apps(3_000_000, 3_000_000, 10_000), Link::default());
    world.connect();
    world.run(world.now + 200 * MS);
    for link in &mut world.links {
        link.loss = 100_000;
    }
    world.run(world.now + 20 * SECOND);
    for link in &mut world.links {
        link.loss = 0;
    }
    world.run(world.now + 200 * SECOND);
    world.assert_whole();
}

#[test]
fn a_peer_with_a_tiny_mss_gets_its_data() {
    let mut world = world(8, apps(0, 30_000, 10_000), Link { loss: 1_000, ..Link::default() });
    world.announced = [64, 1460];
    world.connect();
    world.run(120 * SECOND);
    world.assert_whole();
}
