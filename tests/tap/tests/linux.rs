//! Every direction between the engine and Linux's TCP, over a clean path and over bad ones, compared octet for octet.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use tap_tests::{ENGINE, Host, LINUX, Link, Opens, PORT, inside, octets};
use tcp::CloseReason;

const MB: usize = 1_000_000;
/// However slow the host is.
const LIMIT: Duration = Duration::from_secs(900);

/// Linux's end: sends `to_send` octets in a thread of its own, and reads until the end. Returns how many came.
fn linux(stream: TcpStream, to_send: usize) -> usize {
    let mut writer = stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let mut sent = 0;
        while sent < to_send {
            let len = 100_000.min(to_send - sent);
            writer.write_all(&octets(sent, len)).unwrap();
            sent += len;
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let (mut reader, mut received, mut buffer) = (stream, 0, vec![0; 100_000]);
    loop {
        let len = reader.read(&mut buffer).unwrap();
        if len == 0 {
            break;
        }
        assert!(buffer[..len] == octets(received, len), "other octets than the engine sent, from {received}");
        received += len;
    }
    sender.join().unwrap();
    received
}

/// One connection: `up` octets from the engine, `down` octets from Linux.
fn exchange(link: &Link, seed: u64, opens: Opens, up: usize, down: usize) {
    let mut host = Host::new(link, seed, up);
    let listener = TcpListener::bind((Ipv4Addr::from(LINUX), PORT)).unwrap();
    let peer = thread::spawn(move || {
        let stream = match opens {
            Opens::Engine => listener.accept().unwrap().0,
            Opens::Linux => TcpStream::connect((Ipv4Addr::from(ENGINE), PORT)).unwrap(),
        };
        linux(stream, down)
    });
    let (received, reason) = host.run(opens, LIMIT);
    // The rest of the path carries our last acknowledgment. Linux's FIN is not awaited if that was lost.
    assert_eq!((received, reason), (down, Some(CloseReason::Finished)), "{:?}", host.counters());
    assert_eq!(peer.join().unwrap(), up, "{:?}", host.counters());
    let counters: Vec<String> = host
        .counters()
        .iter()
        .filter(|count| count.1 > 0)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    eprintln!("  {opens:?} opens, {up} up, {down} down: {}", counters.join(", "));
}

fn bad() -> Link {
    Link {
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(6),
        reorder: 3000,
        loss: 1000,
        duplicate: 1000,
        corrupt: 500,
        ..Link::default()
    }
}

#[test]
fn the_engine_sends_100_mb_to_linux() {
    if inside("the_engine_sends_100_mb_to_linux") {
        exchange(&Link::default(), 1, Opens::Linux, 100 * MB, 0);
    }
}

#[test]
fn linux_sends_100_mb_to_the_engine() {
    if inside("linux_sends_100_mb_to_the_engine") {
        exchange(&Link::default(), 2, Opens::Engine, 0, 100 * MB);
    }
}

#[test]
fn both_send_100_mb_at_once() {
    if inside("both_send_100_mb_at_once") {
        exchange(&Link::default(), 3, Opens::Linux, 100 * MB, 100 * MB);
    }
}

#[test]
fn the_engine_sends_over_a_bad_path() {
    if inside("the_engine_sends_over_a_bad_path") {
        exchange(&bad(), 4, Opens::Linux, 10 * MB, 0);
    }
}

#[test]
fn linux_sends_over_a_bad_path() {
    if inside("linux_sends_over_a_bad_path") {
        exchange(&bad(), 5, Opens::Engine, 0, 10 * MB);
    }
}

#[test]
fn both_send_over_a_bad_path() {
    if inside("both_send_over_a_bad_path") {
        exchange(&bad(), 6, Opens::Engine, 5 * MB, 5 * MB);
    }
}

#[test]
fn a_short_queue_is_filled_and_overflows() {
    if inside("a_short_queue_is_filled_and_overflows") {
        let link =
            Link { delay: Duration::from_millis(10), rate: 5_000_000, queue: 60_000, ..Link::default() };
        exchange(&link, 7, Opens::Linux, 10 * MB, MB);
    }
}
