//! Archives as programs make them, and such as cannot be published.

mod support;

use datafront::block::{Application as _, BlockHead, Form, Part, Status};
use std::rc::Rc;
use support::Does::Sends;
use support::fake::Fake;
use support::tar::{entry, of, pax};
use web::http::{Limits, Server};
use web::publish::{Inbox, Store};

/// A store after the push of an archive, the status, and the cause of a refusal.
fn push(archive: &[u8]) -> (Rc<Store>, Status, String) {
    let store = support::store_of(1 << 20);
    let refusal = Rc::default();
    let mut inbox = Inbox::new(Rc::clone(&store), Rc::default()).with_refusal(Rc::clone(&refusal));
    let len = archive.len() as u64;
    inbox
        .begin(&BlockHead { stream: 1, seq: 1, name: "", len, form: Form::Tree, part: Part::Whole })
        .unwrap();
    inbox.data(archive).unwrap();
    let status = inbox.finish();
    let cause = refusal.borrow_mut().take().unwrap_or_default();
    (store, status, cause)
}

fn body(store: &Rc<Store>, path: &str) -> String {
    let server = Server::new(support::site_of(Fake(1), Rc::clone(store)), Limits::default());
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let got = support::run(&server, vec![Sends(request.into_bytes())]).got;
    String::from_utf8(got).unwrap().split_once("\r\n\r\n").unwrap().1.to_owned()
}

const LONG: &str = "a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/path/x.txt";

/// Field: composefs/tar-rs#389: paths of more than 100 bytes, by pax and by GNU tar, binary records before them → the whole path
#[test]
fn long_paths_of_pax_and_of_gnu_are_read() {
    assert!(LONG.len() > 100);
    let file = || entry(b'0', LONG.as_bytes(), b"long");
    let records =
        [pax(b"SCHILY.xattr.user.bin", b"\x00\xff\n9 path=x\n"), pax(b"path", LONG.as_bytes())].concat();
    for archive in [
        of(&[entry(b'x', b"./PaxHeaders/x", &records), file(), entry(b'0', b"y", b"short")]),
        of(&[
            entry(b'L', b"././@LongLink", format!("{LONG}\0").as_bytes()),
            file(),
            entry(b'0', b"y", b"short"),
        ]),
    ] {
        let (store, status, cause) = push(&archive);
        assert_eq!(status, Status::ACCEPTED, "{cause}");
        assert_eq!(
            (body(&store, &format!("/{LONG}")).as_str(), body(&store, "/y").as_str()),
            ("long", "short")
        );
        assert_eq!(store.status().files, 2);
    }
}

#[test]
fn a_size_in_a_pax_header_wins() {
    let mut file = entry(b'0', b"x", b"12345678");
    file[124..136].copy_from_slice(b"00000000000\0");
    file[148..156].fill(b' ');
    let sum: u32 = file[..512].iter().map(|byte| u32::from(*byte)).sum();
    file[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let (store, status, cause) = push(&of(&[entry(b'x', b"p", &pax(b"size", b"8")), file]));
    assert_eq!((status, body(&store, "/x").as_str()), (Status::ACCEPTED, "12345678"), "{cause}");
}

#[test]
fn entries_that_cannot_be_published_are_named() {
    for (kind, what) in [
        (b'1', "a hard link"),
        (b'2', "a symbolic link"),
        (b'3', "a device"),
        (b'6', "a FIFO"),
        (b'S', "a sparse file"),
        (b'Z', "an unknown type"),
    ] {
        let (store, status, cause) = push(&of(&[entry(b'0', b"good", b"x"), entry(kind, b"dir/bad", b"")]));
        assert_eq!((status, store.status().files), (Status::UNSUPPORTED, 0), "{what}");
        assert!(cause.contains("dir/bad") && cause.contains(what), "{cause}");
    }
    let sparse = entry(b'x', b"p", &[pax(b"GNU.sparse.major", b"1"), pax(b"path", b"s.bin")].concat());
    let (_, status, cause) = push(&of(&[sparse, entry(b'0', b"GNUSparseFile.0/s.bin", b"x")]));
    assert_eq!(status, Status::UNSUPPORTED);
    assert!(cause.contains("s.bin: a sparse file"), "{cause}");
}

#[test]
fn what_does_not_parse_is_refused() {
    let file = || entry(b'0', b"x", b"x");
    for (archive, cause) in [
        (of(&[entry(b'x', b"p", b"9 path=a\njunk"), file()]), "pax header"),
        (of(&[entry(b'g', b"p", b"x"), file()]), "pax header"),
        (of(&[entry(b'x', b"p", &pax(b"path", b"a\xff")), file()]), "the name cannot be a path"),
        (of(&[entry(b'x', b"p", &pax(b"path", b"../a")), file()]), "the name cannot be a path"),
        (of(&[entry(b'x', b"p", &pax(b"size", b"9999999")), file()]), "ends too early"),
        (of(&[entry(b'x', b"p", &vec![b'x'; 65_537]), file()]), "64 KiB"),
        (file(), "ends too early"),
        (b"no archive".to_vec(), "no tar header at offset 0"),
    ] {
        let (_, status, said) = push(&archive);
        assert_eq!(status, Status::BAD_CONTENT, "{said}");
        assert!(said.contains(cause), "{said:?} is not {cause:?}");
    }
}

#[test]
fn an_archive_in_pieces_is_the_same_archive() {
    let archive = of(&[entry(b'5', b"d/", b""), entry(b'0', b"d/x", &[b'x'; 3000]), entry(b'0', b"y", b"y")]);
    for piece in [1, 7, 500, 512, 513, 4000] {
        let store = support::store_of(4 << 20);
        let mut inbox = Inbox::new(Rc::clone(&store), Rc::default());
        let pieces: Vec<_> = archive.chunks(piece).collect();
        for (number, bytes) in pieces.iter().enumerate() {
            let part = match (number, number + 1 == pieces.len()) {
                (0, true) => Part::Whole,
                (0, false) => Part::First,
                (_, false) => Part::Middle,
                (_, true) => Part::Last,
            };
            let len = bytes.len() as u64;
            inbox.begin(&BlockHead { stream: 1, seq: 1, name: "", len, form: Form::Tree, part }).unwrap();
            inbox.data(bytes).unwrap();
            assert_eq!(inbox.finish(), Status::ACCEPTED);
        }
        assert_eq!((body(&store, "/d/x"), body(&store, "/y")), ("x".repeat(3000), "y".to_owned()), "{piece}");
    }
}
