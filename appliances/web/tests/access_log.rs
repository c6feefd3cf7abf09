//! The access log: what a line has, whatever a client sends; and what happens when nobody takes it.

mod support;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use datafront::block::wire::{Frame, HEADER_BYTES, Kind};
use datafront::block::{Outbox, WhenFull, send};
use embedded_io_async::{ErrorType, Read, Write};
use kernel::ledger::{Consumer, Ledger};
use serde_json::Value;
use std::rc::Rc;
use support::{Does, ask, fake::Fake, run, site};
use web::access_log::{AccessLog, counters};
use web::http::{Limits, RequestLog, Server};
use web::site::StatusSite;

fn log(limit: usize, when_full: WhenFull) -> Rc<AccessLog> {
    let account = Ledger::new(16 << 20).open(Consumer::Outgoing);
    let outbox = Rc::new(Outbox::new(1, limit, when_full, &account));
    Rc::new(AccessLog::new(outbox, &account))
}

fn server(log: &Rc<AccessLog>) -> Server<StatusSite<Fake>> {
    let log: Rc<dyn RequestLog> = Rc::<AccessLog>::clone(log);
    let server = Server::new(site(Fake(42)), Limits::default()).with_log(Some(log));
    server.tick(1000, 784_111_777);
    server
}

/// dom0 on a connection: welcomes, and acknowledges nothing.
struct Taker {
    welcome: Vec<u8>,
    got: Vec<u8>,
}

impl ErrorType for Taker {
    type Error = std::convert::Infallible;
}

impl Read for Taker {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Self::Error> {
        if self.welcome.is_empty() {
            return std::future::pending().await;
        }
        let welcome: Vec<u8> = self.welcome.drain(..).collect();
        into[..welcome.len()].copy_from_slice(&welcome);
        Ok(welcome.len())
    }
}

impl Write for Taker {
    async fn write(&mut self, from: &[u8]) -> Result<usize, Self::Error> {
        self.got.extend(from);
        Ok(from.len())
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What dom0 gets, all blocks together.
fn taken(log: &AccessLog) -> String {
    log.flush();
    let welcome = Frame { kind: Kind::Welcome, seq: 0, length: 1, aux: 1000 }.to_bytes("").to_vec();
    let mut taker = Taker { welcome, got: Vec::new() };
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(send(&mut taker, log.outbox())).poll(&mut cx).is_pending());
    let (mut rest, mut text) = (&taker.got[HEADER_BYTES..], Vec::new());
    while let Some(head) = rest.first_chunk::<HEADER_BYTES>() {
        let len = Frame::head_len(head).unwrap();
        let frame = Frame::parse(head, &rest[HEADER_BYTES..len]).unwrap();
        assert_eq!((frame.aux, &rest[HEADER_BYTES..len]), (16, &b"access.log"[..]));
        let end = len + frame.length as usize;
        text.extend(&rest[len..end]);
        rest = &rest[end + 8..];
    }
    String::from_utf8(text).unwrap()
}

/// The lines of these bytes of a client.
fn lines(sends: &[&[u8]]) -> Vec<String> {
    let log = log(1 << 20, WhenFull::DropOldest);
    run(&server(&log), sends.iter().map(|bytes| Does::Sends(bytes.to_vec())).collect());
    taken(&log).lines().map(str::to_owned).collect()
}

const START: &str = "- - - [06/Nov/1994:08:49:37 +0000]";

#[test]
fn a_line_is_in_the_combined_log_format() {
    let request =
        b"GET /1k?a=b HTTP/1.1\r\nHost: g\r\nReferer: http://a.example/\r\nUser-Agent: curl/8.5.0\r\n\r\n";
    let expected = format!("{START} \"GET /1k?a=b HTTP/1.1\" 200 1024 \"http://a.example/\" \"curl/8.5.0\"");
    assert_eq!(lines(&[request]), [expected.as_str()]);
    // In pieces, it is one request all the same.
    let pieces: Vec<&[u8]> = request.chunks(7).collect();
    assert_eq!(lines(&pieces), [expected]);
}

#[test]
fn each_request_has_a_line_with_its_status() {
    let all = b"HEAD /1k HTTP/1.1\r\nHost: g\r\n\r\nGET /none HTTP/1.1\r\nHost: g\r\n\r\nPUT / HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\nok\
        OPTIONS / HTTP/1.1\r\nHost: g\r\n\r\nGET /1k HTTP/1.0\r\n\r\n";
    let got: Vec<String> = lines(&[all]).iter().map(|line| line[START.len()..].to_owned()).collect();
    let sizes = [0, 49, 54, 0, 1024];
    let expected: Vec<String> = [
        "HEAD /1k HTTP/1.1\" 200",
        "GET /none HTTP/1.1\" 404",
        "PUT / HTTP/1.1\" 405",
        "OPTIONS / HTTP/1.1\" 204",
        "GET /1k HTTP/1.0\" 200",
    ]
    .iter()
    .zip(sizes)
    .map(|(start, size)| format!(" \"{start} {size} \"-\" \"-\""))
    .collect();
    assert_eq!(got, expected);
    assert_eq!(lines(&[b"nonsense\r\n\r\n"]).len(), 1);
    assert!(lines(&[b"nonsense\r\n\r\n"])[0].starts_with(&format!("{START} \"-\" 400 ")));
}

#[test]
fn no_client_can_write_a_line_or_leave_its_quotes() {
    let agent = b"GET /1k HTTP/1.1\r\nHost: g\r\nUser-Agent: \xff\t\"\" \\ - - x\r\n\r\n";
    let expected = format!(r#"{START} "GET /1k HTTP/1.1" 200 1024 "-" "\xff\x09\"\" \\ - - x""#);
    assert_eq!(lines(&[agent]), [expected]);
    // Whatever else is sent is one line of printable characters.
    for evil in [
        &b"GET /a\"b\\c HTTP/1.1\r\nHost: g\r\n\r\n"[..],
        b"GET /\x1b[31m HTTP/1.1\r\nHost: g\r\n\r\n",
        b"\xff\x00\r\n\r\n",
    ] {
        let got = lines(&[evil]);
        assert!(got.len() == 1 && got[0].bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{got:?}");
    }
    // A long text is cut.
    let long =
        format!("GET /{} HTTP/1.1\r\nHost: g\r\nUser-Agent: {}\r\n\r\n", "a".repeat(3000), "u".repeat(3000));
    let got = lines(&[long.as_bytes()]);
    assert!(got.len() == 1 && got[0].len() < 2300, "{got:?}");
}

#[test]
fn a_thousand_requests_are_a_thousand_lines() {
    let log = log(1 << 20, WhenFull::DropOldest);
    let server = server(&log);
    for n in 0..1000 {
        run(&server, vec![Does::Sends(format!("GET /1k?{n} HTTP/1.1\r\nHost: g\r\n\r\n").into_bytes())]);
    }
    let stats = log.outbox().stats();
    assert!(stats.counts.put.get() >= 4, "in batches: {stats:?}");
    let text = taken(&log);
    let numbers: Vec<usize> = text
        .lines()
        .map(|line| line.split_once("/1k?").unwrap().1.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    assert_eq!(log.lines(), (1000, 0));
}

#[test]
fn without_room_lines_are_dropped_or_requests_wait() {
    let request = || vec![Does::Sends(b"GET /1k HTTP/1.1\r\nHost: g\r\n\r\n".to_vec())];
    let dropping = log(64 << 10, WhenFull::DropOldest);
    let server_of = server(&dropping);
    for _ in 0..2000 {
        assert!(!run(&server_of, request()).got.is_empty());
    }
    let stats = dropping.outbox().stats();
    assert!(stats.bytes <= 64 << 10 && stats.counts.dropped_records.get() > 500, "{stats:?}");
    let waiting = log(64 << 10, WhenFull::Wait);
    let server_of = server(&waiting);
    let answered = (0..2000).filter(|_| !run(&server_of, request()).got.is_empty()).count();
    let stats = waiting.outbox().stats();
    assert!((100..1999).contains(&answered), "{answered}");
    assert_eq!(
        (waiting.lines().0, stats.counts.dropped.get()),
        (answered as u64, 0),
        "each answer has its line"
    );
}

#[test]
fn without_a_log_nothing_changes() {
    assert_eq!(ask("GET /1k HTTP/1.1\r\nHost: g\r\n\r\n").reply().code, 200);
}

#[test]
fn counters_are_a_line_of_json() {
    let log = log(1 << 20, WhenFull::DropOldest);
    let server = server(&log);
    run(&server, vec![Does::Sends(b"GET /1k HTTP/1.1\r\nHost: g\r\n\r\n".to_vec())]);
    let text = counters(0xab, (1_000, 2), &server.counts(), log.lines(), &log.outbox().stats());
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&value["run"], &value["unix_ms"], &value["uptime_ms"]),
        (&"00000000000000ab".into(), &1000.into(), &2.into())
    );
    assert_eq!((&value["http"]["replies_2xx"], &value["log"]["lines"]), (&1.into(), &1.into()));
    assert!(value["outgoing"]["dropped"] == 0 && text.ends_with("}\n"));
}
