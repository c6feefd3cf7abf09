//! The graphs at the top of the page. Without the script a graph is the number since boot; with it, the rate of the last
//! two minutes.

use crate::site::markup::{Html, Live};
use crate::site::status::Status;
use crate::site::units::{Shown, Unit};

/// A graph of a rate, with a number above it.
struct Tile<'a> {
    title: &'a str,
    unit: &'a str,
    /// The number: `GROUP.NAME`.
    rate: &'a str,
    /// What stands below it, as attributes for the script.
    more: &'a str,
}

const TILES: [Tile<'_>; 5] = [
    Tile {
        title: "Received",
        unit: "packets",
        rate: "packets.received",
        more: "data-bytes=\"bytes.received\"",
    },
    Tile { title: "Sent", unit: "packets", rate: "packets.sent", more: "data-bytes=\"bytes.sent\"" },
    Tile { title: "HTTP", unit: "replies", rate: "http.replies_2xx", more: "data-bytes=\"http.bytes_sent\"" },
    Tile {
        title: "Notifications to the backend",
        unit: "sent",
        rate: "notifications.sent",
        more: "data-more=\"notifications.received\" data-more-unit=\"received\"",
    },
    Tile {
        title: "Grants",
        unit: "issued",
        rate: "grants.issued",
        more: "data-more=\"grants.ended\" data-more-unit=\"ended\"",
    },
];

pub(crate) fn tiles(html: &mut Html, status: &Status) {
    for Tile { title, unit, rate, more } in TILES {
        let value = Shown(status.groups.value(rate), Unit::Count);
        html.add(format_args!(
            "<section class=\"card tile\" data-unit=\"{unit}\" data-rate=\"{rate}\" {more}>\n<p class=\"label\">{title}</p>\n\
             <p><b>{value}</b><span class=\"unit\">{unit}</span></p>\n<p class=\"more\">since boot</p>\n\
             {GRAPH}</section>\n"
        ));
    }
    let Some(heap) = status.groups.group("heap") else { return };
    if let [used, free, ..] = heap.numbers.as_slice() {
        let (used, free) = (Live::of("", heap, used), Live::of("", heap, free));
        html.add(format_args!(
            "<section class=\"card tile\" data-gauge=\"heap.used_bytes\">\n<p class=\"label\">Heap</p>\n\
             <p><b><span{used}</span></b><span class=\"unit\">in use</span></p>\n<p class=\"more\"><span{free}</span> free</p>\n{GRAPH}</section>\n"
        ));
    }
}

/// An empty graph of two minutes; the script fills it in.
const GRAPH: &str = "<svg viewBox=\"0 0 119 30\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
                     <line x1=\"0\" y1=\"30\" x2=\"119\" y2=\"30\"/><polygon points=\"\"/><polyline points=\"\"/></svg>\n";
