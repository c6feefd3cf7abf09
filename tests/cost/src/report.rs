//! The figures as lines, and whether the bars are met. A bar that is missed is said, and fails nothing.

use crate::callgrind::Figure;
use crate::cases::{CURVE, POLICIES, POOLS, SIZES};
use std::fmt::Write as _;
use std::path::Path;

/// Instructions a packet without copies, for the trusted pool.
const BAR: u64 = 150;

pub(crate) fn write(folder: &Path, figures: &[Figure]) {
    let mut text = String::new();
    for figure in figures {
        let mut line = |what: &str, tenths: u64, unit: &str| {
            let _ = writeln!(text, "{}{what}\t{}.{}\t{unit}", figure.name, tenths / 10, tenths % 10);
        };
        line("", figure.per_packet(), "instructions/packet");
        line("_copies", figure.copies_per_packet(), "instructions/packet");
        line("_allocations", figure.allocations * 10, "allocations");
    }
    let path = folder.join("host.tsv");
    std::fs::write(&path, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    print!("{text}");
    bars(figures);
}

fn bars(figures: &[Figure]) {
    let find = |name: &str| figures.iter().find(|figure| figure.name == name).expect("a case");
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    for way in ["rx", "tx"] {
        for size in SIZES {
            let pool = find(&format!("{way}_trusted_{size}"));
            let cost = pool.per_packet();
            eprintln!(
                "{way} {size}: {}.{} instructions, bar {BAR}: {}",
                cost / 10,
                cost % 10,
                verdict(cost <= BAR * 10)
            );
            let whole = |figure: &Figure| figure.instructions * 100 / figure.packets;
            let other = find(&format!("{way}_grant_per_packet_{size}"));
            let ratio = other.per_packet() * 100 / cost;
            eprintln!(
                "  grant per packet takes {}.{:02} times as many, bar 2.00: {}",
                ratio / 100,
                ratio % 100,
                verdict(ratio >= 200)
            );
            let bare = find(&format!("{way}_no_clearing_{size}"));
            let more = (whole(pool) * 1000 / whole(bare)).saturating_sub(1000);
            eprintln!("  clearing adds {}.{} %, bar 5: {}", more / 10, more % 10, verdict(more <= 50));
        }
        let costs: Vec<u64> =
            POOLS.iter().map(|pages| find(&format!("{way}_pool_{pages}")).per_packet()).collect();
        let (least, most) = (costs.iter().min().expect("pools"), costs.iter().max().expect("pools"));
        let spread = most * 1000 / least - 1000;
        eprintln!(
            "{way}: 64 to 16384 pages differ by {}.{} %, bar 5: {}",
            spread / 10,
            spread % 10,
            verdict(spread <= 50)
        );
    }
    // Bytes that are cleared by default: those of frames shorter than the threshold.
    for size in CURVE.into_iter().filter(|size| *size < netfront::Config::default().threshold) {
        let whole = |name: &str| {
            let figure = find(&format!("rx_{name}_{size}"));
            figure.instructions * 1000 / figure.packets
        };
        let more = (whole("copied") * 1000 / whole("copied_not_cleared")).saturating_sub(1000);
        eprintln!(
            "rx {size}, copied: clearing adds {}.{} %, bar 5: {}",
            more / 10,
            more % 10,
            verdict(more <= 50)
        );
    }
    let policies = POLICIES.iter().filter(|(_, name)| *name != "grant_per_packet").count();
    let cases = figures.iter().take(policies * SIZES.len() * 2);
    let allocations: u64 = cases.map(|figure| figure.allocations).sum();
    eprintln!("{allocations} allocations in all of the pool's cases, bar 0: {}", verdict(allocations == 0));
}
