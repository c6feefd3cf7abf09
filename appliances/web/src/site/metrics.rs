//! `/metrics`: the status as Prometheus reads it (text exposition format 0.0.4).
//!
//! Names begin with `millpond_`, then the group's key, then the number's name; counters end in `_total`. All samples
//! of a name follow its `# TYPE`, as the format demands. Numbers of an interface have the label `interface`, those of
//! a channel the label `channel`.

use crate::content::Content;
use crate::site::status::{InterfaceStatus, Status};
use alloc::vec::Vec;
use core::fmt::{Arguments, Display, Formatter, Result, Write as _};
use kernel::stats::numbers::{Group, Groups, Kind, Number, Shape};

/// Writes everything behind `text`; `None` if there is no memory.
#[must_use]
pub fn text(text: Content, status: &Status) -> Option<Content> {
    let mut out = Out { text, failed: false };
    guest(&mut out, status);
    out.groups("", &[(None, &status.groups)]);
    if let Some(pushed) = &status.datafront {
        let label = |name| Some(Label { name: "channel", value: name });
        let channels: Vec<_> =
            pushed.channels.iter().map(|channel| (label(channel.name.as_str()), &channel.groups)).collect();
        out.name("datafront_connected", Kind::Gauge, "1 while a sender is connected.");
        for channel in &pushed.channels {
            let labels = Labels { owner: label(&channel.name), by: None };
            out.sample("datafront_connected", Kind::Gauge, labels, u8::from(channel.connected));
        }
        out.groups("datafront_", &channels);
        out.groups("datafront_", &[(None, &pushed.groups)]);
    }
    interfaces(&mut out, &status.interfaces);
    (!out.failed).then_some(out.text)
}

/// The text so far; once there is no memory, nothing is added.
struct Out {
    text: Content,
    failed: bool,
}

/// A label and its value.
#[derive(Clone, Copy)]
struct Label<'a> {
    name: &'a str,
    value: &'a str,
}

/// The labels of a sample: whose number it is, and which of its group.
#[derive(Clone, Copy)]
struct Labels<'a> {
    owner: Option<Label<'a>>,
    by: Option<Label<'a>>,
}

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut labels = self.owner.iter().chain(&self.by);
        let Some(first) = labels.next() else { return Ok(()) };
        write!(f, "{{{}={}", first.name, Quoted(first.value))?;
        for Label { name, value } in labels {
            write!(f, ",{name}={}", Quoted(value))?;
        }
        f.write_char('}')
    }
}

/// A label's value: quoted and escaped.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
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

/// Milliseconds in seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A name without its `_total`: `GROUP_NAME`, or `NAME` for a group without a key.
struct Name<'a>(&'a str, &'a str, &'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self(prefix, key, name) = self;
        let between = if key.is_empty() || name.is_empty() { "" } else { "_" };
        write!(f, "{prefix}{key}{between}{name}")
    }
}

/// A set of groups, and the label of its owner.
type Owned<'a> = (Option<Label<'a>>, &'a Groups);

impl Out {
    fn add(&mut self, text: Arguments<'_>) {
        self.failed = self.failed || self.text.write_fmt(text).is_err();
    }

    fn name(&mut self, name: impl Display, kind: Kind, help: &str) {
        let (end, kind) = type_of(kind);
        self.add(format_args!("# HELP millpond_{name}{end} {help}\n# TYPE millpond_{name}{end} {kind}\n"));
    }

    fn sample(&mut self, name: impl Display, kind: Kind, labels: Labels<'_>, value: impl Display) {
        let (end, _) = type_of(kind);
        self.add(format_args!("millpond_{name}{end}{labels} {value}\n"));
    }

    /// Each group of the first owner, with the samples of all owners. All have the same groups.
    fn groups(&mut self, prefix: &str, owners: &[Owned<'_>]) {
        let Some((_, first)) = owners.first() else { return };
        // A sum over interfaces is left to Prometheus.
        for group in first.0.iter().filter(|group| group.shape != Shape::Hidden) {
            match group.label {
                Some(label) => self.labelled(prefix, group, label, owners),
                None => {
                    for number in group.numbers.iter().filter(|number| number.kind != Kind::Sum) {
                        self.series(prefix, group, number, owners);
                    }
                }
            }
        }
    }

    /// A name for a number, with a sample of each owner.
    fn series(&mut self, prefix: &str, group: &Group, number: &Number, owners: &[Owned<'_>]) {
        let name = Name(prefix, group.key, number.name);
        self.name(&name, number.kind, number.help);
        for (owner, groups) in owners {
            let value = groups.group(group.key).map_or(0, |group| group.value(number.name));
            self.sample(&name, number.kind, Labels { owner: *owner, by: None }, value);
        }
    }

    /// A name for a group, with a sample of each number and owner.
    fn labelled(&mut self, prefix: &str, group: &Group, label: &'static str, owners: &[Owned<'_>]) {
        let name = Name(prefix, group.key, "");
        let kind = group.numbers.first().map_or(Kind::Counter, |number| number.kind);
        self.name(&name, kind, group.title);
        for (owner, groups) in owners {
            for number in groups.group(group.key).iter().flat_map(|group| &group.numbers) {
                let by = Some(Label { name: label, value: number.name });
                self.sample(&name, kind, Labels { owner: *owner, by }, number.value);
            }
        }
    }
}

/// The end of a name, and its type, as the format has them.
const fn type_of(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Counter => ("_total", "counter"),
        Kind::Gauge | Kind::Part | Kind::Sum => ("", "gauge"),
    }
}

fn guest(out: &mut Out, status: &Status) {
    let Status { name, version, hostname, domid, .. } = status;
    let (name, version, hostname) = (Quoted(name), Quoted(version), Quoted(hostname));
    let domid = domid.map_or(-1, i32::from);
    out.name("info", Kind::Gauge, "Names and numbers of the guest; always 1.");
    out.add(format_args!(
        "millpond_info{{name={name},version={version},hostname={hostname},domid=\"{domid}\"}} 1\n"
    ));
    out.name("uptime_seconds", Kind::Gauge, "Time since the kernel started.");
    out.add(format_args!("millpond_uptime_seconds {}\n", Seconds(status.uptime_ms)));
}

fn interfaces(out: &mut Out, all: &[InterfaceStatus]) {
    let numbers: Vec<_> = (0..all.len()).map(|number| alloc::format!("{number}")).collect();
    let label = |value| Some(Label { name: "interface", value });
    out.name("link_up", Kind::Gauge, "1 while frames can flow.");
    for (number, interface) in numbers.iter().zip(all) {
        let labels = Labels { owner: label(number.as_str()), by: None };
        out.sample("link_up", Kind::Gauge, labels, u8::from(interface.link_up));
    }
    out.name("address_info", Kind::Gauge, "Addresses in use; always 1.");
    for (number, interface) in numbers.iter().zip(all) {
        for address in interface.addresses() {
            let labels = Labels { owner: label(number), by: Some(Label { name: "address", value: address }) };
            out.sample("address_info", Kind::Gauge, labels, 1);
        }
    }
    let owners: Vec<_> =
        numbers.iter().zip(all).map(|(number, interface)| (label(number), &interface.groups)).collect();
    out.groups("", &owners);
}
