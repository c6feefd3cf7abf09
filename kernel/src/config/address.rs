//! `ip=`, `gw=`, `dns=`, `ip6=`, `gw6=`: the addresses of the interfaces.
//!
//! ```text
//!   ip=…      the first interface          ip.N=…      the interface device/vif/N, whatever its order
//! ```
//!
//! An interface without words uses DHCP and router advertisements. A gateway needs a static address: with DHCP the server
//! names it, and with `ip6=auto` routers announce themselves. A gateway must be reachable: within the prefix or, with
//! `/32` (`/128`), anywhere on the link.

use super::ConfigError;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use cmdline::{Key, Value};
use core::net::{Ipv4Addr, Ipv6Addr};
use net::GatewayError;

/// Name servers at most.
const MAX_DNS: usize = 3;
/// The greatest N of `ip.N=`.
const MAX_VIF: u32 = 255;

/// The keys.
pub const KEYS: &[Key<VifWords>] = &[
    Key {
        name: "ip",
        value: Value::Text {
            syntax: "dhcp, or an IPv4 address with its prefix length",
            set: |words, value| {
                words.ip = Some(if value == "dhcp" { Ip4Word::Dhcp } else { static4(value)? });
                Some(())
            },
        },
        default: "dhcp",
        help: "the IPv4 address",
        example: "192.0.2.10/24",
    },
    Key {
        name: "gw",
        value: Value::Text {
            syntax: "an IPv4 address",
            set: |words, value| {
                words.gateway = Some(value.parse().ok()?);
                Some(())
            },
        },
        default: "none",
        help: "the gateway; only with a static `ip=`; outside of its prefix only with `/32`",
        example: "192.0.2.1",
    },
    Key {
        name: "dns",
        value: Value::Text { syntax: "up to 3 IPv4 addresses, separated by commas", set: set_dns },
        default: "none",
        help: "name servers; only with a static `ip=`",
        example: "192.0.2.1,192.0.2.2",
    },
    Key {
        name: "ip6",
        value: Value::Text {
            syntax: "auto (by router advertisements), off, or an IPv6 address with its prefix length",
            set: |words, value| {
                words.ip6 = Some(match value {
                    "auto" => Ip6::Auto,
                    "off" => Ip6::Off,
                    _ => static6(value)?,
                });
                Some(())
            },
        },
        default: "auto",
        help: "the IPv6 addresses",
        example: "2001:db8::10/64",
    },
    Key {
        name: "gw6",
        value: Value::Text {
            syntax: "an IPv6 address",
            set: |words, value| {
                words.gateway6 = Some(host6(value)?);
                Some(())
            },
        },
        default: "none",
        help: "the IPv6 gateway; only with a static `ip6=`",
        example: "fe80::1",
    },
];

/// How an interface gets its IPv4 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ip {
    /// By DHCP.
    Dhcp,
    /// As given.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// Bits of the prefix, 0 to 32.
        prefix: u8,
        /// The default gateway.
        gateway: Option<Ipv4Addr>,
        /// Name servers.
        dns: Vec<Ipv4Addr>,
    },
}

/// How an interface gets its IPv6 addresses, besides the link-local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip6 {
    /// IPv6 is off: there is no link-local address either.
    Off,
    /// By router advertisements.
    Auto,
    /// As given.
    Static {
        /// The address.
        address: Ipv6Addr,
        /// Bits of the prefix, 1 to 128.
        prefix: u8,
        /// The default gateway.
        gateway: Option<Ipv6Addr>,
    },
}

/// The configured addresses of all interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<VifAddresses>);

/// The configured addresses of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
struct VifAddresses {
    /// N of `device/vif/N`; `None` for the first interface.
    vif: Option<u32>,
    ip: Option<Ip>,
    ip6: Option<Ip6>,
}

impl Addresses {
    /// How `device/vif/<handle>` gets its IPv4 address. `first`: it is the first interface.
    #[must_use]
    pub fn of(&self, handle: u32, first: bool) -> &Ip {
        self.about(handle, first).find_map(|vif| vif.ip.as_ref()).unwrap_or(&Ip::Dhcp)
    }

    /// The same for IPv6.
    #[must_use]
    pub fn of6(&self, handle: u32, first: bool) -> Ip6 {
        self.about(handle, first).find_map(|vif| vif.ip6).unwrap_or(Ip6::Auto)
    }

    /// The words with the interface's number, then those without a number if it is the first.
    fn about(&self, handle: u32, first: bool) -> impl Iterator<Item = &VifAddresses> {
        let with = move |key: Option<u32>| self.0.iter().filter(move |known| known.vif == key);
        with(Some(handle)).chain(with(None).filter(move |_| first))
    }

    /// Puts the words of each interface together. Returns the errors of words that contradict each other too.
    pub(super) fn from_words(words: Vec<VifWords>) -> (Self, Vec<ConfigError>) {
        let mut errors = Vec::new();
        let vifs = words.into_iter().map(|words| {
            let suffix = words.vif.map(|number| format!(".{number}")).unwrap_or_default();
            let ip = words.ipv4(&suffix, &mut errors);
            let ip6 = words.ipv6(&suffix, &mut errors);
            VifAddresses { vif: words.vif, ip, ip6 }
        });
        let addresses = Self(vifs.collect());
        (addresses, errors)
    }
}

/// The value of `ip=`.
#[derive(Clone, Copy, Debug)]
enum Ip4Word {
    Dhcp,
    Static(Ipv4Addr, u8),
}

/// The words about one interface, as they are parsed.
#[derive(Clone, Debug, Default)]
pub struct VifWords {
    /// N of `device/vif/N`; `None` for the first interface.
    vif: Option<u32>,
    ip: Option<Ip4Word>,
    gateway: Option<Ipv4Addr>,
    dns: Vec<Ipv4Addr>,
    ip6: Option<Ip6>,
    gateway6: Option<Ipv6Addr>,
}

impl VifWords {
    /// The words about an interface; new ones if there are none yet.
    pub(super) fn of(all: &mut Vec<Self>, vif: Option<u32>) -> &mut Self {
        let at = all.iter().position(|words| words.vif == vif).unwrap_or_else(|| {
            all.push(Self { vif, ..Self::default() });
            all.len().saturating_sub(1)
        });
        #[allow(clippy::indexing_slicing, reason = "the index was just found or created")]
        &mut all[at]
    }

    /// IPv4 address, gateway and name servers together.
    fn ipv4(&self, suffix: &str, errors: &mut Vec<ConfigError>) -> Option<Ip> {
        let mut wrong = |key: &str, value: String, right: &str| {
            errors.push(ConfigError::new(&format!("{key}{suffix}"), &value, right));
        };
        let Some(Ip4Word::Static(address, prefix)) = self.ip else {
            let needs = |what| format!("with DHCP the server {what}; add a static ip{suffix}=");
            if let Some(gateway) = self.gateway {
                wrong("gw", gateway.to_string(), &needs("names the gateway"));
            }
            if let Some(server) = self.dns.first() {
                wrong("dns", server.to_string(), &needs("names the name servers"));
            }
            return self.ip.map(|_| Ip::Dhcp);
        };
        if let Some(gateway) = self.gateway
            && let Err(right) = check_gateway4(address, prefix, gateway)
        {
            wrong("gw", gateway.to_string(), &right);
        }
        Some(Ip::Static { address, prefix, gateway: self.gateway, dns: self.dns.clone() })
    }

    /// IPv6 address and gateway together.
    fn ipv6(&self, suffix: &str, errors: &mut Vec<ConfigError>) -> Option<Ip6> {
        let Some(gateway) = self.gateway6 else { return self.ip6 };
        let right = match self.ip6 {
            Some(Ip6::Static { address, prefix, .. }) => match check_gateway6(address, prefix, gateway) {
                Ok(()) => return Some(Ip6::Static { address, prefix, gateway: Some(gateway) }),
                Err(right) => right,
            },
            _ => format!("without a static address routers announce themselves; add a static ip6{suffix}="),
        };
        errors.push(ConfigError::new(&format!("gw6{suffix}"), &gateway.to_string(), &right));
        self.ip6
    }
}

/// A key, and the N of `device/vif/N` if the word has one.
type VifKey = (&'static Key<VifWords>, Option<u32>);

/// Finds the key of a word, with or without the number of an interface.
pub(super) fn find(key: &str, value: &str) -> Result<Option<VifKey>, ConfigError> {
    let (name, number) = key.split_once('.').map_or((key, None), |(name, number)| (name, Some(number)));
    let Some(known) = cmdline::find(KEYS, name) else { return Ok(None) };
    let Some(number) = number else { return Ok(Some((known, None))) };
    let right = "behind the dot is the N of device/vif/N, 0 to 255, like ip.1=192.0.2.10/24";
    let canonical = |vif: &u32| *vif <= MAX_VIF && vif.to_string() == number;
    let vif = number.parse().ok().filter(canonical);
    vif.map(|vif| Some((known, Some(vif)))).ok_or_else(|| ConfigError::new(key, value, right))
}

/// Parses an address with its prefix length.
fn static4(value: &str) -> Option<Ip4Word> {
    let (address, prefix) = value.split_once('/')?;
    let (address, prefix) = (address.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?);
    (prefix <= 32 && is_host4(address)).then_some(Ip4Word::Static(address, prefix))
}

/// Whether a host can have the address.
const fn is_host4(address: Ipv4Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast() && !address.is_loopback()
}

/// Parses an address with its prefix length.
fn static6(value: &str) -> Option<Ip6> {
    let (address, prefix) = value.split_once('/')?;
    let (address, prefix) = (host6(address)?, prefix.parse().ok()?);
    let fits = (1..=128).contains(&prefix) && !address.is_unicast_link_local();
    fits.then_some(Ip6::Static { address, prefix, gateway: None })
}

/// Parses an IPv6 address that a host can have.
fn host6(value: &str) -> Option<Ipv6Addr> {
    value.parse().ok().filter(|address| net::is_ipv6_unicast(*address))
}

fn set_dns(words: &mut VifWords, value: &str) -> Option<()> {
    let servers: Vec<Ipv4Addr> = value.split(',').map(|one| one.parse().ok()).collect::<Option<_>>()?;
    (servers.len() <= MAX_DNS).then(|| words.dns = servers)
}

/// Whether an interface can reach this gateway; if not, what would be right.
fn check_gateway4(address: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) -> Result<(), String> {
    net::check_gateway(net::Ipv4Cidr::new(address, prefix), gateway).map_err(|why| match why {
        GatewayError::OurOwn => "the gateway is another host than ip=".to_string(),
        GatewayError::OutsideNetwork => {
            format!("an address within {address}/{prefix}; for a gateway outside, write ip={address}/32")
        }
        GatewayError::NotAHost if is_host4(gateway) => {
            "a host's address, not that of the network or its broadcast".to_string()
        }
        GatewayError::NotAHost => "a unicast address".to_string(),
    })
}

/// Whether an interface can reach this gateway; if not, what would be right.
fn check_gateway6(address: Ipv6Addr, prefix: u8, gateway: Ipv6Addr) -> Result<(), String> {
    let host_bits = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let within = (gateway.to_bits() ^ address.to_bits()) & !host_bits == 0;
    if gateway == address {
        Err("the gateway is another host than ip6=".to_string())
    } else if within || prefix == 128 || gateway.is_unicast_link_local() {
        Ok(())
    } else {
        Err(format!("a link-local address (fe80::/10), or one within {address}/{prefix}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use alloc::string::String;

    fn error(line: &str) -> String {
        Config::parse(line.as_bytes()).unwrap_err()[0].to_string()
    }

    fn host(ip: &Ip) -> Option<[u8; 4]> {
        match ip {
            Ip::Dhcp => None,
            Ip::Static { address, .. } => Some(address.octets()),
        }
    }

    #[test]
    fn each_interface_has_its_own_words() {
        let line = b"ip=192.0.2.10/24 gw=192.0.2.1 ip.2=198.51.100.7/28 dns.2=198.51.100.1 ip.0=dhcp";
        let addresses = Config::parse(line).unwrap().addresses;
        assert_eq!(host(addresses.of(1, true)), Some([192, 0, 2, 10]), "the first interface");
        assert_eq!(host(addresses.of(5, true)), Some([192, 0, 2, 10]), "whatever its number");
        assert_eq!(host(addresses.of(0, true)), None, "words with its number win");
        assert_eq!(host(addresses.of(5, false)), None);
        assert_eq!(host(addresses.of(2, false)), Some([198, 51, 100, 7]));
        assert_eq!(
            host(addresses.of(2, true)),
            Some([198, 51, 100, 7]),
            "words with its number win, for the first interface too"
        );
    }

    #[test]
    fn numbers_and_contradictions_are_errors() {
        for line in ["ip.x=dhcp", "gw.256=10.0.0.1", "dns.=10.0.0.1", "ip.01=dhcp"] {
            assert!(error(line).contains("the N of device/vif/N"), "{line}: {}", error(line));
        }
        assert!(
            error("gw.3=10.0.0.1").contains(
                "gw.3=10.0.0.1 is wrong: with DHCP the server names the gateway; add a static ip.3="
            )
        );
        assert!(error("dns.3=10.0.0.1").contains("names the name servers; add a static ip.3="));
        assert!(error("gw6.3=fe80::1").contains("routers announce themselves; add a static ip6.3="));
        assert!(error("ip6=off gw6=fe80::1").contains("add a static ip6="));
    }

    #[test]
    fn ipv6_addresses_are_parsed() {
        let fixed = |gateway| Ip6::Static { address: "2001:db8::7".parse().unwrap(), prefix: 64, gateway };
        let of = |line: &str, vif| Config::parse(line.as_bytes()).unwrap().addresses.of6(vif, vif == 0);
        assert_eq!((of("", 0), of("ip6=auto", 0), of("ip6=off", 0)), (Ip6::Auto, Ip6::Auto, Ip6::Off));
        assert_eq!(of("ip6=2001:db8::7/64", 0), fixed(None));
        let gateway = "fe80::1".parse().ok();
        assert_eq!(of("gw6.1=fe80::1 ip6.1=2001:db8::7/64 ip6=off", 1), fixed(gateway));
        assert_eq!(
            (of("ip6.1=off", 0), of("ip6=off", 1)),
            (Ip6::Auto, Ip6::Auto),
            "words about other interfaces"
        );
        let both = Config::parse(b"ip=192.0.2.10/24 ip6.0=off").unwrap().addresses;
        assert_eq!((host(both.of(0, true)), both.of6(0, true)), (Some([192, 0, 2, 10]), Ip6::Off));
        let dhcp = Config::parse(b"ip=192.0.2.10/24 ip.0=dhcp").unwrap().addresses;
        assert_eq!(host(dhcp.of(0, true)), None);
        for line in [
            "ip6=on",
            "ip6=2001:db8::7",
            "ip6=2001:db8::7/0",
            "ip6=2001:db8::7/129",
            "ip6=fe80::7/64",
            "ip6=ff02::1/64",
            "ip6=::1/128",
            "ip6=::ffff:192.0.2.1/96",
            "ip6=192.0.2.1/24",
        ] {
            assert!(error(line).contains("like ip6=2001:db8::10/64"), "{line}: {}", error(line));
        }
        for line in ["ip6=2001:db8::7/64 gw6=x", "ip6=2001:db8::7/64 gw6=ff02::2"] {
            assert!(error(line).contains("an IPv6 address, like gw6=fe80::1"), "{line}: {}", error(line));
        }
    }

    #[test]
    fn a_gateway_must_be_reachable() {
        for line in [
            "ip=192.0.2.10/24 gw=192.0.2.1",
            "ip=192.0.2.10/32 gw=198.51.100.1",
            "ip=192.0.2.10/32 gw=192.0.2.1",
            "ip=192.0.2.10/31 gw=192.0.2.11",
            "ip=192.0.2.10/0 gw=198.51.100.1",
            "ip6=2001:db8::7/64 gw6=fe80::1",
            "ip6=2001:db8::7/64 gw6=2001:db8::1",
            "ip6=2001:db8::7/128 gw6=2001:db8:1::1",
        ] {
            assert!(Config::parse(line.as_bytes()).is_ok(), "{line}: {}", error(line));
        }
        for (line, right) in [
            (
                "ip=192.0.2.10/24 gw=192.0.3.1",
                "within 192.0.2.10/24; for a gateway outside, write ip=192.0.2.10/32",
            ),
            ("ip=192.0.2.10/31 gw=192.0.2.12", "an address within 192.0.2.10/31"),
            ("ip=192.0.2.10/24 gw=192.0.2.10", "another host than ip="),
            ("ip=192.0.2.10/32 gw=192.0.2.10", "another host than ip="),
            ("ip=192.0.2.10/24 gw=192.0.2.0", "not that of the network or its broadcast"),
            ("ip=192.0.2.10/24 gw=192.0.2.255", "not that of the network or its broadcast"),
            ("ip=192.0.2.10/32 gw=0.0.0.0", "a unicast address"),
            ("ip=192.0.2.10/32 gw=224.0.0.1", "a unicast address"),
            ("ip=192.0.2.10/32 gw=127.0.0.1", "a unicast address"),
            ("ip6=2001:db8::7/64 gw6=2001:db8:0:1::1", "within 2001:db8::7/64"),
            ("ip6=2001:db8::7/64 gw6=2001:db8::7", "another host than ip6="),
        ] {
            assert!(error(line).contains(right), "{line}: {}", error(line));
        }
    }
}
