//! CUBIC against the RFC's equations in double precision, in virtual time.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "tests compute with numbers of their own"
)]

use super::*;

const MSS: u16 = 1000;
const SEGMENT: u32 = 1000;

/// One segment of `MSS` bytes acknowledged, the window being full.
fn ack(now_us: u64, rtt_us: u32, in_flight: u32) -> Ack {
    Ack { acked: SEGMENT, now_us, rtt_us: Some(rtt_us), srtt_us: rtt_us, in_flight, limit: Limit::Cwnd }
}

/// One round trip: a window's segments are acknowledged one by one, evenly spread over `rtt_us`.
fn round(cubic: &mut Cubic, now_us: &mut u64, rtt_us: u32) {
    let segments = (cubic.cwnd() / SEGMENT).max(1);
    for _ in 0..segments {
        *now_us += u64::from(rtt_us / segments);
        let in_flight = cubic.cwnd() - SEGMENT.min(cubic.cwnd());
        cubic.on_ack(&ack(*now_us, rtt_us, in_flight));
    }
}

/// In congestion avoidance with `segments` in the window, before any congestion.
fn avoiding(segments: u32) -> Cubic {
    Cubic::resume(MSS, segments * SEGMENT, segments * SEGMENT)
}

fn segments(cubic: &Cubic) -> f64 {
    f64::from(cubic.cwnd()) / f64::from(SEGMENT)
}

#[test]
fn the_first_window_is_ten_segments() {
    // RFC 6928 §2: min(10 × MSS, max(2 × MSS, 14600)).
    let windows = [536, 1220, 1448, 1460, 4000, 8960].map(initial_window);
    assert_eq!(windows, [5360, 12_200, 14_480, 14_600, 14_600, 17_920]);
    assert_eq!(Cubic::new(1460).cwnd(), 14_600);
    let mut cubic = Cubic::new(1460);
    cubic.on_lost_handshake();
    assert_eq!(cubic.cwnd(), 1460);
}

#[test]
fn slow_start_doubles_the_window_each_round() {
    // RFC 5681 §3.1.
    let (mut cubic, mut now) = (Cubic::new(MSS), 0);
    for power in 1..8 {
        round(&mut cubic, &mut now, 50_000);
        assert_eq!(cubic.cwnd(), (10 << power) * SEGMENT);
    }
}

#[test]
fn slow_start_counts_64_kib_of_one_ack() {
    let mut cubic = Cubic::resume(MSS, 1000 * SEGMENT, INFINITE_SSTHRESH);
    cubic.on_ack(&Ack { acked: 500 * SEGMENT, ..ack(1000, 50_000, 0) });
    assert_eq!(cubic.cwnd(), 1000 * SEGMENT + 65_536);
}

#[test]
fn slow_start_stops_at_the_threshold() {
    let mut cubic = Cubic::resume(MSS, 10 * SEGMENT, 12 * SEGMENT + 500);
    (1..=3).for_each(|n| cubic.on_ack(&ack(n * 1000, 50_000, 10 * SEGMENT)));
    assert_eq!((cubic.cwnd(), cubic.in_slow_start()), (12 * SEGMENT + 500, false));
}

#[test]
fn hystart_grows_by_a_quarter_then_stops() {
    // RFC 9406 §4.3: after the rise a quarter of the growth for five rounds, then congestion avoidance.
    let (mut cubic, mut now) = (Cubic::new(MSS), 0);
    (0..3).for_each(|_| round(&mut cubic, &mut now, 50_000));
    assert_eq!(cubic.cwnd(), 80 * SEGMENT);
    (0..9).for_each(|_| round(&mut cubic, &mut now, 60_000));
    assert!(!cubic.in_slow_start());
    // Doubled until a whole round was slow, then 1.25 × at most five times: not 80 × 2^9.
    assert!((160.0..600.0).contains(&segments(&cubic)), "{}", segments(&cubic));
}

#[test]
fn a_loss_multiplies_by_seven_tenths() {
    // RFC 9438 §4.6: β = 0.7 of what was in flight, never below two segments.
    for (cwnd, in_flight, expected) in
        [(100, 100, 70_000), (100, 50, 35_000), (100, 130, 70_000), (10, 2, 2000)]
    {
        let mut cubic = avoiding(cwnd);
        cubic.on_congestion(0, in_flight * SEGMENT);
        assert_eq!((cubic.cwnd(), cubic.ssthresh()), (expected, expected));
    }
}

/// `W_cubic(t)` in segments. (RFC 9438 §4.2, equations 1 and 2)
fn w_cubic(t: f64, w_max: f64, cwnd_epoch: f64) -> f64 {
    let k = ((w_max - cwnd_epoch) / 0.4).cbrt();
    0.4 * (t - k).powi(3) + w_max
}

#[test]
fn the_window_follows_the_curve() {
    // Long and fat: far above the Reno-friendly region. Concave up to K = ∛750 = 9.09 s, then convex.
    let (rtt, mut cubic) = (100_000, avoiding(1000));
    cubic.on_congestion(0, 1000 * SEGMENT);
    assert_eq!(cubic.cwnd(), 700 * SEGMENT);
    let mut now = 0;
    // The stage begins with the first acknowledgment.
    let start = u64::from(rtt / 700);
    while now < 20_000_000 {
        round(&mut cubic, &mut now, rtt);
        let t = (now - start) as f64 / 1e6;
        let expected = w_cubic(t + 0.05, 1000.0, 700.0);
        assert!(
            (segments(&cubic) - expected).abs() < 0.02 * expected,
            "{t}: {} {expected}",
            segments(&cubic)
        );
    }
    assert!(segments(&cubic) > 1400.0);
}

#[test]
fn the_curve_agrees_with_double_precision() {
    for (w_max, cwnd, mss) in [(1000, 700, 1000_u16), (40, 28, 1460), (100_000, 70_000, 1448), (5, 4, 8960)] {
        let bytes = |segments: u32| segments * u32::from(mss);
        let mut cubic = Cubic::resume(mss, bytes(cwnd), bytes(cwnd));
        cubic.w_max = bytes(w_max);
        let epoch = cubic.begin_epoch(0);
        let k = (f64::from(w_max - cwnd) / 0.4).cbrt();
        assert!((f64::from(epoch.k_ms) / 1000.0 - k).abs() <= 0.001, "{w_max}: {} {k}", epoch.k_ms);
        for step in 0..400 {
            let t_ms = step * 250;
            let expected = w_cubic(t_ms as f64 / 1e3, f64::from(w_max), f64::from(cwnd));
            let ours = cubic.w_cubic(t_ms, epoch.k_ms) as f64 / f64::from(mss);
            assert!(
                (ours - expected).abs() < 0.001 + expected * 0.001,
                "{w_max} at {t_ms}: {ours} {expected}"
            );
        }
    }
}

#[test]
fn a_short_path_grows_as_reno_would() {
    // RFC 9438 §4.3: at 2 ms and 100 segments, 9/17 segments a round up to the window before, then one a round.
    let (mut cubic, mut now) = (avoiding(100), 0);
    cubic.on_congestion(0, 100 * SEGMENT);
    let mut rounds = 0;
    while cubic.cwnd() < 100 * SEGMENT {
        round(&mut cubic, &mut now, 2000);
        rounds += 1;
    }
    let expected = 30.0 * 17.0 / 9.0;
    assert!((f64::from(rounds) - expected).abs() <= 3.0, "{rounds} rounds, expected {expected}");
    let before = segments(&cubic);
    (0..20).for_each(|_| round(&mut cubic, &mut now, 2000));
    assert!((segments(&cubic) - before - 20.0).abs() < 1.5, "{}", segments(&cubic) - before);
}

#[test]
fn growth_is_at_most_half_a_window_a_round() {
    // RFC 9438 §4.2: target ≤ 1.5 × cwnd, however long the curve has run.
    let (mut cubic, mut now) = (avoiding(100), 0);
    cubic.on_ack(&ack(0, 100_000, 0));
    now += 1_000_000_000;
    let before = segments(&cubic);
    round(&mut cubic, &mut now, 100_000);
    let grown = segments(&cubic) / before;
    assert!((1.4..1.7).contains(&grown), "{grown}");
}

#[test]
fn a_second_loss_below_the_first_gives_way() {
    // RFC 9438 §4.7, fast convergence: W_max = cwnd × (1 + β) / 2.
    let mut cubic = avoiding(1000);
    cubic.on_congestion(0, 1000 * SEGMENT);
    assert_eq!(cubic.w_max, 1000 * SEGMENT);
    cubic.on_congestion(0, 700 * SEGMENT);
    assert_eq!(cubic.w_max, 700 * SEGMENT * 85 / 100);
}

#[test]
fn time_without_use_does_not_count() {
    // RFC 9438 §5.8: 100 s of a lazy application, then a full window: the curve is where it was.
    let (rtt, mut busy, mut now) = (100_000, avoiding(1000), 0);
    busy.on_congestion(0, 1000 * SEGMENT);
    (0..20).for_each(|_| round(&mut busy, &mut now, rtt));
    let mut lazy = busy;
    let lazy_from = now;
    for _ in 0..1000 {
        now += u64::from(rtt);
        lazy.on_ack(&Ack { limit: Limit::Application, ..ack(now, rtt, 0) });
    }
    assert_eq!(lazy.cwnd(), busy.cwnd());
    let mut busy_now = lazy_from;
    (0..20).for_each(|_| round(&mut lazy, &mut now, rtt));
    (0..20).for_each(|_| round(&mut busy, &mut busy_now, rtt));
    assert!((segments(&lazy) - segments(&busy)).abs() < 1.0, "{} {}", segments(&lazy), segments(&busy));
}

#[test]
fn a_timeout_leaves_one_segment() {
    // RFC 9438 §4.8; RFC 5681 §3.1: the threshold falls at the first expiry only.
    let mut cubic = avoiding(100);
    cubic.on_rto(0, 100 * SEGMENT);
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (SEGMENT, 70 * SEGMENT));
    cubic.on_rto(0, 100 * SEGMENT);
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (SEGMENT, 70 * SEGMENT));
    // K = 0 and W_max = cwnd in the stage after it: convex from its start.
    let mut now = 0;
    while cubic.in_slow_start() {
        round(&mut cubic, &mut now, 100_000);
    }
    round(&mut cubic, &mut now, 100_000);
    assert_eq!((cubic.epoch.unwrap().k_ms, cubic.w_max), (0, 70 * SEGMENT));
    // Acknowledged meanwhile: the next timeout is a new event.
    cubic.on_rto(now, 70 * SEGMENT);
    assert_eq!(cubic.ssthresh(), 49 * SEGMENT);
}

#[test]
fn a_spurious_event_is_taken_back() {
    // RFC 9438 §4.9.
    let (mut cubic, mut now) = (avoiding(100), 0);
    (0..10).for_each(|_| round(&mut cubic, &mut now, 50_000));
    let before = cubic;
    cubic.on_congestion(now, 100 * SEGMENT);
    cubic.undo();
    assert_eq!(
        (cubic.cwnd, cubic.ssthresh, cubic.w_max, cubic.epoch),
        (before.cwnd, before.ssthresh, before.w_max, before.epoch)
    );
    cubic.on_rto(now, 100 * SEGMENT);
    cubic.on_rto(now, 100 * SEGMENT);
    cubic.undo();
    assert_eq!((cubic.cwnd, cubic.ssthresh, cubic.epoch), (before.cwnd, before.ssthresh, before.epoch));
    // Once only.
    cubic.on_congestion(now, 100 * SEGMENT);
    cubic.forget_undo();
    let reduced = cubic.cwnd;
    cubic.undo();
    assert_eq!(cubic.cwnd, reduced);
}

#[test]
fn an_idle_window_halves_each_rto() {
    let mut cubic = avoiding(400);
    cubic.on_restart(199_000, 200_000);
    assert_eq!(cubic.cwnd(), 400 * SEGMENT);
    cubic.on_restart(650_000, 200_000);
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (50 * SEGMENT, 400 * SEGMENT));
    cubic.on_restart(u64::MAX, 200_000);
    assert_eq!(cubic.cwnd(), 10 * SEGMENT);
    // Never up: a window below the initial one stays.
    let mut cubic = avoiding(3);
    cubic.on_restart(10_000_000, 200_000);
    assert_eq!(cubic.cwnd(), 3 * SEGMENT);
}

#[test]
fn a_large_window_grows_by_small_acks() {
    // 100,000 segments: less than a byte an acknowledgment, but not nothing.
    let mut cubic = avoiding(100_000);
    cubic.on_congestion(0, 100_000 * SEGMENT);
    let before = cubic.cwnd();
    (0..70_000_u64).for_each(|n| cubic.on_ack(&ack(n, 100_000, 0)));
    assert!(cubic.cwnd() > before + 500, "{}", cubic.cwnd() - before);
}

#[test]
fn no_argument_overflows() {
    for mss in [0, 1, 536, u16::MAX] {
        let mut cubic = Cubic::new(mss);
        for round in 0..200_u64 {
            let wild = Ack {
                acked: u32::MAX,
                now_us: u64::MAX - round.wrapping_mul(u64::MAX / 100),
                rtt_us: Some(u32::MAX),
                srtt_us: u32::MAX,
                in_flight: u32::MAX,
                limit: if round % 7 == 0 { Limit::Application } else { Limit::Cwnd },
            };
            cubic.on_ack(&wild);
            match round % 40 {
                13 => cubic.on_congestion(0, u32::MAX),
                23 => cubic.on_rto(u64::MAX, 0),
                33 => cubic.undo(),
                39 => cubic.on_restart(u64::MAX, 0),
                _ => {}
            }
            assert!(cubic.cwnd() >= u32::from(mss) && cubic.cwnd() <= MAX_CWND);
        }
    }
}

#[test]
fn the_cube_root_is_the_floor() {
    for root in (0..2000).chain([65_535, 1_048_576, 2_642_245]) {
        let cube = u64::from(root) * u64::from(root) * u64::from(root);
        assert_eq!(cube_root(cube), root);
        assert_eq!(cube_root(cube.saturating_sub(1)), root.saturating_sub(1));
    }
    assert_eq!(cube_root(u64::MAX), 2_642_245);
}
