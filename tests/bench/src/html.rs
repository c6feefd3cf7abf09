//! A page with the figures as bars. It is self-contained: no script, no font, nothing to fetch.

use crate::guests::Side;
use crate::profile::Function;
use crate::report::{MAIN, Row, figure, median, spread};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1d2b2a;background:#fbfdfc}h2{margin:2rem 0 .3rem;font-size:1.1rem}.bar{display:flex;align-items:center;\
margin:.2rem 0}.bar b{width:4.5rem;font-weight:400}.bar i{display:block;height:1.3rem;border-radius:3px;\
margin-right:.6rem}.ours{background:#1f8a70}.linux{background:#9aa8a6}.ratio{font-weight:600}\
table{border-collapse:collapse;font-size:13px;margin:.4rem 0}td{padding:.1rem 1rem .1rem 0}\
td+td{text-align:right;font-variant-numeric:tabular-nums}summary{cursor:pointer;color:#47615d}";

/// The whole page.
pub(crate) fn page(rows: &[Row]) -> String {
    let sections: String = rows.iter().map(section).collect();
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Millpond beside Linux</title><style>{STYLE}</style><h1>Millpond beside Linux on Xen</h1>\
         <p>Instructions of the whole machine (Xen, dom0, guest) a unit of work, the median of the repeats. Shorter is \
         better; the factor says how many times as much Linux needs.</p>{sections}</html>\n"
    )
}

fn section(row: &Row) -> String {
    let repeats = |side| row.repeats(side, MAIN);
    let (ours, linux) = (median(repeats(Side::Ours)), median(repeats(Side::Linux)));
    let most = ours.max(linux);
    let bar = |class: &str, name: &str, values: &[f64]| {
        let value = median(values);
        format!(
            "<div class=bar><b>{name}</b><i class={class} style=\"width:{:.1}%\"></i>{} <small>&nbsp;± {:.2} %</small></div>",
            value / most * 65.0,
            figure(value),
            spread(values) / 2.0
        )
    };
    format!(
        "<h2>{} <small>instructions a {}</small> <span class=ratio>{:.2} ×</span></h2>{}{}{}",
        row.name,
        row.unit,
        linux / ours,
        bar("ours", "Millpond", repeats(Side::Ours)),
        bar("linux", "Linux", repeats(Side::Linux)),
        details(row)
    )
}

/// The rows of the bars.
fn details(row: &Row) -> String {
    let cells = |line: &String| line.split('\t').map(|cell| format!("<td>{cell}")).collect::<String>();
    let lines: String = row.lines().iter().map(|line| format!("<tr>{}", cells(line))).collect();
    let listed = |function: &Function| {
        let name = function.name.replace('&', "&amp;").replace('<', "&lt;");
        format!("<tr><td>{name}<td>{}<td>{}", figure(function.instructions), figure(function.exits))
    };
    let profile: String = row.profile.iter().map(listed).collect();
    let profile = if profile.is_empty() {
        profile
    } else {
        format!(
            "<details><summary>our guest by function: instructions, VM exits</summary><table>{profile}</table></details>"
        )
    };
    format!("<details><summary>all figures</summary><table>{lines}</table></details>{profile}")
}
