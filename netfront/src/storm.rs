//! Events that come faster than work: their channel is masked for a while.
//!
//! ```text
//!   an event and nothing to take: excess + 1      responses: excess − as many
//!   excess reaches the limit ─► masked for 1, 2, 4 … 32 ms ─► unmasked, looked at ─► nothing again: masked for longer
//!                                                                   └ work ─► excess falls; at zero all is forgotten
//! ```
//!
//! A backend gives at least one response an event, so an honest one never has an excess worth the name. One that storms
//! costs a turn every 32 ms and not one an event, and delays its own frames by as much: whatever else begins a turn looks
//! at the rings all the same. Unmasking needs no hypercall: what came while the channel was masked is looked for by
//! [`xen::evtchn::EventChannels::unmask`], and the turn after it looks at the rings.

use crate::device::NetDevice;
use crate::queue::Channel;
use xen::{Machine, SystemTime, Xen};

/// Events without work, beyond those with, at which a channel is masked.
const LIMIT: u32 = 32;
/// Nanoseconds for which it is masked at first, and at most.
const SHORTEST: u64 = 1_000_000;
const LONGEST: u64 = 32_000_000;

/// How a channel's events stand against its work.
#[derive(Debug, Default)]
pub(crate) struct Storm {
    excess: u32,
    pause: u64,
    /// Masked, until then.
    until: Option<SystemTime>,
}

impl Storm {
    /// A turn has begun: whether the channel rang, and how many responses there were.
    #[inline]
    pub(crate) const fn note(&mut self, rang: bool, responses: u32) {
        if responses > 0 {
            self.excess = self.excess.saturating_sub(responses);
            if self.excess == 0 {
                self.pause = 0;
            }
        } else if rang {
            self.excess = self.excess.saturating_add(1);
        }
    }

    /// Whether there is nothing to be done, now or later, unless more events come.
    #[inline]
    pub(crate) const fn is_calm(&self) -> bool {
        self.until.is_none() && self.excess < LIMIT
    }

    /// What is to be done now: whether the channel is to be masked or unmasked, if anything.
    fn tend(&mut self, now: SystemTime) -> Option<bool> {
        match self.until {
            Some(until) if now >= until => {
                self.until = None;
                Some(false)
            }
            None if self.excess >= LIMIT => {
                // One more without work, and it is masked again.
                self.excess = LIMIT.saturating_sub(1);
                self.pause = self.pause.saturating_mul(2).clamp(SHORTEST, LONGEST);
                self.until = Some(now.after(self.pause));
                Some(true)
            }
            _ => None,
        }
    }
}

impl Channel {
    /// Masks or unmasks, if it is time for that; how often it was masked, and when to look again.
    fn tend<M: Machine>(&mut self, xen: &Xen<M>, now: SystemTime) -> (u64, Option<SystemTime>) {
        match self.storm.tend(now) {
            Some(true) => {
                xen.events.mask(self.port);
                (1, self.storm.until)
            }
            Some(false) => {
                xen.events.unmask(self.port);
                // A response may have come since the last look at the ring, and its event was taken just now.
                (0, Some(now))
            }
            None => (0, self.storm.until),
        }
    }
}

impl<M: Machine> NetDevice<M> {
    /// Masks channels whose events come faster than work, and unmasks them again; when to look again.
    pub(crate) fn weather(&mut self, now: SystemTime) -> Option<SystemTime> {
        // As in nearly every turn.
        if self.queues.iter().all(|queue| queue.channels.are_calm()) {
            return None;
        }
        if self.broken.is_some() || self.events_generation != self.xen.events.generation() {
            // Masked until the backend starts anew; or void, since the domain was suspended.
            return None;
        }
        let (mut masked, mut next) = (0_u64, None::<SystemTime>);
        for channel in self.queues.iter_mut().flat_map(|queue| queue.channels.each_mut()) {
            let (times, again) = channel.tend(&self.xen, now);
            masked = masked.wrapping_add(times);
            next = next.into_iter().chain(again).min();
        }
        self.stats.event_masks = self.stats.event_masks.wrapping_add(masked);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_channel_is_never_masked() {
        let mut storm = Storm::default();
        for turn in 0..10_000 {
            // What was taken before its event came: the event finds nothing.
            storm.note(false, 1 + turn % 3);
            storm.note(true, 0);
            assert_eq!(storm.tend(SystemTime(u64::from(turn))), None);
        }
    }

    #[test]
    fn a_storm_is_met_with_longer_and_longer_pauses_and_forgotten_after_work() {
        let mut storm = Storm::default();
        let mut now = SystemTime(0);
        for pause in [1, 2, 4, 8, 16, 32, 32, 32] {
            while storm.tend(now).is_none() {
                storm.note(true, 0);
            }
            assert_eq!(storm.until, Some(now.after(pause * 1_000_000)));
            assert_eq!(storm.tend(now), None, "masked once");
            now = now.after(pause * 1_000_000);
            assert_eq!(storm.tend(now), Some(false));
        }
        storm.note(true, 31);
        for _ in 1..LIMIT {
            storm.note(true, 0);
            assert_eq!(storm.tend(now), None);
        }
        storm.note(true, 0);
        assert_eq!(storm.tend(now), Some(true));
        assert_eq!(storm.until, Some(now.after(1_000_000)));
    }
}
