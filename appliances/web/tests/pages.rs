//! What is published: the JSON, the metrics and the page tell the same, and are what they claim to be.

mod support;

use kernel::ledger::{Consumer, Ledger};
use kernel::stats::numbers::{Group, Groups};
use serde_json::Value;
use std::collections::BTreeSet;
use std::rc::Rc;
use support::Does::Sends;
use support::fake::Fake;
use support::{ask, run};
use web::http::{Limits, Server};
use web::memory::Memory;
use web::site::status::{Build, FORMAT, Status};
use web::site::{Source, StatusSite, snapshot};

fn get(path: &str) -> String {
    let reply = ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).reply();
    assert_eq!(reply.code, 200);
    reply.body
}

fn json() -> Value {
    serde_json::from_str(&get("/status.json")).unwrap()
}

#[test]
fn the_json_has_the_numbers_of_the_status() {
    let json = json();
    let status = Fake(42).status();
    let interface = &status.interfaces[0];
    assert_eq!(json["format"], FORMAT);
    assert_eq!(json["addresses"], serde_json::json!(["10.0.2.15/24", "2001:db8::15/64"]));
    assert_eq!(json["hostname"], "web <&> \"mill\"");
    assert_eq!(json["interfaces"][0]["mismatch"], Value::Null);
    assert_eq!(json["interfaces"][0]["backend"], 0);
    // The server's own counters: the request that asks for them is the first.
    assert_eq!(json["http"]["serving"], 1);
    for (path, groups) in [("", &status.groups), ("/interfaces/0", &interface.groups)] {
        for (group, number) in
            groups.0.iter().flat_map(|group| group.numbers.iter().map(move |number| (group, number)))
        {
            let key = if group.key.is_empty() { String::new() } else { format!("/{}", group.key) };
            let path = format!("{path}{key}/{}", number.name);
            assert_eq!(json.pointer(&path), Some(&Value::from(number.value)), "{path}");
        }
    }
}

/// Two interfaces, each with counters of its own.
#[test]
fn sums_are_sums_over_the_interfaces() {
    let mut now = Fake(42).snapshot();
    now.interfaces[0].frontend.rx.packets = 3.into();
    now.interfaces[0].frontend.rx.notifications = 1.into();
    now.interfaces[0].frontend.rx.dropped = 7.into();
    let mut second = now.interfaces[0].clone();
    second.frontend.tx.notifications = 5.into();
    second.frontend.rx_pool.free += 1;
    second.net.address = None;
    now.interfaces.push(second);
    let status = snapshot::status(&now, "a", Build::default());
    assert_eq!(status.addresses, ["10.0.2.15/24", "2001:db8::15/64", "2001:db8::15/64"]);
    let first = &status.interfaces[0].groups;
    for (path, sum) in [
        ("packets.received", 6),
        ("notifications.sent", 7),
        ("drops.rx_frontend", 14),
        ("pool.free", 2 * (first.value("rx_pool.free") + first.value("tx_pool.free")) + 1),
    ] {
        assert_eq!(status.groups.value(path), sum, "{path}");
    }
}

#[test]
fn the_metrics_are_in_order() {
    let metrics = get("/metrics");
    let (mut current, mut seen, mut samples) = (String::new(), BTreeSet::new(), BTreeSet::new());
    for line in metrics.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(kind == "counter" || kind == "gauge", "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(seen.insert(name.to_owned()), "{name} stands in two places");
            name.clone_into(&mut current);
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(series.split('{').next(), Some(current.as_str()), "{line}");
            assert!(samples.insert(series.to_owned()), "{series} stands twice");
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        }
    }
    let json = json();
    for (series, path) in [
        ("millpond_rx_pool_in_ring{interface=\"0\"}", "/interfaces/0/rx_pool/in_ring"),
        ("millpond_drops_total{interface=\"0\",reason=\"malformed\"}", "/interfaces/0/drops/malformed"),
        ("millpond_memory_bytes", "/memory_bytes"),
        ("millpond_http_serving", "/http/serving"),
        ("millpond_http_waiting", "/http/waiting"),
        ("millpond_hypercalls_total{kind=\"block\"}", "/hypercalls/block"),
        ("millpond_rx_packets_total{interface=\"0\"}", "/interfaces/0/rx/packets"),
        ("millpond_grants_issued_total", "/grants/issued"),
        ("millpond_datafront_last_seq{channel=\"push\"}", "/datafront/channels/0/last_seq"),
        ("millpond_datafront_last_seq{channel=\"logs\"}", "/datafront/channels/1/last_seq"),
        (
            "millpond_datafront_blocks_accepted_total{channel=\"logs\"}",
            "/datafront/channels/1/blocks/accepted",
        ),
        ("millpond_datafront_blocks_bytes_total{channel=\"push\"}", "/datafront/channels/0/blocks/bytes"),
        ("millpond_datafront_link_clients_total{channel=\"logs\"}", "/datafront/channels/1/link/clients"),
        ("millpond_datafront_pages_free", "/datafront/pages/free"),
        ("millpond_datafront_published_files", "/datafront/published/files"),
    ] {
        assert!(metrics.contains(&format!("\n{series} {}\n", json.pointer(path).unwrap())), "{series}");
    }
    let uptime = json["uptime_ms"].as_u64().unwrap();
    assert!(metrics.contains(&format!("\nmillpond_uptime_seconds {}.{:03}\n", uptime / 1000, uptime % 1000)));
    assert!(metrics.contains("hostname=\"web <&> \\\"mill\\\"\""));
}

/// Elements of HTML that have no end.
const VOID: &[&str] = &["meta", "link", "br"];

/// The page without what is inside of `<style>` and `<script>`.
fn markup(page: &str) -> String {
    let (before, style) = page.split_once("<style>").unwrap();
    let (_, rest) = style.split_once("</style>").unwrap();
    let (middle, script) = rest.split_once("<script>").unwrap();
    let (_, end) = script.split_once("</script>").unwrap();
    [before, middle, end].concat()
}

#[test]
fn the_page_is_well_formed() {
    let page = get("/");
    assert!(page.starts_with("<!DOCTYPE html>\n"));
    let markup = markup(&page);
    let mut open = Vec::new();
    for tag in markup.split('<').skip(2) {
        let (tag, text) = tag.split_once('>').expect("a tag ends before the next one begins");
        assert!(!text.contains('>') && !tag.contains('&') || tag.contains("=\""), "{tag}");
        let name = tag.split([' ', '\n']).next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert_eq!(open, Vec::<&str>::new());
    assert!(markup.contains("<h1>web &lt;&amp;&gt; &quot;mill&quot;</h1>"));
    let error = "Last error: a block's check is &lt;wrong&gt;";
    assert!(markup.replace("&#39;", "'").contains(error));
    assert!(markup.contains("<small>/local/domain/5/data/vchan/0/push</small>"));
    let ids: Vec<_> = markup.match_indices("id=\"").collect();
    assert_eq!(ids.len(), 1, "each id once");
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = get("/");
    for attribute in ["src=\"", "@import", "url("] {
        assert!(!page.contains(attribute), "{attribute}");
    }
    let markup = markup(&page);
    for (at, _) in markup.match_indices("href=\"") {
        let target = markup[at + 6..].split('"').next().unwrap();
        assert!(
            target.starts_with("data:")
                || ask(&format!("GET /{target} HTTP/1.0\r\n\r\n")).reply().code == 200,
            "{target}"
        );
    }
}

/// The value of an attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

#[test]
fn every_number_of_the_page_is_that_of_the_json() {
    let (page, json) = (get("/"), json());
    let find = |path: &str| json.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_u64);
    let mut numbers = 0;
    for tag in markup(&page).split('<') {
        if let Some(path) = attribute(tag, "data-k") {
            let unit = attribute(tag, "data-f").unwrap_or("n");
            let shown = tag.split_once('>').unwrap().1;
            let value = find(path).unwrap_or_else(|| panic!("{path} is not in the JSON"));
            if unit == "n" {
                assert_eq!(shown.replace('\u{202f}', ""), value.to_string(), "{path}");
            }
            numbers += 1;
        }
        for name in ["data-rate", "data-bytes", "data-more", "data-gauge", "data-part"] {
            if let Some(path) = attribute(tag, name) {
                assert!(find(path).is_some(), "{name}={path} is not in the JSON");
            }
        }
        for path in attribute(tag, "data-of").into_iter().flat_map(|paths| paths.split('+')) {
            assert!(find(path).is_some(), "{path} is not in the JSON");
        }
    }
    assert!(numbers > 80, "{numbers}");
}

/// A guest with one group of numbers, of which the faults alarm.
struct Counts;

impl Source for Counts {
    fn status(&self) -> Status {
        let group =
            Group::new("a", "A").counters([("b", "", 0), ("c", "", 1)]).faults([("d", "", 0), ("e", "", 1)]);
        Status { groups: Groups(vec![group]), ..Status::default() }
    }
}

/// The script finds what a row shall have by these attributes.
#[test]
fn rows_have_the_class_of_their_number() {
    let server = Server::new(support::site(Counts), Limits::default());
    let page = run(&server, vec![Sends(b"GET / HTTP/1.0\r\n\r\n".to_vec())]).reply().body;
    for row in [
        "<tr class=\"zero\"><th title=\"\">b</th><td data-k=\"a.b\">0</td></tr>",
        "<tr><th title=\"\">c</th><td data-k=\"a.c\">1</td></tr>",
        "<tr class=\"zero\" data-alarm><th title=\"\">d</th><td data-k=\"a.d\">0</td></tr>",
        "<tr class=\"alarm\" data-alarm><th title=\"\">e</th><td data-k=\"a.e\">1</td></tr>",
    ] {
        assert!(page.contains(row), "{row}");
    }
}

/// A guest of 3 MiB has a ledger of 280 KiB.
#[test]
fn a_small_guest_has_memory_for_each_page() {
    let replies = Memory::new(Ledger::new(256 << 10).open(Consumer::Replies));
    let server =
        Server::new(StatusSite::new(Fake(42), support::store_of(0), Rc::new(replies)), Limits::default());
    for path in ["/", "/status.json", "/metrics"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        assert_eq!(run(&server, vec![Sends(request)]).reply().code, 200, "{path}");
    }
}

#[test]
fn the_kilobyte_is_a_kilobyte_of_text() {
    let body = get("/1k");
    assert_eq!((body.len(), body.lines().count()), (1024, 16));
}

/// A guest without an interface, right after its start.
struct Newborn;

impl Source for Newborn {
    fn status(&self) -> Status {
        Status { name: "web", ..Status::default() }
    }
}

#[test]
fn a_guest_without_network_or_anything_has_its_pages_too() {
    let server = Server::new(support::site(Newborn), Limits::default());
    for (path, code) in
        [("/", 200), ("/status.json", 200), ("/metrics", 200), ("/healthz", 503), ("/readyz", 503)]
    {
        let outcome = run(&server, vec![Sends(format!("GET {path} HTTP/1.0\r\n\r\n").into_bytes())]);
        let reply = outcome.reply();
        assert_eq!(reply.code, code, "{path}");
        if code == 503 {
            assert_eq!(reply.body, "no network interface\n");
        }
    }
}

#[test]
fn a_healthy_guest_says_ok() {
    assert_eq!((get("/healthz").as_str(), get("/readyz").as_str()), ("ok\n", "ok\n"));
}
