//! What is pushed is published: whole, in one step, within its budget.

mod support;

use core::convert::Infallible;
use core::future::Future as _;
use core::pin::pin;
use core::task::{Context, Waker};
use datafront::block::{Application as _, BlockHead, Form, Part, Status};
use kernel::net::Bytes;
use std::cell::Cell;
use std::rc::Rc;
use support::Does::Sends;
use support::Outcome;
use support::fake::Fake;
use support::run;
use support::tar::archive;
use web::http::{Limits, Port, Server};
use web::publish::{Inbox, Store, StoreOptions};

fn push(store: &Rc<Store>, name: &str, form: Form, bytes: &[u8]) -> Status {
    let mut inbox = Inbox::new(Rc::clone(store), Rc::new(Cell::default()));
    let part = Part::Whole;
    let head = BlockHead { stream: 1, seq: 1, name, len: bytes.len() as u64, form, part };
    if let Err(status) = inbox.begin(&head) {
        return status;
    }
    for part in bytes.chunks(700) {
        inbox.data(part).unwrap();
    }
    inbox.finish()
}

/// What a GET with these header lines gets.
fn get(store: &Rc<Store>, path: &str, lines: &str) -> String {
    let server = Server::new(support::site_of(Fake(1), Rc::clone(store)), Limits::default());
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n");
    String::from_utf8(run(&server, vec![Sends(request.into_bytes())]).got).unwrap()
}

/// What a published file costs besides its bytes and its path.
const COST: usize = 256;

fn store() -> Rc<Store> {
    support::store_of(1 << 20)
}

#[test]
fn a_file_has_type_and_tag_and_comes_in_parts_if_it_is_new() {
    let store = store();
    assert!(get(&store, "/a/b.txt", "").starts_with("HTTP/1.1 404 "));
    assert_eq!(push(&store, "a/b.txt", Form::Bytes, b"hello world"), Status::ACCEPTED);
    let reply = get(&store, "/a/b.txt", "");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nhello world"), "{reply}");
    assert!(reply.contains("Content-Type: text/plain; charset=utf-8\r\nContent-Length: 11\r\n"), "{reply}");
    let etag = reply.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
    let same = get(&store, "/a/b.txt", &format!("If-None-Match: \"x\", {etag}\r\n"));
    assert!(
        same.starts_with("HTTP/1.1 304 ") && same.ends_with("\r\n\r\n") && !same.contains("Length"),
        "{same}"
    );
    let part = get(&store, "/a/b.txt", &format!("Range: bytes=6-\r\nIf-Range: {etag}\r\n"));
    assert!(part.starts_with("HTTP/1.1 206 ") && part.ends_with("\r\n\r\nworld"), "{part}");
    assert!(
        part.contains("Content-Range: bytes 6-10/11\r\n") && part.contains("Content-Length: 5\r\n"),
        "{part}"
    );
    assert!(get(&store, "/a/b.txt", "Range: bytes=6-\r\nIf-Range: \"x\"\r\n").ends_with("hello world"));
    let none = get(&store, "/a/b.txt", "Range: bytes=11-\r\n");
    assert!(none.starts_with("HTTP/1.1 416 ") && none.contains("Content-Range: bytes */11\r\n"), "{none}");
    push(&store, "a/b.txt", Form::Bytes, b"other");
    assert!(get(&store, "/a/b.txt", &format!("If-None-Match: {etag}\r\n")).ends_with("\r\n\r\nother"));
}

#[test]
fn a_tree_replaces_what_is_below_its_name_and_nothing_else() {
    let store = store();
    push(&store, "site/old.txt", Form::Bytes, b"old");
    push(&store, "other.txt", Form::Bytes, b"other");
    let tree = archive(&[("index.html", "<p>new"), ("sub/x.css", "p{}")]);
    assert_eq!(push(&store, "site", Form::Tree, &tree), Status::ACCEPTED);
    assert!(get(&store, "/site/", "").ends_with("<p>new"));
    assert!(get(&store, "/site/sub/x.css", "").contains("Content-Type: text/css"));
    assert!(get(&store, "/site/old.txt", "").starts_with("HTTP/1.1 404 "));
    assert!(get(&store, "/other.txt", "").ends_with("other"));
    assert!(
        get(&store, "/", "").starts_with("HTTP/1.1 404 "),
        "the guest's own page only before the first push"
    );
    push(&store, "", Form::Tree, &tree);
    assert!(get(&store, "/", "").ends_with("<p>new"));
    assert!(get(&store, "/other.txt", "").starts_with("HTTP/1.1 404 "), "the root was replaced");
    assert_eq!((store.status().files, store.status().revision), (2, 4));
}

#[test]
fn what_cannot_be_published_is_refused_and_changes_nothing() {
    let store = support::store_of(3000);
    assert_eq!(push(&store, "a", Form::Bytes, &[b'a'; 2000]), Status::ACCEPTED);
    assert_eq!(push(&store, "b", Form::Bytes, &[b'b'; 1001]), Status::NO_ROOM);
    assert_eq!(push(&store, "b", Form::Bytes, &[b'b'; 3001]), Status::TOO_LARGE);
    assert_eq!(push(&store, "../b", Form::Bytes, b"x"), Status::BAD_NAME);
    assert_eq!(push(&store, "", Form::Bytes, b"x"), Status::BAD_NAME);
    assert_eq!(push(&store, "t", Form::Tree, b"no archive"), Status::BAD_CONTENT);
    let good = archive(&[("x", "y")]);
    let big = support::store_of(1 << 20);
    for at in [0, 124, 150, 156, 257] {
        let mut bad = good.clone();
        bad[at] ^= 0x11;
        assert_eq!(push(&big, "", Form::Tree, &bad), Status::BAD_CONTENT, "byte {at}");
    }
    for cut in 0..good.len() - 512 {
        assert_eq!(push(&big, "", Form::Tree, &good[..cut]), Status::BAD_CONTENT, "cut at {cut}");
    }
    assert_eq!((big.status().revision, store.status().revision), (0, 1));
}

/// A client that takes a thousand bytes at a time; in the middle of the first reply another revision is published.
struct Slow<'s> {
    store: &'s Rc<Store>,
    requests: Vec<&'static str>,
    got: Vec<u8>,
}

impl web::http::Stream for Slow<'_> {
    type Chunk = Vec<u8>;
    type Error = Infallible;

    async fn recv(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        let path = self.requests.pop();
        Ok(path.map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()))
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Infallible> {
        self.got.extend(&bytes[..]);
        if bytes.len() < 10_000 || self.store.status().revision != 1 {
            return Ok(());
        }
        let tree = archive(&[("a.txt", &"n".repeat(60_000)), ("b.txt", "new too")]);
        assert_eq!(push(self.store, "", Form::Tree, &tree), Status::ACCEPTED);
        let both = 50_000_usize.next_multiple_of(512) + 60_000_usize.next_multiple_of(512);
        let heads_and_ends = 2 * (2 * 512 + 512 + 1024);
        let all = both + heads_and_ends + 4 * (COST + "/a.txt".len());
        assert_eq!(self.store.status().bytes, all, "both are there");
        assert_eq!(push(self.store, "c", Form::Bytes, &[0; 940_000]), Status::NO_ROOM, "the reader's too");
        Ok(())
    }

    fn park(self) {}
}

#[test]
fn readers_of_the_old_revision_finish_with_it() {
    let store = store();
    let old = archive(&[("a.txt", &"o".repeat(50_000)), ("b.txt", "old too")]);
    assert_eq!(push(&store, "", Form::Tree, &old), Status::ACCEPTED);
    let server = Server::new(support::site_of(Fake(1), Rc::clone(&store)), Limits::default());
    let mut client = Slow { store: &store, requests: vec!["/b.txt", "/a.txt", "/a.txt"], got: Vec::new() };
    while !client.requests.is_empty() {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(server.serve(&mut client, Port::Public)).poll(&mut cx).is_ready());
    }
    let got = Outcome { got: client.got, writes: Vec::new(), open: false };
    let expected = 62_976 + 2 * (COST + "/a.txt".len());
    assert_eq!(store.status().bytes, expected, "the old one is gone with its last reader");
    let bodies: Vec<String> =
        got.replies(&["GET", "GET", "GET"]).into_iter().map(|reply| reply.body).collect();
    assert_eq!((bodies[0].len(), bodies[1].len(), bodies[2].as_str()), (50_000, 60_000, "new too"));
    assert!(bodies[0].bytes().all(|byte| byte == b'o'), "the old one to its end");
    assert!(bodies[1].bytes().all(|byte| byte == b'n'));
}

#[test]
fn nothing_is_switched_before_the_last_byte() {
    let store = store();
    push(&store, "a.txt", Form::Bytes, b"old");
    let tree = archive(&[("a.txt", "new"), ("b.txt", "new too")]);
    for (form, bytes) in [(Form::Tree, tree.as_slice()), (Form::Bytes, b"newer")] {
        let name = if form == Form::Tree { "" } else { "a.txt" };
        let mut inbox = Inbox::new(Rc::clone(&store), Rc::new(Cell::default()));
        let head = BlockHead { stream: 1, seq: 1, name, len: bytes.len() as u64, form, part: Part::Whole };
        inbox.begin(&head).unwrap();
        let (before, revision) = (get(&store, "/a.txt", ""), store.status().revision);
        for byte in bytes {
            inbox.data(&[*byte]).unwrap();
            assert_eq!(store.status().revision, revision);
        }
        assert_eq!(get(&store, "/a.txt", ""), before, "all its bytes are there, and its check is not");
        assert_eq!(inbox.finish(), Status::ACCEPTED);
        assert_eq!(store.status().revision, revision + 1, "one step");
        assert_ne!(get(&store, "/a.txt", ""), before);
    }
}

/// Gives a part to an inbox; cut: the connection ends before its last byte.
fn part(inbox: &mut Inbox, stream: u64, name: &str, part: Part, bytes: &[u8], cut: bool) -> Option<Status> {
    let head = BlockHead { stream, seq: 1, name, len: bytes.len() as u64, form: Form::Bytes, part };
    if let Err(status) = inbox.begin(&head) {
        return Some(status);
    }
    inbox.data(&bytes[..bytes.len() - usize::from(cut)]).unwrap();
    if cut {
        inbox.abandon();
        return None;
    }
    Some(inbox.finish())
}

#[test]
fn parts_become_one_file_when_the_last_is_there() {
    let store = store();
    let mut inbox = Inbox::new(Rc::clone(&store), Rc::new(Cell::default()));
    push(&store, "log", Form::Bytes, b"old");
    assert_eq!(part(&mut inbox, 1, "log", Part::First, b"one ", false), Some(Status::ACCEPTED));
    // A connection that ends in the middle of a part, and another sender in between.
    assert_eq!(part(&mut inbox, 1, "log", Part::Middle, b"two ", true), None);
    assert_eq!(part(&mut inbox, 2, "other", Part::First, b"x", false), Some(Status::ACCEPTED));
    assert_eq!(part(&mut inbox, 1, "log", Part::Middle, b"two ", false), Some(Status::ACCEPTED));
    assert!(get(&store, "/log", "").ends_with("old"), "not before it is whole");
    assert_eq!(part(&mut inbox, 1, "log", Part::Last, b"three", false), Some(Status::ACCEPTED));
    assert!(get(&store, "/log", "").ends_with("\r\n\r\none two three"));
    // A part without a beginning, as after a restart of the guest, or of another name.
    assert_eq!(part(&mut inbox, 1, "log", Part::Last, b"x", false), Some(Status::NO_BEGINNING));
    assert_eq!(part(&mut inbox, 2, "log", Part::Last, b"x", false), Some(Status::NO_BEGINNING));
    assert!(get(&store, "/log", "").ends_with("one two three"));
}

#[test]
fn what_comes_on_one_channel_leaves_less_for_another() {
    let store = support::store_of(3000);
    let mut inboxes = [1, 2].map(|_| Inbox::new(Rc::clone(&store), Rc::new(Cell::default())));
    let begin = |inbox: &mut Inbox, name: &str, len: u64, part: Part| {
        inbox.begin(&BlockHead { stream: 7, seq: 1, name, len, form: Form::Bytes, part })
    };
    let [one, other] = &mut inboxes;
    begin(one, "a", 2000, Part::First).unwrap();
    assert_eq!(begin(other, "b", 1001, Part::Whole), Err(Status::NO_ROOM));
    one.data(&[1; 2000]).unwrap();
    assert_eq!(one.finish(), Status::ACCEPTED);
    assert_eq!(begin(other, "b", 1001, Part::Whole), Err(Status::NO_ROOM), "a part that is kept");
    begin(other, "b", 1000, Part::Whole).unwrap();
    assert_eq!(begin(one, "a", 1, Part::Last), Err(Status::NO_ROOM));
    assert_eq!(store.status().bytes, 1000, "its beginning is forgotten");
    other.abandon();
    assert_eq!(store.status().bytes, 0);
}

#[test]
fn bytes_are_counted_once_however_many_files_share_them() {
    let store = store();
    for round in 0..50_usize {
        for name in ["a", "b", "c"] {
            assert_eq!(push(&store, name, Form::Bytes, &vec![7; 10 + round]), Status::ACCEPTED);
        }
        assert_eq!((store.status().files, store.status().bytes), (3, 3 * (10 + round + COST + "/a".len())));
    }
}

#[test]
fn a_stream_whose_sender_has_gone_makes_room() {
    let store = support::store_of(8000);
    let mut inbox = Inbox::new(Rc::clone(&store), Rc::new(Cell::default()));
    for round in 0..5 {
        let kind = if round == 0 { Part::First } else { Part::Middle };
        assert_eq!(part(&mut inbox, 1, "log", kind, &[1; 1000], false), Some(Status::ACCEPTED));
    }
    // Another channel, while the sender is there: it may go on.
    assert_eq!(push(&store, "site.bin", Form::Bytes, &[2; 4000]), Status::NO_ROOM);
    inbox.sender_gone();
    assert_eq!(
        part(&mut inbox, 1, "log", Part::Middle, &[1; 10], false),
        Some(Status::ACCEPTED),
        "it went on"
    );
    inbox.sender_gone();
    for _ in 0..3 {
        assert_eq!(push(&store, "site.bin", Form::Bytes, &[2; 3500]), Status::ACCEPTED);
    }
    assert_eq!(store.status().bytes, 3500 + COST + "/site.bin".len());
    assert_eq!(part(&mut inbox, 1, "log", Part::Last, b"x", false), Some(Status::NO_BEGINNING));
}

#[test]
fn old_content_goes_first_if_the_operator_says_so() {
    let refused = support::store_of(8000);
    assert_eq!(push(&refused, "site.bin", Form::Bytes, &[1; 5000]), Status::ACCEPTED);
    assert_eq!(push(&refused, "site.bin", Form::Bytes, &[2; 5000]), Status::NO_ROOM);
    assert!(get(&refused, "/site.bin", "").ends_with('\u{1}'));
    let options = StoreOptions { replace_first: true, ..StoreOptions::default() };
    let store = support::store_with(8000, options.clone());
    for round in 1..4 {
        assert_eq!(push(&store, "site.bin", Form::Bytes, &[round; 5000]), Status::ACCEPTED);
        assert!(get(&store, "/site.bin", "").ends_with(char::from(round)));
    }
    // Both fit: the old one stays until the new one is complete.
    let small = archive(&[("a.txt", "old")]);
    let store = support::store_with(8000, options);
    assert_eq!(push(&store, "", Form::Tree, &small), Status::ACCEPTED);
    assert_eq!(push(&store, "", Form::Tree, b"no archive"), Status::BAD_CONTENT);
    assert!(get(&store, "/a.txt", "").ends_with("old"));
}

#[test]
fn whoever_waits_hears_of_each_change() {
    let store = store();
    let mut cx = Context::from_waker(Waker::noop());
    let mut changed = || pin!(store.changed()).poll(&mut cx).is_ready();
    assert!(!changed());
    push(&store, "a", Form::Bytes, b"x");
    assert!(changed() && !changed());
    assert_eq!(push(&store, "t", Form::Tree, b"no archive"), Status::BAD_CONTENT);
    assert!(!changed(), "a refusal is no change");
    store.look_again();
    assert!(changed());
}

#[test]
fn a_refusal_says_which_case_it_was() {
    let store = support::store_of(8000);
    let refusal = Rc::default();
    let mut inbox = Inbox::new(Rc::clone(&store), Rc::default()).with_refusal(Rc::clone(&refusal));
    let mut begin = |len: u64| {
        let head = BlockHead { stream: 1, seq: 1, name: "a.bin", len, form: Form::Bytes, part: Part::Whole };
        (inbox.begin(&head), refusal.borrow_mut().take().unwrap_or_default())
    };
    let (status, text) = begin(8001);
    assert_eq!(status, Err(Status::TOO_LARGE));
    assert!(text.contains("/a.bin") && text.contains("whole budget of 8000"), "{text}");
    push(&store, "b.bin", Form::Bytes, &[0; 5000]);
    let (status, text) = begin(5000);
    assert_eq!(status, Err(Status::NO_ROOM));
    assert!(text.contains("app.replace=first"), "{text}");
}
