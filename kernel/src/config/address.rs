//! `ip=`, `gw=`, `dns=`: how the interfaces get their addresses.
//!
//! The keys as they are belong to the first interface; with a number behind a dot, to `device/vif/<number>`. An interface
//! of which nothing was said asks a DHCP server. `ip=dhcp gw.1=…` is wrong: with DHCP the server names the gateway.

use super::{ConfigError, parse, wrong};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

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

/// How each interface gets its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// By the number of its vif; `None`: the first, whatever its number.
    known: Vec<(Option<u32>, Ip)>,
}

impl Addresses {
    /// What was said of `device/vif/<handle>`, which is the `first` interface or another one.
    #[must_use]
    pub fn of(&self, handle: u32, first: bool) -> &Ip {
        let find = |key: Option<u32>| self.known.iter().find(|(known, _)| *known == key).map(|(_, ip)| ip);
        find(Some(handle)).or_else(|| if first { find(None) } else { None }).unwrap_or(&Ip::Dhcp)
    }
}

/// The words about one interface.
#[derive(Clone, Debug, Default)]
struct Words {
    address: Option<(Ipv4Addr, u8)>,
    gateway: Option<Ipv4Addr>,
    dns: Vec<Ipv4Addr>,
}

/// The words about all interfaces, while they are read.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressKeys(Vec<(Option<u32>, Words)>);

impl AddressKeys {
    /// Takes a word, if its key is one of these; whether it is.
    pub(super) fn word(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        let (name, vif) = match key.split_once('.') {
            None => (key, None),
            Some((name @ ("ip" | "gw" | "dns"), number)) => (name, Some(vif(key, number, value)?)),
            Some(_) => return Ok(false),
        };
        match name {
            "ip" => self.words(vif).address = address(key, value)?,
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
        for (vif, Words { address, gateway, dns }) in self.0 {
            let Some((address, prefix)) = address else {
                let end = vif.map(|number| format!(".{number}")).unwrap_or_default();
                let names = [("gw", "names the gateway", gateway), ("dns", "names it", dns.first().copied())];
                errors.extend(names.into_iter().filter_map(|(key, what, value)| {
                    let right = format!("with DHCP the server {what}; add ip{end}=");
                    Some(wrong(&format!("{key}{end}"), &value?.to_string(), &right))
                }));
                addresses.known.push((vif, Ip::Dhcp));
                continue;
            };
            addresses.known.push((vif, Ip::Static { address, prefix, gateway, dns }));
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
    }
}
