//! The neighbour table: hardware addresses of hosts on this link, for IPv4 and IPv6 alike. RFC 826, RFC 4861 section
//! 7.3.
//!
//! ```text
//!   lookup ──no entry──► incomplete ──request each second, 3 times──► removed, waiting tasks are woken
//!                            │ answer
//!                            ▼
//!   lookup ◄─address──── reachable ──30 s without a sign of life──► probed on the next use: 3 requests to the
//!                            ▲                                      known address, 3 to all; the address stays
//!                            └─ answer, or any ARP of that host ──┘ in use until then
//! ```
//!
//! The table has a limit. A new entry replaces one that was not used for long; one that a live connection uses
//! ([`Neighbours::pin`]) is never replaced. Requests by others add an entry only while a quarter of the table is
//! free, so that a flood of them displaces nothing. An entry that nobody uses is removed after a minute, so that the
//! memory of a flood comes back.

use core::num::NonZeroU32;

use alloc::collections::{BTreeMap, BTreeSet};

use ledger::Account;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress};
use tcp::slab::Slab;

use crate::base::budget::Budget;
use crate::base::time;

/// How long an address is used without a sign of life. RFC 4861, section 10, REACHABLE_TIME.
const REACHABLE: Duration = Duration::from_secs(30);

/// Between two requests for one neighbour. RFC 4861, section 10, RETRANS_TIMER.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long an entry stays that nobody uses, and the least time between two looks at all entries. Linux has the same
/// time in `gc_stale_time`.
const UNUSED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(8);

/// How long a first request waits that is one too many.
const SOON: Duration = Duration::from_millis(250);

/// Requests to all, and before that to a known address. RFC 4861, section 10, MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT.
const TRIES: u8 = 3;

/// Bytes of an entry with its places in the index and among the timers, which are about two thirds full.
const ENTRY: usize = size_of::<Option<Entry>>().saturating_add(96);

/// Entries looked at to find one to replace, before all of them are.
const SAMPLE: u32 = 16;

/// The result of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Frames go to this address.
    Known(EthernetAddress),
    /// A request is on its way.
    Pending,
    /// The table is full of neighbours that are in use.
    Full,
}

/// What a message says about a neighbour's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The neighbour asked for us: it will need an answer.
    Request,
    /// It answered, or announced itself: known entries change.
    Claim,
    /// It answered, and known entries stay (RFC 4861, section 7.2.5: no Override flag).
    WeakClaim,
}

/// A request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) address: IpAddress,
    /// To this host; `None`: to all.
    pub(crate) to: Option<EthernetAddress>,
}

#[derive(Debug)]
struct Entry {
    address: IpAddress,
    mac: Option<EthernetAddress>,
    /// The last sign of life.
    confirmed: Instant,
    used: Instant,
    /// Requests without an answer.
    tries: u8,
    /// When the next one is due.
    timer: Option<Instant>,
    /// Live connections that use it.
    pins: u32,
}

/// The number of an entry that a connection uses, in four bytes also where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin(NonZeroU32);

impl Pin {
    fn new(id: u32) -> Option<Self> {
        NonZeroU32::new(id.wrapping_add(1)).map(Self)
    }

    const fn id(self) -> u32 {
        self.0.get().wrapping_sub(1)
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Neighbours {
    index: BTreeMap<IpAddress, u32>,
    entries: Slab<Entry>,
    timers: BTreeSet<(Instant, u32)>,
    limit: usize,
    budget: Budget,
    /// Where the search for an entry to replace goes on.
    hand: u32,
    /// An entry was learned or given up since [`Neighbours::take_news`].
    news: bool,
    /// No entry becomes [`UNUSED`] before.
    expires: Option<Instant>,
}

impl Entry {
    /// When it is removed unless it is used; `None` while it is in use, or asked for.
    fn expires(&self) -> Option<Instant> {
        if self.pins > 0 || self.timer.is_some() {
            return None;
        }
        Some(time::round_up(time::after(self.used.max(self.confirmed), UNUSED), LOOK))
    }
}

impl Neighbours {
    /// A table of at most `limit` entries, and no more than the account has memory for.
    pub(crate) fn new(limit: usize, account: Account) -> Self {
        let (index, timers, budget) = (BTreeMap::new(), BTreeSet::new(), Budget::new(account));
        let entries = Slab::new();
        Self { index, entries, timers, limit: limit.max(1), budget, hand: 0, news: false, expires: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The hardware address of a neighbour; starts a request for it if it is unknown or was silent for long.
    pub(crate) fn lookup(&mut self, address: IpAddress, now: Instant) -> Lookup {
        let id = match self.index.get(&address) {
            Some(id) => *id,
            None => match self.insert(address, now) {
                Some(id) => id,
                None => return Lookup::Full,
            },
        };
        self.lookup_entry(id, now)
    }

    /// The same for an entry that a connection has pinned, without a search, if it is that of `address` still.
    #[inline]
    pub(crate) fn lookup_pinned(&mut self, pin: Pin, address: IpAddress, now: Instant) -> Option<Lookup> {
        self.entries.get(pin.id()).filter(|entry| entry.address == address)?;
        Some(self.lookup_entry(pin.id(), now))
    }

    #[inline]
    fn lookup_entry(&mut self, id: u32, now: Instant) -> Lookup {
        let Some(entry) = self.entries.get_mut(id) else { return Lookup::Full };
        entry.used = now;
        let silent = entry.mac.is_none() || time::after(entry.confirmed, REACHABLE) <= now;
        let mac = entry.mac;
        if silent && entry.timer.is_none() {
            entry.tries = 0;
            self.arm(id, Some(now));
        }
        mac.map_or(Lookup::Pending, Lookup::Known)
    }

    /// The hardware address that is known now; starts nothing.
    pub(crate) fn known(&self, address: IpAddress) -> Option<EthernetAddress> {
        self.entries.get(*self.index.get(&address)?)?.mac
    }

    /// A live connection uses the neighbour: its entry stays until [`Neighbours::unpin`].
    pub(crate) fn pin(&mut self, address: IpAddress, now: Instant) -> Option<Pin> {
        let id = self.index.get(&address).copied().or_else(|| self.insert(address, now))?;
        let entry = self.entries.get_mut(id)?;
        entry.pins = entry.pins.saturating_add(1);
        Pin::new(id)
    }

    /// A connection that used the neighbour has ended.
    pub(crate) fn unpin(&mut self, pin: Pin, now: Instant) {
        let id = pin.id();
        if let Some(entry) = self.entries.get_mut(id) {
            entry.used = now;
            entry.pins = entry.pins.saturating_sub(1);
        }
        self.watch(id);
    }

    /// When [`Neighbours::expire`] has something to do.
    pub(crate) const fn expires(&self) -> Option<Instant> {
        self.expires
    }

    /// Removes the entries that were not used for [`UNUSED`]. Returns whether it was time to look.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        if self.expires.take_if(|at| *at <= now).is_none() {
            return false;
        }
        for id in 0..self.entries.end() {
            match self.entries.get(id).and_then(Entry::expires) {
                Some(at) if at <= now => self.remove(id),
                _ => self.watch(id),
            }
        }
        true
    }

    /// Notes when an entry becomes unused.
    fn watch(&mut self, id: u32) {
        let expires = self.entries.get(id).and_then(Entry::expires);
        self.expires = self.expires.into_iter().chain(expires).min();
    }

    /// Takes what a message says. `true`: a known neighbour has moved to another hardware address.
    pub(crate) fn learn(
        &mut self,
        address: IpAddress,
        mac: EthernetAddress,
        source: Source,
        now: Instant,
    ) -> bool {
        if !mac.is_unicast() {
            return false;
        }
        let mut known = self.index.get(&address).copied();
        if known.is_none() && source == Source::Request && self.has_spare() {
            known = self.insert(address, now);
        }
        let Some((id, entry)) = known.and_then(|id| Some((id, self.entries.get_mut(id)?))) else {
            return false;
        };
        let moved = entry.mac.is_some_and(|old| old != mac);
        if moved && source == Source::WeakClaim {
            // A request decides which of the two is right.
            entry.tries = 0;
            self.arm(id, Some(now));
            return false;
        }
        (entry.mac, entry.confirmed, entry.tries) = (Some(mac), now, 0);
        self.arm(id, None);
        self.news = true;
        moved
    }

    /// The request that is due, if any; [`Neighbours::asked`] records that it was sent. Removes neighbours that do
    /// not answer.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Ask> {
        loop {
            let (at, id) = *self.timers.first()?;
            if at > now {
                return None;
            }
            let entry = self.entries.get(id)?;
            let tries = if entry.mac.is_some() { TRIES.saturating_mul(2) } else { TRIES };
            if entry.tries < tries {
                let to = entry.mac.filter(|_| entry.tries < TRIES);
                return Some(Ask { address: entry.address, to });
            }
            self.give_up(id);
        }
    }

    /// The request for the address was sent.
    pub(crate) fn asked(&mut self, address: IpAddress, now: Instant) {
        let Some(id) = self.index.get(&address).copied() else { return };
        if let Some(entry) = self.entries.get_mut(id) {
            entry.tries = entry.tries.saturating_add(1);
            self.arm(id, Some(time::after(now, INTERVAL)));
        }
    }

    /// The request for the address is not to be sent now: too many were. First requests are tried again sooner than others.
    pub(crate) fn postpone(&mut self, address: IpAddress, now: Instant) {
        let Some(id) = self.index.get(&address).copied() else { return };
        let is_first = self.entries.get(id).is_some_and(|entry| entry.tries == 0);
        self.arm(id, Some(time::after(now, if is_first { SOON } else { INTERVAL })));
    }

    /// When the next request is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether an entry was learned or removed since the last call: those who wait for one look again.
    pub(crate) fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.news)
    }

    /// The link may lead to another network: known entries are not valid any more.
    pub(crate) fn new_link(&mut self) {
        self.timers.clear();
        for id in 0..self.entries.end() {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            (entry.mac, entry.timer, entry.tries) = (None, None, 0);
            if entry.pins == 0 {
                self.remove(id);
            }
        }
        self.news = true;
    }

    fn has_spare(&self) -> bool {
        let quarter = self.budget.limit() / 4;
        self.len() < self.limit.saturating_sub(self.limit.div_ceil(4)).max(1)
            && self.budget.free() > quarter.max(ENTRY)
    }

    fn insert(&mut self, address: IpAddress, now: Instant) -> Option<u32> {
        if self.len() >= self.limit || !self.budget.take(ENTRY) {
            let old = self.replaceable()?;
            self.remove(old);
            self.budget.add(ENTRY);
        }
        let entry = Entry { address, mac: None, confirmed: now, used: now, tries: 0, timer: None, pins: 0 };
        let Ok(id) = self.entries.insert(entry) else {
            self.budget.give(ENTRY);
            return None;
        };
        self.index.insert(address, id);
        Some(id)
    }

    /// The entry of a sample that was not used for longest, or of all if the whole sample is in use.
    fn replaceable(&mut self) -> Option<u32> {
        let end = self.hand.saturating_add(SAMPLE);
        let free = |range: core::ops::Range<u32>| {
            let entries = range.filter_map(|id| Some((id, self.entries.get(id)?)));
            entries.filter(|(_, entry)| entry.pins == 0).min_by_key(|(_, entry)| entry.used).map(|(id, _)| id)
        };
        let found = free(self.hand..end).or_else(|| free(0..self.entries.end()));
        self.hand = if end < self.entries.end() { end } else { 0 };
        found
    }

    /// Nobody answers: the entry goes, unless a connection uses it.
    fn give_up(&mut self, id: u32) {
        self.news = true;
        match self.entries.get_mut(id) {
            Some(entry) if entry.pins > 0 => {
                entry.mac = None;
                self.arm(id, None);
            }
            _ => self.remove(id),
        }
    }

    fn remove(&mut self, id: u32) {
        if let Some(entry) = self.entries.remove(id) {
            entry.timer.into_iter().for_each(|at| _ = self.timers.remove(&(at, id)));
            self.index.remove(&entry.address);
            self.budget.give(ENTRY);
        }
    }

    fn arm(&mut self, id: u32, at: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if let Some(old) = core::mem::replace(&mut entry.timer, at) {
            self.timers.remove(&(old, id));
        }
        match at {
            Some(at) => _ = self.timers.insert((at, id)),
            None => self.watch(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Consumer, Ledger};

    fn table(limit: usize) -> Neighbours {
        Neighbours::new(limit, Ledger::new(16 << 20).open(Consumer::Neighbours))
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_secs(seconds)
    }

    fn ip(n: u16) -> IpAddress {
        let [high, low] = n.to_be_bytes();
        IpAddress::v4(10, 0, high, low)
    }

    fn mac(n: u8) -> EthernetAddress {
        EthernetAddress([2, 0, 0, 0, 0, n])
    }

    /// Sends due requests, and returns them.
    fn asks(table: &mut Neighbours, now: Instant) -> Vec<Ask> {
        let mut all = Vec::new();
        while let Some(ask) = table.due(now) {
            table.asked(ask.address, now);
            all.push(ask);
        }
        all
    }

    use alloc::vec::Vec;

    #[test]
    fn a_neighbour_is_asked_for_three_times_and_given_up() {
        let mut table = table(8);
        assert_eq!(table.lookup(ip(1), at(0)), Lookup::Pending);
        for second in 0..3 {
            assert_eq!(table.lookup(ip(1), at(second)), Lookup::Pending);
            assert_eq!(asks(&mut table, at(second)), [Ask { address: ip(1), to: None }]);
            assert_eq!(asks(&mut table, at(second)), []);
        }
        table.take_news();
        assert_eq!((asks(&mut table, at(3)), table.len()), (Vec::new(), 0));
        assert!(table.take_news(), "who waits is told");
    }

    #[test]
    fn a_silent_neighbour_is_probed_while_its_address_is_in_use() {
        let mut table = table(8);
        table.lookup(ip(1), at(0));
        table.learn(ip(1), mac(1), Source::Claim, at(0));
        assert_eq!(
            (table.lookup(ip(1), at(29)), asks(&mut table, at(29))),
            (Lookup::Known(mac(1)), Vec::new())
        );
        let mut sent = Vec::new();
        for second in 30..36 {
            assert_eq!(table.lookup(ip(1), at(second)), Lookup::Known(mac(1)));
            sent.extend(asks(&mut table, at(second)).into_iter().map(|ask| ask.to));
        }
        assert_eq!(sent, [Some(mac(1)), Some(mac(1)), Some(mac(1)), None, None, None]);
        assert_eq!((asks(&mut table, at(36)), table.len()), (Vec::new(), 0));
    }

    #[test]
    fn known_neighbours_move_and_strangers_are_not_learned() {
        let mut table = table(8);
        assert!(!table.learn(ip(1), mac(1), Source::Claim, at(0)));
        assert_eq!(table.len(), 0, "nobody asked for it");
        table.learn(ip(1), mac(1), Source::Request, at(0));
        assert!(table.learn(ip(1), mac(2), Source::Claim, at(1)));
        assert!(!table.learn(ip(1), mac(3), Source::WeakClaim, at(2)));
        assert_eq!(table.lookup(ip(1), at(2)), Lookup::Known(mac(2)));
        assert_eq!(asks(&mut table, at(2)), [Ask { address: ip(1), to: Some(mac(2)) }]);
        assert!(!table.learn(ip(1), EthernetAddress::BROADCAST, Source::Claim, at(2)));
        assert_eq!(table.known(ip(1)), Some(mac(2)));
    }

    #[test]
    fn what_a_connection_uses_is_not_replaced() {
        let mut table = table(100);
        let mut pins = Vec::new();
        for n in 0..90 {
            pins.extend(table.pin(ip(n), at(0)));
            table.learn(ip(n), mac(1), Source::Claim, at(0));
        }
        let seventh = pins[7];
        for n in 1000..3000 {
            assert_eq!(table.lookup(ip(n), at(1)), Lookup::Pending);
        }
        assert_eq!(table.len(), 100);
        assert!((0..90).all(|n| table.known(ip(n)).is_some()));
        for n in 90..100 {
            table.pin(ip(n), at(2));
        }
        assert_eq!(table.lookup(ip(5000), at(3)), Lookup::Full);
        table.unpin(seventh, at(3));
        assert_eq!(table.lookup(ip(5000), at(3)), Lookup::Pending);
        assert_eq!(table.known(ip(7)), None);
    }

    #[test]
    fn requests_of_others_leave_a_quarter_of_the_table() {
        let mut table = table(100);
        for n in 0..1000 {
            table.learn(ip(n), mac(1), Source::Request, at(0));
        }
        assert_eq!(table.len(), 75);
    }

    #[test]
    fn the_ledger_decides_how_many_neighbours_are_kept() {
        let ledger = Ledger::new(256 << 10);
        let account = ledger.open(Consumer::Neighbours);
        let room = account.limit() / ENTRY;
        let mut table = Neighbours::new(2000, account.clone());
        for n in 0..2000 {
            assert_eq!(table.lookup(ip(n), at(i64::from(n))), Lookup::Pending);
            assert!(account.used() <= account.limit());
        }
        assert!((room - 2..=room).contains(&table.len()), "{} of {room}", table.len());
        assert!(table.known(ip(1999)).is_none() && table.lookup(ip(1999), at(2000)) == Lookup::Pending);
        table.new_link();
        assert_eq!((table.len(), account.used()), (0, 0));
    }

    #[test]
    fn a_neighbour_that_nobody_uses_is_removed_after_a_minute() {
        let ledger = Ledger::new(1 << 20);
        let account = ledger.open(Consumer::Neighbours);
        let mut table = Neighbours::new(1000, account.clone());
        let pin = table.pin(ip(1), at(0)).unwrap();
        for n in 1..500 {
            table.learn(ip(n), mac(1), Source::Request, at(0));
        }
        table.lookup(ip(2), at(15));
        assert_eq!((table.expires(), table.expire(at(63))), (Some(at(64)), false));
        assert!(table.expire(at(64)) && !table.expire(at(64)));
        let known = |table: &Neighbours| (1..500).filter(|n| table.known(ip(*n)).is_some()).count();
        assert_eq!((known(&table), table.len(), table.expires()), (2, 2, Some(at(80))));
        table.unpin(pin, at(79));
        assert!(table.expire(at(80)));
        assert_eq!((table.known(ip(1)), table.len(), table.expires()), (Some(mac(1)), 1, Some(at(144))));
        assert!(table.expire(at(144)));
        assert_eq!((table.len(), table.expires(), account.used()), (0, None, 0));
    }
}
