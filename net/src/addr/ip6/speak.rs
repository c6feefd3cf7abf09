//! Sends due messages for the IPv6 addresses: probes, announcements, reports of groups, router solicitations.

use alloc::vec::Vec;

use nic::Nic;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv6Address;

use super::{Ip6, PROBE_TIME, SOLICIT_LAST};
use crate::base::counters::Counters;
use crate::base::status::Ipv6State;
use crate::base::time;
use crate::link::wire::Wire;

/// Between two announcements of our addresses, and between two reports of our groups.
const REPEAT: Duration = Duration::from_secs(2);

/// The next try when there was no slot to send.
const NO_SLOT: Duration = Duration::from_millis(10);

impl Ip6 {
    /// Applies and sends everything due. `true`: our addresses or our router have changed.
    pub(crate) fn run<N: Nic>(&mut self, wire: &mut Wire<'_, N>, counters: &mut Counters) -> bool {
        let now = wire.now;
        if self.due.is_none_or(|at| at > now) {
            return false;
        }
        let changed = self.advance(now);
        let sent = self.speak(wire, counters).is_some();
        self.due = if sent { self.next() } else { Some(time::after(now, NO_SLOT)) };
        changed
    }

    /// Sends due messages; `None`: there is no slot for some of them.
    fn speak<N: Nic>(&mut self, wire: &mut Wire<'_, N>, counters: &mut Counters) -> Option<()> {
        let now = wire.now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let local = self.local().valid().next().map(|cidr| cidr.address());
        let from = local.unwrap_or(Ipv6Address::UNSPECIFIED);
        if due(self.report) {
            let groups: Vec<_> = self.local().groups().collect();
            wire.report(from, &groups)?;
            self.report = None;
        }
        if due(self.report_v1) {
            for group in self.local().groups() {
                wire.report_v1(from, group)?;
            }
            self.report_v1 = None;
        }
        for own in self.own.iter_mut().filter(|own| own.state == Ipv6State::Tentative && own.due.is_none()) {
            wire.solicit(Ipv6Address::UNSPECIFIED, own.cidr.address())?;
            own.due = Some(time::after(now, PROBE_TIME));
        }
        if due(self.announce) {
            for cidr in self.local().valid() {
                wire.advertise(cidr.address())?;
                counters.announced.bump();
            }
            self.rounds = self.rounds.saturating_sub(1);
            let again = (self.rounds > 0 && local.is_some()).then(|| time::after(now, REPEAT));
            (self.announce, self.report) = (again, again);
        }
        if due(self.solicit) {
            self.ask_routers(wire, local, counters)?;
        }
        Some(())
    }

    /// Sends a router solicitation once there is an address to be answered at.
    fn ask_routers<N: Nic>(
        &mut self,
        wire: &mut Wire<'_, N>,
        local: Option<Ipv6Address>,
        counters: &mut Counters,
    ) -> Option<()> {
        let Some(from) = local.filter(Ipv6Address::is_unicast_link_local) else {
            self.solicit = Some(time::after(wire.now, PROBE_TIME));
            return Some(());
        };
        wire.ask_routers(from)?;
        counters.routers_asked.bump();
        self.solicit = Some(time::after(wire.now, self.interval));
        self.interval = time::double(self.interval, SOLICIT_LAST);
        Some(())
    }
}
