//! No large allocation ends the process while something is pushed: a file, a stream, a tree with rules, secrets.
//!
//! ```text
//!   begin ─► data … ─► finish      each allocation beyond 8 KiB fails once: the push is refused, or it is accepted
//! ```

#[allow(unused_qualifications, reason = "shared with the tests of web, where other names are in scope")]
#[path = "../../../appliances/web/tests/support/mod.rs"]
mod support;

use allocation_tests::{NOTHING, fatal};
use datafront::block::{Application, BlockHead, Form, Part, Status};
use std::rc::Rc;
use support::tar::{archive, entry, of};
use web::https::{Receiving, Secrets};
use web::publish::{Inbox, Store};

/// Bytes that the channel hands over at once, as in the guest.
const READ: usize = 16 * 1024;

fn store() -> Rc<Store> {
    support::store_of(4 << 20)
}

/// Pushes a block; its status.
fn push(receiver: &mut impl Application, head: &BlockHead<'_>, bytes: &[u8]) -> Status {
    if let Err(status) = receiver.begin(head) {
        return status;
    }
    for piece in bytes.chunks(READ) {
        if let Err(status) = receiver.data(piece) {
            return status;
        }
    }
    receiver.finish()
}

const fn head<'a>(name: &'a str, form: Form, part: Part, bytes: &[u8]) -> BlockHead<'a> {
    BlockHead { stream: 1, seq: 1, name, len: bytes.len() as u64, form, part }
}

#[test]
fn a_pushed_file_never_ends_the_process() {
    let found = fatal(
        "a_pushed_file_never_ends_the_process",
        || (store(), vec![b'x'; 100_000]),
        |(store, bytes)| {
            let mut inbox = Inbox::new(Rc::clone(store), Rc::default());
            let status = push(&mut inbox, &head("file", Form::Bytes, Part::Whole, bytes), bytes);
            assert!([Status::ACCEPTED, Status::NO_ROOM].contains(&status), "{status:?}");
        },
    );
    assert_eq!(found, NOTHING);
}

#[test]
fn streamed_content_never_ends_the_process() {
    let found = fatal(
        "streamed_content_never_ends_the_process",
        || (store(), vec![b'x'; 20_000]),
        |(store, bytes)| {
            let mut inbox = Inbox::new(Rc::clone(store), Rc::default());
            let parts = [Part::First, Part::Middle, Part::Middle, Part::Last];
            for part in parts {
                push(&mut inbox, &head("file", Form::Bytes, part, bytes), bytes);
            }
            let status = store.status();
            assert!(status.files <= 1 && status.bytes < 100_000, "{status:?}");
        },
    );
    assert_eq!(found, NOTHING);
}

/// A site of 300 files whose rules are as long as they may be.
fn tree() -> Vec<u8> {
    let headers: String = (0..120).map(|n| format!("/folder{n}/*\n  X-Number: {n}\n")).collect();
    let redirects: String = (0..250).map(|n| format!("/old{n} /new{n} 301\n")).collect();
    let mut entries =
        vec![entry(b'0', b"_headers", headers.as_bytes()), entry(b'0', b"_redirects", redirects.as_bytes())];
    let files = (0..300).map(|n| entry(b'0', format!("folder{n}/index.html").as_bytes(), b"a page"));
    entries.extend(files);
    of(&entries)
}

#[test]
fn a_pushed_tree_with_rules_never_ends_the_process() {
    let found = fatal(
        "a_pushed_tree_with_rules_never_ends_the_process",
        || (store(), tree()),
        |(store, bytes)| {
            let mut inbox = Inbox::new(Rc::clone(store), Rc::default());
            let status = push(&mut inbox, &head("", Form::Tree, Part::Whole, bytes), bytes);
            let expected = [Status::ACCEPTED, Status::NO_ROOM, Status::BAD_CONTENT];
            assert!(expected.contains(&status), "{status:?}");
        },
    );
    assert_eq!(found, NOTHING);
}

#[test]
fn pushed_secrets_never_end_the_process() {
    let found = fatal(
        "pushed_secrets_never_end_the_process",
        || {
            let pem =
                format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", "AAAA\n".repeat(6000));
            let bytes = format!("file a.crt\n{pem}file b.txt\n{}", "no PEM\n".repeat(3000));
            (Rc::new(tls::Server::new([3; 32])), store(), bytes.into_bytes())
        },
        |(server, store, bytes)| {
            let inbox = Inbox::new(Rc::clone(store), Rc::default());
            let mut receiving = Receiving::new(inbox, Secrets::new(Some(Rc::clone(server)), Rc::default()));
            let status = push(&mut receiving, &head("secrets", Form::Secret, Part::Whole, bytes), bytes);
            assert_ne!(status, Status::ACCEPTED);
        },
    );
    assert_eq!(found, NOTHING);
}

#[test]
fn a_receiver_that_copies_infallibly_is_found() {
    /// As the inbox, with one copy that cannot fail.
    struct Copies(Inbox, Vec<Vec<u8>>);

    impl Application for Copies {
        fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
            self.0.begin(head)
        }
        fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
            self.1.push(bytes.to_vec());
            self.0.data(bytes)
        }
        fn finish(&mut self) -> Status {
            self.0.finish()
        }
        fn abandon(&mut self) {
            self.0.abandon();
        }
    }

    let found = fatal(
        "a_receiver_that_copies_infallibly_is_found",
        || (store(), archive(&[("a", &"x".repeat(2 * READ))])),
        |(store, bytes)| {
            let mut copies = Copies(Inbox::new(Rc::clone(store), Rc::default()), Vec::new());
            push(&mut copies, &head("", Form::Tree, Part::Whole, bytes), bytes);
        },
    );
    assert!(
        !found.is_empty() && found.iter().all(|found| found.contains("tests/allocations/tests/pushes.rs:")),
        "{found:?}"
    );
}
