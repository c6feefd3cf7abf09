//! Where our address comes from: fixed, or from a DHCP server that is asked again and again.
//!
//! ```text
//!   Discovering ──ACK──► Bound ──ACK──► Bound (renewed)
//!        ▲                 │ NAK, expired: address removed
//!        └─────────────────┤
//!        └──── new link ───┘ address kept until the old lease ends or another one comes
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Waker;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpOption, DhcpPacket, Ipv4Address, Ipv4Cidr};

use crate::base::config::Addressing;
use crate::base::status::DhcpStatus;
use crate::base::time;
use crate::frame::local::is_unicast;

/// DHCP options by number (RFC 2132).
const OPTION_ROUTER: u8 = 3;
const OPTION_HOSTNAME: u8 = 12;
const OPTION_LEASE_TIME: u8 = 51;

/// What smoltcp assumes when the server names no lease time.
const DEFAULT_LEASE: Duration = Duration::from_secs(120);

/// Bytes of the longest DHCP message that is looked at.
const MESSAGE_LEN: usize = 1500;

/// The longest host name that DHCP carries, bytes.
const HOSTNAME_LEN: usize = 255;

/// How the client asks: a guest should not wait ten seconds for a bridge that was not forwarding yet.
const DISCOVER_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Our address and its source.
pub(crate) struct Address {
    pub(crate) hostname: String,
    pub(crate) gateway: Option<Ipv4Address>,
    pub(crate) dns: Vec<Ipv4Address>,
    /// Neighbours are to be told of us.
    pub(crate) announce: bool,
    /// When it is due once more: the first may be lost while a bridge learns the port.
    pub(crate) announce_again: Option<Instant>,
    pub(crate) dhcp: Option<SocketHandle>,
    pub(crate) lease: Option<Lease>,
    /// The client was sent to look again by us: that it lost its lease is not news.
    pub(crate) looking_again: bool,
    waiting: Vec<Waker>,
}

/// What a server gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Cidr,
    pub(crate) server: Ipv4Address,
    pub(crate) gateway: Option<Ipv4Address>,
    pub(crate) dns: Vec<Ipv4Address>,
    pub(crate) length: Duration,
    pub(crate) expires: Instant,
}

impl Address {
    /// The source, and the address that it has from the start.
    pub(crate) fn new(
        addressing: Addressing,
        hostname: String,
        common: &mut SocketSet<'static>,
    ) -> (Self, Option<Ipv4Cidr>) {
        let mut this = Self {
            hostname,
            gateway: None,
            dns: Vec::new(),
            announce: false,
            announce_again: None,
            dhcp: None,
            lease: None,
            looking_again: false,
            waiting: Vec::new(),
        };
        match addressing {
            Addressing::Dhcp => {
                this.dhcp = Some(common.add(client(&this.hostname)));
                (this, None)
            }
            Addressing::Static { address, gateway, dns } => {
                this.gateway = gateway.filter(|gateway| usable_gateway(*gateway, address));
                this.dns = dns;
                let address = Some(address).filter(|address| usable(*address));
                if address.is_none() {
                    log::error!("net: the configured address cannot be a host's; the interface has none");
                }
                (this, address)
            }
        }
    }

    /// Wakes the task when there is an address.
    pub(crate) fn register(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    pub(crate) fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    pub(crate) fn status(&self, now: Instant) -> DhcpStatus {
        match (&self.lease, self.dhcp) {
            (_, None) => DhcpStatus::Off,
            (None, Some(_)) => DhcpStatus::Discovering,
            (Some(lease), Some(_)) => DhcpStatus::Bound {
                server: lease.server,
                lease: lease.length.into(),
                expires_in: time::until(now, lease.expires),
            },
        }
    }

    /// When the lease ends, should the client not see to it itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lease.as_ref().map(|lease| lease.expires)
    }
}

/// The client lives as long as the stack, and so does what it sends and where it receives: both are leaked, once.
fn client(hostname: &str) -> dhcpv4::Socket<'static> {
    let mut client = dhcpv4::Socket::new();
    let mut retry = client.get_retry_config();
    retry.discover_timeout = DISCOVER_TIMEOUT;
    retry.initial_request_timeout = REQUEST_TIMEOUT;
    client.set_retry_config(retry);
    client.set_receive_packet_buffer(Box::leak(vec![0; MESSAGE_LEN].into_boxed_slice()));
    if !hostname.is_empty() && hostname.len() <= HOSTNAME_LEN {
        let name: &'static [u8] = Box::leak(Box::from(hostname.as_bytes()));
        client.set_outgoing_options(Box::leak(Box::new([DhcpOption { kind: OPTION_HOSTNAME, data: name }])));
    }
    client
}

pub(crate) fn log_lease(lease: &Lease) {
    let Lease { address, server, length, .. } = lease;
    match lease.gateway {
        Some(gateway) => {
            log::info!("net: DHCP lease {address} from {server}, gateway {gateway}, {} s", length.secs());
        }
        None => log::info!("net: DHCP lease {address} from {server}, no gateway, {} s", length.secs()),
    }
}

pub(crate) fn lease(config: &dhcpv4::Config<'_>, now: Instant) -> Lease {
    let packet = config.packet.as_ref();
    let length = packet
        .and_then(|packet| number(packet, OPTION_LEASE_TIME))
        .map_or(DEFAULT_LEASE, |seconds| Duration::from_secs(u64::from(seconds)));
    // smoltcp takes a router only when exactly one is named; the first of several will do.
    let gateway = config
        .router
        .or_else(|| packet.and_then(|packet| number(packet, OPTION_ROUTER)).map(Ipv4Address::from_bits));
    if let Some(gateway) = gateway.filter(|gateway| !usable_gateway(*gateway, config.address)) {
        log::warn!("net: DHCP server {} names gateway {gateway}, which is ignored", config.server.address);
    }
    Lease {
        address: config.address,
        server: config.server.address,
        gateway: gateway.filter(|gateway| usable_gateway(*gateway, config.address)),
        dns: config.dns_servers.iter().copied().collect(),
        length,
        expires: time::after(now, length),
    }
}

/// The first four bytes of an option.
fn number(packet: &DhcpPacket<&[u8]>, kind: u8) -> Option<u32> {
    let option = packet.options().find(|option| option.kind == kind)?;
    option.data.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Whether a host can have this address: unicast, and neither the network's own nor its broadcast address.
pub(crate) fn usable(address: Ipv4Cidr) -> bool {
    let host = address.address();
    let edge = address.prefix_len() < 31
        && (Some(host) == address.broadcast() || host == address.network().address());
    is_unicast(host) && !host.is_loopback() && address.prefix_len() != 0 && !edge
}

/// smoltcp panics when a route leads to an address that is not unicast, and never resolves one off our network.
fn usable_gateway(gateway: Ipv4Address, address: Ipv4Cidr) -> bool {
    is_unicast(gateway)
        && gateway != address.address()
        && address.contains_addr(&gateway)
        && Some(gateway) != address.broadcast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(last: u8, prefix: u8) -> Ipv4Cidr {
        Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, last), prefix)
    }

    #[test]
    fn addresses_that_no_host_can_have_are_refused() {
        assert!(usable(cidr(15, 24)) && usable(cidr(15, 31)) && usable(cidr(15, 32)));
        assert!(!usable(cidr(255, 24)) && !usable(cidr(0, 24)) && !usable(cidr(15, 0)));
        assert!(!usable(Ipv4Cidr::new(Ipv4Address::new(127, 0, 0, 1), 8)));
        assert!(!usable(Ipv4Cidr::new(Ipv4Address::UNSPECIFIED, 24)));
    }

    #[test]
    fn gateways_that_smoltcp_would_panic_on_are_refused() {
        let ours = cidr(15, 24);
        assert!(usable_gateway(Ipv4Address::new(10, 0, 2, 2), ours));
        for bad in [
            [0, 0, 0, 0],
            [255, 255, 255, 255],
            [224, 0, 0, 1],
            [10, 0, 3, 2],
            [10, 0, 2, 15],
            [10, 0, 2, 255],
        ] {
            assert!(!usable_gateway(Ipv4Address::from(bad), ours), "{bad:?}");
        }
        let half = Ipv4Cidr::new(Ipv4Address::new(200, 0, 0, 1), 1);
        assert!(!usable_gateway(Ipv4Address::new(224, 0, 0, 1), half));
    }
}
