//! The IPv4 address of this host: its source, its routes, and the tasks that wait for it.

use alloc::string::String;
use alloc::vec::Vec;
use core::task::Waker;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv4Address, Ipv4Cidr};

use crate::addr::conflict::{Conflict, Keep};
use crate::addr::dhcp::Client;
use crate::addr::dhcp::lease::usable;
use crate::addr::routes::{Routes, check_gateway};
use crate::base::config::{Addressing, Config, Probing};
use crate::base::status::DhcpStatus;
use crate::base::time;

/// The pause before a fixed address that another host has is probed again.
const RETRY: Duration = Duration::from_secs(60);

/// The IPv4 side of the addresses.
pub(crate) struct V4 {
    pub(crate) hostname: String,
    pub(crate) routes: Routes,
    pub(crate) dns: Vec<Ipv4Address>,
    pub(crate) ntp: Vec<Ipv4Address>,
    /// The network's MTU in bytes, if a server sends it.
    pub(crate) mtu: Option<usize>,
    pub(crate) conflict: Conflict,
    pub(crate) dhcp: Option<Client>,
    /// The fixed address.
    pub(crate) fixed: Option<Ipv4Cidr>,
    /// When the fixed address is probed again.
    retry: Option<Instant>,
    probing: Probing,
    waiting: Vec<Waker>,
}

impl V4 {
    pub(crate) fn new(config: &Config, mac: EthernetAddress, now: Instant) -> Self {
        let mut this = Self {
            hostname: config.hostname.clone(),
            routes: Routes::default(),
            dns: Vec::new(),
            ntp: Vec::new(),
            mtu: None,
            conflict: Conflict::default(),
            dhcp: None,
            fixed: None,
            retry: None,
            probing: config.probing,
            waiting: Vec::new(),
        };
        match &config.addressing {
            Addressing::Dhcp => this.dhcp = Some(Client::new(mac, config.hostname.clone(), now)),
            Addressing::Static { address, gateway, dns } => {
                this.dns.clone_from(dns);
                this.fixed = Some(*address).filter(|address| usable(*address));
                this.retry = this.fixed.map(|_| now);
                if this.fixed.is_none() {
                    log::error!(
                        "the configured address {address} cannot be a host's; the interface has none"
                    );
                }
                let gateway = gateway.filter(|gateway| match check_gateway(*address, *gateway) {
                    Ok(()) => true,
                    Err(why) => {
                        log::error!("the configured gateway {gateway} is not used: {why}");
                        false
                    }
                });
                this.routes = Routes::by(gateway);
            }
        }
        this
    }

    /// Whether addresses are probed before use.
    pub(crate) const fn probes(&self) -> bool {
        matches!(self.probing, Probing::On)
    }

    /// How our address is defended against another host's claim.
    pub(crate) const fn keep(&self) -> Keep {
        if self.dhcp.is_some() { Keep::Once } else { Keep::Always }
    }

    /// The fixed address, when it is to be taken or tried again.
    pub(crate) fn fixed_due(&mut self, now: Instant) -> Option<Ipv4Cidr> {
        self.retry.take_if(|at| *at <= now)?;
        self.fixed
    }

    /// The fixed address is another host's now.
    pub(crate) fn try_later(&mut self, now: Instant) {
        self.retry = Some(time::after(now, RETRY));
    }

    /// When something is due.
    pub(crate) fn next(&self, link_up: bool) -> Option<Instant> {
        let client = self.dhcp.as_ref().and_then(|client| client.next(link_up));
        let others = self.conflict.next().into_iter().chain(self.retry).filter(|_| link_up);
        client.into_iter().chain(others).min()
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
        let Some(client) = &self.dhcp else { return DhcpStatus::Off };
        client.lease().map_or(DhcpStatus::Discovering, |lease| DhcpStatus::Bound {
            server: lease.server,
            lease: lease.length.into(),
            expires_in: time::until(now, lease.expires),
        })
    }
}
