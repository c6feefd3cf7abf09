//! `/metrics`: the status as Prometheus reads it (text exposition format 0.0.4).
//!
//! Names begin with `millpond_`; counters end in `_total`; units are seconds and bytes. All samples of a name stand
//! together under its `# TYPE`, as the format demands.

use crate::site::status::{Channel, Counts, Datafront, InterfaceStatus, Pool, Status};
use alloc::string::String;
use core::fmt::{Arguments, Write as _};

/// Writes everything.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut out = Out(String::with_capacity(16 * 1024));
    guest(&mut out, status);
    xen(&mut out, status);
    http(&mut out, status);
    if let Some(pushed) = &status.datafront {
        datafront(&mut out, pushed);
    }
    interfaces(&mut out, &status.interfaces);
    out.0
}

/// The text so far. Writing to a string does not fail.
struct Out(String);

impl Out {
    fn name(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP millpond_{name} {help}\n# TYPE millpond_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: Arguments<'_>, value: impl core::fmt::Display) {
        let _ = writeln!(self.0, "millpond_{name}{labels} {value}");
    }

    /// A name with one sample.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl core::fmt::Display) {
        self.name(name, kind, help);
        self.sample(name, format_args!(""), value);
    }

    /// Counters that differ by a label.
    fn by(&mut self, name: &str, help: &str, label: &str, counts: &Counts) {
        self.name(name, "counter", help);
        for (value, count) in &counts.0 {
            self.sample(name, format_args!("{{{label}=\"{value}\"}}"), count);
        }
    }
}

/// Milliseconds in seconds.
struct Seconds(u64);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A label's value: quoted, with what the format wants escaped.
struct Quoted<'a>(&'a str);

impl core::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

fn guest(out: &mut Out, status: &Status) {
    let Status { name, version, hostname, domid, .. } = status;
    out.name("info", "gauge", "What this guest is; always 1.");
    let (name, version, hostname) = (Quoted(name), Quoted(version), Quoted(hostname));
    let domid = domid.map_or(-1, i32::from);
    out.sample(
        "info",
        format_args!("{{name={name},version={version},hostname={hostname},domid=\"{domid}\"}}"),
        1,
    );
    out.one("uptime_seconds", "gauge", "Time since the kernel started.", Seconds(status.uptime_ms));
    out.one("memory_bytes", "gauge", "RAM that the guest was given.", status.memory_bytes);
    out.one("heap_used_bytes", "gauge", "Heap in use.", status.heap.used_bytes);
    out.one("heap_free_bytes", "gauge", "Heap that is free.", status.heap.free_bytes);
    out.one("pages_taken", "gauge", "Pages in pools and rings.", status.pages.taken);
    out.one("pages_free", "gauge", "Pages outside image and heap that are free.", status.pages.free);
    out.one("tasks", "gauge", "Tasks that have not ended.", status.tasks);
}

fn xen(out: &mut Out, status: &Status) {
    let grants = &status.grants;
    out.one("grants_issued_total", "counter", "Grants issued since boot.", grants.issued);
    out.one("grants_ended_total", "counter", "Grants ended since boot.", grants.ended);
    out.one("grants_quarantined", "gauge", "Grants that cannot be ended.", grants.quarantined);
    out.one("grants_free", "gauge", "Grant table entries that could be used.", grants.free_entries);
    out.one("events_received_total", "counter", "Events taken since boot.", status.events.received);
    out.one("events_stray_total", "counter", "Events that nobody listened to.", status.events.stray);
    let notifications = &status.notifications;
    out.one("notifications_sent_total", "counter", "Notifications to backends.", notifications.sent);
    out.one(
        "notifications_received_total",
        "counter",
        "Notifications from backends.",
        notifications.received,
    );
    out.by("hypercalls_total", "Hypercalls since boot by kind.", "kind", &status.hypercalls);
    out.by("xenstore_total", "Traffic with xenstore by kind.", "kind", &status.xenstore);
    out.by("drops_total", "Frames and datagrams dropped by reason.", "reason", &status.drops);
}

fn http(out: &mut Out, status: &Status) {
    let http = &status.http;
    out.one("http_connections", "gauge", "HTTP connections that are open.", http.connections_open);
    out.one("http_connections_total", "counter", "HTTP connections since boot.", http.connections);
    out.one("http_sent_bytes_total", "counter", "Bytes of HTTP replies.", http.bytes_sent);
    out.one("http_timeouts_total", "counter", "HTTP connections that took too long.", http.timeouts);
    out.name("http_replies_total", "counter", "HTTP replies by class of their code.");
    for (class, count) in [("2xx", http.replies_2xx), ("4xx", http.replies_4xx), ("5xx", http.replies_5xx)] {
        out.sample("http_replies_total", format_args!("{{class=\"{class}\"}}"), count);
    }
}

fn datafront(out: &mut Out, pushed: &Datafront) {
    let all = &pushed.channels;
    let mut gauge = |name: &str, help: &str, value: fn(&Channel) -> u64| {
        out.name(name, "gauge", help);
        for channel in all {
            out.sample(name, format_args!("{{channel=\"{}\"}}", channel.name), value(channel));
        }
    };
    gauge("datafront_connected", "1 while a sender is connected.", |channel| u64::from(channel.connected));
    gauge("datafront_last_seq", "The last completed block's number.", |channel| channel.last_seq);
    let failed = |channel: &Channel| u64::from(channel.last_error.is_some());
    gauge("datafront_failed", "1 after the first error; /status.json has its words.", failed);
    channels(out, all, "link", |channel| &channel.link);
    channels(out, all, "blocks", |channel| &channel.blocks);
    out.name("datafront_pages", "gauge", "Pages that dom0 may access for channels, by where they are.");
    for state in ["free", "lent", "quarantined"] {
        out.sample("datafront_pages", format_args!("{{state=\"{state}\"}}"), pushed.pages.count(state));
    }
    for (counter, count) in &pushed.published.0 {
        out.one(&alloc::format!("published_{counter}"), "gauge", "See STATUS.md.", count);
    }
}

/// A name for each counter of a group, with a sample for each channel.
fn channels(out: &mut Out, all: &[Channel], group: &str, counts: impl Fn(&Channel) -> &Counts) {
    let Some(first) = all.first() else { return };
    for (counter, _) in &counts(first).0 {
        let name = alloc::format!("datafront_{group}_{counter}_total");
        out.name(&name, "counter", "See STATUS.md.");
        for channel in all {
            let labels = format_args!("{{channel=\"{}\"}}", channel.name);
            out.sample(&name, labels, counts(channel).count(counter));
        }
    }
}

fn interfaces(out: &mut Out, all: &[InterfaceStatus]) {
    out.name("link_up", "gauge", "1 while frames can flow.");
    for (number, interface) in all.iter().enumerate() {
        out.sample("link_up", format_args!("{{interface=\"{number}\"}}"), u8::from(interface.link_up));
    }
    out.name("address_info", "gauge", "Addresses in use; always 1.");
    for (number, interface) in all.iter().enumerate() {
        for address in interface.addresses() {
            out.sample("address_info", format_args!("{{interface=\"{number}\",address=\"{address}\"}}"), 1);
        }
    }
    out.name("pool_pages", "gauge", "Pages of the pools by direction and by where they are.");
    for (number, interface) in all.iter().enumerate() {
        pool(out, number, "rx", &interface.rx_pool);
        pool(out, number, "tx", &interface.tx_pool);
    }
    sockets(out, all);
    series(out, all, "rx", |interface| &interface.rx);
    series(out, all, "tx", |interface| &interface.tx);
    series(out, all, "rx_pool", |interface| &interface.rx_pool_changes);
    series(out, all, "tx_pool", |interface| &interface.tx_pool_changes);
    series(out, all, "device", |interface| &interface.device);
    series(out, all, "misbehaviour", |interface| &interface.misbehaviour);
    series(out, all, "stack", |interface| &interface.stack);
}

fn pool(out: &mut Out, number: usize, way: &str, pool: &Pool) {
    let Pool { free, in_ring, lent, quarantined, .. } = pool;
    for (state, pages) in [("free", free), ("in_ring", in_ring), ("lent", lent), ("quarantined", quarantined)]
    {
        let labels = format_args!("{{interface=\"{number}\",direction=\"{way}\",state=\"{state}\"}}");
        out.sample("pool_pages", labels, pages);
    }
}

fn sockets(out: &mut Out, all: &[InterfaceStatus]) {
    out.name("sockets", "gauge", "Users of the stack by kind.");
    for (number, interface) in all.iter().enumerate() {
        let sockets = &interface.sockets;
        for (kind, count) in [
            ("tcp", sockets.connections),
            ("tcp_half_open", sockets.half_open),
            ("tcp_time_wait", sockets.time_wait),
            ("tcp_listener", sockets.listeners),
            ("udp", sockets.udp),
        ] {
            out.sample("sockets", format_args!("{{interface=\"{number}\",kind=\"{kind}\"}}"), count);
        }
    }
}

/// A name for each counter of a group, with a sample for each interface.
fn series(out: &mut Out, all: &[InterfaceStatus], group: &str, counts: impl Fn(&InterfaceStatus) -> &Counts) {
    let Some(first) = all.first() else { return };
    for (counter, _) in &counts(first).0 {
        let name = alloc::format!("{group}_{counter}_total");
        out.name(&name, "counter", "See STATUS.md.");
        for (number, interface) in all.iter().enumerate() {
            out.sample(&name, format_args!("{{interface=\"{number}\"}}"), counts(interface).count(counter));
        }
    }
}
