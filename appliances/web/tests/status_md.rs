//! `STATUS.md` is made from the keys and descriptions in the code: `make docs` writes it, this test compares.
//!
//! The text above the marker in the file is written by hand.

#[path = "support/fake.rs"]
mod fake;

use fake::Fake;
use kernel::stats::numbers::{Group, Groups};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::{env, fs};
use web::http::HttpCounts;
use web::https::HttpsCounts;
use web::site::Source as _;
use web::site::status::{
    Build, Channel, Datafront, Dhcp, FORMAT, Features, InterfaceStatus, Ipv6Address, Keys, Policy,
    QueueFrames, Rate, Status,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/STATUS.md");
const MARKER: &str = "<!-- The rest is made from the code by `make docs`. -->\n";

/// The tables, and the path of each key in them.
#[derive(Default)]
struct Document {
    text: String,
    paths: BTreeSet<String>,
}

impl Document {
    fn head(&mut self, level: usize, title: &str, path: &str) {
        let path = path.trim_end_matches('.');
        let place = if path.is_empty() { String::new() } else { format!(": `{path}`") };
        write!(self.text, "\n{} {title}{place}\n\n| key | meaning |\n|---|---|\n", "#".repeat(level))
            .unwrap();
    }

    fn row(&mut self, path: &str, name: &str, help: &str) {
        assert!(self.paths.insert(format!("{path}{name}")), "{path}{name} is described twice");
        writeln!(self.text, "| `{name}` | {help} |").unwrap();
    }

    fn facts(&mut self, level: usize, title: &str, path: &str, keys: Keys) {
        self.head(level, title, path);
        keys.iter().for_each(|(name, help)| self.row(path, name, help));
    }

    fn groups(&mut self, path: &str, groups: &Groups) {
        for Group { key, title, numbers, .. } in &groups.0 {
            let path = if key.is_empty() { path.to_owned() } else { format!("{path}{key}.") };
            self.head(3, title, &path);
            numbers.iter().for_each(|number| self.row(&path, number.name, number.help));
        }
    }
}

fn tables(status: &Status) -> Document {
    let mut document = Document::default();
    document.facts(2, "The guest", "", Status::KEYS);
    document.facts(3, "Build", "build.", Build::KEYS);
    document.groups("", &status.groups);
    let server =
        [web::site::http(0, 0, &HttpCounts::default()), web::site::https(0, &HttpsCounts::default())];
    document.groups("", &Groups(server.into()));
    let datafront = status.datafront.as_ref().unwrap();
    document.facts(2, "What dom0 pushes", "datafront.", Datafront::KEYS);
    document.groups("datafront.", &datafront.groups);
    document.facts(3, "A channel", "datafront.channels[].", Channel::KEYS);
    document.groups("datafront.channels[].", &datafront.channels[0].groups);
    document.facts(2, "A network interface", "interfaces[].", InterfaceStatus::KEYS);
    for (title, path, keys) in [
        ("DHCP", "dhcp.", Dhcp::KEYS),
        ("IPv6 address", "ipv6[].", Ipv6Address::KEYS),
        ("Rate limit", "rate.", Rate::KEYS),
        ("Features", "features.", Features::KEYS),
        ("Policy of the pools", "policy.", Policy::KEYS),
        ("Queue", "queues[].", QueueFrames::KEYS),
    ] {
        document.facts(3, title, &format!("interfaces[].{path}"), keys);
    }
    document.groups("interfaces[].", &status.interfaces[0].groups);
    document
}

/// The path of each key of a JSON value, `[]` for a place in a list.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}{}{key}", if path.is_empty() { "" } else { "." });
                found.insert(path.clone());
                paths(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| paths(value, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn status_md_is_made_from_the_code() {
    let file = fs::read_to_string(FILE).unwrap();
    let (by_hand, _) = file.split_once(MARKER).expect("the marker stands in STATUS.md");
    let made = format!("{by_hand}{MARKER}{}", tables(&Fake(42).status()).text);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(FILE, &made).unwrap();
    } else {
        assert!(file == made, "STATUS.md is out of date: `make docs` writes it");
    }
    assert!(
        by_hand.contains(&format!("`format` is {FORMAT} now")),
        "STATUS.md names another format than {FORMAT}"
    );
}

#[test]
fn every_key_is_described_and_every_description_is_a_key() {
    let status = Fake(42).status();
    let described = tables(&status).paths;
    let mut found = BTreeSet::new();
    paths(&serde_json::to_value(&status).unwrap(), "", &mut found);
    // The site and the guest add these groups.
    let added = |path: &String| path.starts_with("http.") || path.starts_with("https.");
    let described: BTreeSet<_> = described.into_iter().filter(|path| !added(path)).collect();
    // A group has a heading, not a row.
    let groups: BTreeSet<_> =
        described.iter().filter_map(|path| Some(path.rsplit_once('.')?.0.to_owned())).collect();
    let missing: Vec<_> = found.difference(&described).filter(|path| !groups.contains(*path)).collect();
    let gone: Vec<_> = described.difference(&found).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not described: {missing:?}; not in the JSON: {gone:?}");
}

#[test]
fn every_number_has_a_help_text() {
    let status = Fake(42).status();
    let interface = &status.interfaces[0].groups;
    let all = [&status.groups, interface].into_iter().flat_map(|groups| &groups.0);
    for (key, number) in all.flat_map(|group| group.numbers.iter().map(|number| (group.key, number))) {
        assert!(number.help.ends_with('.'), "{key}.{} has no help text", number.name);
    }
}
