//! `/`: the facts and the numbers of the guest on one page without external files.
//!
//! The page shows the numbers of the moment of the request, so it can be read without JavaScript. With JavaScript the
//! page fetches `/status.json` once a second, updates its numbers and draws graphs.

use crate::content::Content;
use crate::site::markup::{Html, Text};
use crate::site::status::{Datafront, Groups, InterfaceStatus, Ipv6Address, Shape, Status};
use crate::site::tiles::tiles;
use crate::site::units::{Shown, Unit};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter, Write as _};

const STYLE: &str = include_str!("../../assets/page.css");
const SCRIPT: &str = include_str!("../../assets/page.js");

/// A mill wheel in a pond; also the page's icon.
const LOGO: &str = include_str!("../../assets/logo.svg");

/// Writes the page behind `text`; `None` if there is no memory.
#[must_use]
pub fn html(text: Content, status: &Status) -> Option<Content> {
    let mut html = Html::new(text);
    top(&mut html, status);
    facts(&mut html, status);
    html.add(format_args!("<div class=\"grid\">\n"));
    tiles(&mut html, status);
    html.add(format_args!("</div>\n"));
    let interfaces = || {
        let path = |number| format!("interfaces.{number}.");
        status.interfaces.iter().enumerate().map(move |(number, interface)| (path(number), interface))
    };
    for (path, interface) in interfaces() {
        pools(&mut html, &path, interface);
    }
    html.add(format_args!("<div class=\"columns\">\n"));
    for (path, interface) in interfaces() {
        interface_groups(&mut html, &path, interface);
    }
    if let Some(pushed) = &status.datafront {
        datafront(&mut html, pushed);
    }
    groups(&mut html, "", &status.groups);
    html.add(format_args!("</div>\n"));
    bottom(&mut html, status);
    html.finished()
}

fn top(html: &mut Html, status: &Status) {
    let (name, uptime) = (Text(title(status)), Shown(status.uptime_ms, Unit::Duration));
    let icon = DataUrl(LOGO.trim_end());
    html.add(format_args!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name} – Millpond</title>\n\
         <link rel=\"icon\" href=\"data:image/svg+xml,{icon}\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n\
         <style>\n"
    ));
    html.add_static(STYLE);
    html.add(format_args!(
        "</style>\n</head>\n<body>\n<header>\n{LOGO}<div><h1>{name}</h1>\n<p>Millpond: a network unikernel in Rust on Xen</p></div>\n\
         <div id=\"live\"><i></i><span>up {uptime}</span></div>\n</header>\n<main>\n"
    ));
}

/// An image as the text of a `data:` URL between double quotes.
struct DataUrl<'a>(&'a str);

impl Display for DataUrl<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '#' => f.write_str("%23"),
            '"' => f.write_str("'"),
            '<' => f.write_str("%3C"),
            '>' => f.write_str("%3E"),
            _ => f.write_char(character),
        })
    }
}

/// The host name, or else the appliance's name.
fn title(status: &Status) -> &str {
    if status.hostname.is_empty() { status.name } else { &status.hostname }
}

fn facts(html: &mut Html, status: &Status) {
    html.add(format_args!("<dl class=\"facts\">\n"));
    html.fact("Appliance", &format!("{} {}", status.name, status.version));
    html.fact("Domain", &status.domid.map(|domid| domid.to_string()).unwrap_or_default());
    html.fact("Memory", &Shown(status.groups.value(".memory_bytes"), Unit::Bytes).to_string());
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
    let one = |own: &Ipv6Address| match own.state {
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

fn pools(html: &mut Html, path: &str, interface: &InterfaceStatus) {
    html.add(format_args!(
        "<section class=\"card wide\">\n<h2>Page pools <small>granted once, never per packet; frames of {} bytes or \
         more are received without a copy</small></h2>\n",
        interface.threshold_bytes
    ));
    for group in interface.groups.0.iter().filter(|group| group.shape == Shape::Bar) {
        html.bar(path, group);
    }
    html.add(format_args!("</section>\n"));
}

fn groups(html: &mut Html, path: &str, groups: &Groups) {
    for group in groups.0.iter().filter(|group| group.shape != Shape::Bar) {
        html.group(path, group);
    }
}

fn interface_groups(html: &mut Html, path: &str, interface: &InterfaceStatus) {
    if let Some(mismatch) = &interface.mismatch {
        html.add(format_args!(
            "<section class=\"card\">\n<p class=\"alarm\">An account of pages does not balance: {}</p>\n</section>\n",
            Text(mismatch)
        ));
    }
    groups(html, path, &interface.groups);
}

fn datafront(html: &mut Html, pushed: &Datafront) {
    for (number, channel) in pushed.channels.iter().enumerate() {
        let path = Text(&channel.path);
        html.add(format_args!("<section class=\"card\">\n<h2>Pushed by dom0 <small>{path}</small></h2>\n"));
        if let Some(error) = &channel.last_error {
            html.add(format_args!("<p class=\"alarm\">Last error: {}</p>\n", Text(error)));
        }
        for group in &channel.groups.0 {
            html.table(&format!("datafront.channels.{number}."), group);
        }
        html.add(format_args!("</section>\n"));
    }
    groups(html, "datafront.", &pushed.groups);
}

fn bottom(html: &mut Html, status: &Status) {
    html.add(format_args!(
        "</main>\n<footer>\n<p><a href=\"status.json\">status.json</a> · <a href=\"metrics\">metrics</a> · \
         <a href=\"healthz\">healthz</a> · <a href=\"readyz\">readyz</a></p>\n\
         <p>{} {}, written out by the guest itself.</p>\n</footer>\n<script>\n",
        Text(status.name),
        Text(status.version)
    ));
    html.add_static(SCRIPT);
    html.add(format_args!("</script>\n</body>\n</html>\n"));
}
