//! Throughput of a model path, against the response function of CUBIC (RFC 9438 §5.1).
//!
//! ```text
//!   100 Mbit/s, queue of one bandwidth-delay product, RTT × random loss; server sends, client reads at once
//!   bound = the least of link rate and  max(1.054 × (RTT/p)^0.75, 1.22 / √p) segments in a round trip
//! ```

mod world;

use tcp::Config;
use world::{App, Link, MS, SECOND, World};

const RATE: u64 = 12_500_000;
const SEGMENT: f64 = 1448.0;

/// Bytes in a second that the receiver got, from the first SYN to the last byte.
fn throughput(rtt_ms: u64, loss: u32, reorder: u32, bytes: usize, seed: u64) -> (f64, World) {
    let link = Link {
        delay: rtt_ms * MS / 2,
        rate: RATE,
        queue: (RATE * rtt_ms / 1000).max(30_000),
        ..Link::default()
    };
    let way = Link { loss, reorder, jitter: rtt_ms * MS / 2, ..link.clone() };
    let server = App { to_send: bytes, piece: 1 << 20, ..App::default() };
    let client = App { expected: bytes, ..App::default() };
    let mut world = World::new(seed, &Config::default(), [client, server], [link, way]);
    world.hosts[1].limits.max_payload = 65_000;
    world.connect();
    let start = world.now;
    world.run(4000 * SECOND);
    world.assert_whole();
    let end = world.hosts[0].app.finished_at.unwrap();
    (bytes as f64 * SECOND as f64 / (end - start) as f64, world)
}

/// What a CUBIC sender gets of such a path in the long run, bytes in a second.
fn bound(rtt_ms: u64, loss: u32) -> f64 {
    let link = RATE as f64 * SEGMENT / (SEGMENT + 86.0);
    if loss == 0 {
        return link;
    }
    let (rtt, p) = (rtt_ms as f64 / 1000.0, f64::from(loss) / 100_000.0);
    let window = (1.054 * (rtt / p).powf(0.75)).max(1.22 / p.sqrt());
    link.min(window * SEGMENT / rtt)
}

fn cell(rtt_ms: u64, loss: u32, bytes: usize, least: f64) {
    let mut sum = 0.0;
    let seeds = if loss == 0 { 1 } else { 2 };
    for seed in 0..seeds {
        let (rate, world) = throughput(rtt_ms, loss, 0, bytes, seed);
        let counters = &world.hosts[1].env.counters;
        println!(
            "rtt {rtt_ms:>3} ms loss {:>4} %: {:>8.0} kB/s of {:>8.0}, {} timeouts, {} recoveries, {} undone, {} retransmissions",
            f64::from(loss) / 1000.0,
            rate / 1000.0,
            bound(rtt_ms, loss) / 1000.0,
            counters.timeouts,
            counters.recoveries,
            counters.undone,
            counters.retransmissions
        );
        sum += rate;
    }
    let ratio = sum / f64::from(u32::try_from(seeds).unwrap()) / bound(rtt_ms, loss);
    assert!(ratio >= least, "rtt {rtt_ms} ms, loss {loss}: {ratio:.2} of the bound");
}

#[test]
fn a_clean_path_is_filled() {
    // Slow start takes its part: ten round trips of a transfer of 2.5 seconds.
    for (rtt, least) in [(10, 0.9), (50, 0.8), (100, 0.65)] {
        cell(rtt, 0, 30_000_000, least);
    }
}

#[test]
fn loss_of_a_thousandth_costs_what_cubic_says() {
    for rtt in [10, 50, 100] {
        cell(rtt, 100, 12_000_000, 0.8);
    }
}

#[test]
fn loss_of_a_hundredth_costs_what_cubic_says() {
    for rtt in [10, 50, 100] {
        cell(rtt, 1_000, 4_000_000, 0.8);
    }
}

#[test]
fn loss_of_three_hundredths_costs_what_cubic_says() {
    for rtt in [10, 50, 100] {
        cell(rtt, 3_000, 2_000_000, 0.7);
    }
}

#[test]
fn reordering_is_not_taken_for_loss() {
    let (rate, world) = throughput(50, 0, 25_000, 10_000_000, 1);
    let counters = &world.hosts[1].env.counters;
    println!("reordered: {:.0} kB/s, {counters:?}", rate / 1000.0);
    assert!(rate > 0.5 * bound(50, 0), "{:.0} kB/s", rate / 1000.0);
}
