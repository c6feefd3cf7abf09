//! Time as Xen's page has it, in numbers that are usual, extreme, torn and false.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use super::{NS_PER_S, PvClock, TimeInfo, elapsed};
use crate::hypervisor::Clock;
use crate::ids::SystemTime;
use crate::memory::shared::Shared;
use crate::tests::{Random, page};
use core::cell::Cell;
use core::sync::atomic::Ordering::SeqCst;

/// Offsets as `xen.h` has them: `vcpu_info.time`, and within it.
const VERSION: usize = 32;

fn set(vcpu_info: Shared<'static>, info: TimeInfo) {
    vcpu_info.store(VERSION + 8, info.tsc_timestamp, SeqCst);
    vcpu_info.store(VERSION + 16, info.system_time_ns, SeqCst);
    vcpu_info.store(VERSION + 24, info.tsc_to_system_mul, SeqCst);
    vcpu_info.store(VERSION + 28, info.tsc_shift.cast_unsigned(), SeqCst);
}

fn set_wall(shared_info: Shared<'static>, seconds: u64, ns: u32) {
    let [low, high] = [seconds & 0xffff_ffff, seconds >> 32].map(|half| u32::try_from(half).unwrap());
    shared_info.store(3076, low, SeqCst);
    shared_info.store(3080, ns, SeqCst);
    shared_info.store(3084, high, SeqCst);
}

/// 2 GHz: half a nanosecond a tick.
const TWO_GHZ: TimeInfo = TimeInfo {
    tsc_timestamp: 1_000_000,
    system_time_ns: 5_000_000_000,
    tsc_to_system_mul: 1 << 31,
    tsc_shift: 0,
};

#[test]
fn ticks_become_nanoseconds_exactly() {
    assert_eq!(TWO_GHZ.at(1_000_000), 5_000_000_000);
    assert_eq!(TWO_GHZ.at(1_000_001), 5_000_000_000, "half a nanosecond is none");
    assert_eq!(TWO_GHZ.at(3_000_000), 5_001_000_000);
    // The same clock, said otherwise.
    for shift in [1, 8, 31] {
        let other =
            TimeInfo { tsc_to_system_mul: TWO_GHZ.tsc_to_system_mul >> shift, tsc_shift: shift, ..TWO_GHZ };
        assert_eq!(other.at(987_654_321), TWO_GHZ.at(987_654_321), "shift {shift}");
    }
    // Shifted right: the header shifts before it multiplies, so low bits are lost.
    let coarse = TimeInfo { tsc_to_system_mul: u32::MAX, tsc_shift: -1, ..TWO_GHZ };
    assert_eq!(coarse.at(1_000_003), 5_000_000_000);
    assert_eq!(coarse.at(1_000_004), 5_000_000_001);
}

#[test]
fn more_than_64_bits_in_between_are_kept() {
    // A year at 3 GHz in ticks, times a multiplier of 32 bits, needs 88 bits.
    let year = 365 * 24 * 3600 * 3_000_000_000_u64;
    let info =
        TimeInfo { tsc_timestamp: 0, system_time_ns: 0, tsc_to_system_mul: 2_863_311_531, tsc_shift: -1 };
    let exact = (u128::from(year / 2) * 2_863_311_531) >> 32_u32;
    assert_eq!(u128::from(info.at(year)), exact);
}

#[test]
fn a_tsc_before_the_timestamp_counts_as_the_timestamp() {
    assert_eq!(TWO_GHZ.at(0), TWO_GHZ.system_time_ns);
}

#[test]
fn a_timestamp_from_before_the_domain_was_made_is_negative() {
    let info = TimeInfo { tsc_timestamp: 0_u64.wrapping_sub(2_000_000), ..TWO_GHZ };
    assert_eq!(info.at(0), 5_001_000_000);
    assert_eq!(info.at(1_000_000), 5_001_500_000);
}

#[test]
fn extreme_numbers_saturate() {
    let all = [i8::MIN, -65, -64, -63, -1, 0, 1, 31, 32, 63, 64, 65, i8::MAX];
    for tsc_shift in all {
        for tsc_to_system_mul in [0, 1, u32::MAX] {
            for tsc_timestamp in [0, 1, u64::MAX] {
                for system_time_ns in [0, u64::MAX] {
                    let info = TimeInfo { tsc_timestamp, system_time_ns, tsc_to_system_mul, tsc_shift };
                    for tsc in [0, 1, u64::MAX] {
                        let time = info.at(tsc);
                        assert!(time >= system_time_ns);
                        let ticks = elapsed(tsc_timestamp, tsc);
                        if tsc_shift <= -64 || tsc_to_system_mul == 0 || ticks == 0 {
                            assert_eq!(time, system_time_ns, "{info:?} at {tsc}");
                        } else if tsc_shift >= 64 {
                            assert_eq!(time, u64::MAX, "{info:?} at {tsc}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_product_beyond_128_bits_saturates() {
    let info = TimeInfo { tsc_timestamp: 0, system_time_ns: 0, tsc_to_system_mul: 8, tsc_shift: 63 };
    assert_eq!(info.at(1 << 62), u64::MAX, "2^128 is not 0");
}

#[test]
fn random_numbers_do_not_go_backwards_with_the_tsc() {
    let mut random = Random(1);
    for _ in 0..100_000 {
        let info = TimeInfo {
            tsc_timestamp: random.next(),
            system_time_ns: random.next(),
            tsc_to_system_mul: u32::try_from(random.next() >> 32).unwrap(),
            tsc_shift: random.next().to_le_bytes()[0].cast_signed(),
        };
        // Half of the circle is after the timestamp.
        let (a, b) = (random.next() >> 1, random.next() >> 1);
        let at = |ticks: u64| info.at(info.tsc_timestamp.wrapping_add(ticks));
        assert!(at(a.min(b)) <= at(a.max(b)), "{info:?}");
    }
}

#[test]
fn the_clock_reads_the_page_and_does_not_go_back() {
    let vcpu_info = page();
    set(vcpu_info, TWO_GHZ);
    let tsc = Cell::new(3_000_000);
    let clock = PvClock::new(vcpu_info, page(), || tsc.get());
    assert_eq!(clock.now(), SystemTime(5_001_000_000));
    tsc.set(2_000_000);
    assert_eq!(clock.now(), SystemTime(5_001_000_000), "the TSC went back, the clock does not");
    assert_eq!(clock.system_time(), Some(SystemTime(5_000_500_000)));
    set(vcpu_info, TimeInfo { system_time_ns: 0, ..TWO_GHZ });
    assert_eq!(clock.now(), SystemTime(5_001_000_000));
    set(vcpu_info, TimeInfo { system_time_ns: 6_000_000_000, ..TWO_GHZ });
    assert_eq!(clock.now(), SystemTime(6_000_500_000));
    assert_eq!(clock.torn(), 0);
}

#[test]
fn a_record_that_is_being_written_is_read_again() {
    let vcpu_info = page();
    set(vcpu_info, TimeInfo { system_time_ns: 1, ..TWO_GHZ });
    let looks = Cell::new(0_u32);
    // The TSC is read between the two looks at the version: Xen writes meanwhile, three times.
    let clock = PvClock::new(vcpu_info, page(), || {
        looks.set(looks.get() + 1);
        if looks.get() <= 3 {
            set(vcpu_info, TWO_GHZ);
            vcpu_info.store(VERSION, looks.get() * 2, SeqCst);
        }
        1_000_000
    });
    assert_eq!(clock.now(), SystemTime(TWO_GHZ.system_time_ns));
    assert_eq!(looks.get(), 4);
}

#[test]
fn a_record_always_being_written_stops_only_the_clock() {
    let vcpu_info = page();
    set(vcpu_info, TWO_GHZ);
    let clock = PvClock::new(vcpu_info, page(), || 1_000_000);
    let before = clock.now();
    vcpu_info.store(VERSION, 7_u32, SeqCst);
    set(vcpu_info, TimeInfo { system_time_ns: u64::MAX, ..TWO_GHZ });
    assert_eq!(clock.now(), before);
    assert_eq!(clock.system_time(), None);
    assert_eq!(clock.torn(), 2);

    // One whose version changes at every look.
    let version = Cell::new(0_u32);
    let clock = PvClock::new(vcpu_info, page(), || {
        version.set(version.get().wrapping_add(2));
        vcpu_info.store(VERSION, version.get(), SeqCst);
        0
    });
    vcpu_info.store(VERSION, 0_u32, SeqCst);
    assert_eq!(clock.now(), SystemTime(0));
    assert_eq!(clock.torn(), 1);
}

#[test]
fn after_a_restore_time_continues_and_deadlines_are_xens() {
    let vcpu_info = page();
    set(vcpu_info, TWO_GHZ);
    let tsc = Cell::new(3_000_000);
    let clock = PvClock::new(vcpu_info, page(), || tsc.get());
    let before = clock.now();
    assert_eq!(clock.to_xen(before), before);
    for system_time_ns in [77, 9_000_000_000_000] {
        // Another host: another system time, another TSC.
        let new = page();
        set(new, TimeInfo { system_time_ns, tsc_timestamp: 40, ..TWO_GHZ });
        tsc.set(40);
        clock.resume(new, page());
        assert_eq!(clock.now(), before);
        assert_eq!(clock.to_xen(before.after(1000)), SystemTime(system_time_ns + 1000));
        tsc.set(2_000_040);
        assert_eq!(clock.now(), before.after(1_000_000));
        tsc.set(40);
        clock.resume(new, page());
        let after = before.after(1_000_000);
        assert_eq!(clock.now(), after);
        set(new, TimeInfo { system_time_ns: system_time_ns - 70, tsc_timestamp: 40, ..TWO_GHZ });
        assert_eq!(clock.now(), after, "never backwards, also with an offset");
        // Back to the time before, for the next round.
        clock.last.set(before.0);
    }
    assert_eq!(clock.to_xen(SystemTime(0)).0, clock.to_xen(SystemTime(1)).0 - 1);
}

#[test]
fn the_time_of_day_is_that_of_system_time_0_and_what_has_passed() {
    let (vcpu_info, shared_info) = (page(), page());
    set(vcpu_info, TWO_GHZ);
    let clock = PvClock::new(vcpu_info, shared_info, || 1_000_000);
    assert_eq!(clock.unix_time_ns(), None, "Xen has not set it");
    set_wall(shared_info, 1_700_000_000, 999_999_999);
    assert_eq!(clock.unix_time_ns(), Some(1_700_000_005_999_999_999));
    // After 2106 the high half is needed.
    set_wall(shared_info, (1 << 32) + 1, 0);
    assert_eq!(clock.unix_time_ns(), Some(((1 << 32) + 6) * NS_PER_S));
}

#[test]
fn a_time_of_day_that_makes_no_sense_is_none() {
    let (vcpu_info, shared_info) = (page(), page());
    set(vcpu_info, TWO_GHZ);
    let clock = PvClock::new(vcpu_info, shared_info, || 1_000_000);
    for (seconds, ns) in [(1, 1_000_000_000), (1, u32::MAX), (u64::MAX, 0), (u64::MAX / NS_PER_S, 0)] {
        set_wall(shared_info, seconds, ns);
        assert_eq!(clock.unix_time_ns(), None, "{seconds} s {ns} ns");
    }
    set_wall(shared_info, 1, 0);
    shared_info.store(3072, 1_u32, SeqCst);
    assert_eq!(clock.unix_time_ns(), None, "being written for ever");
}
