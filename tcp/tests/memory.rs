//! Memory: a request on a kept connection allocates nothing, and an idle connection keeps nothing.

#![allow(clippy::undocumented_unsafe_blocks, reason = "an allocator that counts; the work is the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use smoltcp::time::Instant;
use tcp::limiter::Limiter;
use tcp::{Agreed, Config, Env, Flags, Limits, Open, Reply, Segment, Seq, Tcb, Timestamps};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        HELD.with(|held| held.set(held.get() + layout.size() as i64));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.with(|held| held.set(held.get() - layout.size() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static REQUEST: [u8; 100] = [1; 100];
static RESPONSE: [u8; 1000] = [2; 1000];
const LIMITS: Limits = Limits { max_payload: 65_000 };

fn tcb(env: &mut Env<Bytes>) -> Tcb<Bytes> {
    let open = Open { iss: Seq(99), timestamp_offset: 0, announced_mss: 1460, path_mss: 1460 };
    let agreed = Agreed {
        irs: Seq(499),
        peer_mss: 1460,
        window_scale: Some((7, 7)),
        shown_window: 65_535,
        sack: true,
        timestamp: Some(1),
        ecn: false,
        rtt: Some(1000),
    };
    Tcb::established(&open, &agreed, Instant::from_millis(1), env)
}

/// A request comes, the response leaves, and its acknowledgment comes.
fn request(tcb: &mut Tcb<Bytes>, env: &mut Env<Bytes>, number: u32) {
    let now = Instant::from_millis(i64::from(number) * 2 + 2);
    let stamps = Some(Timestamps { value: number * 2 + 1, echo: number * 2 });
    let mut segment = Segment {
        seq: Seq(500 + number * 100),
        ack: Seq(100 + number * 1000),
        flags: Flags::ACK | Flags::PSH,
        window: 1000,
        payload_len: 100,
        timestamps: stamps,
        ..Segment::default()
    };
    assert_eq!(tcb.on_segment(&segment, Bytes::from_static(&REQUEST), now, env), Reply::None);
    assert_eq!(tcb.recv(now, env).unwrap().len(), 100);
    tcb.send(Bytes::from_static(&RESPONSE), env).unwrap();
    let transmit = tcb.poll_transmit(now, &LIMITS, env).unwrap();
    assert_eq!(transmit.header.payload_len, 1000);
    assert!(tcb.poll_transmit(now, &LIMITS, env).is_none());
    segment.seq = segment.seq.add(100);
    segment.ack = segment.ack.add(1000);
    (segment.flags, segment.payload_len) = (Flags::ACK, 0);
    assert_eq!(tcb.on_segment(&segment, Bytes::new(), now, env), Reply::None);
    let _ = tcb.take_events();
}

#[test]
fn a_request_on_a_kept_connection_allocates_nothing() {
    let mut env = Env::new(Config::default(), Limiter::new(100, 100));
    let mut tcb = tcb(&mut env);
    (0..3).for_each(|number| request(&mut tcb, &mut env, number));
    let before = COUNT.with(Cell::get);
    (3..1000).for_each(|number| request(&mut tcb, &mut env, number));
    assert_eq!(COUNT.with(Cell::get) - before, 0);
    assert_eq!(env.counters.fast_path, 2000);
    assert_eq!(env.counters.retransmissions, 0);
}

#[test]
fn an_idle_connection_keeps_its_control_block_only() {
    assert!(size_of::<Tcb<Bytes>>() <= 160, "{} bytes", size_of::<Tcb<Bytes>>());
    let mut env = Env::new(Config::default(), Limiter::new(100, 100));
    let mut tcbs: Vec<Tcb<Bytes>> = (0..100).map(|_| tcb(&mut env)).collect();
    for tcb in &mut tcbs {
        request(tcb, &mut env, 0);
    }
    let before = HELD.with(Cell::get);
    for tcb in &mut tcbs {
        (1..10).for_each(|number| request(tcb, &mut env, number));
        assert!(tcb.is_idle());
        assert_eq!(tcb.next_timer(), None);
    }
    assert_eq!(HELD.with(Cell::get), before, "one box serves them all");
}
