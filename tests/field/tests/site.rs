//! Reports about other web servers and archive readers, as a push and the requests after it.

#[path = "../../../appliances/web/tests/support/mod.rs"]
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
    let head = BlockHead { stream: 1, seq: 1, name: "", len, form: Form::Tree, part: Part::Whole };
    inbox.begin(&head).unwrap();
    inbox.data(archive).unwrap();
    let status = inbox.finish();
    let cause = refusal.borrow_mut().take().unwrap_or_default();
    (store, status, cause)
}

/// A site of one file.
fn site(name: &str, bytes: &[u8]) -> Rc<Store> {
    let (store, status, cause) = push(&of(&[entry(b'0', name.as_bytes(), bytes)]));
    assert_eq!(status, Status::ACCEPTED, "{cause}");
    store
}

struct Reply {
    code: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

fn request(store: &Rc<Store>, method: &str, path: &str, lines: &str) -> Reply {
    let server = Server::new(support::site_of(Fake(1), Rc::clone(store)), Limits::default());
    let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n");
    let got = support::run(&server, vec![Sends(request.into_bytes())]).got;
    let end = got.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(got[..end].to_vec()).unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { code, head, body: got[end + 4..].to_vec() }
}

fn range(store: &Rc<Store>, path: &str, range: &str) -> Reply {
    request(store, "GET", path, &format!("Range: {range}\r\n"))
}

/// 4,000 bytes, each other than its neighbours.
fn content() -> Vec<u8> {
    (0..4000_u32).map(|at| (at % 251) as u8).collect()
}

/// Field: thecoshman/http#173, serverpod/relic#175: HEAD → the same Content-Length as GET, and no body
#[test]
fn head_has_the_length_of_get() {
    let store = site("x.bin", &content());
    for path in ["/x.bin", "/healthz", "/none"] {
        let (head, get) = (request(&store, "HEAD", path, ""), request(&store, "GET", path, ""));
        assert_eq!((head.code, head.header("Content-Length")), (get.code, get.header("Content-Length")));
        assert_eq!(head.header("Content-Length"), Some(get.body.len().to_string().as_str()));
        assert!(head.body.is_empty());
    }
}

/// Field: eikek/sharry#1163, datenlord/s3-server#113, tower-rs/tower-http#228, xrootd/xrootd#875: the first kibibyte is asked for → 1,024 bytes, and the length of the whole behind the slash
#[test]
fn the_ends_of_a_range_are_both_included() {
    let (store, content) = (site("x.bin", &content()), content());
    let reply = range(&store, "/x.bin", "bytes=0-1023");
    assert_eq!((reply.code, reply.header("Content-Length")), (206, Some("1024")));
    assert_eq!(reply.header("Content-Range"), Some("bytes 0-1023/4000"));
    assert_eq!(reply.body, content[..1024]);
    let last = range(&store, "/x.bin", "bytes=3999-3999");
    assert_eq!(
        (last.header("Content-Range"), &last.body[..]),
        (Some("bytes 3999-3999/4000"), &content[3999..])
    );
}

/// Field: dart-archive/http_server#29: a range that goes beyond the end → the bytes that exist, and their length
#[test]
fn a_range_beyond_the_end_is_cut() {
    let store = site("x.bin", &content());
    let reply = range(&store, "/x.bin", "bytes=3990-9999");
    assert_eq!((reply.code, reply.header("Content-Length")), (206, Some("10")));
    assert_eq!((reply.header("Content-Range"), reply.body.len()), (Some("bytes 3990-3999/4000"), 10));
}

/// Field: cherokee/webserver#663, yesodweb/wai#346: a range behind the end → 416 with the length of the whole, framed by Content-Length alone
#[test]
fn a_range_behind_the_end_is_refused_with_the_length() {
    let store = site("x.bin", &content());
    let reply = range(&store, "/x.bin", "bytes=4000-");
    assert_eq!((reply.code, reply.header("Content-Range")), (416, Some("bytes */4000")));
    assert_eq!(reply.header("Content-Length"), Some(reply.body.len().to_string().as_str()));
    assert_eq!(reply.header("Transfer-Encoding"), None);
}

/// Field: yesodweb/wai#346, mojolicious/mojo#414: an empty file → 200 of length 0 without a range, and no part of it
#[test]
fn an_empty_file_is_a_reply_of_no_bytes() {
    let store = site("empty", b"");
    let whole = request(&store, "GET", "/empty", "");
    assert_eq!((whole.code, whole.header("Content-Length"), whole.body.len()), (200, Some("0"), 0));
    let part = range(&store, "/empty", "bytes=0-");
    assert_eq!((part.code, part.header("Content-Range")), (416, Some("bytes */0")));
}

/// Field: mojolicious/mojo#414, lzpong/TinyWeb#3: the last bytes are asked for; the ends are swapped, no numbers, or without their unit → the first is a part, the others are ignored
#[test]
fn suffixes_are_parts_and_nonsense_is_ignored() {
    let store = site("x.bin", &content());
    let last = range(&store, "/x.bin", "bytes=-42");
    assert_eq!((last.code, last.header("Content-Range")), (206, Some("bytes 3958-3999/4000")));
    for nonsense in ["bytes=9-3", "bytes=a-b", "0-1404", "bytes=", "bytes=--1", "lines=1-2"] {
        let reply = range(&store, "/x.bin", nonsense);
        assert_eq!((reply.code, reply.body.len()), (200, 4000), "{nonsense}");
    }
}

/// Field: MacPaw/XADMaster#155, Mbed-TLS/mbedtls#9523: names of 99 to 300 bytes in a pax header → each is published under all of its name
#[test]
fn names_around_the_hundredth_byte_are_whole() {
    for len in [99, 100, 101, 154, 155, 156, 255, 256, 257, 300] {
        let name: String = (0..len).map(|at| if at % 60 == 59 { '/' } else { 'n' }).collect();
        let name = name.trim_end_matches('/').to_owned() + "e";
        let file = [
            entry(b'x', b"PaxHeaders/n", &pax(b"path", name.as_bytes())),
            entry(b'0', name.as_bytes(), b"data"),
        ];
        let (store, status, cause) = push(&of(&file));
        assert_eq!(status, Status::ACCEPTED, "{len}: {cause}");
        assert_eq!(request(&store, "GET", &format!("/{name}"), "").body, b"data", "{len}");
        assert_eq!(request(&store, "GET", &format!("/{}", &name[..98]), "").code, 404, "{len}");
    }
}

/// Writes the checksum of a header.
fn sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Field: doublecmd/doublecmd#3080: a ustar header whose name is split into prefix and name → both are one path
#[test]
fn the_prefix_of_a_ustar_name_is_part_of_it() {
    let mut file = entry(b'0', b"name.txt", b"data");
    file[345..356].copy_from_slice(b"some/folder");
    sum(&mut file);
    let (store, status, cause) = push(&of(&[file]));
    assert_eq!(status, Status::ACCEPTED, "{cause}");
    assert_eq!(request(&store, "GET", "/some/folder/name.txt", "").body, b"data");
    assert_eq!(request(&store, "GET", "/name.txt", "").code, 404);
}

/// Field: Mbed-TLS/mbedtls#9523: a ustar name that fills its field of 100 bytes, without a zero behind → all of it
#[test]
fn a_name_that_fills_its_field_is_whole() {
    let name = "n".repeat(96) + ".txt";
    let store = site(&name, b"data");
    assert_eq!(request(&store, "GET", &format!("/{name}"), "").body, b"data");
}

/// Field: libarchive/libarchive#682, vbatts/tar-split#7, mafintosh/tar-stream#35: long names of GNU tar that end at, before and behind a block → each is the next file's, and none is a file
#[test]
fn long_names_of_gnu_end_anywhere_in_a_block() {
    for len in [101, 510, 511, 512, 513, 1000] {
        let name: String = (0..len).map(|at| if at % 60 == 59 { '/' } else { 'g' }).collect();
        let name = name.trim_end_matches('/').to_owned() + "e";
        let long = entry(b'L', b"././@LongLink", format!("{name}\0").as_bytes());
        let (store, status, cause) =
            push(&of(&[long, entry(b'0', name.as_bytes(), b"data"), entry(b'0', b"y", b"y")]));
        assert_eq!(status, Status::ACCEPTED, "{len}: {cause}");
        assert_eq!(request(&store, "GET", &format!("/{name}"), "").body, b"data", "{len}");
        assert_eq!(
            (request(&store, "GET", "/y", "").body, store.status().files),
            (b"y".to_vec(), 2),
            "{len}"
        );
    }
}

/// Field: composefs/tar-rs#389: a long name whose header has other version bytes than the standard's → it is read
#[test]
fn version_bytes_of_a_header_do_not_matter() {
    let name = "v".repeat(110) + ".txt";
    for version in [*b"  ", *b"\0\0", *b"00"] {
        let mut long = entry(b'L', b"././@LongLink", format!("{name}\0").as_bytes());
        long[263..265].copy_from_slice(&version);
        sum(&mut long);
        let (store, status, cause) = push(&of(&[long, entry(b'0', name.as_bytes(), b"data")]));
        assert_eq!(status, Status::ACCEPTED, "{version:?}: {cause}");
        assert_eq!(request(&store, "GET", &format!("/{name}"), "").body, b"data");
    }
}

/// Field: elfmz/far2l#3415, composefs/tar-rs#252: a hard link, or a symbolic one, whose target is longer than 100 bytes, by GNU's header or by pax → refused by the link's own name
#[test]
fn links_with_long_targets_are_refused_by_name() {
    let target = "t".repeat(150);
    let heads = [
        entry(b'K', b"././@LongLink", format!("{target}\0").as_bytes()),
        entry(b'x', b"PaxHeaders/l", &pax(b"linkpath", target.as_bytes())),
    ];
    for head in heads {
        for (kind, what) in [(b'1', "a hard link"), (b'2', "a symbolic link")] {
            let (store, status, cause) = push(&of(&[head.clone(), entry(kind, b"the/link", b"")]));
            assert_eq!((status, store.status().files), (Status::UNSUPPORTED, 0), "{cause}");
            assert!(cause.contains("the/link") && cause.contains(what), "{cause}");
        }
    }
}

/// Field: libarchive/libarchive#1756, composefs/tar-rs#428: a record with binary bytes and line ends before the path → it is skipped by its length, and the path is read
#[test]
fn binary_records_do_not_hide_the_path() {
    let path = "p".repeat(130) + ".txt";
    let records =
        [pax(b"SCHILY.xattr.security.x", b"\x01\0\0\n30 path=wrong\n\xff"), pax(b"path", path.as_bytes())];
    let (store, status, cause) =
        push(&of(&[entry(b'x', b"PaxHeaders/p", &records.concat()), entry(b'0', path.as_bytes(), b"data")]));
    assert_eq!(status, Status::ACCEPTED, "{cause}");
    assert_eq!(request(&store, "GET", &format!("/{path}"), "").body, b"data");
    assert_eq!(store.status().files, 1);
}

/// Field: http-party/http-server#502, drogonframework/drogon#2591, openswoole/ext-openswoole#392: a zero byte in a path → never the file before it, and the server serves on
#[test]
fn a_zero_byte_in_a_path_is_no_end() {
    let store = site("css/site.css", b"body");
    for path in ["/css/site.css%00.png", "/css/site.css%00", "/%00", "/css%00/site.css"] {
        let code = request(&store, "GET", path, "").code;
        assert!(code == 400 || code == 404, "{path}: {code}");
    }
    assert_eq!(request(&store, "GET", "/css/site.css", "").code, 200);
}

/// Field: kernelsauce/turbo#57, senchalabs/connect#198, ohler55/agoo#138, isaacs/st#104: dots and slashes that are percent-encoded, once or twice → no way out of a folder, and none into another
#[test]
fn encoded_dots_lead_nowhere() {
    let files = [entry(b'0', b"secret.txt", b"secret"), entry(b'0', b"open/x.txt", b"open")];
    let (store, status, cause) = push(&of(&files));
    assert_eq!(status, Status::ACCEPTED, "{cause}");
    for path in [
        "/open/%2e%2e/secret.txt",
        "/open/..%2fsecret.txt",
        "/open/%2e%2e%2fsecret.txt",
        "/open/%252e%252e/secret.txt",
        "/open/..%5csecret.txt",
        "/open/.%2e/secret.txt",
        "/open//../secret.txt",
        "/../secret.txt",
    ] {
        let reply = request(&store, "GET", path, "");
        assert!(reply.code != 200 && reply.body != b"secret", "{path}: {}", reply.code);
    }
}

/// Field: h3js/h3#1431: names with a percent sign, a space, letters of other scripts → each is found under its encoded name
#[test]
fn encoded_names_are_found() {
    for (name, path) in [
        ("50%.png", "/50%25.png"),
        ("a b.txt", "/a%20b.txt"),
        ("a%2fb", "/a%252fb"),
        ("grün.txt", "/gr%C3%BCn.txt"),
        ("a+b", "/a+b"),
    ] {
        let store = site(name, b"data");
        let reply = request(&store, "GET", path, "");
        assert_eq!((reply.code, &reply.body[..]), (200, &b"data"[..]), "{name}");
    }
}
