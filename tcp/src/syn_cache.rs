//! The SYN cache (RFC 4987 §3.5): a fixed number of half-open connections, 64 bytes each, with a share for each source.
//!
//! ```text
//!   name ─► keyed hash ─► bucket of 8 entries          full, or at the share of the source ─► the caller sends a cookie
//!   stages: SYN-ACK sent, no answer       1 s, 2 s, 4 s, 8 s ─► forgotten
//!           answered, the backlog is full             60 s ─► forgotten, or connected when there is room
//!   a queue for each stage: in one queue all wait equally long, its first is due first
//! ```
//!
//! Entries are never evicted. A SYN without room is answered by a cookie ([`crate::cookie`]), which keeps all options; its
//! SYN-ACK is not retransmitted. A flood fills the cache and ends no handshake.

use alloc::vec::Vec;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, Ipv6Address};

use crate::handshake::HalfOpen;
use crate::list::{Linked, Links, List};
use crate::seq::Seq;
use crate::slab::NoMemory;
use crate::time::{MS, micros, millis32};
use crate::tuple::{FourTuple, Key, low32, octets};

/// Entries of a bucket.
const WAYS: u32 = 8;
/// Stages without an answer: SYN-ACKs of one handshake, the first counted. The last is waited for 8 s: 15 s in all.
/// (RFC 6298 §2.1, §5.5)
const UNANSWERED: usize = 4;
/// Stages in all. The last is that of peers that have answered, and believe that they are connected.
const STAGES: usize = 5;
/// Duration of the last stage.
const ANSWERED_MS: u32 = 60_000;
/// Entries of the last stage that are looked at in search of one for which there is room.
const LOOKED_AT: usize = 32;
/// The number of counters of shares. Sources with the same counter share it.
const SHARES: usize = 256;

/// The reason why a handshake is not kept. A cookie answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The bucket of the name is full.
    Full,
    /// The source has reached its share.
    Share,
}

bitflags::bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Marks: u8 {
        const USED = 1;
        const IPV6 = 2;
        const TIMESTAMPS = 4;
        const SACK = 8;
        const ECN = 16;
        /// The stage, three bits.
        const STAGE = 32 | 64 | 128;
    }
}

/// Packed: 64 bytes.
#[derive(Debug, Clone, Copy)]
struct Entry {
    local: [u8; 16],
    remote: [u8; 16],
    local_port: u16,
    remote_port: u16,
    irs: Seq,
    iss: Seq,
    timestamp: u32,
    /// The time of the next SYN-ACK, in milliseconds modulo 2^32.
    due_ms: u32,
    links: Links,
    peer_mss: u16,
    /// 15: not sent.
    window_scale: u8,
    marks: Marks,
}

const _: () = assert!(size_of::<Entry>() <= 64);

const FREE: Entry = Entry {
    local: [0; 16],
    remote: [0; 16],
    local_port: 0,
    remote_port: 0,
    irs: Seq(0),
    iss: Seq(0),
    timestamp: 0,
    due_ms: 0,
    links: Links::UNLINKED,
    peer_mss: 0,
    window_scale: 0,
    marks: Marks::empty(),
};

struct Entries(Vec<Entry>);

impl core::fmt::Debug for Entries {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} entries", self.0.len())
    }
}

impl Linked for Entries {
    fn links(&mut self, id: u32) -> Option<&mut Links> {
        self.0.get_mut(usize::try_from(id).ok()?).map(|entry| &mut entry.links)
    }
}

/// The half-open connections of a shard.
#[derive(Debug)]
pub struct SynCache {
    key: Key,
    entries: Entries,
    queues: [List; STAGES],
    len: u32,
    /// Half-open connections by a hash of the source.
    shares: [u16; SHARES],
    most_share: u16,
}

/// A finished handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Numbers and options of its SYNs.
    pub half: HalfOpen,
    /// The time since the SYN-ACK, if there was only one (Karn's algorithm, RFC 6298 §3).
    pub rtt: Option<Duration>,
}

impl SynCache {
    /// A cache for `capacity` handshakes, rounded up to a multiple of eight, 64 bytes each. A source may have `most_share`.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn new(key: Key, capacity: u32, most_share: u16) -> Result<Self, NoMemory> {
        let capacity = capacity.max(1).checked_next_multiple_of(WAYS).ok_or(NoMemory)?;
        let count = usize::try_from(capacity).map_err(|_| NoMemory)?;
        let mut entries = Vec::new();
        entries.try_reserve_exact(count).map_err(|_| NoMemory)?;
        entries.resize(count, FREE);
        Ok(Self {
            key,
            entries: Entries(entries),
            queues: [List::new(); STAGES],
            len: 0,
            shares: [0; SHARES],
            most_share: most_share.max(1),
        })
    }

    /// Replaces the secret and empties the cache, see [`crate::isn::Isn::renew`].
    pub fn renew(&mut self, key: Key) {
        self.key = key;
        self.entries.0.fill(FREE);
        self.queues = [List::new(); STAGES];
        self.shares = [0; SHARES];
        self.len = 0;
    }

    /// The number of handshakes.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no handshake.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps a handshake whose SYN-ACK is sent now. It replaces one of the same name.
    ///
    /// # Errors
    /// [`Refused`]: answer by a cookie.
    pub fn insert(&mut self, tuple: &FourTuple, half: &HalfOpen, now: Instant) -> Result<(), Refused> {
        if let Some(old) = self.find(tuple) {
            self.free(old);
        }
        if self.share(tuple).is_some_and(|count| *count >= self.most_share) {
            return Err(Refused::Share);
        }
        let id = self.bucket(tuple).find(|id| self.entry(*id).is_some_and(|entry| entry.marks.is_empty()));
        let id = id.ok_or(Refused::Full)?;
        if let Some(entry) = self.entry_mut(id) {
            *entry = Entry::pack(tuple, half);
        }
        self.len = self.len.saturating_add(1);
        if let Some(count) = self.share_mut(tuple) {
            *count = count.saturating_add(1);
        }
        self.enqueue(id, 0, now);
        Ok(())
    }

    /// The handshake of this name.
    #[must_use]
    pub fn get(&self, tuple: &FourTuple) -> Option<HalfOpen> {
        Some(self.entry(self.find(tuple)?)?.half())
    }

    /// Removes the handshake of this name, which was finished or reset.
    pub fn take(&mut self, tuple: &FourTuple, now: Instant) -> Option<Taken> {
        let id = self.find(tuple)?;
        let entry = *self.entry(id)?;
        self.free(id);
        // The first SYN-ACK was sent one wait before the next one is due.
        let sent_ms = entry.due_ms.wrapping_sub(wait_ms(0));
        let passed = u64::from(millis32(micros(now)).wrapping_sub(sent_ms)).max(1);
        let once = entry.stage() == 0 && passed < 16 * u64::from(wait_ms(0));
        Some(Taken { half: entry.half(), rtt: once.then(|| Duration::from_millis(passed)) })
    }

    /// The peer of this name has answered the SYN-ACK, and there is no room for the connection: it is kept for longer.
    pub fn note_answer(&mut self, tuple: &FourTuple, now: Instant) {
        let Some(id) = self.find(tuple) else { return };
        if self.entry(id).is_some_and(|entry| entry.stage() < UNANSWERED) {
            self.dequeue(id);
            self.enqueue(id, UNANSWERED, now);
        }
    }

    /// The first handshake of those that [`SynCache::note_answer`] was told of to whose port there is room now.
    pub fn next_answered(&self, has_room: impl Fn(u16) -> bool) -> Option<(FourTuple, HalfOpen)> {
        let mut next = self.queues.get(UNANSWERED)?.first();
        for _ in 0..LOOKED_AT {
            let id = next?;
            let entry = self.entry(id)?;
            if has_room(entry.local_port) {
                return Some((entry.tuple(), entry.half()));
            }
            next = entry.links.next();
        }
        None
    }

    /// The next due SYN-ACK. Drops handshakes whose SYN-ACKs are used up. The caller sends it, and repeats until `None`.
    pub fn poll(&mut self, now: Instant) -> Option<(FourTuple, HalfOpen)> {
        let now_ms = millis32(micros(now));
        for stage in 0..STAGES {
            while let Some(id) = self.queues.get(stage).and_then(List::first) {
                let entry = *self.entry(id)?;
                if now_ms.wrapping_sub(entry.due_ms).cast_signed() < 0 {
                    break;
                }
                let next = stage.saturating_add(1);
                if next != UNANSWERED && next != STAGES {
                    self.dequeue(id);
                    self.enqueue(id, next, now);
                    return Some((entry.tuple(), entry.half()));
                }
                self.free(id);
            }
        }
        None
    }

    /// When [`SynCache::poll`] has something to do next.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let now_ms = millis32(micros(now));
        let firsts = self.queues.iter().filter_map(|queue| self.entry(queue.first()?));
        let waits = firsts.map(|entry| entry.due_ms.wrapping_sub(now_ms).cast_signed().max(0));
        let wait = waits.min().and_then(|wait| u64::try_from(wait).ok())?;
        let at = (micros(now) / MS).saturating_add(wait).saturating_mul(MS);
        Some(now.max(Instant::from_micros(i64::try_from(at).unwrap_or(i64::MAX))))
    }

    /// The numbers of the entries of the bucket of a name.
    fn bucket(&self, tuple: &FourTuple) -> core::ops::Range<u32> {
        let buckets = u64::try_from(self.entries.0.len()).unwrap_or(0) / 8;
        // A hash times a count, divided by 2^32: a number below the count.
        let hash = u64::from(low32(self.key.table_hash(tuple)));
        let first = low32(hash.saturating_mul(buckets) >> 32).saturating_mul(WAYS);
        first..first.saturating_add(WAYS)
    }

    fn find(&self, tuple: &FourTuple) -> Option<u32> {
        self.bucket(tuple).find(|id| self.entry(*id).is_some_and(|entry| entry.is_for(tuple)))
    }

    fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.0.get(usize::try_from(id).ok()?)
    }

    fn entry_mut(&mut self, id: u32) -> Option<&mut Entry> {
        self.entries.0.get_mut(usize::try_from(id).ok()?)
    }

    /// Counter of the source: an IPv4 address, or a /64 of IPv6.
    fn share_index(&self, tuple: &FourTuple) -> usize {
        let octets = octets(tuple.remote);
        let prefix = match tuple.remote {
            IpAddress::Ipv4(_) => &octets[..],
            IpAddress::Ipv6(_) => octets.get(..8).unwrap_or_default(),
        };
        usize::try_from(self.key.hash_bytes(prefix) >> 32).unwrap_or(0) % SHARES
    }

    fn share(&self, tuple: &FourTuple) -> Option<&u16> {
        self.shares.get(self.share_index(tuple))
    }

    fn share_mut(&mut self, tuple: &FourTuple) -> Option<&mut u16> {
        let index = self.share_index(tuple);
        self.shares.get_mut(index)
    }

    fn enqueue(&mut self, id: u32, stage: usize, now: Instant) {
        let due_ms = millis32(micros(now)).wrapping_add(wait_ms(stage));
        let Some(entry) = self.entry_mut(id) else { return };
        entry.due_ms = due_ms;
        entry.marks.remove(Marks::STAGE);
        entry.marks |= Marks::from_bits_truncate(u8::try_from(stage).unwrap_or(0) << 5);
        if let Some(queue) = self.queues.get_mut(stage) {
            queue.push_back(&mut self.entries, id);
        }
    }

    fn dequeue(&mut self, id: u32) {
        let stage = self.entry(id).map_or(0, Entry::stage);
        if let Some(queue) = self.queues.get_mut(stage) {
            queue.remove(&mut self.entries, id);
        }
    }

    fn free(&mut self, id: u32) {
        self.dequeue(id);
        let Some(entry) = self.entry_mut(id) else { return };
        let tuple = entry.tuple();
        *entry = FREE;
        self.len = self.len.saturating_sub(1);
        if let Some(count) = self.share_mut(&tuple) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Duration of a stage.
fn wait_ms(stage: usize) -> u32 {
    if stage == UNANSWERED {
        return ANSWERED_MS;
    }
    1000_u32.wrapping_shl(u32::try_from(stage).unwrap_or(0))
}

impl Entry {
    fn pack(tuple: &FourTuple, half: &HalfOpen) -> Self {
        let mut marks = Marks::USED;
        marks.set(Marks::IPV6, matches!(tuple.remote, IpAddress::Ipv6(_)));
        marks.set(Marks::TIMESTAMPS, half.timestamp.is_some());
        marks.set(Marks::SACK, half.sack);
        marks.set(Marks::ECN, half.ecn);
        Self {
            local: octets(tuple.local),
            remote: octets(tuple.remote),
            local_port: tuple.local_port,
            remote_port: tuple.remote_port,
            irs: half.irs,
            iss: half.iss,
            timestamp: half.timestamp.unwrap_or(0),
            due_ms: 0,
            links: Links::UNLINKED,
            peer_mss: half.peer_mss,
            window_scale: half.window_scale.unwrap_or(15),
            marks,
        }
    }

    fn half(&self) -> HalfOpen {
        HalfOpen {
            irs: self.irs,
            iss: self.iss,
            timestamp: self.marks.contains(Marks::TIMESTAMPS).then_some(self.timestamp),
            peer_mss: self.peer_mss,
            window_scale: (self.window_scale < 15).then_some(self.window_scale),
            sack: self.marks.contains(Marks::SACK),
            ecn: self.marks.contains(Marks::ECN),
        }
    }

    fn tuple(&self) -> FourTuple {
        let address = |octets: [u8; 16]| match octets {
            [.., a, b, c, d] if !self.marks.contains(Marks::IPV6) => IpAddress::v4(a, b, c, d),
            _ => IpAddress::Ipv6(Ipv6Address::from(octets)),
        };
        FourTuple {
            local: address(self.local),
            local_port: self.local_port,
            remote: address(self.remote),
            remote_port: self.remote_port,
        }
    }

    fn stage(&self) -> usize {
        usize::from(self.marks.intersection(Marks::STAGE).bits() >> 5)
    }

    fn is_for(&self, tuple: &FourTuple) -> bool {
        self.marks.contains(Marks::USED) && self.tuple() == *tuple
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;
    use crate::config::Config;
    use crate::handshake::tests::syn;
    use crate::tuple::tests::{v4, v6};

    fn cache(capacity: u32, share: u16) -> SynCache {
        SynCache::new(Key::new([1; 16]), capacity, share).unwrap()
    }

    fn half(irs: u32) -> HalfOpen {
        HalfOpen::new(&syn(irs), Seq(irs + 1), 536, &Config::default())
    }

    fn at(ms: i64) -> Instant {
        Instant::from_millis(5000 + ms)
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut cache = cache(64, 8);
        let plain = HalfOpen { timestamp: None, window_scale: None, sack: false, ecn: false, ..half(3) };
        for (tuple, half) in [(v4(1), half(1)), (v6(2), half(2)), (v4(3), plain)] {
            cache.insert(&tuple, &half, at(0)).unwrap();
            assert_eq!(cache.get(&tuple), Some(half));
        }
        assert_eq!(cache.len(), 3);
        assert_eq!(
            cache.take(&v6(2), at(40)),
            Some(Taken { half: half(2), rtt: Some(Duration::from_millis(40)) })
        );
        assert_eq!((cache.take(&v6(2), at(40)), cache.len()), (None, 2));
    }

    #[test]
    fn a_syn_ack_goes_four_times_in_15_s() {
        // RFC 6298 §2.1, §5.5: after 1 s, then twice as long each time; given up after 1 + 2 + 4 + 8 s.
        let mut cache = cache(64, 8);
        cache.insert(&v4(1), &half(1), at(0)).unwrap();
        for due in [1000, 3000, 7000] {
            assert_eq!(cache.next(at(due - 600)), Some(at(due)));
            assert_eq!(cache.poll(at(due - 1)), None);
            assert_eq!(cache.poll(at(due)), Some((v4(1), half(1))));
            assert_eq!(cache.poll(at(due)), None);
        }
        assert_eq!((cache.poll(at(14_999)), cache.len()), (None, 1));
        assert_eq!((cache.poll(at(15_000)), cache.len(), cache.next(at(15_000))), (None, 0, None));
    }

    #[test]
    fn an_answer_without_room_is_kept_for_60_s() {
        let mut cache = cache(64, 8);
        for n in 1..=3 {
            let tuple = FourTuple { local_port: 80 + u16::try_from(n).unwrap(), ..v4(n) };
            cache.insert(&tuple, &half(n), at(0)).unwrap();
            cache.note_answer(&tuple, at(100));
            // The peer answers again, which changes nothing.
            cache.note_answer(&tuple, at(900));
        }
        let ports = |cache: &SynCache, room: fn(u16) -> bool| {
            cache.next_answered(room).map(|(tuple, half)| (tuple.local_port, half))
        };
        assert_eq!(ports(&cache, |_| true), Some((81, half(1))));
        assert_eq!(ports(&cache, |port| port > 82), Some((83, half(3))));
        assert_eq!(ports(&cache, |_| false), None);
        assert_eq!((cache.next(at(0)), cache.poll(at(60_099)), cache.len()), (Some(at(60_100)), None, 3));
        assert_eq!((cache.poll(at(60_100)), cache.len()), (None, 0));
    }

    #[test]
    fn a_repeated_syn_ack_gives_no_rtt() {
        let mut cache = cache(64, 8);
        cache.insert(&v4(1), &half(1), at(0)).unwrap();
        assert!(cache.poll(at(1000)).is_some());
        assert_eq!(cache.take(&v4(1), at(1010)), Some(Taken { half: half(1), rtt: None }));
    }

    #[test]
    fn a_syn_of_the_same_name_takes_the_place() {
        let mut cache = cache(8, 1);
        cache.insert(&v4(1), &half(1), at(0)).unwrap();
        cache.insert(&v4(1), &half(9), at(500)).unwrap();
        assert_eq!((cache.get(&v4(1)), cache.len()), (Some(half(9)), 1));
        assert_eq!(cache.next(at(500)), Some(at(1500)));
    }

    #[test]
    fn a_source_gets_its_share_and_no_more() {
        let mut cache = cache(1024, 5);
        let from = |port| FourTuple { remote_port: port, ..v4(1) };
        assert_eq!((1..=9).filter(|port| cache.insert(&from(*port), &half(1), at(0)).is_ok()).count(), 5);
        assert_eq!(cache.insert(&from(9), &half(1), at(0)), Err(Refused::Share));
        cache.take(&from(1), at(1));
        assert_eq!(cache.insert(&from(9), &half(1), at(0)), Ok(()));
        // A /64 is one source.
        let host = |n: u16| FourTuple { remote: IpAddress::v6(0x2001, 0xdb8, 0, 1, 0, 0, 0, n), ..v6(1) };
        assert_eq!((1..=9).filter(|n| cache.insert(&host(*n), &half(1), at(0)).is_ok()).count(), 5);
    }

    #[test]
    fn a_full_cache_keeps_what_it_has() {
        let mut cache = cache(256, 1000);
        let kept: Vec<u32> = (0..5000).filter(|n| cache.insert(&v4(*n), &half(*n), at(0)).is_ok()).collect();
        assert_eq!((kept.len(), cache.len()), (256, 256));
        assert_eq!(cache.insert(&v4(6000), &half(1), at(0)), Err(Refused::Full));
        assert!(kept.iter().all(|n| cache.get(&v4(*n)) == Some(half(*n))));
        // All of them are sent again, once each time, and go.
        for (ms, count) in [(1000, 256), (3000, 256), (7000, 256), (15_000, 0)] {
            assert_eq!(core::iter::from_fn(|| cache.poll(at(ms))).count(), count);
        }
        assert!(cache.is_empty() && cache.shares.iter().all(|count| *count == 0));
        assert!(cache.insert(&v4(6000), &half(1), at(0)).is_ok());
    }

    #[test]
    fn a_new_key_empties_it() {
        let mut cache = cache(64, 8);
        cache.insert(&v4(1), &half(1), at(0)).unwrap();
        cache.renew(Key::new([2; 16]));
        assert_eq!((cache.len(), cache.get(&v4(1)), cache.next(at(0))), (0, None, None));
        assert_eq!(cache.insert(&v4(1), &half(1), at(0)), Ok(()));
    }

    #[test]
    fn clocks_wrap_without_harm() {
        // Milliseconds go round after 49 days: here between the SYN and its SYN-ACKs.
        let start = Instant::from_millis((1_i64 << 32) - 1500);
        let mut cache = cache(64, 8);
        cache.insert(&v4(1), &half(1), start).unwrap();
        let second = start + Duration::from_millis(1000);
        assert!(cache.poll(second).is_some());
        assert_eq!(cache.next(second), Some(second + Duration::from_millis(2000)));
        assert_eq!(cache.poll(start + Duration::from_millis(2999)), None);
        assert!(cache.poll(start + Duration::from_millis(3000)).is_some());
    }
}
