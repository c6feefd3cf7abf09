//! Memory of sessions, counted by the allocator: idle, in a handshake that stops, with bytes of a record.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use support::*;
use tls::{RECORD_LIMIT, Session};

/// Counts the bytes that each thread holds, and the most since the last look.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let held = HELD.get() + change;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: passes every call on to the system's allocator, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are held more after `work` than before it, and the most meanwhile.
fn cost<T>(work: impl FnOnce() -> T) -> (T, isize, isize) {
    let before = HELD.get();
    MOST.set(before);
    let result = work();
    (result, HELD.get() - before, MOST.get() - before)
}

fn boxed(server: &tls::Server) -> Box<Session> {
    Box::new(server.accept().unwrap())
}

/// Exchanges bytes until both are silent, and counts only what the session holds; the most at any time.
fn counted(client: &mut rustls::ClientConnection, session: &mut Session) -> (isize, isize) {
    let (mut held, mut most) = (0, 0);
    for _ in 0..4 {
        let bytes = sent(client);
        let (output, more, peak) = cost(|| {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                rest = &rest[session.receive(rest).unwrap()..];
            }
            session.take_output()
        });
        most = most.max(held + peak);
        held += more - output.capacity() as isize;
        deliver(client, &output).unwrap();
    }
    (held, most)
}

#[test]
fn an_idle_session_takes_less_than_4_kib() {
    let pair = Pair::p256("a.test");
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
    for resumed in [false, true] {
        let mut client = connect(&config, "a.test");
        let (mut session, begun, _) = cost(|| boxed(&server));
        let (held, most) = counted(&mut client, &mut session);
        assert_eq!((session.is_handshaking(), session.is_resumed()), (false, resumed));
        println!("resumed {resumed}: {begun} bytes new, {} idle, {} at most", begun + held, begun + most);
        assert!(begun + held <= 4096, "{} bytes", begun + held);
        assert!(begun + most <= 32 * 1024, "{} bytes", begun + most);
        // After a request and its reply the same.
        let before = HELD.get();
        client.writer().write_all(&[1; 3000]).unwrap();
        let request = sent(&mut client);
        assert_eq!(receive(&mut session, &request, usize::MAX).unwrap().len(), 3000);
        drop(request);
        drop(session.write(&[2; 9000]).unwrap());
        // The client keeps some of its own.
        let grown = HELD.get() - before;
        assert!(grown <= 8192, "{grown} bytes");
        let (_, freed, _) = cost(|| drop(session));
        assert!(-freed <= 4096, "{} bytes after a request", -freed);
    }
}

#[test]
fn a_handshake_that_stops_holds_what_was_sent() {
    let pair = Pair::p256("a.test");
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
    let hello = sent(&mut connect(&config, "a.test"));
    for len in [0, 5, hello.len() - 1, hello.len()] {
        let (session, held, _) = cost(|| {
            let mut session = boxed(&server);
            assert_eq!(session.receive(&hello[..len]), Ok(len));
            drop(session.take_output());
            session
        });
        println!("{len} of {} bytes: {held}", hello.len());
        assert!(held <= 6 * 1024, "{held} bytes after {len}");
        drop(session);
    }
    // The largest that is not refused, never completed.
    let long = [&[22, 3, 3, 0x3f, 0xff, 1, 0, 0x3f, 0xfb][..], &[0; 8000]].concat();
    let (session, held, most) = cost(|| {
        let mut session = boxed(&server);
        long.chunks(100).for_each(|part| assert_eq!(session.receive(part), Ok(part.len())));
        session
    });
    println!("a long ClientHello: {held}, at most {most}");
    assert!(held <= 12 * 1024 && most <= 20 * 1024, "{held} bytes, {most} at most");
    drop(session);
}

#[test]
fn a_session_holds_one_record_of_those_that_come() {
    let pair = Pair::p256("a.test");
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
    let (mut client, mut session) = open(&server, &config, "a.test");
    client.set_buffer_limit(None);
    client.writer().write_all(&[7; 200_000]).unwrap();
    let bytes = sent(&mut client);
    let (taken, held, most) = cost(|| {
        let mut taken = 0;
        // Nobody reads: it takes no more.
        while let Ok(more @ 1..) = session.receive(&bytes[taken..]) {
            taken += more;
        }
        taken
    });
    println!("{taken} bytes taken: {held} held, {most} at most");
    assert!(taken <= 2 * RECORD_LIMIT && held <= 34 * 1024 && most <= 52 * 1024);
    let mut rest = &bytes[taken..];
    let mut read = 0;
    while session.is_readable() || !rest.is_empty() {
        let mut buffer = [0; 4096];
        read += session.read(&mut buffer);
        rest = &rest[session.receive(rest).unwrap()..];
    }
    assert_eq!(read, 200_000);
}
