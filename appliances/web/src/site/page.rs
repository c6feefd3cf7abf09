//! `/`: what this guest is and what it counts, on one page that needs nothing besides itself.
//!
//! The numbers are those of the moment at which the page was asked for, so it can be read without JavaScript. With it,
//! the page asks for `/status.json` once a second, follows, and draws graphs.

use crate::site::markup::{Html, Live, Mood, Part, Text};
use crate::site::status::{Counts, Datafront, InterfaceStatus, OwnIpv6, Pool, Status};
use crate::site::tiles::tiles;
use crate::site::units::{Shown, Unit};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const STYLE: &str = include_str!("../../assets/page.css");
const SCRIPT: &str = include_str!("../../assets/page.js");

/// A mill wheel in a pond; also the page's icon.
const LOGO: &str = include_str!("../../assets/logo.svg");

/// Writes the page.
#[must_use]
pub fn html(status: &Status) -> String {
    let mut html = Html(String::with_capacity(48 * 1024));
    top(&mut html, status);
    facts(&mut html, status);
    html.add(format_args!("<div class=\"grid\">\n"));
    tiles(&mut html, status);
    html.add(format_args!("</div>\n"));
    for (number, interface) in status.interfaces.iter().enumerate() {
        pools(&mut html, number, interface, status);
    }
    html.add(format_args!("<div class=\"columns\">\n"));
    for (number, interface) in status.interfaces.iter().enumerate() {
        traffic(&mut html, number, interface);
        trouble(&mut html, number, interface);
        stack(&mut html, number, interface);
    }
    if let Some(pushed) = &status.datafront {
        datafront(&mut html, pushed);
    }
    guest(&mut html, status);
    html.add(format_args!("</div>\n"));
    bottom(&mut html, status);
    html.0
}

fn top(html: &mut Html, status: &Status) {
    let (name, uptime) = (Text(title(status)), Shown(status.uptime_ms, Unit::Duration));
    let icon = LOGO.trim_end().replace('#', "%23").replace('"', "'").replace('<', "%3C").replace('>', "%3E");
    html.add(format_args!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name} – Millpond</title>\n\
         <link rel=\"icon\" href=\"data:image/svg+xml,{icon}\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n{LOGO}<div><h1>{name}</h1>\n<p>Millpond: a network unikernel in Rust on Xen</p></div>\n\
         <div id=\"live\"><i></i><span>up {uptime}</span></div>\n</header>\n<main>\n"
    ));
}

/// The host name, or else what the appliance is called.
fn title(status: &Status) -> &str {
    if status.hostname.is_empty() { status.name } else { &status.hostname }
}

fn facts(html: &mut Html, status: &Status) {
    html.add(format_args!("<dl class=\"facts\">\n"));
    html.fact("Appliance", &format!("{} {}", status.name, status.version));
    html.fact("Domain", &status.domid.map(|domid| domid.to_string()).unwrap_or_default());
    html.fact("Memory", &Shown(status.memory_bytes, Unit::Bytes).to_string());
    for interface in &status.interfaces {
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_string());
        let link = if interface.link_up { "up" } else { "down" };
        html.fact("Address", &or_none(&interface.address));
        html.fact("Gateway", &or_none(&interface.gateway));
        if !interface.ipv6.is_empty() {
            html.fact("IPv6", &ipv6(interface));
            html.fact("IPv6 gateway", &or_none(&interface.ipv6_gateway));
        }
        html.fact("Name servers", &interface.dns.join(" "));
        html.fact("DHCP", &dhcp(interface));
        html.fact("MAC", &interface.mac);
        html.fact("Link", &format!("{link}, MTU {}", interface.mtu));
        html.fact("Backend", &backend(interface));
    }
    html.add(format_args!("</dl>\n"));
}

fn ipv6(interface: &InterfaceStatus) -> String {
    let one = |own: &OwnIpv6| match own.state {
        "valid" => own.address.clone(),
        state => format!("{} ({state})", own.address),
    };
    interface.ipv6.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn dhcp(interface: &InterfaceStatus) -> String {
    match &interface.dhcp.server {
        Some(server) => format!("lease from {server}"),
        None => interface.dhcp.state.to_string(),
    }
}

fn backend(interface: &InterfaceStatus) -> String {
    let trust = if interface.trusted { "trusted" } else { "not trusted" };
    match interface.backend {
        Some(domid) => format!("domain {domid}, {trust}"),
        None => "none".to_string(),
    }
}

fn pools(html: &mut Html, number: usize, interface: &InterfaceStatus, status: &Status) {
    html.add(format_args!(
        "<section class=\"card wide\">\n<h2>Page pools <small>granted once, never per packet; frames of {} bytes or \
         more are lent in place</small></h2>\n",
        interface.threshold_bytes
    ));
    for (title, key, pool) in
        [("To receive into", "rx_pool", &interface.rx_pool), ("To send from", "tx_pool", &interface.tx_pool)]
    {
        let title = format!("{title}: {} pages, up to {}", pool.total, pool.max);
        html.bar(&title, format_args!("interfaces.{number}.{key}"), &pool_parts(pool), Unit::Count);
    }
    let grants = &status.grants;
    html.add(format_args!("<table>\n"));
    for (name, key, value, mood) in [
        ("grants issued since boot", "issued", grants.issued, Mood::Fine),
        ("grants ended since boot", "ended", grants.ended, Mood::Fine),
        ("grants that the backend does not let go of", "quarantined", grants.quarantined, Mood::Alarm),
        ("grant table entries left", "free_entries", grants.free_entries, Mood::Fine),
    ] {
        html.row(name, Live(format_args!("grants.{key}"), value, Unit::Count), mood);
    }
    html.add(format_args!("</table>\n</section>\n"));
}

fn pool_parts(pool: &Pool) -> [Part<'static>; 4] {
    [
        Part { class: "ring", label: "in the ring", key: "in_ring", value: pool.in_ring },
        Part { class: "lent", label: "lent", key: "lent", value: pool.lent },
        Part { class: "lost", label: "quarantined", key: "quarantined", value: pool.quarantined },
        Part { class: "free", label: "free", key: "free", value: pool.free },
    ]
}

fn traffic(html: &mut Html, number: usize, interface: &InterfaceStatus) {
    let InterfaceStatus { rx, tx, device, .. } = interface;
    for (title, key, counts) in [("Received", "rx", rx), ("Sent", "tx", tx), ("Frontend", "device", device)] {
        html.add(format_args!("<section class=\"card\">\n<h2>{title}</h2>\n<table>\n"));
        html.rows(format_args!("interfaces.{number}.{key}"), counts, Mood::Fine);
        html.add(format_args!("</table>\n</section>\n"));
    }
}

fn trouble(html: &mut Html, number: usize, interface: &InterfaceStatus) {
    let InterfaceStatus { drops, misbehaviour, mismatch, .. } = interface;
    html.add(format_args!("<section class=\"card\">\n<h2>Drops <small>by reason</small></h2>\n<table>\n"));
    html.rows(format_args!("interfaces.{number}.drops"), drops, Mood::Fine);
    html.add(format_args!("</table>\n</section>\n<section class=\"card\">\n"));
    html.add(format_args!("<h2>Rules that the backend broke</h2>\n"));
    if let Some(mismatch) = mismatch {
        html.add(format_args!("<p class=\"alarm\">Pages do not add up: {}</p>\n", Text(mismatch)));
    }
    html.add(format_args!("<table class=\"quiet\">\n"));
    html.rows(format_args!("interfaces.{number}.misbehaviour"), misbehaviour, Mood::Alarm);
    html.add(format_args!("</table>\n<p class=\"none\">None.</p>\n</section>\n"));
}

fn stack(html: &mut Html, number: usize, interface: &InterfaceStatus) {
    let InterfaceStatus { sockets, stack, .. } = interface;
    html.add(format_args!("<section class=\"card\">\n<h2>Stack</h2>\n<table>\n"));
    for (name, key, value) in [
        ("TCP connections", "connections", sockets.connections),
        ("… half open", "half_open", sockets.half_open),
        ("… in TIME-WAIT", "time_wait", sockets.time_wait),
        ("TCP ports listened on", "listeners", sockets.listeners),
        ("UDP sockets", "udp", sockets.udp),
        ("timers", "timers", sockets.timers),
    ] {
        let live = Live(format_args!("interfaces.{number}.sockets.{key}"), value, Unit::Count);
        html.row(name, live, Mood::Fine);
    }
    html.rows(format_args!("interfaces.{number}.stack"), stack, Mood::Fine);
    html.add(format_args!("</table>\n</section>\n"));
}

fn datafront(html: &mut Html, pushed: &Datafront) {
    for (number, channel) in pushed.channels.iter().enumerate() {
        let path = Text(&channel.path);
        html.add(format_args!("<section class=\"card\">\n<h2>Pushed by dom0 <small>{path}</small></h2>\n"));
        if let Some(error) = &channel.last_error {
            html.add(format_args!("<p class=\"alarm\">Last error: {}</p>\n", Text(error)));
        }
        html.add(format_args!("<table>\n"));
        let seq = Live(format_args!("datafront.channels.{number}.last_seq"), channel.last_seq, Unit::Count);
        html.row("last block's number", seq, Mood::Fine);
        html.rows(format_args!("datafront.channels.{number}.blocks"), &channel.blocks, Mood::Fine);
        html.rows(format_args!("datafront.channels.{number}.link"), &channel.link, Mood::Fine);
        html.add(format_args!("</table>\n</section>\n"));
    }
    let mut group = |head: &str, key: &str, counts: &Counts| {
        html.add(format_args!("<section class=\"card\">\n<h2>{head}</h2>\n<table>\n"));
        html.rows(format_args!("datafront.{key}"), counts, Mood::Fine);
        html.add(format_args!("</table>\n</section>\n"));
    };
    group("Pages of the channels", "pages", &pushed.pages);
    group("Published", "published", &pushed.published);
}

fn guest(html: &mut Html, status: &Status) {
    html.add(format_args!("<section class=\"card\">\n<h2>Hypercalls <small>by kind</small></h2>\n<table>\n"));
    html.rows(format_args!("hypercalls"), &status.hypercalls, Mood::Fine);
    html.rows(format_args!("xenstore"), &status.xenstore, Mood::Fine);
    html.add(format_args!("</table>\n</section>\n<section class=\"card\">\n<h2>Guest</h2>\n<table>\n"));
    for (name, key, value) in [
        ("events received", "events.received", status.events.received),
        ("events that nobody listened to", "events.stray", status.events.stray),
        ("tasks", "tasks", status.tasks),
        ("pages in pools and rings", "pages.taken", status.pages.taken),
        ("pages free", "pages.free", status.pages.free),
    ] {
        html.row(name, Live(format_args!("{key}"), value, Unit::Count), Mood::Fine);
    }
    let http = &status.http;
    html.add(format_args!("</table>\n</section>\n<section class=\"card\">\n<h2>HTTP</h2>\n<table>\n"));
    for (name, key, value, unit) in [
        ("connections open", "connections_open", http.connections_open, Unit::Count),
        ("connections", "connections", http.connections, Unit::Count),
        ("replies 2xx", "replies_2xx", http.replies_2xx, Unit::Count),
        ("replies 4xx", "replies_4xx", http.replies_4xx, Unit::Count),
        ("replies 5xx", "replies_5xx", http.replies_5xx, Unit::Count),
        ("bytes sent", "bytes_sent", http.bytes_sent, Unit::Bytes),
        ("timeouts", "timeouts", http.timeouts, Unit::Count),
    ] {
        html.row(name, Live(format_args!("http.{key}"), value, unit), Mood::Fine);
    }
    html.add(format_args!("</table>\n</section>\n"));
}

fn bottom(html: &mut Html, status: &Status) {
    html.add(format_args!(
        "</main>\n<footer>\n<p><a href=\"/status.json\">status.json</a> · <a href=\"/metrics\">metrics</a> · \
         <a href=\"/healthz\">healthz</a> · <a href=\"/readyz\">readyz</a></p>\n\
         <p>{} {}, written out by the guest itself.</p>\n</footer>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        Text(status.name),
        Text(status.version)
    ));
}
