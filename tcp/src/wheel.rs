//! A timer for each connection: a hierarchical wheel of milliseconds, 16 bytes a connection.
//!
//! ```text
//!   level 0   64 slots of 1 ms        what expires within 64 ms: acknowledgments, probes, retransmissions
//!   level 1   64 slots of 64 ms       up to 4 s
//!   level 2   64 slots of 4.1 s       up to 4 min: idle connections, TIME-WAIT
//!   level 3   64 slots of 4.4 min     up to 4.7 h: keep-alive
//!   level 4   64 slots of 4.7 h       up to 12 days; later timers expire then
//! ```
//!
//! A timer is on the level of the highest bit in which its deadline differs from now. It moves down a level each time its
//! slot is reached, at most four times. A bitmap for each level finds the next slot (the scheme of Varghese and Lauck; the
//! search by bitmaps is tokio's). Deadlines of idle connections are rounded up with [`coarse`], so that many expire in one
//! wake-up, from their slot of level 2.

use crate::list::NONE;
use crate::tuple::low32;

const LEVELS: usize = 5;
/// Bits of a slot's number.
const SLOT_BITS: u32 = 6;
/// Milliseconds to the latest deadline: one slot less than a rotation of the last level, so that the rotation of a slot is
/// unambiguous.
const HORIZON_MS: u64 = (1 << 30) - (1 << 24);
/// Milliseconds of a slot of level 2.
const COARSE_MS: u64 = 1 << 12;
/// Not on the wheel.
const NO_SLOT: u16 = u16::MAX;

/// A connection's timer.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    prev: u32,
    next: u32,
    /// Deadline in milliseconds, modulo 2^32.
    deadline: u32,
    /// Level × 64 + slot.
    place: u16,
}

const _: () = assert!(size_of::<Timer>() <= 16);

impl Timer {
    /// A timer that is not set.
    pub const UNSET: Self = Self { prev: NONE, next: NONE, deadline: 0, place: NO_SLOT };

    /// Whether the timer is on the wheel.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.place != NO_SLOT
    }
}

/// Finds the timer of a connection.
pub trait Timers {
    /// The timer of `id`. `None` if there is no such connection.
    fn timer(&mut self, id: u32) -> Option<&mut Timer>;
}

#[derive(Debug, Clone, Copy)]
struct Level {
    /// Bit `n` is set while slot `n` has a timer.
    occupied: u64,
    heads: [u32; 64],
}

/// The wheel: 1.3 KB for any number of timers.
#[derive(Debug)]
pub struct Wheel {
    /// The time up to which timers have expired.
    now_ms: u64,
    levels: [Level; LEVELS],
}

/// Rounds a deadline up to the next slot of level 2, by up to 4.1 s.
#[must_use]
pub const fn coarse(deadline_ms: u64) -> u64 {
    match deadline_ms.checked_next_multiple_of(COARSE_MS) {
        Some(rounded) => rounded,
        None => deadline_ms,
    }
}

impl Wheel {
    /// An empty wheel. `now_ms` is in milliseconds of a monotonic clock.
    #[must_use]
    pub const fn new(now_ms: u64) -> Self {
        Self { now_ms, levels: [Level { occupied: 0, heads: [NONE; 64] }; LEVELS] }
    }

    /// Sets or moves the timer of `id` to `deadline_ms`. A deadline in the past expires at once, one more than 12 days
    /// ahead after 12 days.
    pub fn set(&mut self, timers: &mut impl Timers, id: u32, deadline_ms: u64) {
        let deadline = deadline_ms.clamp(self.now_ms, self.now_ms.saturating_add(HORIZON_MS));
        let place = self.place(deadline);
        let Some(timer) = timers.timer(id) else { return };
        timer.deadline = low32(deadline);
        if timer.place == place {
            return;
        }
        self.cancel(timers, id);
        self.link(timers, id, place);
    }

    /// Whether the timer of `id` expires at `deadline_ms` or before.
    #[inline]
    pub fn expires_by(&self, timers: &mut impl Timers, id: u32, deadline_ms: u64) -> bool {
        timers.timer(id).is_some_and(|timer| {
            // Deadlines are at most a horizon ahead, so the difference modulo 2^32 is exact.
            let left = timer.deadline.wrapping_sub(low32(self.now_ms));
            timer.is_set() && self.now_ms.saturating_add(u64::from(left)) <= deadline_ms
        })
    }

    /// Removes the timer of `id`.
    pub fn cancel(&mut self, timers: &mut impl Timers, id: u32) {
        let Some(timer) = timers.timer(id) else { return };
        let Timer { prev, next, place, .. } = *timer;
        (timer.prev, timer.next, timer.place) = (NONE, NONE, NO_SLOT);
        if place == NO_SLOT {
            return;
        }
        if let Some(after) = timers.timer(next) {
            after.prev = prev;
        }
        match timers.timer(prev) {
            Some(before) => before.next = next,
            None => self.set_head(place, next),
        }
    }

    /// Removes a timer that has expired at `now_ms`, and returns its connection. `None` if there is no other. The amortised
    /// work of a call is bounded: a timer moves down at most four times.
    pub fn pop(&mut self, timers: &mut impl Timers, now_ms: u64) -> Option<u32> {
        loop {
            let Some((at, place)) = self.earliest().filter(|(at, _)| *at <= now_ms) else {
                self.now_ms = self.now_ms.max(now_ms);
                return None;
            };
            self.now_ms = self.now_ms.max(at);
            let id = self.head(place);
            let Some(timer) = timers.timer(id) else {
                // The connection was removed without a cancel: the list of its slot is broken.
                self.set_head(place, NONE);
                continue;
            };
            // Deadlines are at most a horizon ahead, so the difference modulo 2^32 is exact.
            let left = u64::from(timer.deadline.wrapping_sub(low32(self.now_ms)));
            self.cancel(timers, id);
            if left == 0 || left > HORIZON_MS {
                return Some(id);
            }
            let place = self.place(self.now_ms.saturating_add(left));
            self.link(timers, id, place);
        }
    }

    /// The time of the next call of [`Wheel::pop`], in milliseconds: no timer expires before. It is exact within 64 ms of
    /// the deadline; before that it is the start of the slot.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.earliest().map(|(at, _)| at)
    }

    /// The slot that is reached first, with its time. Of two at the same time, the one of the higher level, whose timers
    /// may move down to the other.
    fn earliest(&self) -> Option<(u64, u16)> {
        let mut found: Option<(u64, u16)> = None;
        for (level, number) in self.levels.iter().zip(0_u16..) {
            if level.occupied == 0 {
                continue;
            }
            let shift = u32::from(number).saturating_mul(SLOT_BITS);
            let slots = self.now_ms >> shift;
            let here = u32::try_from(slots & 63).unwrap_or(0);
            let ahead = level.occupied.rotate_right(here).trailing_zeros();
            let at = slots.saturating_add(u64::from(ahead)) << shift;
            if found.is_none_or(|(earliest, _)| at <= earliest) {
                let slot = here.wrapping_add(ahead) & 63;
                found = Some((at, number.wrapping_shl(SLOT_BITS) | u16::try_from(slot).unwrap_or(0)));
            }
        }
        found
    }

    /// Level and slot of a deadline that is not in the past.
    fn place(&self, deadline_ms: u64) -> u16 {
        let highest = 63_u32.saturating_sub(((self.now_ms ^ deadline_ms) | 1).leading_zeros());
        let level = (highest / SLOT_BITS).min(4);
        let slot = (deadline_ms >> level.saturating_mul(SLOT_BITS)) & 63;
        u16::try_from(u64::from(level << SLOT_BITS) | slot).unwrap_or(0)
    }

    /// Adds `id` at the head of the list of a slot.
    fn link(&mut self, timers: &mut impl Timers, id: u32, place: u16) {
        let head = self.head(place);
        let Some(timer) = timers.timer(id) else { return };
        (timer.prev, timer.next, timer.place) = (NONE, head, place);
        if let Some(after) = timers.timer(head) {
            after.prev = id;
        }
        self.set_head(place, id);
    }

    fn head(&self, place: u16) -> u32 {
        let level = self.levels.get(usize::from(place >> SLOT_BITS));
        level.and_then(|level| level.heads.get(usize::from(place & 63))).copied().unwrap_or(NONE)
    }

    fn set_head(&mut self, place: u16, id: u32) {
        let Some(level) = self.levels.get_mut(usize::from(place >> SLOT_BITS)) else { return };
        let bit = 1_u64 << (place & 63);
        level.occupied = if id == NONE { level.occupied & !bit } else { level.occupied | bit };
        if let Some(head) = level.heads.get_mut(usize::from(place & 63)) {
            *head = id;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    impl Timers for Vec<Timer> {
        fn timer(&mut self, id: u32) -> Option<&mut Timer> {
            self.get_mut(usize::try_from(id).unwrap())
        }
    }

    #[test]
    fn every_timer_expires_at_its_deadline() {
        // Deadlines from at once to 12 days, slept to by `next` alone: none early, none late, few wake-ups.
        let (mut timers, mut wheel, mut now) = (alloc::vec![Timer::UNSET; 1000], Wheel::new(977), 977);
        let mut model = BTreeMap::new();
        let mut random = 1_u64;
        let mut draw = |bits: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> (64 - bits)
        };
        let (mut wakes, mut expired) = (0, 0);
        for _ in 0..20_000 {
            for _ in 0..draw(3) {
                let id = u32::try_from(draw(10) % 1000).unwrap();
                if draw(2) == 0 {
                    wheel.cancel(&mut timers, id);
                    model.remove(&id);
                } else {
                    let far = 1 + u32::try_from(draw(5) % 30).unwrap();
                    let deadline = now + draw(far);
                    wheel.set(&mut timers, id, deadline);
                    model.insert(id, deadline);
                }
            }
            let earliest = model.values().min().copied();
            assert_eq!(wheel.next().is_some(), earliest.is_some());
            let Some(next) = wheel.next() else { continue };
            assert!(next <= earliest.unwrap());
            // Sometimes somebody else wakes the loop, or it oversleeps.
            now = match draw(2) {
                0 => now + draw(4),
                1 => next.max(now) + draw(8),
                _ => next.max(now),
            };
            wakes += 1;
            while let Some(id) = wheel.pop(&mut timers, now) {
                let deadline = model.remove(&id).unwrap();
                assert!(deadline <= now, "{id} at {now}, due {deadline}");
                assert!(!timers.timer(id).unwrap().is_set());
                expired += 1;
            }
            assert!(model.values().all(|deadline| *deadline > now));
        }
        assert!(expired > 3000 && wakes < expired * 6, "{expired} in {wakes}");
    }

    #[test]
    fn a_sleep_to_the_next_deadline_is_exact() {
        // One timer: the loop wakes once for each level that it comes down, then at the deadline itself.
        for ahead in [1, 63, 64, 1000, 5000, 60_000, 7_200_000, 1 << 29] {
            let (mut timers, mut wheel) = (alloc::vec![Timer::UNSET], Wheel::new(123));
            wheel.set(&mut timers, 0, 123 + ahead);
            let mut wakes = 0;
            loop {
                let next = wheel.next().unwrap();
                wakes += 1;
                if wheel.pop(&mut timers, next).is_some() {
                    assert_eq!(next, 123 + ahead);
                    break;
                }
            }
            assert!(wakes <= 5, "{wakes} for {ahead}");
        }
    }

    #[test]
    fn coarse_deadlines_expire_together() {
        let (mut timers, mut wheel) = (alloc::vec![Timer::UNSET; 4000], Wheel::new(10));
        for id in 0..4000 {
            wheel.set(&mut timers, id, coarse(60_000 + u64::from(id)));
        }
        let next = wheel.next().unwrap();
        assert_eq!((next, coarse(next), wheel.pop(&mut timers, next - 1)), (61_440, 61_440, None));
        let mut count = 0;
        while wheel.pop(&mut timers, next).is_some() {
            count += 1;
        }
        // 60,000 to 61,440 there, the others one slot later.
        assert_eq!((count, wheel.next()), (1441, Some(65_536)));
    }

    #[test]
    fn a_deadline_beyond_the_horizon_comes_early() {
        let (mut timers, mut wheel) = (alloc::vec![Timer::UNSET; 2], Wheel::new(1 << 40));
        wheel.set(&mut timers, 0, u64::MAX);
        wheel.set(&mut timers, 1, 0);
        assert_eq!(wheel.pop(&mut timers, 1 << 40), Some(1));
        let early = (1 << 40) + HORIZON_MS;
        assert_eq!(wheel.pop(&mut timers, early - 1), None);
        assert_eq!(wheel.pop(&mut timers, early), Some(0));
        assert_eq!(wheel.pop(&mut timers, u64::MAX), None);
    }

    #[test]
    fn a_thing_that_is_gone_stops_nothing() {
        let (mut timers, mut wheel) = (alloc::vec![Timer::UNSET; 2], Wheel::new(0));
        wheel.set(&mut timers, 1, 5);
        timers.pop();
        wheel.set(&mut timers, 0, 9);
        assert_eq!(wheel.pop(&mut timers, 20), Some(0));
        assert_eq!(wheel.next(), None);
    }
}
