//! IPv4 address conflict detection. RFC 5227.
//!
//! ```text
//!   candidate ─probe, probe, probe─► free ─announce, announce─► in use ◄─┐
//!                 │ another host has it, or probes it          │         │ defended: announced once more,
//!                 ▼                                            └─conflict┘ at most each 10 s
//!              conflict                                           │ second one within 10 s, address from DHCP
//!                                                                 └────────► given up
//! ```
//!
//! The pauses before the address is used are the RFC's divided by [`HASTE`].

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv4Address};

use crate::base::rng::Rng;
use crate::base::time;
use crate::link::arp::Arp;

/// By what the RFC's pauses before an address is used are divided. They take 4 to 7 seconds, and are for hosts behind
/// switches that learn a port for seconds after its link came up. A guest is to serve within a second of its start; the
/// bridge of its host forwards at once, and the owner of an address answers a probe within milliseconds. An owner that is
/// heard later, while the address is in use, is a conflict like any other. PROBE_WAIT, a random pause before the first
/// probe that keeps hosts apart which are switched on together, is left out for the same reason.
const HASTE: u64 = 10;

/// RFC 5227, section 1.1: PROBE_NUM; PROBE_MIN, PROBE_MAX and ANNOUNCE_WAIT in milliseconds.
const PROBES: u8 = 3;
const PROBE_MIN: u64 = 1000 / HASTE;
const PROBE_MAX: u64 = 2000 / HASTE;
const ANNOUNCE_WAIT: Duration = Duration::from_millis(2000 / HASTE);

/// Section 1.1: ANNOUNCE_NUM, ANNOUNCE_INTERVAL, DEFEND_INTERVAL.
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// Whether an address is kept against another host that has it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The operator chose it: it is defended for ever. RFC 5227, section 2.4 c.
    Always,
    /// A server assigned it: it is given up when one defence does not help. Section 2.4 b.
    Once,
}

/// The action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A probe is to be sent; [`Conflict::probed`] takes note.
    Probe(Ipv4Address),
    /// No host has the address: it may be used.
    Free(Ipv4Address),
    /// The address is to be announced; [`Conflict::announced`] takes note.
    Announce,
}

/// The meaning of an ARP message for our address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing.
    Nothing,
    /// The candidate is another host's: it must not be used.
    Taken(Ipv4Address, EthernetAddress),
    /// Another host uses our address: an announcement defends it.
    Defend(EthernetAddress),
    /// Another host uses our address, which was defended a moment ago.
    Contested,
    /// Another host keeps using our address: the address is given up.
    GiveUp(EthernetAddress),
}

/// The detection for one address.
#[derive(Debug, Default)]
pub(crate) struct Conflict {
    candidate: Option<Ipv4Address>,
    probes: u8,
    /// Announcements to be made.
    announcements: u8,
    probe_at: Option<Instant>,
    announce_at: Option<Instant>,
    /// When the address was defended last.
    defended: Option<Instant>,
}

impl Conflict {
    /// Starts to probe an address.
    pub(crate) fn probe(&mut self, candidate: Ipv4Address, now: Instant) {
        *self = Self { candidate: Some(candidate), probe_at: Some(now), ..Self::default() };
    }

    /// The address is in use from now on, or the link is new: it is announced to neighbours.
    pub(crate) fn announce(&mut self, now: Instant) {
        (self.announcements, self.announce_at) = (ANNOUNCEMENTS, Some(now));
    }

    /// There is no address any more, and no candidate.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// The action that is due.
    pub(crate) fn due(&self, now: Instant) -> Option<Step> {
        if let Some(candidate) = self.candidate.filter(|_| self.probe_at.is_some_and(|at| at <= now)) {
            return Some(if self.probes < PROBES { Step::Probe(candidate) } else { Step::Free(candidate) });
        }
        self.announce_at.filter(|at| *at <= now).map(|_| Step::Announce)
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.probe_at.into_iter().chain(self.announce_at).min()
    }

    /// A probe was sent.
    pub(crate) fn probed(&mut self, now: Instant, rng: &mut Rng) {
        self.probes = self.probes.saturating_add(1);
        let pause = Duration::from_millis(rng.between(PROBE_MIN, PROBE_MAX));
        let wait = if self.probes < PROBES { pause } else { ANNOUNCE_WAIT };
        self.probe_at = Some(time::after(now, wait));
    }

    /// The candidate is in use now.
    pub(crate) fn taken(&mut self) {
        (self.candidate, self.probe_at) = (None, None);
    }

    /// An announcement was sent.
    pub(crate) fn announced(&mut self, now: Instant) {
        self.announcements = self.announcements.saturating_sub(1);
        self.announce_at = (self.announcements > 0).then(|| time::after(now, ANNOUNCE_INTERVAL));
    }

    /// Looks at a message of another host. `ours` is the address in use.
    pub(crate) fn hear(
        &mut self,
        message: &Arp,
        (mac, ours): (EthernetAddress, Option<Ipv4Address>),
        keep: Keep,
        now: Instant,
    ) -> Heard {
        let (sender, from) = message.from;
        if sender == mac {
            return Heard::Nothing;
        }
        let also_probes = from.is_unspecified() && self.candidate == Some(message.to.1);
        if let Some(candidate) = self.candidate.filter(|candidate| *candidate == from || also_probes) {
            self.stop();
            return Heard::Taken(candidate, sender);
        }
        if ours != Some(from) {
            return Heard::Nothing;
        }
        let recent = self.defended.is_some_and(|at| time::after(at, DEFEND_INTERVAL) > now);
        match (recent, keep) {
            (false, _) => {
                self.defended = Some(now);
                (self.announcements, self.announce_at) = (1, Some(now));
                Heard::Defend(sender)
            }
            (true, Keep::Always) => Heard::Contested,
            (true, Keep::Once) => Heard::GiveUp(sender),
        }
    }
}
