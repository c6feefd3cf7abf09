//! Which connection the later pieces of a fragmented TCP segment belong to.
//!
//! Only the first piece has ports. smoltcp's reassembly is the interface's, but the set that is passed with the piece
//! which *completes* the segment is the one that is searched for its socket: so the later pieces must come with the
//! same set as the first. A piece whose first one is still missing cannot complete anything and may come with any.

use alloc::collections::VecDeque;

use smoltcp::wire::Ipv4Address;

use crate::frame::demux::Tuple;

/// Datagrams remembered; more than smoltcp reassembles at a time (4).
const REMEMBERED: usize = 16;

/// What the pieces of one TCP segment have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentKey {
    pub(crate) from: Ipv4Address,
    pub(crate) to: Ipv4Address,
    pub(crate) ident: u16,
}

/// The last few first pieces.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    heads: VecDeque<(FragmentKey, Tuple)>,
}

impl Fragments {
    /// The 4-tuple of the segment that this piece is of, if its first piece was seen; remembers `head`.
    pub(crate) fn tuple(&mut self, key: FragmentKey, head: Option<Tuple>) -> Option<Tuple> {
        let Some(tuple) = head else {
            return self.heads.iter().find(|(known, _)| *known == key).map(|(_, tuple)| *tuple);
        };
        self.heads.retain(|(known, _)| *known != key);
        if self.heads.len() >= REMEMBERED {
            self.heads.pop_front();
        }
        self.heads.push_back((key, tuple));
        Some(tuple)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{IpAddress, IpEndpoint};

    fn key(ident: u16) -> FragmentKey {
        FragmentKey { from: Ipv4Address::new(10, 0, 0, 2), to: Ipv4Address::new(10, 0, 0, 1), ident }
    }

    fn tuple(port: u16) -> Tuple {
        let end = |port| IpEndpoint::new(IpAddress::v4(10, 0, 0, 1), port);
        Tuple { local: end(80), remote: end(port) }
    }

    #[test]
    fn later_pieces_follow_the_first_and_old_ones_are_forgotten() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.tuple(key(1), None), None);
        assert_eq!(fragments.tuple(key(1), Some(tuple(5))), Some(tuple(5)));
        assert_eq!(fragments.tuple(key(1), None), Some(tuple(5)));
        assert_eq!(
            fragments.tuple(key(1), Some(tuple(6))),
            Some(tuple(6)),
            "a reused ident is a new segment"
        );
        for ident in 2..100 {
            fragments.tuple(key(ident), Some(tuple(ident)));
        }
        assert_eq!((fragments.tuple(key(1), None), fragments.heads.len()), (None, REMEMBERED));
    }
}
