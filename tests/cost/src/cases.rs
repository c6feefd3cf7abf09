//! The cases: policies, sizes, numbers of pages, thresholds.

use crate::rig::Rig;
use netfront::{Clearing, Config, Feature};
use xen_sim::VifConfig;

/// Frames in an iteration, unless a case says otherwise.
const BATCH: usize = 64;
const ITERATIONS: usize = 16;
pub(crate) const SIZES: [usize; 3] = [64, 256, 1500];
pub(crate) const POOLS: [usize; 5] = [64, 256, 1024, 4096, 16_384];
/// Sizes of the curve of copying and lending.
pub(crate) const CURVE: [usize; 11] = [14, 32, 60, 64, 96, 128, 192, 256, 512, 1024, 1500];

/// How pages are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Trusted,
    Untrusted,
    NoClearing,
    GrantPerPacket,
}

pub(crate) const POLICIES: [(Policy, &str); 4] = [
    (Policy::Trusted, "trusted"),
    (Policy::Untrusted, "untrusted"),
    (Policy::NoClearing, "no_clearing"),
    (Policy::GrantPerPacket, "grant_per_packet"),
];

impl Policy {
    fn rig(self, config: Config) -> Rig {
        let trusted = if self == Self::Untrusted { "0" } else { "1" };
        let clearing = if self == Self::NoClearing { Clearing::Off } else { config.clearing };
        let vif = VifConfig::default().trusted(Some(trusted));
        Rig::new(vif, Config { clearing, ..config }, self == Self::GrantPerPacket)
    }
}

/// Ends a case: callgrind writes its counts (`--dump-after`).
#[inline(never)]
fn dump_here() {
    std::hint::black_box(());
}

/// Runs a case: once to warm up, and once to count. `cost run PART` runs cases with that part in their names.
fn case(name: &str, rig: impl FnOnce() -> Rig, work: impl Fn(&mut Rig)) {
    if std::env::args().nth(2).is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let mut rig = rig();
    work(&mut rig);
    rig.warm();
    dump_here();
    work(&mut rig);
    dump_here();
    println!("{name}\t{}\t{}", rig.packets, rig.allocations);
}

/// Runs every case, in an order that the dumps' numbers follow.
pub(crate) fn run() {
    for (policy, name) in POLICIES {
        for size in SIZES {
            let rig = || policy.rig(Config::default());
            case(&format!("rx_{name}_{size}"), rig, |rig| rig.receive(size, ITERATIONS, BATCH));
            case(&format!("tx_{name}_{size}"), rig, |rig| rig.send(size, ITERATIONS, BATCH));
        }
    }
    for pages in POOLS {
        let config = Config { pool_rx: pages, pool_rx_max: pages.max(320), ..Config::default() };
        case(
            &format!("rx_pool_{pages}"),
            || Policy::Trusted.rig(config),
            |rig| rig.receive(1500, ITERATIONS, 32),
        );
        let config = Config { pool_tx: pages, pool_tx_max: pages.max(320), ..Config::default() };
        case(
            &format!("tx_pool_{pages}"),
            || Policy::Trusted.rig(config),
            |rig| rig.send(1500, ITERATIONS, 32),
        );
    }
    for size in CURVE {
        let copied = [("copied", 4096, Policy::Trusted), ("copied_not_cleared", 4096, Policy::NoClearing)];
        for (kind, threshold, policy) in copied.into_iter().chain([("in_place", 0, Policy::Trusted)]) {
            let rig = || policy.rig(Config { threshold, ..Config::default() });
            case(&format!("rx_{kind}_{size}"), rig, |rig| rig.receive(size, ITERATIONS, BATCH));
        }
    }
    for (policy, name) in [(Policy::Trusted, "trusted"), (Policy::GrantPerPacket, "grant_per_packet")] {
        for size in SIZES {
            let rig = || policy.rig(Config::default());
            case(&format!("tx_tcp_{name}_{size}"), rig, |rig| rig.send_tcp(size, ITERATIONS, BATCH, false));
            let rig = || policy.rig(Config::default());
            case(&format!("tx_tcp_sought_{name}_{size}"), rig, |rig| {
                rig.send_tcp(size, ITERATIONS, BATCH, true)
            });
        }
    }
    let whole = || Policy::Trusted.rig(Config::default());
    let bare = || Policy::Trusted.rig(Config { refuse: Feature::all(), ..Config::default() });
    case("rx_without_offloads_1500", bare, |rig| rig.receive(1500, ITERATIONS, BATCH));
    case("tx_without_offloads_1500", bare, |rig| rig.send(1500, ITERATIONS, BATCH));
    case("rx_one_a_turn_1500", whole, |rig| rig.receive(1500, 200, 1));
    case("tx_one_a_turn_1500", whole, |rig| rig.send(1500, 200, 1));
    for len in [9000, 17_000, 65_000] {
        case(&format!("rx_merged_{len}"), whole, |rig| rig.receive(len, 16, 8));
    }
    case("idle_event_turn", whole, |rig| rig.idle(200));
}
