//! The server over TLS, and pushed certificates: rustls's own client over ring as the peer, in memory.

mod support;

use core::convert::Infallible;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use datafront::block::{Application as _, BlockHead, Form, Part, Status};
use kernel::ledger::{Account, Consumer, Ledger};
use kernel::net::Bytes;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::cell::{Cell, RefCell};
use std::io::{Read as _, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use support::Does::Sends;
use support::fake::Fake;
use support::{run, site_of, store_of};
use web::http::{AtOnce, Limits, Next, Port, Server, Stream as _};
use web::https::{Receiving, RedirectSite, Secrets, Sessions, StreamError};
use web::publish::{Inbox, Store};

/// A certificate and its key.
struct Pair {
    der: CertificateDer<'static>,
    certificate: String,
    key: String,
}

fn pair(until: i32) -> Pair {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    Pair { der: certificate.der().clone(), certificate: certificate.pem(), key: key.serialize_pem() }
}

fn bundle(files: &[(&str, &str)]) -> Vec<u8> {
    files.iter().map(|(name, text)| format!("file {name}\n{text}\n")).collect::<String>().into_bytes()
}

/// The result of a future whose streams never wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

/// 2026, in seconds.
const NOW: u64 = 1_780_000_000;

struct Guest {
    tls: Rc<tls::Server>,
    store: Rc<Store>,
    account: Account,
    sessions: Rc<Sessions<u32>>,
    refusal: Rc<RefCell<Option<String>>>,
    /// Requests that were answered without waiting.
    at_once: Cell<usize>,
}

impl Guest {
    fn new() -> Self {
        let tls = Rc::new(tls::Server::new([3; 32]));
        tls.tick(1, NOW);
        let ledger = Ledger::new(1 << 20);
        let account = ledger.open(Consumer::Appliance);
        let sessions = Rc::new(Sessions::new(Rc::clone(&tls), ledger.open(Consumer::Appliance)));
        Self {
            tls,
            store: store_of(1 << 20),
            account,
            sessions,
            refusal: Rc::default(),
            at_once: Cell::new(0),
        }
    }

    /// What a push of a block of this form says.
    fn push(&self, tls: Option<Rc<tls::Server>>, form: Form, bytes: &[u8]) -> Status {
        self.push_parts(tls, form, &[(Part::Whole, bytes)])
    }

    fn push_parts(&self, tls: Option<Rc<tls::Server>>, form: Form, parts: &[(Part, &[u8])]) -> Status {
        let inbox = Inbox::new(Rc::clone(&self.store), Rc::new(Cell::default())).with_clock(|| NOW);
        let mut receiving = Receiving::new(inbox, Secrets::new(tls, Rc::clone(&self.refusal)));
        for (seq, (part, bytes)) in (1..).zip(parts) {
            let (len, part) = (bytes.len() as u64, *part);
            let head = BlockHead { stream: 1, seq, name: "tls", len, form, part };
            if let Err(status) = receiving.begin(&head) {
                return status;
            }
            bytes.chunks(100).for_each(|part| receiving.data(part).unwrap());
            let status = receiving.finish();
            if status != Status::ACCEPTED {
                return status;
            }
        }
        Status::ACCEPTED
    }

    fn push_secret(&self, files: &[(&str, &str)]) -> Status {
        self.push(Some(Rc::clone(&self.tls)), Form::Secret, &bundle(files))
    }

    /// What a client that trusts the certificate gets for its requests, after which it closes. Between requests the
    /// connection is parked. The same whether the stream can be asked without waiting or not.
    fn get(&self, trusted: &Pair, requests: &[&str]) -> Result<String, String> {
        let [waiting, at_once] = [0, 4 << 10].map(|room| self.get_over(trusted, requests, room));
        let text = |got: &Result<String, String>| got.clone().map(|text| text.replace("\r\n", "\n"));
        assert_eq!(text(&waiting), text(&at_once), "without waiting");
        at_once
    }

    fn get_over(&self, trusted: &Pair, requests: &[&str], room: usize) -> Result<String, String> {
        let peer = Line::new(Peer::new(trusted, requests), room);
        let server = Server::new(site_of(Fake(1), Rc::clone(&self.store)), Limits::default());
        let lines = Bytes::from_static(b"Strict-Transport-Security: max-age=60\r\n");
        let mut is_new = true;
        let served = loop {
            let mut stream =
                self.sessions.open(peer.clone(), 1, is_new).map_err(|error| error.to_string())?;
            is_new = false;
            let received = match server.answer_at_once(&mut stream, Port::Public, &lines) {
                AtOnce::Idle => {
                    self.at_once.set(self.at_once.get() + 1);
                    stream.park();
                    continue;
                }
                AtOnce::End => {
                    stream.end();
                    break Ok(());
                }
                AtOnce::Later(received) => received,
            };
            match ready(server.serve_with(&mut stream, Port::Public, &lines, received)) {
                Ok(Next::Idle) => stream.park(),
                Ok(Next::End) => {
                    stream.end();
                    break Ok(());
                }
                Err(error) => {
                    stream.end();
                    break Err(error);
                }
            }
        };
        let peer = peer.peer.borrow();
        match (&peer.failed, served) {
            (Some(error), _) => Err(error.to_string()),
            (None, Err(error)) => Err(error.to_string()),
            (None, Ok(())) => Ok(peer.got.clone()),
        }
    }
}

/// The other end of the stream: what the server writes goes to the client, what the client has to say is read.
struct Peer {
    client: ClientConnection,
    requests: Vec<String>,
    got: String,
    failed: Option<rustls::Error>,
}

impl Peer {
    fn new(trusted: &Pair, requests: &[&str]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("a.test").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let requests = requests.iter().rev().map(ToString::to_string).collect();
        Self { client, requests, got: String::new(), failed: None }
    }
}

/// The stream to the client, which takes so many bytes without waiting until it is heard again.
#[derive(Clone)]
struct Line {
    peer: Rc<RefCell<Peer>>,
    most: usize,
    room: Rc<Cell<usize>>,
}

impl Line {
    fn new(peer: Peer, most: usize) -> Self {
        Self { peer: Rc::new(RefCell::new(peer)), most, room: Rc::new(Cell::new(most)) }
    }
}

impl web::http::Stream for Line {
    type Chunk = Vec<u8>;
    type Error = Infallible;

    async fn recv(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        let mut peer = self.peer.borrow_mut();
        let Peer { client, requests, .. } = &mut *peer;
        if !client.is_handshaking() && !client.wants_write() {
            match requests.pop() {
                Some(request) => client.writer().write_all(request.as_bytes()).unwrap(),
                None => client.send_close_notify(),
            }
        }
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Infallible> {
        let mut peer = self.peer.borrow_mut();
        let mut bytes = bytes.as_ref();
        while !bytes.is_empty() {
            peer.client.read_tls(&mut bytes).unwrap();
            match peer.client.process_new_packets() {
                Ok(state) => {
                    let mut text = vec![0; state.plaintext_bytes_to_read()];
                    peer.client.reader().read_exact(&mut text).unwrap();
                    peer.got.push_str(&String::from_utf8(text).unwrap());
                }
                Err(error) => peer.failed = Some(error),
            }
        }
        Ok(())
    }

    fn try_recv(&mut self) -> Poll<Result<Option<Vec<u8>>, Infallible>> {
        if self.most == 0 {
            return Poll::Pending;
        }
        self.room.set(self.most);
        Poll::Ready(ready(self.recv()))
    }

    fn try_send(&mut self, bytes: &mut Bytes) -> Poll<Result<(), Infallible>> {
        if self.room.get() == 0 {
            return Poll::Pending;
        }
        self.room.set(self.room.get().saturating_sub(bytes.len()));
        Poll::Ready(ready(self.send(std::mem::take(bytes))))
    }

    fn room(&self) -> usize {
        self.room.get()
    }

    fn park(self) {}
}

const KILOBYTE: &str = "GET /1k HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn requests_are_answered_over_tls() {
    let (guest, pair) = (Guest::new(), pair(2040));
    assert_eq!(guest.get(&pair, &[KILOBYTE]).unwrap_err(), "TLS: no certificate");
    assert_eq!(guest.push_secret(&[("a.crt", &pair.certificate), ("a.key", &pair.key)]), Status::ACCEPTED);
    let head = KILOBYTE.replace("GET", "HEAD");
    let got = guest.get(&pair, &[KILOBYTE, &head, KILOBYTE]).unwrap();
    assert_eq!(got.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{got}");
    assert_eq!(got.matches("\r\nStrict-Transport-Security: max-age=60\r\n\r\n").count(), 3, "{got}");
    assert_eq!(guest.at_once.get(), 3, "where the stream does not wait");
    // Twice each: with and without waiting. The first of all had no certificate.
    let counts = guest.sessions.counts();
    let counts = [counts.handshakes, counts.refused, counts.failed, counts.dropped].map(|count| count.get());
    assert_eq!(counts, [2, 2, 0, 0]);
    // Content that takes many records.
    let large: String = (0..40_000).map(|n: u32| char::from(b'a' + n.to_le_bytes()[0] % 26)).collect();
    assert_eq!(guest.push(None, Form::Bytes, large.as_bytes()), Status::ACCEPTED);
    let got = guest.get(&pair, &["GET /tls HTTP/1.1\r\nHost: a.test\r\n\r\n"]).unwrap();
    assert!(got.ends_with(&large) && got.contains("Content-Length: 40000\r\n"));
    assert_eq!(guest.at_once.get(), 3, "a reply of many records waits for room");
    assert_eq!(guest.account.used(), 0, "what was charged is given back");
}

#[test]
fn a_reply_is_whole_with_any_room() {
    let (guest, pair) = (Guest::new(), pair(2040));
    guest.push_secret(&[("a.crt", &pair.certificate), ("a.key", &pair.key)]);
    let pushed: String = ('a'..='z').cycle().take(1000).collect();
    assert_eq!(guest.push(None, Form::Bytes, pushed.as_bytes()), Status::ACCEPTED);
    let request = "GET /tls HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let whole = guest.get(&pair, &[request]).unwrap();
    assert!(whole.ends_with(&pushed));
    let before = guest.at_once.get();
    for room in whole.len() - 10..whole.len() + 200 {
        assert_eq!(guest.get_over(&pair, &[request], room).unwrap(), whole, "{room}");
    }
    let at_once = guest.at_once.get() - before;
    assert!(at_once > 10 && at_once < 200, "{at_once}");
}

/// Each block of a stream is a piece, and each piece a record: more of them than what room is left for beside a record.
#[test]
fn a_reply_of_many_pieces_is_whole() {
    let (guest, pair) = (Guest::new(), pair(2040));
    guest.push_secret(&[("a.crt", &pair.certificate), ("a.key", &pair.key)]);
    let blocks: Vec<[u8; 10]> = (b'a'..=b'z').map(|letter| [letter; 10]).collect();
    let part = |number| match number {
        0 => Part::First,
        25 => Part::Last,
        _ => Part::Middle,
    };
    let parts: Vec<_> =
        blocks.iter().enumerate().map(|(number, block)| (part(number), block.as_slice())).collect();
    assert_eq!(guest.push_parts(None, Form::Bytes, &parts), Status::ACCEPTED);
    let request = "GET /tls HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let whole = guest.get(&pair, &[request]).unwrap();
    assert!(whole.contains("Content-Length: 260\r\n") && whole.ends_with(&"z".repeat(10)), "{whole}");
    for room in whole.len() - 10..whole.len() + 600 {
        assert_eq!(guest.get_over(&pair, &[request], room).unwrap(), whole, "{room}");
    }
}

#[test]
fn a_pushed_pair_replaces_the_former_one_or_is_refused() {
    let (guest, first, second) = (Guest::new(), pair(2040), pair(2041));
    assert_eq!(
        guest.push_secret(&[("a.pem", &format!("{}{}", first.certificate, first.key))]),
        Status::ACCEPTED
    );
    for (files, status, word) in [
        (vec![("b.crt", pair(2020).certificate.as_str()), ("b.key", &second.key)], Status::NO_PAIR, "b.key"),
        (vec![("b.crt", &second.certificate)], Status::NO_PAIR, "b.crt"),
        (vec![("b.crt", "nothing")], Status::NOT_PEM, "b.crt"),
        (vec![("b.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----")], Status::UNUSABLE_KEY, "openssl"),
        (vec![], Status::NO_PAIR, "no certificate"),
    ] {
        assert_eq!(guest.push_secret(&files), status, "{files:?}");
        let said = guest.refusal.borrow().clone().unwrap();
        assert!(said.contains(word), "{said}");
        assert!(guest.get(&first, &[KILOBYTE]).is_ok(), "the former stays");
    }
    let old = pair(2020);
    assert_eq!(guest.push_secret(&[("c.crt", &old.certificate), ("c.key", &old.key)]), Status::EXPIRED);
    assert_eq!(guest.push(Some(Rc::clone(&guest.tls)), Form::Secret, &[b'x'; 81 * 1024]), Status::TOO_LARGE);
    assert!(guest.get(&first, &[KILOBYTE]).is_ok());
    assert_eq!(
        guest.push_secret(&[("a.crt", &second.certificate), ("a.key", &second.key)]),
        Status::ACCEPTED
    );
    assert!(guest.get(&second, &[KILOBYTE]).is_ok());
    assert!(guest.get(&first, &[KILOBYTE]).unwrap_err().contains("invalid peer certificate"));
    assert_eq!(guest.sessions.counts().failed, 2, "the client's alert, with and without waiting");
}

#[test]
fn secrets_are_never_published() {
    let (guest, pair) = (Guest::new(), pair(2040));
    let bytes = bundle(&[("a.crt", &pair.certificate), ("a.key", &pair.key)]);
    assert_eq!(guest.push(None, Form::Secret, &bytes), Status::NO_SECRETS);
    assert_eq!(guest.push_secret(&[("a.crt", &pair.certificate), ("a.key", &pair.key)]), Status::ACCEPTED);
    let mut inbox = Inbox::new(Rc::clone(&guest.store), Rc::new(Cell::default()));
    let head = BlockHead { stream: 1, seq: 1, name: "tls", len: 5, form: Form::Secret, part: Part::Whole };
    assert_eq!(inbox.begin(&head), Err(Status::BAD_FORM));
    let server = Server::new(site_of(Fake(1), Rc::clone(&guest.store)), Limits::default());
    for path in ["/tls", "/a.key", "/tls/a.key"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let got = String::from_utf8(run(&server, vec![Sends(request.into_bytes())]).got).unwrap();
        assert!(got.starts_with("HTTP/1.1 404 "), "{got}");
    }
    let secret = pair.key.lines().nth(1).unwrap();
    let shown = format!("{:?} {:?} {:?}", guest.tls, guest.store, guest.refusal);
    assert!(!shown.contains(secret));
}

#[test]
fn a_connection_without_memory_is_refused() {
    let (guest, pair) = (Guest::new(), pair(2040));
    guest.push_secret(&[("a.crt", &pair.certificate), ("a.key", &pair.key)]);
    let all = guest.account.reserve(guest.account.available()).unwrap();
    assert_eq!(guest.get(&pair, &[KILOBYTE]).unwrap_err(), StreamError::<Infallible>::NoMemory.to_string());
    assert_eq!(guest.sessions.counts().refused.get(), 2);
    drop(all);
    // Enough for the session, not to serve it.
    let most = guest.account.reserve(guest.account.available() - 5000).unwrap();
    assert!(guest.get(&pair, &[KILOBYTE]).is_err());
    assert_eq!(guest.sessions.counts().refused.get(), 4);
    drop(most);
    // Enough for the session, not for a record that comes.
    assert_eq!(guest.sessions.parked(), 0);
    let most = guest.account.reserve(guest.account.available() - 9000).unwrap();
    let long = format!("GET /1k HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "x".repeat(4000));
    assert_eq!(guest.get(&pair, &[&long]).unwrap_err(), StreamError::<Infallible>::NoMemory.to_string());
    drop(most);
    assert!(guest.get(&pair, &[&long]).is_ok());
}

#[test]
fn port_80_redirects_to_the_same_place() {
    let server = Server::new(RedirectSite, Limits::default());
    let got =
        |head: &str| String::from_utf8(run(&server, vec![Sends(head.as_bytes().to_vec())]).got).unwrap();
    let to = got("GET /a/b?c=d HTTP/1.1\r\nHost: a.test:80\r\nConnection: close\r\n\r\n");
    assert!(to.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{to}");
    assert!(to.contains("\r\nLocation: https://a.test/a/b?c=d\r\n"), "{to}");
    let without = got("GET / HTTP/1.0\r\n\r\n");
    assert!(without.starts_with("HTTP/1.1 400 "), "{without}");
}

#[test]
fn parked_sessions_make_room_by_age() {
    let (guest, pair) = (Guest::new(), pair(2040));
    guest.push_secret(&[("a.crt", &pair.certificate), ("a.key", &pair.key)]);
    let line = || Line::new(Peer::new(&pair, &[]), 0);
    for key in 0..10 {
        guest.sessions.tick(u64::from(key), 60);
        guest.sessions.open(line(), key, true).unwrap().park();
    }
    assert_eq!(guest.sessions.parked(), 10);
    let cost = guest.account.used() / 10;
    assert!(cost <= 4096, "{cost} bytes each");
    // Five are over; then memory for another one at the cost of the oldest.
    guest.sessions.tick(65, 60);
    assert_eq!(guest.sessions.parked(), 5);
    let _rest = guest.account.reserve(guest.account.available()).unwrap();
    guest.sessions.open(line(), 10, true).unwrap().park();
    assert!(guest.sessions.open(line(), 9, false).is_ok(), "the youngest is there");
    let error = guest.sessions.open(line(), 5, false).unwrap_err();
    assert_eq!(error, StreamError::Evicted);
    // Eleven were parked, one of which was taken.
    assert_eq!(guest.sessions.counts().dropped.get(), 11 - 1 - guest.sessions.parked() as u64);
}
