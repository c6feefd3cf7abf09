//! The graphs at the top of the page. Without a script they are numbers since boot; with it, rates of the last two minutes.

use crate::site::markup::{Html, Live};
use crate::site::status::Status;
use crate::site::units::{Shown, Unit};

/// A graph with a number: without a script the number since boot, with it the rate.
struct Tile<'a> {
    title: &'a str,
    unit: &'a str,
    value: u64,
    /// Attributes that tell the script what to show.
    data: &'a str,
}

pub(crate) fn tiles(html: &mut Html, status: &Status) {
    let http = &status.http;
    for tile in [
        Tile {
            title: "Received",
            unit: "packets",
            value: status.packets.received,
            data: "data-rate=\"packets.received\" data-bytes=\"bytes.received\"",
        },
        Tile {
            title: "Sent",
            unit: "packets",
            value: status.packets.sent,
            data: "data-rate=\"packets.sent\" data-bytes=\"bytes.sent\"",
        },
        Tile {
            title: "HTTP",
            unit: "replies",
            value: http.replies_2xx,
            data: "data-rate=\"http.replies_2xx\" data-bytes=\"http.bytes_sent\"",
        },
        Tile {
            title: "Notifications to the backend",
            unit: "sent",
            value: status.notifications.sent,
            data: "data-rate=\"notifications.sent\" data-more=\"notifications.received\" data-more-unit=\"received\"",
        },
        Tile {
            title: "Grants",
            unit: "issued",
            value: status.grants.issued,
            data: "data-rate=\"grants.issued\" data-more=\"grants.ended\" data-more-unit=\"ended\"",
        },
    ] {
        let Tile { title, unit, value, data } = tile;
        let (value, graph) = (Shown(value, Unit::Count), GRAPH);
        html.add(format_args!(
            "<section class=\"card tile\" data-unit=\"{unit}\" {data}>\n<p class=\"label\">{title}</p>\n\
             <p><b>{value}</b><span class=\"unit\">{unit}</span></p>\n<p class=\"more\">since boot</p>\n\
             {graph}</section>\n"
        ));
    }
    let used = Live(format_args!("heap.used_bytes"), status.heap.used_bytes, Unit::Bytes);
    let free = Live(format_args!("heap.free_bytes"), status.heap.free_bytes, Unit::Bytes);
    html.add(format_args!(
        "<section class=\"card tile\" data-gauge=\"heap.used_bytes\">\n<p class=\"label\">Heap</p>\n\
         <p><b>{used}</b><span class=\"unit\">in use</span></p>\n<p class=\"more\">{free} free</p>\n{GRAPH}</section>\n"
    ));
}

/// An empty graph: two minutes wide, a floor, and what the script fills in.
const GRAPH: &str = "<svg viewBox=\"0 0 119 30\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
                     <line x1=\"0\" y1=\"30\" x2=\"119\" y2=\"30\"/><polygon points=\"\"/><polyline points=\"\"/></svg>\n";
