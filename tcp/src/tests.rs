//! The most expensive segment: the largest number of loop passes that one segment of a peer can cause, whatever it sent
//! before.

#![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]

extern crate std;

use bytes::Bytes;
use smoltcp::time::Instant;

use crate::limiter::Limiter;
use crate::{Agreed, Config, Env, Flags, Limits, Open, SackBlocks, Segment, Seq, Tcb, Timestamps, work};

const PAGE: &[u8] = &[0; 1 << 16];

fn pair(sack: bool) -> (Tcb<Bytes>, Env<Bytes>) {
    let config = Config {
        receive_window: 65_535,
        send_buffer: 1 << 30,
        send_buffer_max: 1 << 30,
        ..Config::default()
    };
    let mut env = Env::new(config, Limiter::new(100, 100));
    env.send_grant = 1 << 30;
    let open = Open { iss: Seq(0), timestamp_offset: 0, announced_mss: 1460, path_mss: 1460 };
    let agreed = Agreed {
        irs: Seq(0),
        peer_mss: 1460,
        window_scale: Some((14, 14)),
        shown_window: 65_535,
        sack,
        timestamp: Some(1),
        ecn: false,
        rtt: Some(100_000),
    };
    let tcb = Tcb::established(&open, &agreed, Instant::from_millis(1), &mut env);
    (tcb, env)
}

fn ack(number: u32) -> Segment {
    let timestamps = Some(Timestamps { value: 2, echo: 0 });
    Segment {
        seq: Seq(1),
        ack: Seq(number),
        flags: Flags::ACK,
        window: 65_535,
        timestamps,
        ..Segment::default()
    }
}

/// A window of a gigabyte, everything sent in pieces at different times, and then SACK blocks that make as many holes as
/// possible, losses, timeouts, and at last an acknowledgment of all.
#[test]
fn the_dearest_acknowledgment_is_bounded() {
    let (mut tcb, mut env) = pair(true);
    let limits = Limits { max_payload: 1400 };
    let mut now = 1_000;
    let mut step = |tcb: &mut Tcb<Bytes>, env: &mut Env<Bytes>, segment: &Segment, milliseconds: i64| {
        now += milliseconds;
        let _ = tcb.on_segment(segment, Bytes::new(), Instant::from_millis(now), env);
        let steps = work::take();
        while tcb.poll_transmit(Instant::from_millis(now), &limits, env).is_some() {}
        let _ = work::take();
        steps
    };
    step(&mut tcb, &mut env, &ack(1), 0);
    while tcb.send(Bytes::from_static(PAGE), &mut env).is_ok() && tcb.send_queued() < 64 << 20 {}
    // Slow start up to a large window, each flight at its own time.
    let mut dearest = 0;
    for _ in 0..3_000 {
        let number = tcb.snd_una.0.wrapping_add(2800).min(tcb.snd_nxt.0);
        dearest = dearest.max(step(&mut tcb, &mut env, &ack(number), 3));
    }
    // Holes of ten octets all over what is outstanding: four blocks in a segment.
    let (una, end) = (tcb.snd_una.0, tcb.snd_nxt.0);
    let mut at = una;
    while at + 400 < end {
        let mut segment = ack(una);
        segment.timestamps = Some(Timestamps { value: 2, echo: 0 });
        let mut sack = SackBlocks::default();
        (0..4).for_each(|n| sack.push(Seq(at + n * 20 + 10), Seq(at + n * 20 + 20)));
        segment.sack = sack;
        dearest = dearest.max(step(&mut tcb, &mut env, &segment, 0));
        at += 80;
    }
    let records = u64::from(env.config.max_records);
    assert!(dearest > records / 4, "the test reaches many records: {dearest}");
    for number in [una, end] {
        dearest = dearest.max(step(&mut tcb, &mut env, &ack(number), 1));
    }
    std::println!("acknowledgment: {dearest} steps");
    assert!(dearest <= records * 3, "{dearest} steps for one segment");
}

/// Crumbs in every second octet, then the octet that joins them all.
#[test]
fn the_dearest_payload_is_bounded() {
    let (mut tcb, mut env) = pair(true);
    let now = Instant::from_millis(2);
    let mut dearest = 0;
    let mut feed = |tcb: &mut Tcb<Bytes>, env: &mut Env<Bytes>, at: u32, len: usize| {
        let segment = Segment { seq: Seq(at), payload_len: u32::try_from(len).unwrap_or_default(), ..ack(1) };
        let _ = tcb.on_segment(&segment, Bytes::from_static(PAGE.get(..len).unwrap_or_default()), now, env);
        dearest = work::take().max(dearest);
    };
    for number in 1..20_000 {
        feed(&mut tcb, &mut env, 1 + number * 3, 1);
    }
    feed(&mut tcb, &mut env, 2, 60_000);
    feed(&mut tcb, &mut env, 1, 1);
    let pieces = u64::from(env.config.max_pieces);
    assert!(env.counters.pieces_refused > 0, "the limit is reached");
    assert!(dearest > 64, "the test reaches many pieces: {dearest}");
    std::println!("payload: {dearest} steps");
    assert!(dearest <= pieces * 3, "{dearest} steps for one segment");
}
