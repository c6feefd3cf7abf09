//! The clocks: Xen's paravirtual time, and the time of day.
//!
//! ```text
//!   Xen ──version, tsc_timestamp, system_time, mul, shift──► vcpu_time_info
//!                                                                 │
//!   TSC now ──► (tsc - tsc_timestamp) << shift, * mul, >> 32, + system_time = Xen's system time
//!                                                                 │ + offset (0 until the first restore)
//!                                                                 ▼
//!                              PvClock::now(): since boot, over save and restore, never backwards
//! ```
//!
//! Xen writes both time records under a sequence lock: `version` is odd while it writes, and another one afterwards.
//! Deadlines for Xen's timer are Xen's system time: [`PvClock::to_xen`] takes the offset out again.
//!
//! Pure arithmetic: the TSC comes from a closure. Every value in the page is allowed; the worst that it does is a clock
//! that stands still or jumps ahead.

#[cfg(test)]
mod tests;

use crate::abi::xen::VcpuTimeInfo;
use crate::abi::xen::offset::{shared_info, vcpu_info, vcpu_time_info};
use crate::counter::Counter;
use crate::hypervisor::Clock;
use crate::ids::SystemTime;
use crate::memory::shared::Shared;
use core::cell::Cell;
use core::sync::atomic::Ordering::Acquire;
use zerocopy::{FromBytes, IntoBytes};

/// How often a record is read again while Xen writes it. Xen writes for some nanoseconds, once a second or so.
const ATTEMPTS: u32 = 1000;

const NS_PER_S: u64 = 1_000_000_000;

/// The numbers by which TSC becomes system time. `xen.h`, `struct vcpu_time_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeInfo {
    /// The TSC at `system_time_ns`.
    pub tsc_timestamp: u64,
    /// Nanoseconds since the domain's hypervisor booted.
    pub system_time_ns: u64,
    /// Nanoseconds per (shifted) TSC tick, times 2^32.
    pub tsc_to_system_mul: u32,
    /// By how much the TSC ticks are shifted left (or right, if negative) first.
    pub tsc_shift: i8,
}

impl TimeInfo {
    /// System time at a value of the TSC, in nanoseconds; the formula of `xen.h`, exact, and `u64::MAX` where the
    /// result has more bits. A TSC before the timestamp counts as the timestamp.
    ///
    /// The difference is taken around the end of 64 bits: a guest's TSC begins at 0 when its domain is made, and Xen
    /// took the timestamp up to a second before, which makes it negative until Xen calibrates again.
    #[must_use]
    pub fn at(&self, tsc: u64) -> u64 {
        let ticks = u128::from(elapsed(self.tsc_timestamp, tsc));
        let by = u32::from(self.tsc_shift.unsigned_abs());
        let shifted = match self.tsc_shift {
            ..0 => ticks.checked_shr(by).unwrap_or(0),
            // More than 127 bits saturate below; 64 bits shifted by 63 lose none.
            0..64 => ticks.checked_shl(by).unwrap_or(u128::MAX),
            64.. if ticks == 0 => 0,
            64.. => u128::MAX,
        };
        let mul = u128::from(self.tsc_to_system_mul);
        let ns = match u64::try_from(shifted) {
            // A product of 64 bits and 32, as it is but for records that Xen does not write.
            Ok(short) => u128::from(short).wrapping_mul(mul) >> 32_u32,
            Err(_) => shifted.saturating_mul(mul) >> 32_u32,
        };
        self.system_time_ns.saturating_add(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

/// The paravirtual clock of one vCPU, and the time of day.
#[derive(Debug)]
pub struct PvClock<T> {
    vcpu_info: Cell<Shared<'static>>,
    shared_info: Cell<Shared<'static>>,
    tsc: T,
    /// What is added to Xen's system time, of which a restore makes another one.
    offset_ns: Cell<i128>,
    /// The latest time given.
    last: Cell<u64>,
    torn: Cell<Counter>,
}

impl<T: Fn() -> u64> PvClock<T> {
    /// A clock over a `vcpu_info` and the shared info page; `tsc` reads the vCPU's time stamp counter, in order with
    /// the loads around it.
    #[must_use]
    pub const fn new(vcpu_info: Shared<'static>, shared_info: Shared<'static>, tsc: T) -> Self {
        Self {
            vcpu_info: Cell::new(vcpu_info),
            shared_info: Cell::new(shared_info),
            tsc,
            offset_ns: Cell::new(0),
            last: Cell::new(0),
            torn: Cell::new(Counter::new(0)),
        }
    }

    /// Xen's system time: since the host booted, another one after a restore, and not guarded against steps back.
    /// `None` if the record was being written at every attempt.
    #[must_use]
    pub fn system_time(&self) -> Option<SystemTime> {
        self.note_torn(system_time(self.vcpu_info.get(), &self.tsc))
    }

    /// The time of day: nanoseconds since 1970, UTC. `None` if Xen never set it, if it is beyond the year 2554, or if
    /// the record was being written at every attempt.
    #[must_use]
    pub fn unix_time_ns(&self) -> Option<u64> {
        let record = self.shared_info.get();
        let (high, low, ns) = self.note_torn(read_locked(record, shared_info::WC_VERSION, || {
            let load = |offset| u64::from(record.load::<u32>(offset, Acquire));
            (load(shared_info::WC_SEC_HI), load(shared_info::WC_SEC), load(shared_info::WC_NSEC))
        }))?;
        let seconds = high << 32_u32 | low;
        if seconds == 0 || ns >= NS_PER_S {
            return None;
        }
        // What the record holds is the time of day at system time 0.
        seconds.checked_mul(NS_PER_S)?.checked_add(ns)?.checked_add(self.system_time()?.0)
    }

    /// A time of this clock as Xen's system time, for [`Hypervisor::set_singleshot_timer`].
    ///
    /// [`Hypervisor::set_singleshot_timer`]: crate::Hypervisor::set_singleshot_timer
    #[must_use]
    pub fn to_xen(&self, at: SystemTime) -> SystemTime {
        SystemTime(clamp(i128::from(at.0).saturating_sub(self.offset_ns.get())))
    }

    /// Goes on after a restore, at the time at which [`Clock::now`] was asked last, over other records and another
    /// system time.
    pub fn resume(&self, vcpu_info: Shared<'static>, shared_info: Shared<'static>) {
        self.vcpu_info.set(vcpu_info);
        self.shared_info.set(shared_info);
        if let Some(new) = self.system_time() {
            self.offset_ns.set(i128::from(self.last.get()).saturating_sub(i128::from(new.0)));
        }
    }

    /// How often a record could not be read because it was being written at every attempt.
    #[must_use]
    pub fn torn(&self) -> Counter {
        self.torn.get()
    }

    fn note_torn<R>(&self, read: Option<R>) -> Option<R> {
        if read.is_none() {
            Counter::bump_in(&self.torn);
        }
        read
    }
}

/// Xen's system time by a `vcpu_info`, now. Compiled for speed, as this crate is: what is generic is compiled as its user.
#[inline(never)]
fn system_time(record: Shared<'static>, tsc: &dyn Fn() -> u64) -> Option<SystemTime> {
    let version = vcpu_info::TIME.wrapping_add(vcpu_time_info::VERSION);
    read_locked(record, version, || {
        let words = record.load_all::<u64, 4>(vcpu_info::TIME, Acquire);
        // As many bytes: it does not fail.
        let info = VcpuTimeInfo::read_from_bytes(words.as_bytes()).unwrap_or_default();
        let info = TimeInfo {
            tsc_timestamp: info.tsc_timestamp,
            system_time_ns: info.system_time,
            tsc_to_system_mul: info.tsc_to_system_mul,
            tsc_shift: info.tsc_shift,
        };
        SystemTime(info.at(tsc()))
    })
}

/// Reads a record under its sequence lock; `None` if it was being written at every attempt.
///
/// # Ordering
/// `version` (acquire) before the fields, the fields (acquire, by `read`) before `version` again.
#[inline]
fn read_locked<R>(record: Shared<'static>, version: usize, read: impl Fn() -> R) -> Option<R> {
    for _ in 0..ATTEMPTS {
        let before: u32 = record.load(version, Acquire);
        if before.is_multiple_of(2) {
            let value = read();
            if record.load::<u32>(version, Acquire) == before {
                return Some(value);
            }
        }
        core::hint::spin_loop();
    }
    None
}

impl<T: Fn() -> u64> Clock for PvClock<T> {
    fn now(&self) -> SystemTime {
        let last = self.last.get();
        let now = self
            .system_time()
            .map_or(last, |raw| clamp(i128::from(raw.0).saturating_add(self.offset_ns.get())).max(last));
        self.last.set(now);
        SystemTime(now)
    }
}

/// Ticks from one value of the TSC to another; none if that one was before.
fn elapsed(from: u64, to: u64) -> u64 {
    to.wrapping_sub(from).cast_signed().max(0).cast_unsigned()
}

/// The nearest time there is.
fn clamp(ns: i128) -> u64 {
    u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
}
