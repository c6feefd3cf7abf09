//! Interrupt moderation: a channel whose events come without work is masked for a while.
//!
//! ```text
//!   an event without responses: excess + 1      responses: excess − their number
//!   excess reaches the limit ─► masked for 1, 2, 4 … 32 ms ─► unmasked, rings read ─► no work again: masked for longer
//!                                                                └ work ─► excess falls; at zero the pause is reset
//! ```
//!
//! A backend gives at least one response for an event, so a correct one never has an excess. A backend that floods us with
//! events costs an iteration in 32 ms, not one for each event, and it delays its own frames by as much; any other
//! iteration reads the rings all the same. Unmasking needs no hypercall: [`xen::evtchn::EventChannels::unmask`] finds what
//! came while the channel was masked, and the next iteration reads the rings.

use xen::SystemTime;

/// Excess events at which a channel is masked.
const LIMIT: u32 = 32;
/// Nanoseconds for which a channel is masked at first.
const SHORTEST: u64 = 1_000_000;
/// The longest time for which a channel is masked, in nanoseconds.
const LONGEST: u64 = 32_000_000;

/// What is to be done with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Mask it.
    Mask,
    /// Unmask it.
    Unmask,
}

/// The events of a channel against its work.
#[derive(Debug, Default)]
pub(crate) struct Moderation {
    excess: u32,
    /// Nanoseconds of the last pause.
    pause: u64,
    /// The end of the pause, while the channel is masked.
    until: Option<SystemTime>,
}

impl Moderation {
    /// Notes an iteration: whether the channel had an event, and the number of responses.
    #[inline]
    pub(crate) const fn note(&mut self, event: bool, responses: u32) {
        if responses > 0 {
            self.excess = self.excess.saturating_sub(responses);
            if self.excess == 0 {
                self.pause = 0;
            }
        } else if event {
            self.excess = self.excess.saturating_add(1);
        }
    }

    /// Whether the channel is not masked and does not have to be.
    #[inline]
    pub(crate) const fn is_idle(&self) -> bool {
        self.until.is_none() && self.excess < LIMIT
    }

    /// The end of the pause, while the channel is masked.
    pub(crate) const fn masked_until(&self) -> Option<SystemTime> {
        self.until
    }

    /// What is to be done with the channel now.
    pub(crate) fn poll(&mut self, now: SystemTime) -> Option<Change> {
        match self.until {
            Some(until) if now >= until => {
                self.until = None;
                Some(Change::Unmask)
            }
            None if self.excess >= LIMIT => {
                // One more event without work masks it again.
                self.excess = LIMIT.saturating_sub(1);
                self.pause = self.pause.saturating_mul(2).clamp(SHORTEST, LONGEST);
                self.until = Some(now.after(self.pause));
                Some(Change::Mask)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_with_work_is_never_masked() {
        let mut moderation = Moderation::default();
        for iteration in 0..10_000 {
            // The responses were taken before their event came: the event finds none.
            moderation.note(false, 1 + iteration % 3);
            moderation.note(true, 0);
            assert_eq!(moderation.poll(SystemTime(u64::from(iteration))), None);
        }
    }

    #[test]
    fn pauses_double_to_32_ms_and_work_resets_them() {
        let mut moderation = Moderation::default();
        let mut now = SystemTime(0);
        for pause in [1, 2, 4, 8, 16, 32, 32, 32] {
            while moderation.poll(now).is_none() {
                moderation.note(true, 0);
            }
            assert_eq!(moderation.until, Some(now.after(pause * 1_000_000)));
            assert_eq!(moderation.poll(now), None, "masked once");
            now = now.after(pause * 1_000_000);
            assert_eq!(moderation.poll(now), Some(Change::Unmask));
        }
        moderation.note(true, 31);
        for _ in 1..LIMIT {
            moderation.note(true, 0);
            assert_eq!(moderation.poll(now), None);
        }
        moderation.note(true, 0);
        assert_eq!(moderation.poll(now), Some(Change::Mask));
        assert_eq!(moderation.until, Some(now.after(1_000_000)));
    }
}
