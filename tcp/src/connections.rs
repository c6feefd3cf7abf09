//! The connections of a shard, found by name, by age and by deadline. Each takes at most 96 bytes beside its own state.
//!
//! ```text
//!   segment ─► name ─► table ─► id ─► slab ─► T       name 12 bytes, list of use 8, timer 16
//!                                      ├ by use:  the connection that is idle for the longest time
//!                                      └ wheel:   deadlines
//!   sources: how many an IPv4 address or a /64 has
//! ```
//!
//! An IPv4 name is 12 bytes in the connection. An IPv6 name is a number there, and its addresses are in another slab.
//! Tables grow in small steps, which may fail: a SYN is then [`Refused`].

use smoltcp::wire::{IpAddress, Ipv4Address, Ipv6Address};

use crate::list::{Linked, Links, List};
use crate::slab::{NoMemory, Slab};
use crate::sources::{Refused, Sources};
use crate::table::Table;
use crate::tuple::{FourTuple, Key, low32};
use crate::wheel::{Timer, Timers, Wheel};

/// Marks an IPv6 name: no host has the address 255.255.255.255.
const V6: u32 = u32::MAX;

/// A name in 12 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    /// Our address, or the number of the pair of addresses.
    local: u32,
    /// The peer's address, or [`V6`].
    remote: u32,
    local_port: u16,
    remote_port: u16,
}

#[derive(Debug)]
struct Entry<T> {
    name: Name,
    by_use: Links,
    timer: Timer,
    thing: T,
}

// Table 13.7, sources 16 and 13.7, and the slab's bitmaps 1 come to it.
const _: () = assert!(size_of::<Entry<()>>() <= 36);

/// Bytes of a connection outside of its entry: 14 in the table, 30 for its source, 34 for addresses of IPv6, and the
/// slabs' own.
const BESIDE: usize = 80;

/// An IPv6 connection's addresses, ours first.
type Pair = (Ipv6Address, Ipv6Address);

#[derive(Debug)]
struct Entries<T>(Slab<Entry<T>>);

impl<T> Linked for Entries<T> {
    fn links(&mut self, id: u32) -> Option<&mut Links> {
        Some(&mut self.0.get_mut(id)?.by_use)
    }
}

impl<T> Timers for Entries<T> {
    fn timer(&mut self, id: u32) -> Option<&mut Timer> {
        Some(&mut self.0.get_mut(id)?.timer)
    }
}

/// Connections with the state that the caller keeps for each.
#[derive(Debug)]
pub struct Connections<T> {
    key: Key,
    table: Table,
    entries: Entries<T>,
    pairs: Slab<Pair>,
    by_use: List,
    wheel: Wheel,
    sources: Sources,
}

impl<T> Connections<T> {
    /// No connections. A source may have `most_of_source`. `now_ms` is in milliseconds of a monotonic clock.
    #[must_use]
    pub const fn new(key: Key, most_of_source: u32, now_ms: u64) -> Self {
        Self {
            key,
            table: Table::new(),
            entries: Entries(Slab::new()),
            pairs: Slab::new(),
            by_use: List::new(),
            wheel: Wheel::new(now_ms),
            sources: Sources::new(key, most_of_source),
        }
    }

    /// Replaces the key of the hashes. Connections are kept.
    ///
    /// # Errors
    /// [`NoMemory`] for the tables that are built beside the old ones: nothing changed.
    pub fn renew(&mut self, key: Key) -> Result<(), NoMemory> {
        let mut table = Table::new();
        for (id, _) in self.iter() {
            let tuple = self.tuple(id).ok_or(NoMemory)?;
            // One whose name is free stays without.
            if self.find(&tuple) == Some(id) {
                table.insert(low32(key.table_hash(&tuple)), id)?;
            }
        }
        self.sources.renew(key)?;
        (self.key, self.table) = (key, table);
        Ok(())
    }

    /// Connections.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.table.len()
    }

    /// Whether there is no connection.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Connections of the source of `remote`.
    #[must_use]
    pub fn count_of_source(&self, remote: IpAddress) -> u32 {
        self.sources.count(remote)
    }

    /// Changes the limit of each source. Connections above it are kept.
    pub fn set_most_of_source(&mut self, most: u32) {
        self.sources.set_most(most);
    }

    /// Bytes of memory, without what the connections point to.
    #[must_use]
    pub fn memory(&self) -> usize {
        let tables = self.table.memory().saturating_add(self.sources.memory());
        tables.saturating_add(self.entries.0.memory()).saturating_add(self.pairs.memory())
    }

    /// Adds a connection, whose name must be free. Returns its number.
    ///
    /// # Errors
    /// [`Refused`]: nothing changed, and the thing is dropped.
    pub fn insert(&mut self, tuple: &FourTuple, thing: T) -> Result<u32, Refused> {
        self.sources.enter(tuple.remote)?;
        let inserted = self.insert_counted(tuple, thing);
        if inserted.is_err() {
            self.sources.leave(tuple.remote);
        }
        Ok(inserted?)
    }

    fn insert_counted(&mut self, tuple: &FourTuple, thing: T) -> Result<u32, NoMemory> {
        let name = self.pack(tuple)?;
        let entry = Entry { name, by_use: Links::UNLINKED, timer: Timer::UNSET, thing };
        let inserted = self.entries.0.insert(entry);
        let listed =
            inserted.and_then(|id| self.table.insert(low32(self.key.table_hash(tuple)), id).map(|()| id));
        if let Ok(id) = listed {
            self.by_use.push_back(&mut self.entries, id);
        } else {
            let _gone = inserted.map(|id| self.entries.0.remove(id));
            self.unpack(name);
        }
        listed
    }

    /// Removes a connection.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let tuple = self.tuple(id)?;
        self.wheel.cancel(&mut self.entries, id);
        self.by_use.remove(&mut self.entries, id);
        self.table.remove(low32(self.key.table_hash(&tuple)), id);
        self.sources.leave(tuple.remote);
        let entry = self.entries.0.remove(id)?;
        self.unpack(entry.name);
        Some(entry.thing)
    }

    /// Frees the name of a connection that has ended: another one may take it. [`Connections::find`] does not find the
    /// connection any more; it stays under its number until it is removed.
    pub fn free_name(&mut self, id: u32) {
        if let Some(tuple) = self.tuple(id) {
            self.table.remove(low32(self.key.table_hash(&tuple)), id);
        }
    }

    /// The number of the connection with this name.
    #[must_use]
    #[inline]
    pub fn find(&self, tuple: &FourTuple) -> Option<u32> {
        self.table.find(low32(self.key.table_hash(tuple)), |id| {
            self.entries.0.get(id).is_some_and(|entry| self.is_name_of(&entry.name, tuple))
        })
    }

    /// The connection with this number.
    #[must_use]
    #[inline]
    pub fn get(&self, id: u32) -> Option<&T> {
        Some(&self.entries.0.get(id)?.thing)
    }

    /// The connection with this number, mutable.
    #[inline]
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        Some(&mut self.entries.0.get_mut(id)?.thing)
    }

    /// The name of a connection.
    #[must_use]
    pub fn tuple(&self, id: u32) -> Option<FourTuple> {
        let name = self.entries.0.get(id)?.name;
        let (local, remote) = if name.remote == V6 {
            let (local, remote) = self.pairs.get(name.local)?;
            (IpAddress::Ipv6(*local), IpAddress::Ipv6(*remote))
        } else {
            let v4 = |bits| IpAddress::Ipv4(Ipv4Address::from_bits(bits));
            (v4(name.local), v4(name.remote))
        };
        Some(FourTuple { local, local_port: name.local_port, remote, remote_port: name.remote_port })
    }

    /// The port of this host in the name of a connection.
    #[must_use]
    #[inline]
    pub fn local_port(&self, id: u32) -> Option<u16> {
        Some(self.entries.0.get(id)?.name.local_port)
    }

    /// Numbers and connections, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.0.iter().map(|(id, entry)| (id, &entry.thing))
    }

    /// A number above all those in use.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.entries.0.end()
    }

    /// Bytes of memory that a connection needs here at most, without what it points to.
    #[must_use]
    pub const fn memory_each() -> usize {
        // Beside the entry: the table, the source and its place in a table, an IPv6 connection's addresses.
        size_of::<Option<Entry<T>>>().saturating_add(BESIDE)
    }

    /// Takes a connection that has ended out of the order of use: [`Connections::by_use`] does not visit it any more. It stays
    /// under its number until it is removed.
    pub fn retire(&mut self, id: u32) {
        self.by_use.remove(&mut self.entries, id);
    }

    /// Marks the connection as the most recently used one, unless it is retired.
    #[inline]
    pub fn touch(&mut self, id: u32) {
        if self.by_use.has(&mut self.entries, id) {
            self.by_use.move_to_back(&mut self.entries, id);
        }
    }

    /// All connections that are not retired, those first that have not been used for the longest time.
    pub fn by_use(&self) -> impl Iterator<Item = u32> {
        core::iter::successors(self.by_use.first(), |id| self.entries.0.get(*id)?.by_use.next())
    }

    /// Sets the connection's deadline as [`Connections::set_timer`], unless its timer expires before: then the timer stays,
    /// and the caller sets it when it has expired.
    #[inline]
    pub fn set_timer_no_later(&mut self, id: u32, deadline_ms: u64) {
        if !self.wheel.expires_by(&mut self.entries, id, deadline_ms) {
            self.wheel.set(&mut self.entries, id, deadline_ms);
        }
    }

    /// Sets the connection's deadline, in milliseconds; `None`: it has none. See [`Wheel::set`]; one that may come a few
    /// seconds late is rounded by [`crate::wheel::coarse`] first.
    #[inline]
    pub fn set_timer(&mut self, id: u32, deadline_ms: Option<u64>) {
        match deadline_ms {
            Some(deadline_ms) => self.wheel.set(&mut self.entries, id, deadline_ms),
            None => self.wheel.cancel(&mut self.entries, id),
        }
    }

    /// Takes a connection whose deadline has passed, and clears its deadline. The caller repeats this until `None`.
    pub fn pop_expired(&mut self, now_ms: u64) -> Option<u32> {
        self.wheel.pop(&mut self.entries, now_ms)
    }

    /// When [`Connections::pop_expired`] is to be called next. See [`Wheel::next`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.wheel.next()
    }

    #[inline]
    fn is_name_of(&self, name: &Name, tuple: &FourTuple) -> bool {
        (name.local_port, name.remote_port) == (tuple.local_port, tuple.remote_port)
            && match (tuple.local, tuple.remote) {
                (IpAddress::Ipv4(local), IpAddress::Ipv4(remote)) => {
                    name.local == local.to_bits() && name.remote == remote.to_bits() && name.remote != V6
                }
                (IpAddress::Ipv6(local), IpAddress::Ipv6(remote)) => {
                    name.remote == V6 && self.pairs.get(name.local) == Some(&(local, remote))
                }
                _ => false,
            }
    }

    /// A name of mixed versions, or with the broadcast address, cannot be a connection's.
    fn pack(&mut self, tuple: &FourTuple) -> Result<Name, NoMemory> {
        let (local, remote) = match (tuple.local, tuple.remote) {
            (IpAddress::Ipv4(local), IpAddress::Ipv4(remote)) if remote.to_bits() != V6 => {
                (local.to_bits(), remote.to_bits())
            }
            (IpAddress::Ipv6(local), IpAddress::Ipv6(remote)) => (self.pairs.insert((local, remote))?, V6),
            _ => return Err(NoMemory),
        };
        Ok(Name { local, remote, local_port: tuple.local_port, remote_port: tuple.remote_port })
    }

    fn unpack(&mut self, name: Name) {
        if name.remote == V6 {
            self.pairs.remove(name.local);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuple::tests::{v4, v6};

    fn connections(most: u32) -> Connections<u32> {
        Connections::new(Key::new([1; 16]), most, 0)
    }

    #[test]
    fn a_connection_is_found_by_its_name_only() {
        let mut all = connections(100);
        let names = [v4(1), v4(2), v6(1), v6(2), FourTuple { remote_port: 5, ..v6(2) }];
        let ids = names.map(|name| all.insert(&name, 7).unwrap());
        for (name, id) in names.iter().zip(ids) {
            assert_eq!((all.find(name), all.tuple(id)), (Some(id), Some(*name)));
            assert_eq!(all.find(&FourTuple { local_port: 81, ..*name }), None);
        }
        assert_eq!((all.find(&v4(3)), all.find(&v6(3))), (None, None));
        assert_eq!((all.remove(ids[3]), all.remove(ids[3]), all.len()), (Some(7), None, 4));
        assert_eq!((all.find(&v6(2)), all.find(&names[4])), (None, Some(ids[4])));
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let mut all = connections(100);
        let broadcast = FourTuple { remote: IpAddress::v4(255, 255, 255, 255), ..v4(1) };
        let mixed = FourTuple { remote: v6(1).remote, ..v4(1) };
        for name in [broadcast, mixed] {
            assert_eq!(all.insert(&name, 1), Err(Refused::NoMemory));
            assert_eq!((all.len(), all.count_of_source(name.remote)), (0, 0));
        }
    }

    #[test]
    fn another_key_finds_the_same_connections() {
        let mut all = connections(2);
        let ids = [1, 2, 3].map(|n| all.insert(&v4(n), n).unwrap());
        let other = all.insert(&v6(4), 4).unwrap();
        all.free_name(ids[2]);
        let next = all.insert(&v4(3), 5).unwrap();
        all.renew(Key::new([2; 16])).unwrap();
        assert_ne!(all.key.table_hash(&v4(1)), Key::new([1; 16]).table_hash(&v4(1)));
        assert_eq!([1, 2, 3].map(|n| all.find(&v4(n))), [ids[0], ids[1], next].map(Some));
        assert_eq!((all.find(&v6(4)), all.count_of_source(v4(1).remote)), (Some(other), 1));
        ids.iter().for_each(|id| assert!(all.remove(*id).is_some()));
        assert_eq!((all.find(&v4(1)), all.count_of_source(v4(1).remote), all.len()), (None, 0, 2));
    }

    #[test]
    fn the_longest_unused_gives_way() {
        let mut all = connections(100);
        let ids = [1, 2, 3].map(|n| all.insert(&v4(n), n).unwrap());
        all.touch(ids[0]);
        assert_eq!(all.by_use().next(), Some(ids[1]));
        all.remove(ids[1]);
        assert_eq!(all.by_use().next(), Some(ids[2]));
        all.touch(ids[2]);
        assert_eq!(all.by_use().next(), Some(ids[0]));
        assert!(all.by_use().eq([ids[0], ids[2]]));
    }

    #[test]
    fn a_retired_connection_is_not_visited_by_use() {
        let mut all = connections(100);
        let ids = [1, 2, 3].map(|n| all.insert(&v4(n), n).unwrap());
        all.retire(ids[0]);
        all.touch(ids[0]);
        assert!(all.by_use().eq([ids[1], ids[2]]), "its use does not bring it back");
        all.retire(ids[0]);
        assert!(all.by_use().eq([ids[1], ids[2]]));
        assert_eq!((all.len(), all.get(ids[0]), all.find(&v4(1))), (3, Some(&1), Some(ids[0])));
        all.retire(ids[2]);
        all.touch(ids[1]);
        assert_eq!((all.remove(ids[0]), all.remove(ids[2]), all.len()), (Some(1), Some(3), 1));
        let next = all.insert(&v4(4), 4).unwrap();
        assert!(all.by_use().eq([ids[1], next]), "a number that is used again is in the list");
    }

    #[test]
    fn deadlines_expire_and_those_of_removed_ones_do_not() {
        let mut all = connections(100);
        let ids = [1, 2, 3].map(|n| all.insert(&v4(n), n).unwrap());
        ids.iter().zip([50, 60, 70]).for_each(|(id, ms)| all.set_timer(*id, Some(ms)));
        all.remove(ids[0]);
        all.set_timer(ids[1], None);
        assert_eq!(all.next_deadline().map(|ms| ms <= 70), Some(true));
        assert_eq!(
            (all.pop_expired(69), all.pop_expired(70), all.next_deadline()),
            (None, Some(ids[2]), None)
        );
    }

    #[test]
    fn a_source_has_its_share() {
        let mut all = connections(2);
        let from = |port| FourTuple { remote_port: port, ..v4(1) };
        assert!(all.insert(&from(1), 0).is_ok() && all.insert(&from(2), 0).is_ok());
        assert_eq!(all.insert(&from(3), 0), Err(Refused::Share));
        let first = all.find(&from(1)).unwrap();
        all.remove(first);
        assert!(all.insert(&from(3), 0).is_ok());
    }

    #[test]
    fn each_takes_at_most_96_bytes_beside_its_thing() {
        // IPv4, every connection from a source of its own; then IPv6, whose pairs of addresses come to it.
        let mut all: Connections<bool> = Connections::new(Key::new([1; 16]), 100, 0);
        for n in 0..200_000 {
            let id = all.insert(&v4(n), true).unwrap();
            all.set_timer(id, Some(u64::from(n)));
            if n > 50_000 && n % 5000 == 0 {
                let each = all.memory() / usize::try_from(n).unwrap();
                assert!(each <= 96, "{each} at {n}");
            }
        }
        let full = all.memory();
        for n in 0..200_000 {
            let id = all.find(&v4(n)).unwrap();
            assert_eq!(all.remove(id), Some(true));
        }
        assert!(all.is_empty() && all.memory() < full / 20, "{} of {full}", all.memory());
        for n in 0..60_000 {
            all.insert(&v6(n), true).unwrap();
        }
        assert!(all.memory() / 60_000 <= 96 + 34, "{}", all.memory() / 60_000);
    }
}
