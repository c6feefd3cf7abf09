//! Ephemeral ports by RFC 6056 §3.3.4, algorithm 4 (double hash).
//!
//! ```text
//!   offset  = F(local address, remote address, remote port, key)         the first port of this destination
//!   counter = table[G(local address, remote address, remote port, key)]  ports used since
//!   port    = first + (offset + counter) % count, if it is free; else the next
//! ```
//!
//! Ports to one destination rise by one, so that a port is reused as late as possible. Between destinations they are
//! unpredictable. A predicate of the caller decides which ports are free, and which ones lead to its loop if several loops
//! share the connections.

use smoltcp::wire::IpAddress;

use crate::tuple::{FourTuple, Key, low32};

/// The number of counters: a destination shares one with a 32nd of all others. (RFC 6056 §3.3.4, TABLE_LENGTH)
const COUNTERS: usize = 32;

/// The generator of ports.
#[derive(Debug)]
pub struct Ports {
    key: Key,
    first: u16,
    count: u16,
    counters: [u16; COUNTERS],
}

impl Ports {
    /// The dynamic ports of RFC 6335 §6: 49152 to 65535.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self::within(key, 49152, 65535)
    }

    /// The ports from `first` to `last`. Only `first` if `last` is below it.
    #[must_use]
    pub const fn within(key: Key, first: u16, last: u16) -> Self {
        let count = last.saturating_sub(first).saturating_add(1);
        Self { key, first, count, counters: [0; COUNTERS] }
    }

    /// Replaces the secret, see [`crate::isn::Isn::renew`].
    pub fn renew(&mut self, key: Key) {
        self.key = key;
    }

    /// A free port for a connection from `local` to `remote`. `None` if `is_free` holds for no port. It is called at most
    /// once for each port.
    pub fn pick(
        &mut self,
        local: IpAddress,
        remote: IpAddress,
        remote_port: u16,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        let destination = FourTuple { local, local_port: 0, remote, remote_port };
        let hash = self.key.wire_hash(&destination, b"P");
        let offset = low32(hash);
        let index = usize::try_from(hash >> 32).unwrap_or(0) % COUNTERS;
        let counter = self.counters.get_mut(index)?;
        for _ in 0..self.count {
            let step = offset.wrapping_add(u32::from(*counter)).checked_rem(u32::from(self.count))?;
            *counter = counter.wrapping_add(1);
            let port = self.first.wrapping_add(u16::try_from(step).unwrap_or(0));
            if is_free(port) {
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use smoltcp::wire::Ipv4Address;

    fn address(last: u8) -> IpAddress {
        IpAddress::Ipv4(Ipv4Address::new(192, 0, 2, last))
    }

    #[test]
    fn ports_of_a_destination_go_up_by_one() {
        let mut ports = Ports::new(Key::new([3; 16]));
        let seen: Vec<u16> =
            (0..100).map(|_| ports.pick(address(1), address(2), 80, |_| true).unwrap()).collect();
        for pair in seen.windows(2) {
            assert!(pair[1] == pair[0].wrapping_add(1) || (pair[0], pair[1]) == (65535, 49152), "{pair:?}");
        }
        assert!(seen.iter().all(|port| *port >= 49152));
    }

    #[test]
    fn destinations_begin_at_places_of_their_own() {
        let mut ports = Ports::new(Key::new([3; 16]));
        let first: BTreeSet<u16> =
            (0..200).map(|n| ports.pick(address(1), address(n), 80, |_| true).unwrap()).collect();
        assert!(first.len() > 190, "{}", first.len());
        let mut other = Ports::new(Key::new([4; 16]));
        let mut again = Ports::new(Key::new([3; 16]));
        let pick = |ports: &mut Ports| ports.pick(address(1), address(2), 80, |_| true);
        assert_ne!(pick(&mut other), pick(&mut again));
    }

    #[test]
    fn every_port_is_tried_once() {
        // RFC 6056 §3.3.4: the loop ends when all have been tried.
        let mut ports = Ports::within(Key::new([3; 16]), 1024, 2023);
        let mut asked = BTreeSet::new();
        let mut ask = |port| {
            assert!(asked.insert(port));
            false
        };
        assert_eq!(ports.pick(address(1), address(2), 80, &mut ask), None);
        assert_eq!((asked.len(), asked.first(), asked.last()), (1000, Some(&1024), Some(&2023)));
        assert_eq!(ports.pick(address(1), address(2), 80, |port| port == 1500), Some(1500));
    }

    #[test]
    fn all_65536_ports_are_a_range_too() {
        let mut ports = Ports::within(Key::new([3; 16]), 0, 65535);
        assert!(ports.pick(address(1), address(2), 80, |port| port == 65534).is_some());
        let mut one = Ports::within(Key::new([3; 16]), 9, 5);
        assert_eq!(one.pick(address(1), address(2), 80, |_| true), Some(9));
    }
}
