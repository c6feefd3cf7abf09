//! What a web server is expected to do with a pushed site.

mod support;

use datafront::block::{Application as _, BlockHead, Form, Part, Status};
use std::rc::Rc;
use support::Does::Sends;
use support::fake::Fake;
use support::tar::archive;
use web::http::{Limits, Port, Server};
use web::publish::{Inbox, Store, StoreOptions};
use web::site::Admin;

/// The time of the push: after the modification times in archives.
const NOW: u64 = 1_700_000_000;

fn push(store: &Rc<Store>, files: &[(&str, &str)]) -> (Status, String) {
    let refusal = Rc::default();
    let inbox = Inbox::new(Rc::clone(store), Rc::default()).with_refusal(Rc::clone(&refusal));
    let mut inbox = inbox.with_clock(|| NOW);
    let bytes = archive(files);
    let len = bytes.len() as u64;
    inbox
        .begin(&BlockHead { stream: 1, seq: 1, name: "", len, form: Form::Tree, part: Part::Whole })
        .unwrap();
    inbox.data(&bytes).unwrap();
    let status = inbox.finish();
    let cause = refusal.borrow_mut().take().unwrap_or_default();
    (status, cause)
}

fn site(files: &[(&str, &str)]) -> Rc<Store> {
    let store = support::store_of(1 << 20);
    let (status, cause) = push(&store, files);
    assert_eq!(status, Status::ACCEPTED, "{cause}");
    store
}

/// The reply to a request: code, head and body.
struct Reply {
    code: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &'_ str| line.split_once(": ").is_some_and(|(known, _)| known == name);
        let mut lines = self.head.lines().filter(|line| named(line));
        let value = lines.next()?.split_once(": ")?.1;
        assert!(lines.next().is_none(), "{name} stands twice in {}", self.head);
        Some(value)
    }
}

fn request(store: &Rc<Store>, method: &str, path: &str, lines: &str) -> Reply {
    let server = Server::new(support::site_of(Fake(1), Rc::clone(store)), Limits::default());
    let host = if lines.contains("Host:") { "" } else { "Host: a\r\n" };
    let request = format!("{method} {path} HTTP/1.1\r\n{host}{lines}Connection: close\r\n\r\n");
    let got = String::from_utf8(support::run(&server, vec![Sends(request.into_bytes())]).got).unwrap();
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { code, head: head.to_owned(), body: body.to_owned() }
}

fn get(store: &Rc<Store>, path: &str, lines: &str) -> Reply {
    request(store, "GET", path, lines)
}

/// Field: svenstaro/miniserve#161, yihui/servr#5, chmorgan/libesphttpd#106, denoland/std#3219: a folder is asked for without its slash → 301 to the path with it
#[test]
fn a_folder_without_its_slash_is_redirected() {
    let store = site(&[("docs/index.html", "<p>docs"), ("a b/index.html", "x")]);
    let reply = get(&store, "/docs", "");
    assert_eq!((reply.code, reply.header("Location")), (301, Some("/docs/")));
    assert_eq!(get(&store, "/docs?x=1&y", "").header("Location"), Some("/docs/?x=1&y"));
    assert_eq!(get(&store, "/a%20b", "").header("Location"), Some("/a%20b/"));
    assert_eq!(get(&store, "/docs/", "").body, "<p>docs");
    for absent in ["/doc", "/docs/x", "//docs", "/docs%00"] {
        assert_eq!(get(&store, absent, "").code, 404, "{absent}");
    }
}

/// Field: emikulic/darkhttpd#102, h2o/h2o#542, ninenines/cowboy#259: names end in capitals, or in newer extensions → the media type, never octet-stream
#[test]
fn types_do_not_depend_on_case() {
    let store = site(&[("PHOTO.JPG", "x"), ("a.woff", "x"), ("site.webmanifest", "{}"), ("INDEX.HTML", "x")]);
    for (path, kind) in [
        ("/PHOTO.JPG", "image/jpeg"),
        ("/a.woff", "font/woff"),
        ("/site.webmanifest", "application/manifest+json"),
        ("/INDEX.HTML", "text/html; charset=utf-8"),
    ] {
        assert_eq!(get(&store, path, "").header("Content-Type"), Some(kind), "{path}");
    }
}

/// Field: cesanta/mongoose#2999: a client asks whether the file has changed since → Last-Modified, and 304
#[test]
fn dates_of_the_archive_are_last_modified() {
    let store = site(&[("a.txt", "hello")]);
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(get(&store, "/a.txt", "").header("Last-Modified"), Some(date));
    let same = get(&store, "/a.txt", &format!("If-Modified-Since: {date}\r\n"));
    assert_eq!((same.code, same.body.as_str()), (304, ""));
    let older = "Sat, 05 Nov 1994 08:49:37 GMT";
    assert_eq!(get(&store, "/a.txt", &format!("If-Modified-Since: {older}\r\n")).code, 200);
    assert_eq!(get(&store, "/a.txt", "If-Modified-Since: nonsense\r\n").code, 200);
    assert_eq!(get(&store, "/a.txt", &format!("If-Unmodified-Since: {older}\r\n")).code, 412);
    assert_eq!(get(&store, "/a.txt", &format!("If-Unmodified-Since: {date}\r\n")).code, 200);
    let part = get(&store, "/a.txt", &format!("Range: bytes=1-2\r\nIf-Range: {date}\r\n"));
    assert_eq!((part.code, part.body.as_str()), (206, "el"));
    assert_eq!(get(&store, "/a.txt", &format!("Range: bytes=1-2\r\nIf-Range: {older}\r\n")).code, 200);
}

#[test]
fn conditions_follow_the_order_of_the_rfc() {
    let store = site(&[("a.txt", "hello")]);
    let etag = get(&store, "/a.txt", "").header("ETag").unwrap().to_owned();
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (lines, code) in [
        ("If-Match: \"other\"\r\n".to_owned(), 412),
        (format!("If-Match: \"other\"\r\nIf-Match: {etag}\r\n"), 200),
        (format!("If-Match: W/{etag}\r\n"), 412),
        ("If-Match: *\r\n".to_owned(), 200),
        (format!("If-Match: {etag}\r\nIf-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n"), 200),
        (format!("If-None-Match: \"x\"\r\nIf-None-Match: W/{etag}\r\n"), 304),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"), 200),
        (format!("If-Match: \"other\"\r\nIf-None-Match: {etag}\r\n"), 412),
        (format!("If-None-Match: {etag}\r\nRange: bytes=0-1\r\n"), 304),
        ("If-Match: \"other\"\r\nRange: bytes=0-1\r\n".to_owned(), 412),
    ] {
        assert_eq!(get(&store, "/a.txt", &lines).code, code, "{lines}");
    }
    // A range has a meaning for GET only.
    let head = request(&store, "HEAD", "/a.txt", "Range: bytes=0-1\r\n");
    assert_eq!((head.code, head.header("Content-Length")), (200, Some("5")));
}

#[test]
fn a_precompressed_form_is_sent_to_who_accepts_it() {
    let store = site(&[
        ("z.css", "plain"),
        ("z.css.gz", "gz"),
        ("z.css.br", "br"),
        ("n.css", "n"),
        ("index.html", "i"),
        ("index.html.gz", "ig"),
    ]);
    for (accept, coding, body) in [
        ("", None, "plain"),
        ("Accept-Encoding: gzip\r\n", Some("gzip"), "gz"),
        ("Accept-Encoding: gzip, br;q=0.5\r\n", Some("br"), "br"),
        ("Accept-Encoding: br;q=0\r\nAccept-Encoding: gzip\r\n", Some("gzip"), "gz"),
        ("Accept-Encoding: identity\r\n", None, "plain"),
    ] {
        let reply = get(&store, "/z.css", accept);
        assert_eq!((reply.header("Content-Encoding"), reply.body.as_str()), (coding, body), "{accept}");
        assert_eq!(reply.header("Vary"), Some("Accept-Encoding"));
        assert_eq!(reply.header("Content-Type"), Some("text/css; charset=utf-8"));
    }
    assert_eq!(get(&store, "/n.css", "Accept-Encoding: gzip\r\n").header("Vary"), None);
    assert_eq!(get(&store, "/", "Accept-Encoding: gzip\r\n").body, "ig");
    let tags: Vec<_> = ["", "Accept-Encoding: gzip\r\n"]
        .map(|lines| get(&store, "/z.css", lines).header("ETag").unwrap().to_owned())
        .into();
    assert_ne!(tags[0], tags[1]);
}

#[test]
fn caches_are_told_what_may_change() {
    let store = site(&[("app-BfK3s9xQ.js", "x"), ("index.html", "x")]);
    assert_eq!(get(&store, "/", "").header("Cache-Control"), Some("no-cache"));
    let hashed = get(&store, "/app-BfK3s9xQ.js", "");
    assert_eq!(hashed.header("Cache-Control"), Some("public, max-age=31536000, immutable"));
    for (name, value) in [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ] {
        assert_eq!(hashed.header(name), Some(value));
    }
}

#[test]
fn a_headers_file_sets_headers() {
    let rules = "/a/*\n  Cache-Control: max-age=5\n  X-Frame-Options: DENY\n/*\n  X-Own: yes\n";
    let store = site(&[("_headers", rules), ("a/x.txt", "x"), ("y.txt", "y")]);
    let reply = get(&store, "/a/x.txt", "");
    assert_eq!(
        (reply.header("Cache-Control"), reply.header("X-Frame-Options")),
        (Some("max-age=5"), Some("DENY"))
    );
    assert_eq!(
        (get(&store, "/y.txt", "").header("X-Own"), get(&store, "/_headers", "").code),
        (Some("yes"), 404)
    );
    assert_eq!(push(&store, &[("y.txt", "new")]).0, Status::ACCEPTED);
    assert_eq!(get(&store, "/y.txt", "").header("X-Own"), None, "the rules went with their file");
    let (status, cause) = push(&store, &[("_headers", "/*\n  Content-Length: 5\n")]);
    assert_eq!(status, Status::BAD_CONTENT);
    assert!(cause.contains("_headers, line 2"), "{cause}");
    assert_eq!(get(&store, "/y.txt", "").body, "new");
}

#[test]
fn a_redirects_file_leads_elsewhere() {
    let rules = "/old /new.html\n/blog/* /posts/:splat 302\n/app/* /app.html 200\n/gone /404.html 404\n";
    let store =
        site(&[("_redirects", rules), ("app.html", "app"), ("404.html", "custom"), ("app/real.txt", "real")]);
    let old = get(&store, "/old", "");
    assert_eq!((old.code, old.header("Location")), (301, Some("/new.html")));
    let blog = get(&store, "/blog/2024/x", "");
    assert_eq!((blog.code, blog.header("Location")), (302, Some("/posts/2024/x")));
    let app = get(&store, "/app/some/page", "");
    assert_eq!(
        (app.code, app.body.as_str(), app.header("Content-Type")),
        (200, "app", Some("text/html; charset=utf-8"))
    );
    assert_eq!(get(&store, "/app/real.txt", "").body, "real", "a file wins");
    assert_eq!((get(&store, "/gone", "").code, get(&store, "/none", "").code), (404, 404));
    assert_eq!(get(&store, "/_redirects", "").body, "custom");
}

#[test]
fn a_site_has_its_own_404_page() {
    let store = site(&[("404.html", "<p>custom")]);
    let reply = get(&store, "/none", "");
    assert_eq!((reply.code, reply.body.as_str()), (404, "<p>custom"));
    assert_eq!(
        (reply.header("Content-Type"), reply.header("Cache-Control")),
        (Some("text/html; charset=utf-8"), Some("no-cache"))
    );
    // No condition makes of it another code.
    let etag = reply.header("ETag").unwrap();
    assert_eq!(get(&store, "/none", &format!("If-None-Match: {etag}\r\n")).code, 404);
    assert_eq!(get(&store, "/404.html", "").code, 200);
    assert_eq!(get(&store, "/healthz", "").body, "<p>custom");
}

/// The codes of the own page with this name, at each place where it may be.
fn own(store: &Rc<Store>, name: &str) -> [u16; 3] {
    let ask = |path: &str, port: Port| {
        let server = Server::new(support::site_of(Fake(1), Rc::clone(store)), Limits::default());
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        support::run_at(&server, vec![Sends(request.into_bytes())], usize::MAX, port).reply().code
    };
    [
        (format!("/{name}"), Port::Public),
        (format!("/-/{name}"), Port::Public),
        (format!("/{name}"), Port::Admin),
    ]
    .map(|(path, port)| ask(&path, port))
}

#[test]
fn own_pages_are_where_the_operator_says() {
    const ANY: [&str; 6] = ["status", "status.json", "metrics", "healthz", "readyz", "1k"];
    let (found, absent) = (200, 404);
    let options = |admin| StoreOptions { admin, ..StoreOptions::default() };
    for (admin, empty, published) in [
        (Admin::Port(9090), [found, absent, found], [absent, absent, found]),
        (Admin::Path("/-/".into()), [absent, found, found], [absent, found, found]),
        (Admin::Off, [absent, absent, found], [absent, absent, found]),
    ] {
        let store = support::store_with(1 << 20, options(admin));
        ANY.iter().for_each(|name| assert_eq!(own(&store, name), empty, "{name}"));
        assert_eq!(push(&store, &[("a.txt", "published")]).0, Status::ACCEPTED);
        ANY.iter().for_each(|name| assert_eq!(own(&store, name), published, "{name}"));
    }
    let store = support::store_with(1 << 20, options(Admin::Path("/-/".into())));
    let reply = get(&store, "/", "");
    assert_eq!((reply.code, reply.header("Location")), (302, Some("/-/status")));
    let (status, cause) = push(&store, &[("a.txt", "x"), ("-/b.txt", "y")]);
    assert_eq!(status, Status::BAD_NAME);
    assert!(cause.contains("/-/b.txt") && cause.contains("app.admin="), "{cause}");
    assert_eq!(get(&store, "/a.txt", "").code, 404, "nothing of it is published");
}

#[test]
fn hosts_have_folders_of_their_own() {
    let options = StoreOptions { hosts: true, ..StoreOptions::default() };
    let store = support::store_with(1 << 20, options);
    let files = [
        ("a.example/index.html", "a"),
        ("b.example/index.html", "b"),
        ("b.example/_redirects", "/x /y"),
        ("_/index.html", "other"),
        ("_/404.html", "none"),
    ];
    assert_eq!(push(&store, &files).0, Status::ACCEPTED);
    for (host, body) in [
        ("a.example", "a"),
        ("A.Example:8080", "a"),
        ("b.example", "b"),
        ("c.example", "other"),
        ("10.0.2.15", "other"),
    ] {
        assert_eq!(get(&store, "/", &format!("Host: {host}\r\n")).body, body, "{host}");
    }
    assert_eq!(get(&store, "/x", "Host: b.example\r\n").header("Location"), Some("/y"));
    assert_eq!(get(&store, "/x", "Host: c.example\r\n").body, "none");
    assert_eq!(get(&store, "/b.example/index.html", "Host: a.example\r\n").code, 404);
}
