//! SYN cookies (RFC 4987 §3.6): handshakes without memory, with all options.
//!
//! ```text
//!   sequence number   │ 26 bits of keyed hash │ MSS 3 │ slot 2 │ key 1 │
//!   timestamp (TSval) │ 26 bits of our clock  │ window scale 4 │ SACK 1 │ ECN 1 │      only if the peer sent the option
//! ```
//!
//! The hash covers both addresses and ports, the peer's sequence number, the time slot of 64 s, and all option bits. An
//! ACK is accepted only if all of them return unchanged, and for at most two slots: 64 to 128 s. The bit `key` chooses one
//! of two secrets, so that a secret can be exchanged during handshakes. Making and checking a cookie take one SipHash each.
//!
//! A peer without timestamps gets neither window scale nor SACK nor ECN. The MSS is rounded down to one of eight.

use smoltcp::time::Instant;

use crate::config::Config;
use crate::handshake::HalfOpen;
use crate::segment::{Flags, Segment};
use crate::seq::Seq;
use crate::time::{SECOND, micros, truncate};
use crate::tuple::{FourTuple, Key};

/// The values to which an MSS is rounded down: tiny, the default of IPv4 and that of IPv6 (RFC 9293 §3.7.1), tunnels, PPPoE,
/// Ethernet with IPv6 and IPv4, jumbo frames.
const MSS: [u16; 8] = [64, 536, 1220, 1360, 1400, 1440, 1460, 8940];
/// Seconds of a slot.
const SLOT_S: u64 = 64;
/// Slots after its own in which a cookie is valid.
const MOST_AGE: u64 = 1;
/// Bits of the sequence number that are not hash.
const DATA_BITS: u32 = 6;
/// Bits of the timestamp that carry options.
const OPTION_BITS: u32 = 0x3f;
/// Stands for a window scale that was not sent. The largest scale is 14.
const NO_SCALE: u32 = 15;

/// The two secrets, and the one in use.
#[derive(Debug)]
pub struct Cookies {
    /// By the bit `key`.
    keys: [Option<Key>; 2],
    current: u32,
}

/// The numbers of a SYN-ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    /// Our initial sequence number.
    pub iss: Seq,
    /// Our timestamp, for a peer that sent the option.
    pub timestamp: u32,
}

impl Cookies {
    /// Cookies with an unpredictable secret.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self { keys: [Some(key), None], current: 0 }
    }

    /// Changes the secret. Cookies of the last one stay valid until they expire. Two changes within 128 s end handshakes
    /// in progress.
    pub fn renew(&mut self, key: Key) {
        self.current ^= 1;
        if let Some(slot) = self.keys.get_mut(usize::from(self.current == 1)) {
            *slot = Some(key);
        }
    }

    /// Replaces both secrets, after the guest was restored from an image of its memory.
    pub fn replace(&mut self, key: Key) {
        *self = Self::new(key);
    }

    /// The numbers of the SYN-ACK for `half`, whose `iss` is not looked at. `clock` is our clock of timestamps for the
    /// connection; the timestamp lies at most 64 behind it, and never ahead.
    #[must_use]
    pub fn issue(&self, tuple: &FourTuple, half: &HalfOpen, now: Instant, clock: u32) -> Cookie {
        let mss = MSS.iter().rposition(|mss| *mss <= half.peer_mss).unwrap_or(0);
        let options = half.timestamp.map(|_| options(half));
        let slot = slot(now);
        let data = (u32::try_from(mss).unwrap_or(0) << 3) | (truncate(slot & 3) << 1) | self.current;
        let hash = self.hash(self.current, tuple, half.irs, slot, data, options).unwrap_or(0);
        let timestamp = (clock & !OPTION_BITS) | options.unwrap_or(0);
        let ahead = timestamp.wrapping_sub(clock).cast_signed() > 0;
        Cookie {
            iss: Seq((hash << DATA_BITS) | data),
            timestamp: if ahead { timestamp.wrapping_sub(OPTION_BITS.wrapping_add(1)) } else { timestamp },
        }
    }

    /// The handshake that `segment` finishes, if its numbers are a valid cookie. It must be the peer's first segment
    /// after its SYN, with or without data.
    #[must_use]
    pub fn check(
        &self,
        tuple: &FourTuple,
        segment: &Segment,
        now: Instant,
        config: &Config,
    ) -> Option<HalfOpen> {
        if segment.flags.intersection(Flags::SYN | Flags::RST | Flags::ACK) != Flags::ACK {
            return None;
        }
        let (irs, iss) = (segment.seq.sub(1), segment.ack.sub(1));
        let data = iss.0 & ((1 << DATA_BITS) - 1);
        // The newest slot with these two bits.
        let age = slot(now).wrapping_sub(u64::from(data >> 1)) & 3;
        let slot = slot(now).checked_sub(age).filter(|_| age <= MOST_AGE)?;
        let options = segment.timestamps.map(|stamps| stamps.echo & OPTION_BITS);
        let hash = self.hash(data & 1, tuple, irs, slot, data, options)?;
        if iss.0 >> DATA_BITS != hash & (u32::MAX >> DATA_BITS) {
            return None;
        }
        let scale = options.map_or(NO_SCALE, |options| options >> 2);
        let flags = options.unwrap_or(0);
        Some(HalfOpen {
            irs,
            iss,
            timestamp: segment.timestamps.map(|stamps| stamps.value),
            peer_mss: MSS.get(usize::try_from(data >> 3).ok()?).copied()?,
            window_scale: u8::try_from(scale).ok().filter(|_| scale < NO_SCALE),
            sack: flags & 2 != 0,
            ecn: flags & 1 != 0 && config.ecn != crate::config::Ecn::Off,
        })
    }

    /// 26 bits of hash over all fields that must return unchanged. `None` without a key.
    fn hash(
        &self,
        key: u32,
        tuple: &FourTuple,
        irs: Seq,
        slot: u64,
        data: u32,
        options: Option<u32>,
    ) -> Option<u32> {
        let key = self.keys.get(usize::from(key == 1))?.as_ref()?;
        let mut more = [0; 18];
        let (numbers, rest) = more.split_first_chunk_mut::<4>()?;
        *numbers = irs.0.to_be_bytes();
        let (times, rest) = rest.split_first_chunk_mut::<8>()?;
        *times = slot.to_be_bytes();
        rest.copy_from_slice(&[
            u8::try_from(data).unwrap_or(0),
            u8::from(options.is_some()),
            u8::try_from(options.unwrap_or(0)).unwrap_or(0),
            b'C',
            0,
            0,
        ]);
        Some(truncate(key.wire_hash(tuple, &more)) & (u32::MAX >> DATA_BITS))
    }
}

/// The six bits of a timestamp.
fn options(half: &HalfOpen) -> u32 {
    let scale = half.window_scale.map_or(NO_SCALE, |scale| u32::from(scale.min(14)));
    (scale << 2) | (u32::from(half.sack) << 1) | u32::from(half.ecn)
}

fn slot(now: Instant) -> u64 {
    micros(now) / (SECOND * SLOT_S)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;
    use crate::handshake::tests::{ack_of, syn};
    use crate::segment::Timestamps;
    use crate::tuple::tests::{v4, v6};

    const NOW: Instant = Instant::from_micros_const(1_000_000_000_000);

    /// The ACK of a whole handshake with `syn`, by cookie, and the half-open connection that it had.
    fn handshake(cookies: &Cookies, tuple: &FourTuple, syn: &Segment, now: Instant) -> (HalfOpen, Segment) {
        let config = Config::default();
        let mut half = HalfOpen::new(syn, Seq(0), 536, &config);
        let cookie = cookies.issue(tuple, &half, now, 123_456);
        half.iss = cookie.iss;
        (half, ack_of(&half.syn_ack(1460, cookie.timestamp, &config)))
    }

    fn check(cookies: &Cookies, tuple: &FourTuple, ack: &Segment, now: Instant) -> Option<HalfOpen> {
        cookies.check(tuple, ack, now, &Config::default())
    }

    #[test]
    fn every_option_comes_back() {
        let cookies = Cookies::new(Key::new([1; 16]));
        for scale in (0..=14).map(Some).chain([None]) {
            for bits in 0..4 {
                let flags = if bits & 1 == 0 { Flags::SYN } else { Flags::SYN | Flags::ECE | Flags::CWR };
                let syn = Segment { window_scale: scale, sack_permitted: bits & 2 != 0, flags, ..syn(7) };
                for tuple in [v4(1), v6(1)] {
                    let (half, ack) = handshake(&cookies, &tuple, &syn, NOW);
                    // The peer's newest timestamp is that of its ACK.
                    let expected = HalfOpen { timestamp: Some(1001), ..half };
                    assert_eq!(check(&cookies, &tuple, &ack, NOW), Some(expected));
                }
            }
        }
    }

    #[test]
    fn the_mss_is_rounded_down() {
        let cookies = Cookies::new(Key::new([1; 16]));
        for (mss, expected) in [
            (0, 64),
            (64, 64),
            (535, 64),
            (536, 536),
            (1459, 1440),
            (1460, 1460),
            (8939, 1460),
            (65_535, 8940),
        ] {
            let (_, ack) = handshake(&cookies, &v4(1), &Segment { mss: Some(mss), ..syn(7) }, NOW);
            assert_eq!(check(&cookies, &v4(1), &ack, NOW).unwrap().peer_mss, expected);
        }
    }

    #[test]
    fn without_timestamps_only_the_mss_is_kept() {
        let cookies = Cookies::new(Key::new([1; 16]));
        let syn = Segment { timestamps: None, ..syn(7) };
        let (_, ack) = handshake(&cookies, &v4(1), &syn, NOW);
        let half = check(&cookies, &v4(1), &ack, NOW).unwrap();
        assert_eq!((half.timestamp, half.window_scale, half.sack, half.ecn), (None, None, false, false));
        assert_eq!(half.peer_mss, 1460);
    }

    #[test]
    fn nothing_may_be_changed() {
        let cookies = Cookies::new(Key::new([1; 16]));
        let (_, ack) = handshake(&cookies, &v4(1), &syn(7), NOW);
        let stamps = ack.timestamps.unwrap();
        for bit in 0..32 {
            let flip = 1_u32 << bit;
            let changed = Segment { ack: Seq(ack.ack.0 ^ flip), ..ack };
            assert_eq!(check(&cookies, &v4(1), &changed, NOW), None, "ack bit {bit}");
            let changed = Segment { seq: Seq(ack.seq.0 ^ flip), ..ack };
            assert_eq!(check(&cookies, &v4(1), &changed, NOW), None, "seq bit {bit}");
            // The clock's bits of the timestamp are not covered: what it echoes is the peer's to choose.
            let changed = Timestamps { echo: stamps.echo ^ flip, ..stamps };
            let changed = Segment { timestamps: Some(changed), ..ack };
            assert_eq!(check(&cookies, &v4(1), &changed, NOW).is_none(), bit < 6, "echo bit {bit}");
        }
        assert_eq!(check(&cookies, &v4(1), &Segment { timestamps: None, ..ack }, NOW), None);
        assert_eq!(check(&cookies, &v4(2), &ack, NOW), None);
        assert_eq!(check(&Cookies::new(Key::new([2; 16])), &v4(1), &ack, NOW), None);
        for flags in [Flags::SYN | Flags::ACK, Flags::RST | Flags::ACK, Flags::PSH, Flags::empty()] {
            assert_eq!(check(&cookies, &v4(1), &Segment { flags, ..ack }, NOW), None);
        }
        assert!(
            check(&cookies, &v4(1), &Segment { flags: Flags::ACK | Flags::PSH, payload_len: 9, ..ack }, NOW)
                .is_some()
        );
    }

    #[test]
    fn a_cookie_is_good_for_64_to_128_s() {
        let cookies = Cookies::new(Key::new([1; 16]));
        for start in [0, 1, 63, 64, 1_000_000, 1_000_063] {
            let (_, ack) = handshake(&cookies, &v4(1), &syn(7), Instant::from_secs(start));
            let at = |seconds| check(&cookies, &v4(1), &ack, Instant::from_secs(start + seconds)).is_some();
            assert!(at(0) && at(30) && at(64), "{start}");
            for late in [128, 200, 256, 320, 1000, 100_000] {
                assert!(!at(late), "{start} + {late}");
            }
        }
    }

    #[test]
    fn a_new_key_leaves_the_last_one_good() {
        let mut cookies = Cookies::new(Key::new([1; 16]));
        let (_, first) = handshake(&cookies, &v4(1), &syn(7), NOW);
        cookies.renew(Key::new([2; 16]));
        let (_, second) = handshake(&cookies, &v4(1), &syn(7), NOW);
        assert!(
            check(&cookies, &v4(1), &first, NOW).is_some() && check(&cookies, &v4(1), &second, NOW).is_some()
        );
        cookies.renew(Key::new([3; 16]));
        assert!(
            check(&cookies, &v4(1), &first, NOW).is_none() && check(&cookies, &v4(1), &second, NOW).is_some()
        );
        // A twin restored from one image must not take what the other gave.
        cookies.replace(Key::new([4; 16]));
        assert!(check(&cookies, &v4(1), &second, NOW).is_none());
    }

    #[test]
    fn the_timestamp_is_never_ahead_of_the_clock() {
        // RFC 7323 §5.4: or the first segment of the connection would look older than its SYN-ACK.
        let cookies = Cookies::new(Key::new([1; 16]));
        let half = HalfOpen::new(&syn(7), Seq(0), 536, &Config::default());
        for clock in (0..200).chain(u32::MAX - 200..=u32::MAX) {
            let behind = clock.wrapping_sub(cookies.issue(&v4(1), &half, NOW, clock).timestamp);
            assert!(behind < 64, "{clock}: {behind}");
        }
    }

    #[test]
    fn guesses_do_not_hit() {
        let cookies = Cookies::new(Key::new([1; 16]));
        let (_, ack) = handshake(&cookies, &v4(1), &syn(7), NOW);
        let hits = (0..100_000_u32)
            .filter(|guess| {
                let guess = Seq(guess.wrapping_mul(2_654_435_761));
                guess != ack.ack && check(&cookies, &v4(1), &Segment { ack: guess, ..ack }, NOW).is_some()
            })
            .count();
        assert!(hits <= 1, "{hits}: 2^-26 × a quarter is expected for each");
    }
}
