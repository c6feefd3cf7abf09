//! The table of the shell's commands, and how they print numbers.
//!
//! ```text
//!   > pool
//!   0 rx_pool: in_ring 255, in_use 0, quarantined 0, free 257, total 512, max 1024
//!   │ └ group    └ name    └ value
//!   └ number of the interface
//! ```
//!
//! A command names groups of numbers, never a number: groups, names and values are those of `/status.json`. Counters that
//! stand at 0 are left out.

use crate::stats::numbers::{Group, Groups, Kind};
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write};

/// A command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Its line of `help`.
    help: &'static str,
    /// The groups that it shows: first those of the guest, then those of each interface.
    pub(super) groups: &'static [&'static str],
}

/// The commands, in the order of `help`.
pub(super) const COMMANDS: [Command; 11] = [
    Command { name: "help", help: "this list", groups: &[] },
    Command {
        name: "status",
        help: "name, memory, tasks, events, hypercalls",
        groups: &[
            "",
            "heap",
            "pages",
            "notifications",
            "events",
            "hypercalls",
            "loop",
            "xenstore",
            "console",
        ],
    },
    Command {
        name: "net",
        help: "addresses, packets, drops",
        groups: &["rx", "tx", "device", "drops", "misbehaviour"],
    },
    Command {
        name: "pool",
        help: "pages by state",
        groups: &["rx_pool", "rx_pool_changes", "tx_pool", "tx_pool_changes", "tx_contiguous"],
    },
    Command { name: "grants", help: "the grant table", groups: &["grants"] },
    Command {
        name: "memory",
        help: "heap use by consumer, limits, refusals",
        groups: &["ledger_used", "ledger_limit", "ledger_refused"],
    },
    Command { name: "conns", help: "listeners, and the first 20 connections", groups: &["sockets"] },
    Command { name: "tcp", help: "counters of the network stack", groups: &["stack", "tcp"] },
    Command { name: "log", help: "the last lines of the log", groups: &[] },
    Command { name: "crash", help: "'crash now' ends the guest with a crash report", groups: &[] },
    Command { name: "poweroff", help: "'poweroff now' powers the guest off", groups: &[] },
];

/// Characters of a line, if the names are not longer.
const LINE: usize = 96;

/// Writes a line for each command.
pub(super) fn help(text: &mut String) -> fmt::Result {
    COMMANDS.iter().try_for_each(|Command { name, help, .. }| writeln!(text, "{name:9} {help}"))
}

/// Writes the groups that a command shows. `prefix` stands before each.
pub(super) fn numbers(text: &mut String, prefix: &str, groups: &Groups, command: &Command) -> fmt::Result {
    let shown = command.groups.iter().filter_map(|key| groups.0.iter().find(|group| group.key == *key));
    shown.into_iter().try_for_each(|group| line(text, prefix, group))
}

fn line(text: &mut String, prefix: &str, group: &Group) -> fmt::Result {
    let mut line = format!("{prefix}{}:", if group.key.is_empty() { "guest" } else { group.key });
    let mut comma = "";
    for number in group.numbers.iter().filter(|number| number.value > 0 || number.kind != Kind::Counter) {
        let next = format!(" {} {}", number.name, number.value);
        line.push_str(comma);
        if line.len().saturating_add(next.len()) > LINE {
            writeln!(text, "{line}")?;
            line = String::from("   ");
        }
        line.push_str(&next);
        comma = ",";
    }
    writeln!(text, "{line}{}", if comma.is_empty() { " none" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, LINE, help, line, numbers};
    use crate::stats::numbers::{Group, Groups, Shape};
    use crate::stats::{InterfaceStats, Snapshot};
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    fn snapshot() -> Snapshot {
        let net = net::NetStatus {
            mac: "00-16-3e-5e-6c-00".parse().unwrap(),
            hostname: String::new(),
            link_up: true,
            mtu: 1500,
            address: None,
            gateway: None,
            ipv6: vec![],
            ipv6_gateway: None,
            dns: vec![],
            ntp: vec![],
            neighbours: 0,
            dhcp: net::DhcpStatus::Off,
            connections: 1,
            half_open: 0,
            time_wait: 0,
            listeners: 1,
            udp_sockets: 0,
            counters: Default::default(),
            tcp: Default::default(),
            drops: Default::default(),
        };
        Snapshot {
            uptime_ns: 0,
            unix_ns: None,
            name: "test",
            version: "0",
            domid: None,
            memory_bytes: 1,
            heap: Default::default(),
            pages: Default::default(),
            grants: Default::default(),
            events: Default::default(),
            hypercalls: crate::stats::Kind::ALL.map(|kind| (kind.name(), kind.help(), 0)),
            xenstore: Default::default(),
            xenstore_iterations: Default::default(),
            console: Default::default(),
            iterations: Default::default(),
            ledger: ledger::Ledger::new(1 << 20).usage(),
            tasks: 0,
            interfaces: vec![InterfaceStats { frontend: Default::default(), net }],
        }
    }

    /// A group of the status that no command shows, and a command's group that the status does not have, are found here.
    #[test]
    fn every_group_of_the_status_is_shown_by_one_command() {
        let snapshot = snapshot();
        let (guest, interface) = (snapshot.groups(), snapshot.interfaces[0].groups());
        // Sums over the interfaces are not shown: the interfaces are.
        let all = guest.0.iter().chain(&interface.0).filter(|group| group.shape != Shape::Hidden);
        let mut expected: Vec<_> = all.map(|group| group.key).collect();
        let mut shown: Vec<_> = COMMANDS.iter().flat_map(|command| command.groups).copied().collect();
        expected.sort_unstable();
        shown.sort_unstable();
        assert_eq!(shown, expected);
    }

    #[test]
    fn counters_at_zero_are_left_out_and_gauges_are_not() {
        let group = |key| {
            Group::new(key, "").counters([("issued", "", 7), ("ended", "", 0)]).gauges([(
                "free_entries",
                "",
                0,
            )])
        };
        let mut text = String::new();
        let groups = Groups(vec![group("pages"), group("grants")]);
        let command = COMMANDS.iter().find(|command| command.name == "grants").unwrap();
        numbers(&mut text, "0 ", &groups, command).unwrap();
        assert_eq!(text, "0 grants: issued 7, free_entries 0\n");
        text.clear();
        line(&mut text, "", &Group::new("drops", "").counters([("ipv6", "", 0)])).unwrap();
        assert_eq!(text, "drops: none\n");
    }

    #[test]
    fn a_long_group_takes_several_lines() {
        let names = ["a_name_of_some_length"; 9];
        let mut text = String::new();
        line(&mut text, "0 ", &Group::new("tcp", "").gauges(names.map(|name| (name, "", 12_345)))).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("    a_name")), "{text}");
        assert_eq!(text.matches("a_name_of_some_length 12345").count(), names.len());
    }

    #[test]
    fn help_has_a_line_for_each_command() {
        let mut text = String::new();
        help(&mut text).unwrap();
        assert_eq!(text.lines().count(), COMMANDS.len());
        assert!(text.ends_with("poweroff  'poweroff now' powers the guest off\n"));
    }
}
