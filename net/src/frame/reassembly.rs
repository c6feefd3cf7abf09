//! Fragments of IPv4 and IPv6 packets, put together within a budget. RFC 791, RFC 8200 section 4.5, RFC 5722.
//!
//! ```text
//!   fragment ─► packet with this key ─► all of it there? ─► frame with the whole packet
//!                 │ overlap, too long                  └─ 10 s later ─► dropped, by a timer
//!                 └─► the whole packet is dropped
//! ```
//!
//! An incomplete packet reserves the bytes that its buffer takes. When the ledger refuses, or the number of packets is used
//! up, the oldest packet makes room: whoever sends halves displaces halves.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use ledger::{Account, Reservation};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpProtocol};

use crate::base::counters::DropReason;
use crate::base::time;
use crate::frame::rebuild;

/// How long the first fragments of a packet wait for the others.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Packets under way.
const PACKETS: usize = 64;

/// Ranges of one packet that are apart from each other.
const RANGES: usize = 64;

/// Bytes of a packet beside its buffer.
const OWN: usize = size_of::<Packet>().saturating_add(RANGES.saturating_mul(size_of::<Range<usize>>()));

/// Bytes of the longest payload.
const LONGEST: usize = 65_535;

/// The common fields of a packet's fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentKey {
    pub(crate) from: IpAddress,
    pub(crate) to: IpAddress,
    /// The protocol, for IPv6 of the first fragment's first header.
    pub(crate) protocol: IpProtocol,
    pub(crate) ident: u32,
}

/// A part of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) key: FragmentKey,
    /// Its place in the packet's payload, bytes.
    pub(crate) offset: usize,
    /// It is not the last one.
    pub(crate) more: bool,
    /// Where its bytes are in the frame.
    pub(crate) payload: Range<usize>,
}

#[derive(Debug)]
struct Packet {
    key: FragmentKey,
    bytes: Vec<u8>,
    /// The received ranges, in order, without adjacent ones.
    ranges: Vec<Range<usize>>,
    /// Bytes of the whole payload, once the last fragment has arrived.
    len: Option<usize>,
    expires: Instant,
    /// For `bytes` and `ranges`.
    reservation: Reservation,
}

/// Packets that are incomplete.
#[derive(Debug)]
pub(crate) struct Reassembly {
    /// The oldest first.
    packets: VecDeque<Packet>,
    account: Account,
}

impl Reassembly {
    /// None yet; their buffers are reserved from `account`.
    pub(crate) const fn new(account: Account) -> Self {
        Self { packets: VecDeque::new(), account }
    }

    /// Adds the fragment that is in `frame`; the frame with the whole packet, if this was the last part missing.
    ///
    /// # Errors
    /// Why the fragment, and with it the packet, is dropped.
    pub(crate) fn add(
        &mut self,
        fragment: &Fragment,
        frame: &[u8],
        now: Instant,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let bytes = frame.get(fragment.payload.clone()).ok_or(DropReason::Malformed)?;
        let end = fragment.offset.saturating_add(bytes.len());
        let odd = fragment.more && !bytes.len().is_multiple_of(8);
        if odd || bytes.is_empty() || end > LONGEST {
            return Err(DropReason::Fragment);
        }
        let place = self.packets.iter().position(|packet| packet.key == fragment.key);
        let mut packet = match place.and_then(|place| self.packets.remove(place)) {
            Some(packet) => packet,
            None => Packet::new(fragment.key, time::after(now, TIMEOUT), &self.account),
        };
        self.make_room(&mut packet, end)?;
        packet.place(fragment, bytes)?;
        if packet.is_whole() {
            let FragmentKey { from, to, protocol, .. } = packet.key;
            return rebuild::packet(frame, (from, to), protocol, &packet.bytes)
                .ok_or(DropReason::Memory)
                .map(Some);
        }
        while self.packets.len() >= PACKETS {
            self.packets.pop_front();
        }
        self.packets.try_reserve(1).map_err(|_| DropReason::Memory)?;
        self.packets.push_back(packet);
        Ok(None)
    }

    /// When [`Reassembly::expire`] has something to do.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.packets.iter().map(|packet| packet.expires).min()
    }

    /// Drops the packets whose time is over. Returns whether there were any.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.packets.len();
        self.packets.retain(|packet| packet.expires > now);
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
        }
        self.packets.len() < before
    }

    /// Makes a packet's buffer `len` bytes long at least; the oldest other packets make room for it.
    fn make_room(&mut self, packet: &mut Packet, len: usize) -> Result<(), DropReason> {
        let more = len.saturating_sub(packet.bytes.len());
        let wanted = OWN.saturating_add(len).saturating_sub(packet.reservation.bytes());
        while packet.reservation.grow(wanted).is_err() {
            self.packets.pop_front().ok_or(DropReason::Memory)?;
        }
        packet.bytes.try_reserve_exact(more).map_err(|_| DropReason::Memory)
    }
}

impl Packet {
    fn new(key: FragmentKey, expires: Instant, account: &Account) -> Self {
        let reservation = Reservation::none(account);
        Self { key, bytes: Vec::new(), ranges: Vec::new(), len: None, expires, reservation }
    }

    /// Puts a fragment into its place. RFC 5722: a packet whose fragments overlap is dropped; the same one twice is not
    /// an attack.
    fn place(&mut self, fragment: &Fragment, bytes: &[u8]) -> Result<(), DropReason> {
        let range = fragment.offset..fragment.offset.saturating_add(bytes.len());
        let last = self.ranges.last().map_or(0, |range| range.end);
        let len = if fragment.more { self.len } else { Some(range.end) };
        if len.is_some_and(|len| range.end > len || last > len) || (self.len.is_some() && len != self.len) {
            return Err(DropReason::Fragment);
        }
        if self.ranges.iter().any(|known| known.start <= range.start && range.end <= known.end) {
            let same = self.bytes.get(range) == Some(bytes);
            return if same { Ok(()) } else { Err(DropReason::Fragment) };
        }
        if self.ranges.iter().any(|known| known.start < range.end && range.start < known.end) {
            return Err(DropReason::Fragment);
        }
        self.len = len;
        // The room was reserved.
        if range.end > self.bytes.len() {
            self.bytes.resize(range.end, 0);
        }
        self.bytes.get_mut(range.clone()).ok_or(DropReason::Fragment)?.copy_from_slice(bytes);
        self.note(range);
        if self.ranges.len() > RANGES { Err(DropReason::Fragment) } else { Ok(()) }
    }

    /// Adds a range that touches others at most.
    fn note(&mut self, range: Range<usize>) {
        let mut range = range;
        self.ranges.retain(|known| {
            let touches = known.end == range.start || range.end == known.start;
            if touches {
                range = known.start.min(range.start)..known.end.max(range.end);
            }
            !touches
        });
        let place = self.ranges.iter().position(|known| known.start > range.start);
        self.ranges.insert(place.unwrap_or(self.ranges.len()), range);
    }

    fn is_whole(&self) -> bool {
        self.len.is_some_and(|len| self.ranges.first() == Some(&(0..len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Consumer, Ledger};

    fn reassembly() -> Reassembly {
        Reassembly::new(Ledger::new(256 << 10).open(Consumer::Fragments))
    }

    fn part(ident: u32, range: Range<usize>, more: bool) -> Fragment {
        let (from, to) = (IpAddress::v4(10, 0, 0, 9), IpAddress::v4(10, 0, 0, 1));
        let key = FragmentKey { from, to, protocol: IpProtocol::Udp, ident };
        Fragment { key, offset: range.start, more, payload: 34 + range.start..34 + range.end }
    }

    fn frame() -> Vec<u8> {
        (0..2000_u16).map(|n| n.to_be_bytes()[1]).collect()
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_secs(seconds)
    }

    #[test]
    fn parts_in_any_order_make_the_packet() {
        let parts = [part(1, 0..16, true), part(1, 16..40, true), part(1, 40..45, false)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut all = reassembly();
            let mut whole = order.map(|n| all.add(&parts[n], &frame(), at(0)).unwrap());
            assert!(whole[0].is_none() && whole[1].is_none());
            let whole = whole[2].take().unwrap();
            assert_eq!((whole.len(), &whole[34..]), (34 + 45, &frame()[34..79]));
            assert_eq!((whole[23], &whole[16..18], all.packets.len()), (17, &[0, 65][..], 0));
        }
    }

    #[test]
    fn overlap_drops_the_packet_and_a_repetition_does_not() {
        let mut all = reassembly();
        for _ in 0..3 {
            assert_eq!(all.add(&part(1, 0..16, true), &frame(), at(0)), Ok(None));
        }
        assert_eq!(all.add(&part(1, 8..24, true), &frame(), at(0)), Err(DropReason::Fragment));
        assert_eq!(all.packets.len(), 0);
        assert_eq!(all.add(&part(1, 24..40, false), &frame(), at(0)), Ok(None), "the first part is gone");
        for bad in [part(1, 0..48, true), part(1, 0..30, false), part(1, 40..48, true)] {
            let mut all = reassembly();
            assert_eq!(all.add(&part(1, 24..40, false), &frame(), at(0)), Ok(None));
            assert_eq!(all.add(&bad, &frame(), at(0)), Err(DropReason::Fragment), "{bad:?}");
        }
        for bad in [part(2, 0..9, true), part(2, 8..8, true), part(2, 65_528..65_544, false)] {
            assert!(all.add(&bad, &frame(), at(0)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn halves_displace_halves_and_end_with_time() {
        let mut all = reassembly();
        for ident in 0..10_000 {
            let _ = all.add(&part(ident, 64..1000, true), &frame(), at(0));
            let bytes: usize = all.packets.iter().map(|packet| packet.bytes.capacity()).sum();
            assert!(bytes <= all.account.used() && all.account.used() <= all.account.limit());
            assert!(all.packets.len() <= PACKETS);
        }
        assert_eq!((all.packets.back().unwrap().key.ident, all.next()), (9999, Some(at(10))));
        assert_eq!(all.add(&part(1, 0..8, true), &frame(), at(5)), Ok(None));
        assert!(!all.expire(at(9)) && all.expire(at(10)));
        assert_eq!((all.packets.len(), all.next()), (1, Some(at(15))));
        assert!(all.expire(at(15)) && all.next().is_none());
        assert_eq!((all.account.used(), all.packets.capacity()), (0, 0));
        for start in 0..RANGES {
            let _ = all.add(&part(2, start * 16..start * 16 + 8, true), &frame(), at(10));
        }
        let one_more = part(2, RANGES * 16..RANGES * 16 + 8, true);
        assert_eq!(all.add(&one_more, &frame(), at(10)), Err(DropReason::Fragment));
    }
}
