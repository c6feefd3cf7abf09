//! Our IPv6 addresses, and the routers that we know.
//!
//! ```text
//!   link-local (EUI-64) ─probe─► valid ─► router solicitation ─► advertisement ─┬─► router: the way out
//!   fixed address ───────probe─► valid                                          └─► prefix ─► address ─probe─► valid
//!                          │ somebody has it
//!                          └──────────► duplicate: never used
//! ```
//!
//! The interface identifier is the modified EUI-64 of the hardware address (RFC 4291, appendix A): who wrote `mac=` into
//! the domain's configuration can compute the address, and a guest without a disk has no secret to make another one from.
//!
//! smoltcp has stateless autoconfiguration too. It is not used: it gives the interface's address to every set of sockets
//! that is polled, holds one prefix, has no duplicate address detection, and a prefix length above 128 makes it panic.
//!
//! Everything that an advertisement can make us keep is capped: [`ROUTERS`] routers, [`PREFIXES`] addresses.

pub(crate) mod advert;
pub(crate) mod nd;

use alloc::vec::Vec;

use netfront::Nic;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, Ipv6Address, Ipv6Cidr};

use crate::base::config::Ipv6Addressing;
use crate::turn::state::State;
use crate::base::status::{Ipv6State, Ipv6Status, bump};
use crate::base::time;

/// Routers remembered; the first one is used until it is gone.
const ROUTERS: usize = 4;

/// Addresses made from advertised prefixes. With the IPv4 and the link-local one, as many as smoltcp's interface holds.
const PREFIXES: usize = 2;

/// How long an owner of an address has to object. RFC 4861, section 10, RETRANS_TIMER, for one probe (RFC 4862, 5.1).
const PROBE_TIME: Duration = Duration::from_secs(1);

/// Between the two announcements of our addresses, and between two reports of our groups.
const REPEAT: Duration = Duration::from_secs(2);

/// Between router solicitations: doubles from the first to the last. RFC 7559, section 2.
const SOLICIT_FIRST: Duration = Duration::from_secs(4);
const SOLICIT_LAST: Duration = Duration::from_secs(3600);

/// Until the next try when there was no slot to send.
const NO_SLOT: Duration = Duration::from_millis(10);

/// Two hours: no advertisement shortens an address's life below that. RFC 4862, section 5.5.3 e.
const LEAST_LIFE: Duration = Duration::from_secs(2 * 3600);

/// One of our addresses.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) cidr: Ipv6Cidr,
    pub(crate) state: Ipv6State,
    /// When nobody has objected to the probe; `None`: it was not sent yet.
    probed: Option<Instant>,
    /// The end of its life; `None`: it has none.
    expires: Option<Instant>,
}

#[derive(Debug)]
struct Router {
    address: Ipv6Address,
    expires: Option<Instant>,
}

/// The addresses and what is due for them.
#[derive(Debug, Default)]
pub(crate) struct Ip6 {
    /// The link-local one first; none at all: IPv6 is off.
    own: Vec<Own>,
    routers: Vec<Router>,
    /// Whether advertisements are heeded.
    auto: bool,
    identifier: u64,
    solicit: Option<Instant>,
    interval: Duration,
    announce: Option<Instant>,
    /// Announcements and reports still to be made.
    rounds: u8,
    report: Option<Instant>,
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
                        "net: the configured IPv6 address cannot be a host's; the interface has a link-local one only"
                    );
                }
                let gateway = gateway.filter(|gateway| is_unicast(*gateway) && *gateway != address.address());
                this.routers.extend(gateway.map(|address| Router { address, expires: None }));
            }
            _ => this.auto = true,
        }
        this.new_link(now);
        this
    }

    fn add(&mut self, cidr: Ipv6Cidr, expires: Option<Instant>) {
        self.own.push(Own { cidr, state: Ipv6State::Tentative, probed: None, expires });
    }

    pub(crate) const fn is_on(&self) -> bool {
        !self.own.is_empty()
    }

    /// The entry of an address of ours, however it stands.
    pub(crate) fn find(&self, address: Ipv6Address) -> Option<&Own> {
        self.own.iter().find(|own| own.cidr.address() == address)
    }

    /// Whether we use the address.
    pub(crate) fn has(&self, address: Ipv6Address) -> bool {
        self.valid().any(|cidr| cidr.address() == address)
    }

    /// The addresses that we use.
    pub(crate) fn valid(&self) -> impl Iterator<Item = Ipv6Cidr> + use<'_> {
        self.own.iter().filter(|own| own.state == Ipv6State::Valid).map(|own| own.cidr)
    }

    /// Whether others than our neighbours can talk to us.
    pub(crate) fn is_configured(&self) -> bool {
        self.valid().any(|cidr| !cidr.address().is_unicast_link_local())
    }

    pub(crate) fn gateway(&self) -> Option<Ipv6Address> {
        self.routers.first().map(|router| router.address)
    }

    pub(crate) fn is_router(&self, address: Ipv6Address) -> bool {
        self.routers.iter().any(|router| router.address == address)
    }

    /// Whether packets to the address go to its owner, not to a router.
    pub(crate) fn on_link(&self, address: Ipv6Address) -> bool {
        address.is_unicast_link_local() || self.valid().any(|cidr| cidr.contains_addr(&address))
    }

    /// Whether the group is one that we must hear: all nodes, or the solicited nodes of an address of ours.
    pub(crate) fn is_group(&self, group: Ipv6Address) -> bool {
        group == nd::ALL_NODES || self.groups().any(|own| own == group)
    }

    /// The groups besides all nodes.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Ipv6Address> + use<'_> {
        self.own.iter().map(|own| nd::solicited_node(own.cidr.address()))
    }

    pub(crate) fn status(&self) -> Vec<Ipv6Status> {
        self.own.iter().map(|own| Ipv6Status { address: own.cidr, state: own.state }).collect()
    }

    /// The link may lead to another place: neighbours are told of us, and routers are asked for.
    pub(crate) fn new_link(&mut self, now: Instant) {
        if !self.is_on() {
            return;
        }
        for own in self.own.iter_mut().filter(|own| own.state == Ipv6State::Tentative) {
            own.probed = None;
        }
        self.interval = SOLICIT_FIRST;
        self.solicit = self.auto.then_some(now);
        self.tell(now);
    }

    /// Neighbours are to be told of our addresses, and switches of our groups.
    fn tell(&mut self, now: Instant) {
        (self.announce, self.report, self.rounds) = (Some(now), Some(now), 2);
        self.due = Some(now);
    }

    /// Somebody asked for our groups.
    pub(crate) fn queried(&mut self, now: Instant) {
        self.report = Some(now);
        self.due = Some(now);
    }

    /// Somebody else has the address, which was ours only in hope.
    pub(crate) fn contested(&mut self, address: Ipv6Address) {
        let own = self.own.iter_mut().find(|own| own.cidr.address() == address);
        if let Some(own) = own.filter(|own| own.state == Ipv6State::Tentative) {
            own.state = Ipv6State::Duplicate;
            if address.is_unicast_link_local() {
                // Made from the hardware address, as the others would be. RFC 4862, section 5.4.5.
                (self.auto, self.solicit) = (false, None);
            }
            log::error!("net: IPv6 address {address} is in use by another host; ours is not used");
        }
    }

    /// Moves on what time has moved on. `true`: our addresses or our router are others now.
    fn advance(&mut self, now: Instant) -> bool {
        let over = |at: &Option<Instant>| at.is_some_and(|at| at <= now);
        let before = (self.own.len(), self.gateway());
        self.own.retain(|own| !over(&own.expires));
        self.routers.retain(|router| !over(&router.expires));
        if self.own.len() != before.0 {
            self.report = Some(now);
        }
        if self.auto && self.routers.is_empty() && self.solicit.is_none() {
            self.solicit = Some(now);
        }
        let mut settled = false;
        for own in &mut self.own {
            if own.state == Ipv6State::Tentative && over(&own.probed) {
                own.state = Ipv6State::Valid;
                settled = true;
                log::info!("net: IPv6 address {}", own.cidr);
            }
        }
        if settled {
            self.tell(now);
        }
        settled || before != (self.own.len(), self.gateway())
    }

    /// When there is something to do next.
    fn next(&self) -> Option<Instant> {
        let own = self.own.iter().flat_map(|own| {
            let probe = if own.state == Ipv6State::Tentative { own.probed } else { None };
            [probe, own.expires]
        });
        let routers = self.routers.iter().map(|router| router.expires);
        own.chain(routers).chain([self.solicit, self.announce, self.report]).flatten().min()
    }
}

impl State {
    /// Does what is due for our IPv6 addresses.
    pub(crate) fn run_ip6<N: Nic>(&mut self, nic: &mut N) {
        let now = self.now;
        if !self.link_up || self.me.ip6.due.is_none_or(|at| at > now) {
            return;
        }
        if self.me.ip6.advance(now) {
            self.follow_ip6();
        }
        let next =
            if self.speak_ip6(nic).is_some() { self.me.ip6.next() } else { Some(time::after(now, NO_SLOT)) };
        self.me.ip6.due = next;
    }

    /// Our addresses or our router have changed.
    fn follow_ip6(&mut self) {
        self.configure_interface();
        self.look_at_lost();
        if self.me.ip6.is_configured() {
            self.address.wake();
        }
    }

    /// Sends what is due; `None`: there is no slot for some of it.
    fn speak_ip6<N: Nic>(&mut self, nic: &mut N) -> Option<()> {
        let (now, mac) = (self.now, self.me.mac);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.me.ip6.report) {
            nic.set_multicast(&self.me.groups());
        }
        let ip6 = &mut self.me.ip6;
        let mut wire = nd::Wire { nic, now, mac };
        let local = ip6.valid().next().map(|cidr| cidr.address());
        if due(ip6.report) {
            let groups: Vec<_> = ip6.groups().collect();
            wire.report(local.unwrap_or(Ipv6Address::UNSPECIFIED), &groups)?;
            ip6.report = None;
        }
        for own in ip6.own.iter_mut().filter(|own| own.state == Ipv6State::Tentative && own.probed.is_none())
        {
            wire.solicit(Ipv6Address::UNSPECIFIED, own.cidr.address())?;
            own.probed = Some(time::after(now, PROBE_TIME));
        }
        if due(ip6.announce) {
            for cidr in ip6.valid() {
                wire.advertise(cidr.address())?;
                bump(&mut self.counters.announced);
            }
            ip6.rounds = ip6.rounds.saturating_sub(1);
            let again = (ip6.rounds > 0 && local.is_some()).then(|| time::after(now, REPEAT));
            (ip6.announce, ip6.report) = (again, again);
        }
        if due(ip6.solicit)
            && let Some(from) = local.filter(Ipv6Address::is_unicast_link_local)
        {
            wire.ask_routers(from)?;
            bump(&mut self.counters.routers_asked);
            ip6.solicit = Some(time::after(now, ip6.interval));
            ip6.interval =
                Duration::from_micros(ip6.interval.total_micros().saturating_mul(2)).min(SOLICIT_LAST);
        } else if due(ip6.solicit) {
            // Asked for as soon as there is an address to be answered at.
            ip6.solicit = Some(time::after(now, PROBE_TIME));
        }
        Some(())
    }

    /// Tells all nodes that an address is ours: somebody is about to take it.
    pub(crate) fn defend<N: Nic>(&mut self, nic: &mut N, address: Ipv6Address) {
        let mut wire = nd::Wire { nic, now: self.now, mac: self.me.mac };
        if wire.advertise(address).is_some() {
            bump(&mut self.counters.defended);
        }
    }

    /// Whether the address is ours, of either family.
    pub(crate) fn is_local(&self, address: IpAddress) -> bool {
        match address {
            IpAddress::Ipv4(v4) => self.is_me(v4),
            IpAddress::Ipv6(v6) => self.me.ip6.has(v6),
        }
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

/// Whether one host can have this address, and be talked to from outside itself.
#[must_use]
pub fn is_unicast(address: Ipv6Address) -> bool {
    let odd = address.is_multicast() || address.is_unspecified() || address.is_loopback();
    !odd && address.to_ipv4_mapped().is_none()
}

fn usable(address: Ipv6Cidr) -> bool {
    is_unicast(address.address()) && !address.address().is_unicast_link_local() && address.prefix_len() != 0
}
