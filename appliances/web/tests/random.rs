//! Requests that nobody would write: the server neither panics nor hangs, and what it says is HTTP.

mod support;

use support::Does::{Closes, Sends, Waits};
use support::{Does, Outcome, Random, run, server};

/// Parts of requests, right and wrong.
const METHODS: &[&str] = &["GET ", "HEAD ", "POST ", "BREW ", "get", ""];
const TARGETS: &[&str] = &["/1k", "/", "/nothing", "/status.json", "*", "http://a/1k?x", "a", ""];
const VERSIONS: &[&str] =
    &[" HTTP/1.1\r\n", " HTTP/1.1\r\n", " HTTP/1.0\r\n", " HTTP/3\r\n", "\r\n", "\n", " "];
const LINES: &[&str] = &[
    "Host: a\r\n",
    "Host: a\r\n",
    "Host: a\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 70000\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: x\r\n",
    "Expect: 100-continue\r\n",
    "Expect: x\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "A: b\n",
    ": \r\n",
    "\0",
    "\u{ff}",
    " \r\n",
];
const BODIES: &[&str] = &[
    "",
    "",
    "abc",
    "3\r\nabc\r\n0\r\n\r\n",
    "3;x\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "0\r\n",
    "ffffffffffffffff",
    "\r\n",
];

fn pick<'a>(from: &[&'a str], random: &mut Random) -> &'a str {
    from[random.below(from.len())]
}

/// Something like a request.
fn request(random: &mut Random) -> String {
    let mut text = [METHODS, TARGETS, VERSIONS].map(|parts| pick(parts, random)).concat();
    for _ in 0..random.below(4) {
        text += pick(LINES, random);
    }
    text + pick(&["\r\n", "\r\n", "\r\n", "\n", ""], random) + pick(BODIES, random)
}

/// Splits bytes into pieces at random, with pauses.
fn script(bytes: &[u8], random: &mut Random) -> Vec<Does> {
    let mut script = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(1 + random.below(rest.len().min(700)));
        script.push(Sends(piece.to_vec()));
        rest = others;
        if random.below(20) == 0 {
            script.push(Waits(random.below(40) as u64));
        }
    }
    script.push(if random.below(2) == 0 { Closes } else { Waits(200) });
    script
}

/// The replies one by one. HEAD cannot be told from the reply, so a body is skipped only where there is one.
fn check(outcome: &Outcome, what: &[u8]) {
    let what = String::from_utf8_lossy(what);
    assert!(!outcome.open, "still open: {what:?}");
    let got = String::from_utf8(outcome.got.clone()).unwrap();
    let mut rest = got.as_str();
    while !rest.is_empty() {
        let (head, after) = rest.split_once("\r\n\r\n").expect("a whole head");
        assert!(head.starts_with("HTTP/1.1 "), "{head:?} after {what:?}");
        let length =
            head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
        let has_body = after.len() >= length && !after.starts_with("HTTP/1.1 ");
        rest = if has_body { &after[length..] } else { after };
    }
}

#[test]
fn random_bytes() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..2000 {
        let len = 1 + random.below(3000);
        let bytes: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
        check(&run(&server(), script(&bytes, &mut random)), &bytes);
    }
}

#[test]
fn random_parts_of_requests() {
    let mut random = Random(0xfeed_beef_0bad_cafe);
    let mut codes = std::collections::BTreeMap::new();
    for _ in 0..12_000 {
        let text: String = (0..1 + random.below(5)).map(|_| request(&mut random)).collect();
        let outcome = run(&server(), script(text.as_bytes(), &mut random));
        check(&outcome, text.as_bytes());
        for reply in String::from_utf8(outcome.got).unwrap().split("HTTP/1.1 ").skip(1) {
            *codes.entry(reply[..3].to_owned()).or_insert(0) += 1;
        }
    }
    // The parts reach into every corner.
    for code in ["200", "400", "404", "405", "408", "413", "417", "501", "505"] {
        assert!(codes.get(code).is_some_and(|count| *count > 20), "{code} is rare in {codes:?}");
    }
}

#[test]
fn right_requests_with_one_byte_changed() {
    let right = b"POST /1k?a=b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /1k HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut random = Random(99);
    for at in 0..right.len() {
        for byte in [0, b'\r', b'\n', b' ', b':', b'0', b'9', b'a', 0x7f, 0xff] {
            let mut bytes = right.to_vec();
            bytes[at] = byte;
            check(&run(&server(), script(&bytes, &mut random)), &bytes);
        }
    }
}

#[test]
fn a_flood_of_header_bytes_ends_at_the_limit() {
    let mut random = Random(7);
    for line in ["A: b\r\n", "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "\n", "x"] {
        let bytes = ("GET /1k HTTP/1.1\r\n".to_owned() + &line.repeat(100_000 / line.len())).into_bytes();
        let outcome = run(&server(), script(&bytes, &mut random));
        check(&outcome, &bytes);
        assert!(outcome.got.len() < 1000);
    }
}
