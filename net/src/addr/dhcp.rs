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

use crate::frame::classify::is_unicast;
use crate::base::config::Addressing;
use crate::base::sched::Job;
use crate::turn::state::State;
use crate::base::status::{DhcpStatus, bump};
use crate::base::time;

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
    dhcp: Option<SocketHandle>,
    lease: Option<Lease>,
    /// The client was sent to look again by us: that it lost its lease is not news.
    looking_again: bool,
    waiting: Vec<Waker>,
}

/// What a server gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lease {
    address: Ipv4Cidr,
    server: Ipv4Address,
    gateway: Option<Ipv4Address>,
    dns: Vec<Ipv4Address>,
    length: Duration,
    expires: Instant,
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

impl State {
    /// Follows the DHCP client and the lease's end; called when the common sockets were polled.
    pub(crate) fn follow_dhcp(&mut self) {
        let now = self.now;
        let Some(handle) = self.address.dhcp else { return };
        match self.common.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            Some(dhcpv4::Event::Configured(config)) => {
                let lease = lease(&config, now);
                self.bound(lease);
            }
            Some(dhcpv4::Event::Deconfigured) if !core::mem::take(&mut self.address.looking_again) => {
                self.unbound("refused or expired");
            }
            Some(dhcpv4::Event::Deconfigured) | None => {}
        }
        if self.address.deadline().is_some_and(|end| end <= now) {
            self.unbound("expired");
        }
    }

    fn bound(&mut self, lease: Lease) {
        self.address.looking_again = false;
        if !usable(lease.address) {
            log::warn!("net: DHCP server {} offers {}, which no host can have", lease.server, lease.address);
            return;
        }
        if self.address.lease.as_ref().is_some_and(|old| old.address == lease.address) {
            bump(&mut self.counters.dhcp_renewed);
            log::debug!("net: DHCP lease {} renewed for {} s", lease.address, lease.length.secs());
        } else {
            bump(&mut self.counters.dhcp_bound);
            log_lease(&lease);
        }
        let moved = self.me.address != Some(lease.address) || self.address.gateway != lease.gateway;
        self.address.gateway = lease.gateway;
        self.address.dns.clone_from(&lease.dns);
        let address = lease.address;
        self.address.lease = Some(lease);
        if moved {
            self.set_address(Some(address));
        }
    }

    fn unbound(&mut self, why: &str) {
        let Some(lease) = self.address.lease.take() else { return };
        bump(&mut self.counters.dhcp_lost);
        log::warn!("net: DHCP lease {} lost ({why}); the interface has no address", lease.address);
        self.address.gateway = None;
        self.address.dns.clear();
        self.set_address(None);
    }

    /// The link is new and may lead elsewhere: asks for an address again, and keeps the old one meanwhile.
    pub(crate) fn look_again(&mut self) {
        let Some(handle) = self.address.dhcp else { return };
        // Only a client that holds a lease reports its loss.
        self.address.looking_again = self.address.lease.is_some();
        self.common.get_mut::<dhcpv4::Socket<'_>>(handle).reset();
        self.mark(Job::Common);
    }
}

fn log_lease(lease: &Lease) {
    let Lease { address, server, length, .. } = lease;
    match lease.gateway {
        Some(gateway) => {
            log::info!("net: DHCP lease {address} from {server}, gateway {gateway}, {} s", length.secs());
        }
        None => log::info!("net: DHCP lease {address} from {server}, no gateway, {} s", length.secs()),
    }
}

fn lease(config: &dhcpv4::Config<'_>, now: Instant) -> Lease {
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
fn usable(address: Ipv4Cidr) -> bool {
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
