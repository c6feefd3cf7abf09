//! Runs the cells and writes the figures: lines, and a page with the grid.

use std::fmt::Write as _;

use crate::cells::{self, Cell};
use crate::relay;

/// Whose sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Linux,
}

/// Ours is at least this part of Linux's.
const BAR: f64 = 0.95;

/// Bytes a second, medians.
struct Figure {
    cell: Cell,
    ours: f64,
    linux: f64,
}

impl Figure {
    fn ratio(&self) -> f64 {
        self.ours / self.linux
    }
}

pub(crate) fn run() {
    let repeats = std::env::var("REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut device = relay::device();
    let mut lines = String::new();
    let mut figures = Vec::new();
    for cell in cells::chosen() {
        let (mut ours, mut linux) = (Vec::new(), Vec::new());
        for repeat in 0..repeats {
            let seed = 1000 + cell.rtt * 100_000 + cell.loss * 10 + repeat;
            ours.push(relay::download(&mut device, &cell, Side::Ours, seed));
            linux.push(relay::download(&mut device, &cell, Side::Linux, seed));
        }
        let figure = Figure { cell, ours: median(ours), linux: median(linux) };
        let ratio = figure.ratio();
        let line = format!("{}\t{:.0}\t{:.0}\t{ratio:.2}", figure.cell.name(), figure.ours, figure.linux);
        println!("{line}{}", if ratio < BAR { "\tbelow .95" } else { "" });
        _ = writeln!(lines, "{line}");
        figures.push(figure);
    }
    std::fs::create_dir_all("build/bench").expect("build/bench");
    std::fs::write("build/bench/tcp.tsv", lines).expect("build/bench/tcp.tsv");
    std::fs::write("build/bench/tcp.html", page(&figures)).expect("build/bench/tcp.html");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1d2b2a;background:#fbfdfc}table{border-collapse:collapse}td,th{padding:.5rem .9rem;border:1px solid #fff;\
text-align:right;font-variant-numeric:tabular-nums}small{color:#47615d;display:block}.met{background:#bfe3d6}\
.below{background:#f3c9b5}";

/// One file, nothing to fetch.
fn page(figures: &[Figure]) -> String {
    let shown = |figure: &Figure| {
        let class = if figure.ratio() < BAR { "below" } else { "met" };
        let kb = |rate: f64| rate / 1000.0;
        format!(
            "<td class={class}>{:.2}<small>{:.0} / {:.0} kB/s</small>",
            figure.ratio(),
            kb(figure.ours),
            kb(figure.linux)
        )
    };
    let mut rows = String::new();
    for rtt in cells::RTTS {
        _ = write!(rows, "<tr><th>{rtt} ms");
        for loss in cells::LOSSES {
            let found =
                figures.iter().find(|at| (at.cell.rtt, at.cell.loss, at.cell.reorder) == (rtt, loss, 0));
            rows += &found.map_or_else(|| "<td>–".to_owned(), shown);
        }
    }
    let heads: String = cells::LOSSES.iter().map(|loss| format!("<th>{} %", *loss as f64 / 1000.0)).collect();
    let reordered = figures.iter().find(|at| at.cell.reorder > 0).map_or_else(|| "<td>–".to_owned(), shown);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>TCP beside Linux</title><style>{STYLE}</style><h1>Download, ours beside Linux</h1>\
         <p>Throughput with our engine as the sender, as a part of the throughput with Linux's as the sender, over the \
         same path to the same receiver. By round trip and loss; green from .95 on.</p>\
         <table><tr><th>{heads}{rows}<tr><th>50 ms, 25 % reordered{reordered}</table></html>\n"
    )
}
