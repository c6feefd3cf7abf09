//! `ip=`, `gw=`, `dns=`, `ip6=`, `gw6=`: how the interfaces get their addresses.
//!
//! The keys as they are belong to the first interface; with a number behind a dot, to `device/vif/<number>`. An interface
//! of which nothing was said asks a DHCP server. `ip=dhcp gw.1=…` is wrong: with DHCP the server names the gateway; `ip6=auto
//! gw6=…` too: routers name themselves.

use super::{ConfigError, parse, wrong};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

const MAX_DNS: usize = 3;
/// Numbers that a vif can have on a command line.
const MAX_VIF: u32 = 255;

/// How an interface gets its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ip {
    /// By DHCPv4.
    Dhcp,
    /// As given.
    Static {
        /// Address.
        address: Ipv4Addr,
        /// Bits of the network's prefix, 0 to 32.
        prefix: u8,
        /// Default gateway.
        gateway: Option<Ipv4Addr>,
        /// Name servers.
        dns: Vec<Ipv4Addr>,
    },
}

/// How an interface gets its IPv6 addresses, besides the link-local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip6 {
    /// Not at all, and it has no link-local one.
    Off,
    /// By router advertisements.
    Auto,
    /// As given.
    Static {
        /// Address.
        address: Ipv6Addr,
        /// Bits of the network's prefix, 1 to 128.
        prefix: u8,
        /// Default gateway.
        gateway: Option<Ipv6Addr>,
    },
}

/// How each interface gets its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// By the number of its vif; `None`: the first, whatever its number.
    known: Vec<(Option<u32>, Option<Ip>, Option<Ip6>)>,
}

impl Addresses {
    /// What was said of `device/vif/<handle>`, which is the `first` interface or another one.
    #[must_use]
    pub fn of(&self, handle: u32, first: bool) -> &Ip {
        self.said(handle, first).find_map(|(_, ip, _)| ip.as_ref()).unwrap_or(&Ip::Dhcp)
    }

    /// The same for IPv6.
    #[must_use]
    pub fn of6(&self, handle: u32, first: bool) -> Ip6 {
        self.said(handle, first).find_map(|(_, _, ip6)| *ip6).unwrap_or(Ip6::Auto)
    }

    /// Its own words, then those without a number if they are its.
    fn said(
        &self,
        handle: u32,
        first: bool,
    ) -> impl Iterator<Item = &(Option<u32>, Option<Ip>, Option<Ip6>)> {
        let with = move |key: Option<u32>| self.known.iter().filter(move |(known, ..)| *known == key);
        with(Some(handle)).chain(with(None).filter(move |_| first))
    }
}

/// The words about one interface.
#[derive(Clone, Debug, Default)]
struct Words {
    address: Option<(Ipv4Addr, u8)>,
    gateway: Option<Ipv4Addr>,
    dns: Vec<Ipv4Addr>,
    dhcp: bool,
    ip6: Option<Ip6>,
    gateway6: Option<Ipv6Addr>,
}

impl Words {
    /// The fixed address with its gateway; a gateway without one is an error.
    fn ipv6(&self, end: &str) -> Result<Option<Ip6>, ConfigError> {
        match (self.ip6, self.gateway6) {
            (Some(Ip6::Static { address, prefix, .. }), gateway) => {
                Ok(Some(Ip6::Static { address, prefix, gateway }))
            }
            (ip6, None) => Ok(ip6),
            (_, Some(gateway)) => {
                let right = format!("without a fixed address routers name themselves; add ip6{end}=");
                Err(wrong(&format!("gw6{end}"), &gateway.to_string(), &right))
            }
        }
    }
}

/// The words about all interfaces, while they are read.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressKeys(Vec<(Option<u32>, Words)>);

impl AddressKeys {
    /// Takes a word, if its key is one of these; whether it is.
    pub(super) fn word(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        let (name, vif) = match key.split_once('.') {
            None => (key, None),
            Some((name @ ("ip" | "gw" | "dns" | "ip6" | "gw6"), number)) => {
                (name, Some(vif(key, number, value)?))
            }
            Some(_) => return Ok(false),
        };
        match name {
            "ip" => {
                let address = address(key, value)?;
                let words = self.words(vif);
                (words.address, words.dhcp) = (address, address.is_none());
            }
            "ip6" => self.words(vif).ip6 = Some(address6(key, value)?),
            "gw6" => {
                let right = "the gateway's IPv6 address, like gw6=2001:db8::1 or gw6=fe80::1";
                self.words(vif).gateway6 = Some(host6(value).ok_or_else(|| wrong(key, value, right))?);
            }
            "gw" => {
                let right = "the gateway's IPv4 address, like gw=192.0.2.1";
                self.words(vif).gateway = Some(parse(key, value, right)?);
            }
            "dns" => self.words(vif).dns = servers(key, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn words(&mut self, vif: Option<u32>) -> &mut Words {
        let at = self.0.iter().position(|(known, _)| *known == vif).unwrap_or_else(|| {
            self.0.push((vif, Words::default()));
            self.0.len().saturating_sub(1)
        });
        #[allow(clippy::indexing_slicing, reason = "the place was just found or made")]
        &mut self.0[at].1
    }

    /// What they come to, and words that contradict each other.
    pub(super) fn finish(self) -> (Addresses, Vec<ConfigError>) {
        let (mut addresses, mut errors) = (Addresses::default(), Vec::new());
        for (vif, words) in self.0 {
            let end = vif.map(|number| format!(".{number}")).unwrap_or_default();
            let ip6 = words.ipv6(&end).unwrap_or_else(|error| {
                errors.push(error);
                None
            });
            let Words { address, gateway, dns, dhcp, .. } = words;
            let Some((address, prefix)) = address else {
                let names = [("gw", "names the gateway", gateway), ("dns", "names it", dns.first().copied())];
                errors.extend(names.into_iter().filter_map(|(key, what, value)| {
                    let right = format!("with DHCP the server {what}; add ip{end}=");
                    Some(wrong(&format!("{key}{end}"), &value?.to_string(), &right))
                }));
                addresses.known.push((vif, dhcp.then_some(Ip::Dhcp), ip6));
                continue;
            };
            addresses.known.push((vif, Some(Ip::Static { address, prefix, gateway, dns }), ip6));
        }
        (addresses, errors)
    }
}

/// The number in a key.
fn vif(key: &str, number: &str, value: &str) -> Result<u32, ConfigError> {
    let right = "the N of device/vif/N behind the dot, 0 to 255, like ip.1=192.0.2.10/24";
    let canonical = |vif: &u32| *vif <= MAX_VIF && vif.to_string() == number;
    number.parse().ok().filter(canonical).ok_or_else(|| wrong(key, value, right))
}

/// `dhcp` is `None`.
fn address(key: &str, value: &str) -> Result<Option<(Ipv4Addr, u8)>, ConfigError> {
    let right = "ip=dhcp, or an IPv4 address with its prefix length, like ip=192.0.2.10/24";
    if value == "dhcp" {
        return Ok(None);
    }
    let (address, prefix) = value.split_once('/').ok_or_else(|| wrong(key, value, right))?;
    let address: Ipv4Addr = address.parse().map_err(|_| wrong(key, value, right))?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong(key, value, right))?;
    let usable =
        prefix <= 32 && !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast();
    if usable { Ok(Some((address, prefix))) } else { Err(wrong(key, value, right)) }
}

fn address6(key: &str, value: &str) -> Result<Ip6, ConfigError> {
    let right = "ip6=auto, ip6=off, or an IPv6 address with its prefix length, like ip6=2001:db8::10/64";
    let fixed = || {
        let (address, prefix) = value.split_once('/')?;
        let (address, prefix) = (host6(address)?, prefix.parse().ok()?);
        let fits = (1..=128).contains(&prefix) && !address.is_unicast_link_local();
        fits.then_some(Ip6::Static { address, prefix, gateway: None })
    };
    match value {
        "auto" => Ok(Ip6::Auto),
        "off" => Ok(Ip6::Off),
        _ => fixed().ok_or_else(|| wrong(key, value, right)),
    }
}

/// An address that a host can have.
fn host6(value: &str) -> Option<Ipv6Addr> {
    value.parse().ok().filter(|address| net::is_ipv6_unicast(*address))
}

fn servers(key: &str, value: &str) -> Result<Vec<Ipv4Addr>, ConfigError> {
    let right = "up to 3 IPv4 addresses separated by commas, like dns=192.0.2.1,192.0.2.2";
    let servers: Vec<Ipv4Addr> =
        value.split(',').map(|one| parse(key, one, right)).collect::<Result<_, _>>()?;
    if servers.len() <= MAX_DNS { Ok(servers) } else { Err(wrong(key, value, right)) }
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
    fn each_interface_has_words_of_its_own() {
        let line = b"ip=192.0.2.10/24 gw=192.0.2.1 ip.2=198.51.100.7/28 dns.2=198.51.100.1 ip.0=dhcp";
        let addresses = Config::parse(line).unwrap().addresses;
        assert_eq!(host(addresses.of(1, true)), Some([192, 0, 2, 10]), "the first one");
        assert_eq!(host(addresses.of(5, true)), Some([192, 0, 2, 10]), "whatever its number");
        assert_eq!(host(addresses.of(0, true)), None, "unless its own words say otherwise");
        assert_eq!(host(addresses.of(5, false)), None);
        assert_eq!(host(addresses.of(2, false)), Some([198, 51, 100, 7]));
        assert_eq!(host(addresses.of(2, true)), Some([198, 51, 100, 7]), "its own words win");
    }

    #[test]
    fn numbers_and_contradictions_are_told() {
        for line in ["ip.x=dhcp", "gw.256=10.0.0.1", "dns.=10.0.0.1", "ip.01=dhcp"] {
            assert!(error(line).contains("the N of device/vif/N"), "{line}: {}", error(line));
        }
        assert!(
            error("gw.3=10.0.0.1").contains("gw.3=10.0.0.1 is wrong: with DHCP the server names the gateway")
        );
        assert!(error("dns.3=10.0.0.1").contains("add ip.3="));
        assert!(error("gw6.3=fe80::1").contains("routers name themselves; add ip6.3="));
        assert!(error("ip6=off gw6=fe80::1").contains("add ip6="));
    }

    #[test]
    fn ipv6_has_words_of_its_own() {
        let fixed = |gateway| Ip6::Static { address: "2001:db8::7".parse().unwrap(), prefix: 64, gateway };
        let of = |line: &str, vif| Config::parse(line.as_bytes()).unwrap().addresses.of6(vif, vif == 0);
        assert_eq!((of("", 0), of("ip6=auto", 0), of("ip6=off", 0)), (Ip6::Auto, Ip6::Auto, Ip6::Off));
        assert_eq!(of("ip6=2001:db8::7/64", 0), fixed(None));
        let gateway = "fe80::1".parse().ok();
        assert_eq!(of("gw6.1=fe80::1 ip6.1=2001:db8::7/64 ip6=off", 1), fixed(gateway));
        assert_eq!((of("ip6.1=off", 0), of("ip6=off", 1)), (Ip6::Auto, Ip6::Auto), "others' words");
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
            assert!(error(line).contains("like gw6=2001:db8::1"), "{line}: {}", error(line));
        }
    }
}
