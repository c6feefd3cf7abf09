//! The number of connections of each source: an IPv4 address, or an IPv6 /64, the prefix of one subscriber (RFC 6177).

use smoltcp::wire::IpAddress;

use crate::slab::{NoMemory, Slab};
use crate::table::Table;
use crate::tuple::{Key, low32};

#[derive(Debug)]
struct Source {
    /// The /64, or the IPv4 address.
    prefix: u64,
    connections: u32,
    kind: Kind,
}

/// The version of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    V4,
    V6,
}

const _: () = assert!(size_of::<Option<Source>>() <= 16);

/// The reason why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The source has reached its limit.
    Share,
    /// There is no memory for a new source.
    NoMemory,
}

impl From<NoMemory> for Refused {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// Counts of connections by source.
#[derive(Debug)]
pub struct Sources {
    key: Key,
    most: u32,
    table: Table,
    sources: Slab<Source>,
}

impl Sources {
    /// At most `most` connections for each source.
    #[must_use]
    pub const fn new(key: Key, most: u32) -> Self {
        Self { key, most, table: Table::new(), sources: Slab::new() }
    }

    /// Replaces the key of the hashes.
    ///
    /// # Errors
    /// [`NoMemory`] for the table that is built beside the old one: nothing changed.
    pub(crate) fn renew(&mut self, key: Key) -> Result<(), NoMemory> {
        let mut table = Table::new();
        for (id, source) in self.sources.iter() {
            table.insert(low32(key.hash_bytes(&source.prefix.to_le_bytes())), id)?;
        }
        (self.key, self.table) = (key, table);
        Ok(())
    }

    /// Changes the limit. Connections above it are kept.
    pub fn set_most(&mut self, most: u32) {
        self.most = most;
    }

    /// Counts a new connection of `remote`.
    ///
    /// # Errors
    /// [`Refused`]: the connection is not counted, and must not begin.
    pub fn enter(&mut self, remote: IpAddress) -> Result<(), Refused> {
        let (prefix, kind) = prefix(remote);
        let (hash, found) = self.find(prefix, kind);
        if let Some(source) = found.and_then(|id| self.sources.get_mut(id)) {
            if source.connections >= self.most {
                return Err(Refused::Share);
            }
            source.connections = source.connections.saturating_add(1);
            return Ok(());
        }
        if self.most == 0 {
            return Err(Refused::Share);
        }
        let id = self.sources.insert(Source { prefix, connections: 1, kind })?;
        self.table.insert(hash, id).inspect_err(|_| {
            self.sources.remove(id);
        })?;
        Ok(())
    }

    /// Uncounts a connection of `remote` that has ended.
    pub fn leave(&mut self, remote: IpAddress) {
        let (prefix, kind) = prefix(remote);
        let (hash, found) = self.find(prefix, kind);
        let Some((id, source)) = found.and_then(|id| Some((id, self.sources.get_mut(id)?))) else { return };
        source.connections = source.connections.saturating_sub(1);
        if source.connections == 0 {
            self.sources.remove(id);
            self.table.remove(hash, id);
        }
    }

    /// Connections from the source of `remote`.
    #[must_use]
    pub fn count(&self, remote: IpAddress) -> u32 {
        let (prefix, kind) = prefix(remote);
        self.find(prefix, kind).1.and_then(|id| self.sources.get(id)).map_or(0, |source| source.connections)
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.table.memory().saturating_add(self.sources.memory())
    }

    fn find(&self, prefix: u64, kind: Kind) -> (u32, Option<u32>) {
        let hash = low32(self.key.hash_bytes(&prefix.to_le_bytes()));
        let is_it =
            |id| self.sources.get(id).is_some_and(|source| source.prefix == prefix && source.kind == kind);
        (hash, self.table.find(hash, is_it))
    }
}

/// The key of a source.
fn prefix(remote: IpAddress) -> (u64, Kind) {
    match remote {
        IpAddress::Ipv4(address) => (u64::from(u32::from(address)), Kind::V4),
        IpAddress::Ipv6(address) => {
            let bits = address.to_bits() >> 64;
            (u64::try_from(bits).unwrap_or(0), Kind::V6)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuple::tests::{v4, v6};
    use smoltcp::wire::Ipv6Address;

    #[test]
    fn a_source_has_its_share_and_others_theirs() {
        let mut sources = Sources::new(Key::new([1; 16]), 3);
        for _ in 0..3 {
            sources.enter(v4(1).remote).unwrap();
            sources.enter(v6(1).remote).unwrap();
        }
        assert_eq!(sources.enter(v4(1).remote), Err(Refused::Share));
        assert_eq!(sources.enter(v6(1).remote), Err(Refused::Share));
        assert_eq!((sources.enter(v4(2).remote), sources.enter(v6(2).remote)), (Ok(()), Ok(())));
        sources.leave(v4(1).remote);
        assert_eq!((sources.count(v4(1).remote), sources.enter(v4(1).remote)), (2, Ok(())));
    }

    #[test]
    fn addresses_of_one_64_are_one_source() {
        let mut sources = Sources::new(Key::new([1; 16]), 10);
        for host in 0..10 {
            sources
                .enter(IpAddress::Ipv6(Ipv6Address::new(0x2001, 0xdb8, 0, 7, host, host, 0, host)))
                .unwrap();
        }
        let other_host = IpAddress::Ipv6(Ipv6Address::new(0x2001, 0xdb8, 0, 7, 99, 0, 0, 1));
        let other_net = IpAddress::Ipv6(Ipv6Address::new(0x2001, 0xdb8, 0, 8, 99, 0, 0, 1));
        assert_eq!(sources.enter(other_host), Err(Refused::Share));
        assert_eq!((sources.count(other_net), sources.enter(other_net)), (0, Ok(())));
    }

    #[test]
    fn a_source_without_connections_costs_nothing() {
        let mut sources = Sources::new(Key::new([1; 16]), 2);
        (0..100_000).for_each(|n| sources.enter(v4(n).remote).unwrap());
        let full = sources.memory();
        assert!(full < 100_000 * 32, "{full}");
        (0..100_000).for_each(|n| sources.leave(v4(n).remote));
        assert_eq!(sources.count(v4(5).remote), 0);
        assert!(sources.memory() < full / 20, "{} of {full}", sources.memory());
        // One who was never counted changes nothing.
        sources.leave(v4(5).remote);
        assert_eq!(sources.count(v4(5).remote), 0);
    }

    #[test]
    fn a_share_of_zero_lets_nobody_in() {
        let mut sources = Sources::new(Key::new([1; 16]), 0);
        assert_eq!(sources.enter(v4(1).remote), Err(Refused::Share));
        sources.set_most(1);
        assert_eq!(sources.enter(v4(1).remote), Ok(()));
    }
}
