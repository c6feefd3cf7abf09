//! The DHCP client. RFC 2131; its messages go out and come in through the caller.
//!
//! ```text
//!   Waiting ─► Selecting ─offer─► Requesting ─ACK─► Checking (RFC 5227) ─free─► Bound ─T1─► Renewing ─T2─► Rebinding
//!      ▲        DISCOVER          REQUEST │            │ taken: DECLINE          ▲ └────────── ACK ◄───────┘ │
//!      └──────────────────────────── NAK ─┴────────────┘                         └───────────────── expired, NAK: lost
//! ```
//!
//! Retransmission waits 4, 8, 16, 32 and 64 s, each ± 1 s (section 4.1); after a refusal the pause grows in the same
//! way. Invalid messages (another transaction, server or address than requested, an impossible address) are ignored and
//! counted. While there is no lease, the console shows the reason after 10 s, and then at intervals that double.
//!
//! A new link starts the search again; the lease stays in use until it ends or another one comes.

pub(crate) mod lease;
pub(crate) mod message;

use alloc::string::String;
use alloc::vec::Vec;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpMessageType, EthernetAddress, Ipv4Address, Ipv4Cidr};

use crate::base::rng::Rng;
use crate::base::time;
use lease::Lease;
use message::{Reply, Request, option};

/// The pause after the first message, and the longest. RFC 2131, section 4.1.
const RETRY_FIRST: u64 = 4;
const RETRY_LAST: u64 = 64;

/// The least pause while a lease is renewed. Section 4.4.5.
const RENEW_LEAST: Duration = Duration::from_secs(60);

/// Requests for one offer.
const REQUESTS: u32 = 4;

/// After a DECLINE. Section 3.1, step 5.
const DECLINE_PAUSE: Duration = Duration::from_secs(10);

/// The time until a missing lease is reported, and the longest interval between reports.
const TELL_FIRST: Duration = Duration::from_secs(10);
const TELL_LAST: Duration = Duration::from_secs(3600);

/// An offer that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    address: Ipv4Address,
    server: Ipv4Address,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Selecting,
    Requesting(Offer),
    /// An acknowledged lease; its address is being probed.
    Checking(Lease),
    Bound,
    Renewing,
    Rebinding,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    pub(crate) from: Ipv4Address,
    pub(crate) to: Ipv4Address,
}

/// What a message or the time has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The address of the lease that is coming has to be probed.
    Check(Ipv4Address),
    /// A lease is in use: a new one, or with `renewed` the one before.
    Bound {
        /// The same address as before.
        renewed: bool,
    },
    /// The lease in use is gone.
    Lost(Ipv4Cidr, &'static str),
    /// The client goes on with another message.
    Continues,
    /// A message that does not fit was ignored.
    Ignored,
}

/// Why there is no lease.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    Silence,
    Refused(Ipv4Address, String),
    Unusable(&'static str),
    InUse(Ipv4Address, EthernetAddress),
}

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    mac: EthernetAddress,
    hostname: String,
    phase: Phase,
    transaction: u32,
    /// Since when there is something to be had.
    began: Instant,
    /// Messages of this phase.
    sent: u32,
    /// When the phase goes on.
    due: Instant,
    /// Refusals in a row.
    refusals: u32,
    lease: Option<Lease>,
    /// A declined address: its message waits for a slot.
    decline: Option<Offer>,
    trouble: Trouble,
    /// When a missing lease is reported, and the pause after that.
    tell: Option<(Instant, Duration)>,
}

impl Client {
    pub(crate) fn new(mac: EthernetAddress, hostname: String, now: Instant) -> Self {
        Self {
            mac,
            hostname,
            phase: Phase::Waiting,
            transaction: 0,
            began: now,
            sent: 0,
            due: now,
            refusals: 0,
            lease: None,
            decline: None,
            trouble: Trouble::Silence,
            tell: Some((time::after(now, TELL_FIRST), TELL_FIRST)),
        }
    }

    /// The lease in use.
    pub(crate) const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// When something is due; without a link nothing can be sent.
    pub(crate) fn next(&self, link_up: bool) -> Option<Instant> {
        let checking = matches!(self.phase, Phase::Checking(_)) && self.decline.is_none();
        let due = (link_up && !checking).then_some(self.due);
        let ends = self.lease.as_ref().map(|lease| lease.expires);
        due.into_iter().chain(ends).chain(self.tell.map(|(at, _)| at)).min()
    }

    /// Reports on the console why there is still no lease, when that is due.
    pub(crate) fn tell(&mut self, link_up: bool, now: Instant) {
        let Some((_, pause)) = self.tell.filter(|(at, _)| *at <= now) else { return };
        let again = time::double(pause, TELL_LAST);
        self.tell = Some((time::after(now, again), again));
        let waited = Duration::from(time::until(self.began, now)).secs();
        match &self.trouble {
            _ if !link_up => log::warn!("no DHCP lease after {waited} s: the link is down"),
            Trouble::Silence => {
                log::warn!(
                    "no DHCP lease after {waited} s: no server answers; is there one on this network?"
                );
            }
            Trouble::Refused(server, why) => {
                log::warn!("no DHCP lease after {waited} s: server {server} refuses{why}");
            }
            Trouble::Unusable(why) => {
                log::warn!("no DHCP lease after {waited} s: a server answers, but {why}");
            }
            Trouble::InUse(address, mac) => {
                log::warn!("no DHCP lease after {waited} s: {address} is in use by {mac}");
            }
        }
    }

    /// The end of the lease in use, if it is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Event> {
        let lease = self.lease.take_if(|lease| lease.expires <= now)?;
        if matches!(self.phase, Phase::Bound | Phase::Renewing | Phase::Rebinding) {
            self.restart(now);
        }
        Some(Event::Lost(lease.address, "expired"))
    }

    /// The message that is due. It counts as sent: a message that finds no slot is lost, as on the way.
    pub(crate) fn poll(&mut self, now: Instant, rng: &mut Rng) -> Option<Outgoing> {
        if let Some(Offer { address, server }) = self.decline.take() {
            return Some(self.message(DhcpMessageType::Decline, (Some(address), Some(server)), now));
        }
        if self.due > now {
            return None;
        }
        match self.phase.clone() {
            Phase::Checking(_) => None,
            Phase::Waiting => {
                let bits = rng.next_u64() >> 32;
                self.transaction = u32::try_from(bits).unwrap_or_default();
                (self.phase, self.sent) = (Phase::Selecting, 0);
                self.ask(DhcpMessageType::Discover, (None, None), now, rng)
            }
            Phase::Selecting => self.ask(DhcpMessageType::Discover, (None, None), now, rng),
            Phase::Requesting(_) if self.sent >= REQUESTS => {
                self.phase = Phase::Waiting;
                self.poll(now, rng)
            }
            Phase::Requesting(Offer { address, server }) => {
                self.ask(DhcpMessageType::Request, (Some(address), Some(server)), now, rng)
            }
            Phase::Bound | Phase::Renewing | Phase::Rebinding => self.renew(now, rng),
        }
    }

    /// Sends a message and waits for its answer.
    fn ask(
        &mut self,
        kind: DhcpMessageType,
        about: (Option<Ipv4Address>, Option<Ipv4Address>),
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Outgoing> {
        self.due = time::after(now, backoff(self.sent, rng));
        self.sent = self.sent.saturating_add(1);
        Some(self.message(kind, about, now))
    }

    /// Asks the server for more time, and again at half of the remaining time; later, any server.
    fn renew(&mut self, now: Instant, rng: &mut Rng) -> Option<Outgoing> {
        let Some(lease) = &self.lease else {
            self.restart(now);
            return self.poll(now, rng);
        };
        let (phase, until) = if lease.rebind <= now {
            (Phase::Rebinding, lease.expires)
        } else {
            (Phase::Renewing, lease.rebind)
        };
        let left = Duration::from(time::until(now, until));
        let half = Duration::from_micros(left.total_micros() / 2);
        let (address, server) = (lease.address.address(), lease.server);
        if self.phase == Phase::Bound {
            self.began = now;
        }
        self.phase = phase;
        self.due = time::after(now, half.max(RENEW_LEAST)).min(until.max(time::after(now, RENEW_LEAST)));
        let request = Request {
            kind: DhcpMessageType::Request,
            transaction: self.transaction,
            secs: self.secs(now),
            mac: self.mac,
            ours: Some(address),
            wanted: None,
            server: None,
            hostname: &self.hostname,
        };
        let to = if self.phase == Phase::Renewing { server } else { Ipv4Address::BROADCAST };
        Some(Outgoing { bytes: request.emit(), from: address, to })
    }

    fn message(
        &self,
        kind: DhcpMessageType,
        (wanted, server): (Option<Ipv4Address>, Option<Ipv4Address>),
        now: Instant,
    ) -> Outgoing {
        let (secs, mac, hostname) = (self.secs(now), self.mac, self.hostname.as_str());
        let request =
            Request { kind, transaction: self.transaction, secs, mac, ours: None, wanted, server, hostname };
        Outgoing { bytes: request.emit(), from: Ipv4Address::UNSPECIFIED, to: Ipv4Address::BROADCAST }
    }

    fn secs(&self, now: Instant) -> u16 {
        u16::try_from(time::until(self.began, now).as_secs()).unwrap_or(u16::MAX)
    }

    /// Takes a message of a server.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Instant, rng: &mut Rng) -> Event {
        let reply = Reply::parse(bytes, self.mac).filter(|reply| reply.transaction == self.transaction);
        let Some(reply) = reply else { return Event::Ignored };
        match (reply.kind, self.phase.clone()) {
            (DhcpMessageType::Offer, Phase::Selecting) => self.offered(&reply, now),
            (DhcpMessageType::Ack, Phase::Requesting(offer)) => self.acknowledged(&reply, offer, now),
            (DhcpMessageType::Ack, Phase::Renewing | Phase::Rebinding) => self.renewed(&reply, now),
            (DhcpMessageType::Nak, Phase::Requesting(offer)) if self.is_from(&reply, offer.server) => {
                self.refused(&reply, offer.server, now, rng)
            }
            (DhcpMessageType::Nak, Phase::Renewing | Phase::Rebinding) => {
                let server = self.lease.as_ref().map_or(Ipv4Address::UNSPECIFIED, |lease| lease.server);
                if self.phase == Phase::Renewing && !self.is_from(&reply, server) {
                    return Event::Ignored;
                }
                self.refused(&reply, server, now, rng)
            }
            _ => Event::Ignored,
        }
    }

    fn is_from(&self, reply: &Reply<'_>, server: Ipv4Address) -> bool {
        lease::server(reply) == Some(server)
    }

    fn offered(&mut self, reply: &Reply<'_>, now: Instant) -> Event {
        let Some(server) = lease::server(reply) else {
            self.trouble = Trouble::Unusable("its offer names no server");
            return Event::Ignored;
        };
        if let Err(why) = Lease::read(reply, None, now) {
            self.trouble = Trouble::Unusable(why);
            return Event::Ignored;
        }
        self.phase = Phase::Requesting(Offer { address: reply.address, server });
        (self.sent, self.due) = (0, now);
        Event::Continues
    }

    fn acknowledged(&mut self, reply: &Reply<'_>, offer: Offer, now: Instant) -> Event {
        let asked = self.is_from(reply, offer.server) && reply.address == offer.address;
        if !asked {
            self.trouble = Trouble::Unusable("it acknowledges what was not asked for");
            return Event::Ignored;
        }
        match Lease::read(reply, None, now) {
            Ok(lease) => {
                let known = self.lease.as_ref().is_some_and(|old| old.address == lease.address);
                if known {
                    return self.bound(lease);
                }
                self.phase = Phase::Checking(lease);
                Event::Check(offer.address)
            }
            Err(why) => {
                self.trouble = Trouble::Unusable(why);
                Event::Ignored
            }
        }
    }

    fn renewed(&mut self, reply: &Reply<'_>, now: Instant) -> Event {
        let Some(old) = &self.lease else { return Event::Ignored };
        let from = lease::server(reply);
        let another = self.phase == Phase::Renewing && from.is_some_and(|server| server != old.server);
        match Lease::read(reply, Some(old), now) {
            Ok(lease) if !another && lease.address.address() == old.address.address() => self.bound(lease),
            _ => Event::Ignored,
        }
    }

    fn bound(&mut self, lease: Lease) -> Event {
        let renewed = self.lease.as_ref().is_some_and(|old| old.address == lease.address);
        (self.phase, self.due, self.refusals) = (Phase::Bound, lease.renew, 0);
        (self.tell, self.trouble) = (None, Trouble::Silence);
        self.lease = Some(lease);
        Event::Bound { renewed }
    }

    fn refused(&mut self, reply: &Reply<'_>, server: Ipv4Address, now: Instant, rng: &mut Rng) -> Event {
        let text = reply.option(option::MESSAGE).unwrap_or_default();
        let plain = text.iter().take(80).map(|byte| char::from(*byte)).filter(|c| !c.is_control());
        let why: String = if text.is_empty() { String::new() } else { ": ".chars().chain(plain).collect() };
        let lost = self.lease.take_if(|_| matches!(self.phase, Phase::Renewing | Phase::Rebinding));
        self.restart(now);
        self.trouble = Trouble::Refused(server, why);
        self.due = time::after(now, backoff(self.refusals, rng));
        self.refusals = self.refusals.saturating_add(1);
        match lost {
            Some(lease) => Event::Lost(lease.address, "refused by the server"),
            None => Event::Continues,
        }
    }

    /// No host has the address of the acknowledged lease: it is in use from now on.
    pub(crate) fn checked(&mut self) -> Option<Event> {
        match core::mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Checking(lease) => Some(self.bound(lease)),
            phase => {
                self.phase = phase;
                None
            }
        }
    }

    /// Another host has the address: it is declined. The lease in use that had it, if one had.
    pub(crate) fn conflict(
        &mut self,
        address: Ipv4Address,
        mac: EthernetAddress,
        now: Instant,
    ) -> Option<Lease> {
        let server = match &self.phase {
            Phase::Checking(lease) => Some(lease.server),
            _ => self.lease.as_ref().map(|lease| lease.server),
        };
        self.decline = server.map(|server| Offer { address, server });
        let lost = self.lease.take_if(|lease| lease.address.address() == address);
        self.restart(now);
        self.trouble = Trouble::InUse(address, mac);
        self.due = time::after(now, DECLINE_PAUSE);
        lost
    }

    /// The link is new and may lead elsewhere, and the vif may have another MAC address: searches again, and keeps
    /// the lease until then.
    pub(crate) fn new_link(&mut self, mac: EthernetAddress, now: Instant) {
        self.mac = mac;
        self.restart(now);
        self.refusals = 0;
    }

    fn restart(&mut self, now: Instant) {
        (self.phase, self.sent, self.due, self.began) = (Phase::Waiting, 0, now, now);
        self.trouble = Trouble::Silence;
        self.tell = Some((time::after(now, TELL_FIRST), TELL_FIRST));
    }
}

/// The pause after the message with this number: 4 s, doubling to 64 s, each ± 1 s.
fn backoff(sent: u32, rng: &mut Rng) -> Duration {
    let seconds = RETRY_FIRST.checked_shl(sent.min(16)).unwrap_or(RETRY_LAST).min(RETRY_LAST);
    let millis = seconds.saturating_mul(1000).saturating_sub(1000);
    Duration::from_millis(millis.saturating_add(rng.between(0, 2000)))
}
