//! The nodes that a guest agent writes into the domain's directory, and their values.
//!
//! | node | value | reader |
//! |---|---|---|
//! | `attr/vif/N/ipv4/M`, `attr/vif/N/ipv6/M` | addresses, without their prefix lengths | XCP-ng, Xen Orchestra |
//! | `attr/vif/N/mac/0` | `00:16:3e:…` | XCP-ng |
//! | `attr/PVAddons/MajorVersion`, `Minor…`, `Micro…`, `Build…` | our version; no 0 for the first | Xen Orchestra |
//! | `attr/PVAddons/Installed` | `1` | Xen Orchestra |
//! | `data/os_name`, `os_distro`, `os_uname`, `os_majorver`, `os_minorver` | name and version of this system | both |
//! | `data/meminfo_total`, `data/meminfo_free` | KiB | both |
//!
//! Sources: `docs/misc/xenstore-paths.pandoc` of Xen, and the schema of XCP-ng's guest agent. `control/feature-balloon` and
//! `feature/…` are not written: the guest does not balloon, and attaching a vif needs no feature.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::IpAddr;
use litemap::LiteMap;

/// Facts about the guest.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    /// The appliance's name.
    pub(crate) name: &'a str,
    /// The kernel's version, `major.minor.micro`.
    pub(crate) version: &'a str,
    /// RAM in bytes.
    pub(crate) memory_bytes: u64,
    /// Free bytes of it, in the heap and outside.
    pub(crate) free_bytes: u64,
    /// The network interfaces.
    pub(crate) vifs: &'a [VifFacts],
}

/// Facts about an interface.
#[derive(Clone, Debug)]
pub(crate) struct VifFacts {
    /// The N of `device/vif/N`.
    pub(crate) handle: u32,
    /// The hardware address.
    pub(crate) mac: [u8; 6],
    /// The addresses, IPv4 and IPv6.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Values of nodes by path.
pub(crate) type Nodes = LiteMap<String, String>;

impl Facts<'_> {
    /// The nodes with these facts.
    pub(crate) fn nodes(&self) -> Nodes {
        let mut nodes = Nodes::new();
        let mut add = |path: &str, value: String| drop(nodes.insert(path.to_owned(), value));
        let mut version = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
        let mut part = || version.next().unwrap_or_default();
        let (major, minor, micro) = (part(), part(), part());
        add("attr/PVAddons/Installed", "1".to_owned());
        // Xen Orchestra takes a major version of 0 for a guest without tools.
        add("attr/PVAddons/MajorVersion", major.max(1).to_string());
        add("attr/PVAddons/MinorVersion", minor.to_string());
        add("attr/PVAddons/MicroVersion", micro.to_string());
        add("attr/PVAddons/BuildVersion", "0".to_owned());
        add("data/os_name", format!("Millpond {} {}", self.version, self.name));
        add("data/os_distro", "millpond".to_owned());
        add("data/os_majorver", major.to_string());
        add("data/os_minorver", minor.to_string());
        add("data/os_uname", self.version.to_owned());
        add("data/meminfo_total", (self.memory_bytes >> 10).to_string());
        add("data/meminfo_free", (self.free_bytes >> 10).to_string());
        for VifFacts { handle, mac, addresses } in self.vifs {
            add(&format!("attr/vif/{handle}/mac/0"), hardware_address(*mac));
            let v4 = addresses.iter().filter(|address| address.is_ipv4());
            let v6 = addresses.iter().filter(|address| address.is_ipv6());
            for (at, address) in v4.enumerate() {
                add(&format!("attr/vif/{handle}/ipv4/{at}"), address.to_string());
            }
            for (at, address) in v6.enumerate() {
                add(&format!("attr/vif/{handle}/ipv6/{at}"), address.to_string());
            }
        }
        nodes
    }
}

/// A hardware address with colons, as xenstore has it.
fn hardware_address(bytes: [u8; 6]) -> String {
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{colon}{byte:02x}");
    }
    text
}

/// The nodes to write, and the nodes to remove, so that xenstore changes from `before` to `now`.
pub(crate) fn changes<'a>(
    before: &'a Nodes,
    now: &'a Nodes,
) -> (impl Iterator<Item = (&'a String, &'a String)>, impl Iterator<Item = &'a String>) {
    let written = now.iter().filter(|(path, value)| before.get(*path) != Some(value));
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    (written, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vif(addresses: &[&str]) -> VifFacts {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        VifFacts { handle: 0, mac: [0, 0x16, 0x3e, 0, 0xab, 1], addresses }
    }

    fn facts(vifs: &[VifFacts]) -> Facts<'_> {
        Facts { name: "web", version: "0.3.1", memory_bytes: 32 << 20, free_bytes: 20 << 20, vifs }
    }

    #[test]
    fn tools_find_the_nodes_that_they_read() {
        let second = VifFacts { handle: 7, ..vif(&["2001:db8::7", "192.0.2.8", "fe80::1"]) };
        let nodes = facts(&[vif(&["192.0.2.7"]), second]).nodes();
        for (path, value) in [
            ("attr/vif/0/ipv4/0", "192.0.2.7"),
            ("attr/vif/0/mac/0", "00:16:3e:00:ab:01"),
            ("attr/vif/7/ipv4/0", "192.0.2.8"),
            ("attr/vif/7/ipv6/0", "2001:db8::7"),
            ("attr/vif/7/ipv6/1", "fe80::1"),
            ("attr/PVAddons/MajorVersion", "1"),
            ("attr/PVAddons/MinorVersion", "3"),
            ("attr/PVAddons/MicroVersion", "1"),
            ("attr/PVAddons/BuildVersion", "0"),
            ("data/os_name", "Millpond 0.3.1 web"),
            ("data/os_distro", "millpond"),
            ("data/os_uname", "0.3.1"),
            ("data/meminfo_total", "32768"),
            ("data/meminfo_free", "20480"),
        ] {
            assert_eq!(nodes.get(path).map(String::as_str), Some(value), "{path}");
        }
    }

    #[test]
    fn only_changes_are_written_and_stale_nodes_removed() {
        let (with, without) = (facts(&[vif(&["192.0.2.7"])]).nodes(), facts(&[vif(&[])]).nodes());
        let (written, gone) = changes(&with, &without);
        assert_eq!(written.count(), 0);
        assert_eq!(gone.collect::<Vec<_>>(), ["attr/vif/0/ipv4/0"]);
        let (written, gone) = changes(&without, &with);
        assert_eq!(written.map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["attr/vif/0/ipv4/0"]);
        assert_eq!(gone.count(), 0);
        assert_eq!(changes(&Nodes::new(), &with).0.count(), with.len());
    }
}
