//! The grid: round-trip times and losses, and one cell with reordering.

use std::time::Duration;

use tap_tests::Link;

/// Bytes a second of every path, and bytes that wait in front of it: 1,000 packets, as netem has it.
const RATE: u64 = 10_000_000;
const QUEUE: u64 = 1_500_000;

pub(crate) const RTTS: [u64; 5] = [2, 10, 50, 100, 200];
/// In 1/100,000.
pub(crate) const LOSSES: [u64; 4] = [0, 100, 1000, 3000];

/// A path.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Round trip, ms.
    pub(crate) rtt: u64,
    /// Packets that are lost towards the receiver, in 1/100,000.
    pub(crate) loss: u64,
    /// Packets that come up to a fifth of the round trip late, in 1/100,000.
    pub(crate) reorder: u64,
}

impl Cell {
    pub(crate) fn name(&self) -> String {
        let Self { rtt, loss, reorder } = self;
        let kind = if *reorder > 0 { "reorder" } else { "loss" };
        format!("rtt_{rtt}ms_{kind}_{}pc", (loss + reorder) as f64 / 1000.0)
    }

    /// To the receiver, and back.
    pub(crate) fn links(&self) -> (Link, Link) {
        let delay = Duration::from_micros(self.rtt * 500);
        let jitter = Duration::from_micros(self.rtt * 200);
        let back = Link { delay, ..Link::default() };
        let there =
            Link { jitter, reorder: self.reorder, loss: self.loss, rate: RATE, queue: QUEUE, ..back.clone() };
        (there, back)
    }

    /// Bytes of a download that takes some seconds: by the rate of the path, and by Mathis' bound.
    pub(crate) fn bytes(&self) -> usize {
        let loss = self.loss as f64 / 100_000.0;
        let mathis = 1448.0 * 1.22 / (self.rtt as f64 / 1000.0 * loss.sqrt());
        (mathis.min(RATE as f64) * 6.0).clamp(1e6, 8e6) as usize
    }
}

/// All cells, or those with `CELLS` in their names; several parts are separated by commas.
pub(crate) fn chosen() -> Vec<Cell> {
    let cell = |rtt, loss| Cell { rtt, loss, reorder: 0 };
    let mut all: Vec<Cell> = RTTS.iter().flat_map(|rtt| LOSSES.map(|loss| cell(*rtt, loss))).collect();
    all.push(Cell { rtt: 50, loss: 0, reorder: 25_000 });
    let parts = std::env::var("CELLS").unwrap_or_default();
    all.retain(|cell| parts.split(',').any(|part| cell.name().contains(part)));
    assert!(
        !all.is_empty(),
        "CELLS={parts}: no such cell; names are like rtt_50ms_loss_1pc, rtt_50ms_reorder_25pc"
    );
    all
}
