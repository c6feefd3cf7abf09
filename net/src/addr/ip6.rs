//! IPv6 addresses of this host, and the routers that it knows.
//!
//! ```text
//!   link-local (EUI-64) ─probe─► valid ─► router solicitation ─► advertisement ─┬─► router
//!   fixed address ───────probe─► valid                                          └─► prefix ─► address ─probe─► valid
//!                          ▲ │ another host claims it
//!              pause, or   │ ▼
//!              a new link  duplicate: not in use
//! ```
//!
//! The interface identifier is the modified EUI-64 of the hardware address (RFC 4291, appendix A). An administrator who
//! sets `mac=` in the domain's configuration can compute the address.
//!
//! A claim on an address under probe may be forged. An address that was found to be a duplicate is therefore probed
//! again after a pause that doubles with each claim, and on every new link.
//!
//! The number of routers and of addresses from prefixes is limited: [`ROUTERS`], [`PREFIXES`].

pub(crate) mod advert;
mod speak;

use alloc::vec::Vec;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv6Address, Ipv6Cidr};

use crate::base::config::Ipv6Addressing;
use crate::base::status::{Ipv6State, Ipv6Status};
use crate::base::time;
use crate::frame::local::{LocalV6, is_unicast_v6};

/// Routers remembered; the first one is in use until it is gone.
const ROUTERS: usize = 4;

/// Addresses made from advertised prefixes.
const PREFIXES: usize = 2;

/// How long the owner of an address has to object to one probe. RFC 4861, section 10, RETRANS_TIMER; RFC 4862, 5.1.
const PROBE_TIME: Duration = Duration::from_secs(1);

/// Between router solicitations: doubles from the first value to the last. RFC 7559, section 2.
const SOLICIT_FIRST: Duration = Duration::from_secs(4);
const SOLICIT_LAST: Duration = Duration::from_secs(3600);

/// The pause before a duplicate address is probed again: doubles from the first value to the last.
const RETRY_FIRST: Duration = Duration::from_secs(30);
const RETRY_LAST: Duration = Duration::from_secs(3600);

/// Two hours: no advertisement shortens the life of an address below that. RFC 4862, section 5.5.3 e.
const LEAST_LIFE: Duration = Duration::from_secs(2 * 3600);

/// One of our addresses.
#[derive(Debug)]
struct Own {
    cidr: Ipv6Cidr,
    state: Ipv6State,
    /// Tentative: the end of the probe; `None`: no probe was sent yet. Duplicate: the time of the next probe.
    due: Option<Instant>,
    /// The pause after the next claim.
    pause: Duration,
    /// The end of its life; `None`: it has none.
    expires: Option<Instant>,
}

#[derive(Debug)]
struct Router {
    address: Ipv6Address,
    expires: Option<Instant>,
}

/// The addresses, and their due actions.
#[derive(Debug, Default)]
pub(crate) struct Ip6 {
    /// The link-local address first; empty: IPv6 is off.
    own: Vec<Own>,
    routers: Vec<Router>,
    /// Whether advertisements are used.
    auto: bool,
    identifier: u64,
    solicit: Option<Instant>,
    interval: Duration,
    announce: Option<Instant>,
    /// Announcements and reports still to be made.
    rounds: u8,
    /// The next report of our groups, by MLDv2.
    report: Option<Instant>,
    /// The next report of our groups, by MLDv1.
    report_v1: Option<Instant>,
    /// The earliest of all that is due.
    pub(crate) due: Option<Instant>,
}

impl Ip6 {
    pub(crate) fn new(addressing: &Ipv6Addressing, mac: EthernetAddress, now: Instant) -> Self {
        let mut this = Self { identifier: identifier(mac), interval: SOLICIT_FIRST, ..Self::default() };
        if *addressing == Ipv6Addressing::Off {
            return this;
        }
        this.add(Ipv6Cidr::new(address(0xfe80 << 48, this.identifier), 64), None);
        match addressing {
            Ipv6Addressing::Static { address, gateway } => {
                if usable(*address) {
                    this.add(*address, None);
                } else {
                    log::error!(
                        "the configured IPv6 address cannot be a host's; the interface has a link-local one only"
                    );
                }
                let gateway =
                    gateway.filter(|gateway| is_unicast_v6(*gateway) && *gateway != address.address());
                this.routers.extend(gateway.map(|address| Router { address, expires: None }));
            }
            _ => this.auto = true,
        }
        this.new_link(now);
        this
    }

    fn add(&mut self, cidr: Ipv6Cidr, expires: Option<Instant>) {
        let state = Ipv6State::Tentative;
        self.own.push(Own { cidr, state, due: None, pause: RETRY_FIRST, expires });
    }

    /// The addresses and routers as plain data.
    pub(crate) fn local(&self) -> LocalV6 {
        LocalV6 {
            own: self.own.iter().map(|own| (own.cidr, own.state)).collect(),
            routers: self.routers.iter().map(|router| router.address).collect(),
        }
    }

    pub(crate) fn status(&self) -> Vec<Ipv6Status> {
        self.own.iter().map(|own| Ipv6Status { address: own.cidr, state: own.state }).collect()
    }

    /// The link may lead to another network: addresses that are not valid are probed again, valid ones are announced to
    /// neighbours, and routers are solicited.
    pub(crate) fn new_link(&mut self, now: Instant) {
        if self.own.is_empty() {
            return;
        }
        for own in self.own.iter_mut().filter(|own| own.state != Ipv6State::Valid) {
            (own.state, own.due, own.pause) = (Ipv6State::Tentative, None, RETRY_FIRST);
        }
        self.interval = SOLICIT_FIRST;
        self.solicit = self.auto.then_some(now);
        self.tell(now);
    }

    /// Our addresses are to be announced to neighbours, and our groups to switches.
    fn tell(&mut self, now: Instant) {
        (self.announce, self.report, self.rounds) = (Some(now), Some(now), 2);
        self.due = Some(now);
    }

    /// A router asked for our groups; `v1`: by the older protocol, which does not know the newer reports.
    pub(crate) fn queried(&mut self, v1: bool, now: Instant) {
        let report = if v1 { &mut self.report_v1 } else { &mut self.report };
        *report = Some(now);
        self.due = Some(now);
    }

    /// Another host claims an address that we were probing.
    pub(crate) fn contested(&mut self, address: Ipv6Address, now: Instant) {
        let own = self.own.iter_mut().find(|own| own.cidr.address() == address);
        if let Some(own) = own.filter(|own| own.state == Ipv6State::Tentative) {
            own.state = Ipv6State::Duplicate;
            own.due = Some(time::after(now, own.pause));
            let pause = own.pause.secs();
            own.pause = time::double(own.pause, RETRY_LAST);
            self.due = Some(now);
            log::error!("IPv6 address {address} is in use by another host; it is probed again in {pause} s");
        }
    }

    /// Applies due changes. `true`: our addresses or our router have changed.
    fn advance(&mut self, now: Instant) -> bool {
        let over = |at: &Option<Instant>| at.is_some_and(|at| at <= now);
        let gateway = |this: &Self| this.routers.first().map(|router| router.address);
        let before = (self.own.len(), gateway(self));
        self.own.retain(|own| !over(&own.expires));
        self.routers.retain(|router| !over(&router.expires));
        if self.own.len() != before.0 {
            self.report = Some(now);
        }
        if self.auto && self.routers.is_empty() && self.solicit.is_none() {
            self.solicit = Some(now);
        }
        let mut done = false;
        for own in self.own.iter_mut().filter(|own| over(&own.due)) {
            own.due = None;
            match own.state {
                Ipv6State::Tentative => {
                    own.state = Ipv6State::Valid;
                    done = true;
                    log::info!("IPv6 address {}", own.cidr);
                }
                _ => own.state = Ipv6State::Tentative,
            }
        }
        if done {
            self.tell(now);
        }
        done || before != (self.own.len(), gateway(self))
    }

    /// When something is due next.
    fn next(&self) -> Option<Instant> {
        let own = self.own.iter().flat_map(|own| [own.due, own.expires]);
        let routers = self.routers.iter().map(|router| router.expires);
        let others = [self.solicit, self.announce, self.report, self.report_v1];
        own.chain(routers).chain(others).flatten().min()
    }
}

/// The modified EUI-64 of a hardware address.
fn identifier(mac: EthernetAddress) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

fn address(prefix: u64, identifier: u64) -> Ipv6Address {
    Ipv6Address::from_bits((u128::from(prefix) << 64) | u128::from(identifier))
}

fn usable(address: Ipv6Cidr) -> bool {
    is_unicast_v6(address.address())
        && !address.address().is_unicast_link_local()
        && address.prefix_len() != 0
}
