//! What the server answers, and what becomes of the connection.

mod support;

use core::future::Future;
use core::task::{Context, Waker};
use std::rc::Rc;
use support::Does::{Closes, Sends, Waits};
use support::{Answer, ask, connect, run, run_taking, server};
use web::http::{Limits, Port, Server};
use web::memory::Memory;
use web::site::StatusSite;

/// The reply to one request, of which the code is known; whether the connection stays, too.
fn expect(request: &str, code: u16, stays: bool) -> Answer {
    let outcome = ask(request);
    let reply = outcome.reply();
    assert_eq!(reply.code, code, "{request:?}: {reply:?}");
    assert_eq!(outcome.open, stays, "{request:?}");
    let says_close = reply.header("connection") == Some("close");
    assert_eq!(says_close, !stays, "{request:?}: {reply:?}");
    if code >= 400 {
        assert!(
            reply.body.starts_with(&code.to_string()) && reply.body.len() > 20,
            "{:?} is not clear",
            reply.body
        );
    }
    reply
}

#[test]
fn a_resource_is_answered_whole_in_one_write() {
    let outcome = ask("GET /1k HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = outcome.reply();
    assert_eq!((reply.code, reply.body.len()), (200, 1024));
    assert_eq!(reply.header("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(outcome.writes, [outcome.got.len()]);
    assert!(outcome.open);
}

#[test]
fn head_is_the_head_of_get() {
    for path in ["/1k", "/healthz", "/status.json", "/metrics", "/", "/nothing"] {
        let get = ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = ask(&format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let (get, head) = (get.reply(), head.replies(&["HEAD"]).remove(0));
        assert_eq!((get.code, head.code), (head.code, get.code));
        assert_eq!(head.body, "");
        assert!(!get.body.is_empty());
        // Counters may differ by a digit from one request to the next; not here, where each has its own server.
        assert_eq!(get.headers, head.headers, "{path}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let request = "GET /1k HTTP/1.1\r\nHost: a\r\n\r\nHEAD /1k HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n\
                   POST /1k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let outcome = ask(request);
    let replies = outcome.replies(&["GET", "HEAD", "GET", "POST", "GET"]);
    assert_eq!(replies.iter().map(|reply| reply.code).collect::<Vec<_>>(), [200, 200, 404, 405, 200]);
    assert_eq!(outcome.writes.len(), 5);
}

#[test]
fn a_thousand_requests_on_one_connection() {
    let server = server();
    let outcome = run(&server, vec![Sends("GET /1k HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000).into_bytes())]);
    assert_eq!(outcome.replies(&["GET"; 1000]).len(), 1000);
    assert_eq!(server.counts().replies_2xx, 1000);
    assert_eq!(server.counts().bytes_sent, outcome.got.len() as u64);
}

#[test]
fn long_pipelined_heads_in_two_chunks_are_all_answered() {
    let all = format!("GET /1k HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "p".repeat(5700)).repeat(8);
    for at in (1..all.len()).step_by(701) {
        let (a, b) = all.as_bytes().split_at(at);
        let outcome = run(&server(), vec![Sends(a.to_vec()), Sends(b.to_vec())]);
        assert_eq!(outcome.replies(&["GET"; 8]).len(), 8, "{at}");
    }
}

#[test]
fn requests_split_at_every_position_are_answered_the_same() {
    let request = "\r\nGET /1k?x=y HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\
                   Transfer-Encoding: chunked\r\n\r\n4;x\r\nabcd\r\n0\r\n\r\nGET /1k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let whole = ask(request).got;
    assert_eq!(ask(request).replies(&["GET", "POST", "GET"])[1].code, 405);
    for at in 1..request.len() {
        let (a, b) = request.as_bytes().split_at(at);
        let outcome = run(&server(), vec![Sends(a.to_vec()), Waits(1), Sends(b.to_vec())]);
        assert!(outcome.got == whole && !outcome.open, "split at {at}");
    }
    let bytes = request.bytes().map(|byte| Sends(vec![byte])).collect();
    assert_eq!(run(&server(), bytes).got, whole);
}

#[test]
fn the_connection_stays_or_ends_as_its_version_and_header_say() {
    for (version, header, stays, said) in [
        ("1.1", "", true, None),
        ("1.1", "Connection: keep-alive\r\n", true, None),
        ("1.1", "Connection: close\r\n", false, Some("close")),
        ("1.1", "Connection: x, CLOSE\r\n", false, Some("close")),
        ("1.1", "cOnnECTioN: close\r\n", false, Some("close")),
        ("1.1", "Connectiom: close\r\nConnection-: close\r\nConnect: close\r\n", true, None),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false, Some("close")),
        ("1.0", "", false, Some("close")),
        ("1.0", "Connection: Keep-Alive\r\n", true, Some("keep-alive")),
        ("1.0", "Connection: close, keep-alive\r\n", false, Some("close")),
    ] {
        let outcome = ask(&format!("GET /1k HTTP/{version}\r\nHost: a\r\n{header}\r\n"));
        let reply = outcome.reply();
        assert_eq!((outcome.open, reply.header("connection")), (stays, said), "{version} {header}");
        assert_eq!((reply.code, reply.body.len()), (200, 1024));
    }
    // What comes after the last request is not looked at.
    assert_eq!(ask("GET /1k HTTP/1.0\r\n\r\nGET /1k HTTP/1.0\r\n\r\n").reply().code, 200);
}

#[test]
fn targets_may_be_paths_or_urls_with_a_query() {
    for target in ["/1k", "/1k?", "/1k?a=b?c", "http://a/1k", "HTTP://a:80/1k?q"] {
        expect(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 200, true);
    }
    let page = expect("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 200, true);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    for target in ["ftp://a/1k", "1k/", "http:/1k"] {
        expect(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400, false);
    }
    for target in ["/1K", "/1k/", "//1k", "/%31k", "/../1k", "http://a/nothing", "*", "a:80"] {
        expect(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 404, true);
    }
}

#[test]
fn malformed_requests_get_400() {
    for request in [
        "GET\r\n\r\n",
        "GET /1k\r\n\r\n",
        "GET  /1k HTTP/1.1\r\nHost: a\r\n\r\n",
        "G\u{1}T /1k HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /1k HTTP/x\r\nHost: a\r\n\r\n",
        "GET /1k FTP/1.1\r\nHost: a\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a\0\r\n\r\n",
        "GET /1k HTTP/1.1\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        "GET /1k HTTP/1.1\r\nHOST: a\r\nhost: b\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a\r\ncONTENT-lENGTH: +1\r\n\r\nx",
        "GET /1k HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
        "GET /1k HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "GET /1k HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        "GET /1k HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx",
        "POST /1k HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /1k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /1k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        expect(request, 400, false);
    }
}

#[test]
fn nothing_there_gets_404() {
    expect("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, true);
}

#[test]
fn methods_that_change_get_405_and_are_told_which_do_not() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        let reply = expect(&format!("{method} /1k HTTP/1.1\r\nHost: a\r\n\r\n"), 405, true);
        assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    expect("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, true);
}

/// Field: phpmyadmin/docker#126, haproxytech/kubernetes-ingress#429: a load balancer checks by OPTIONS / → 204 with Allow
#[test]
fn options_gets_204_with_the_methods() {
    for target in ["/", "/1k", "/nothing", "*"] {
        let outcome = ask(&format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let text = String::from_utf8(outcome.got).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 204 ") && text.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"),
            "{text}"
        );
        assert!(text.ends_with("\r\n\r\n") && !text.contains("Content-Length") && outcome.open, "{text}");
    }
}

#[test]
fn what_a_proxy_could_read_in_another_way_is_refused() {
    for request in [
        "GET /1k HTTP/1.1\nHost: a\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a \n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a\r\n\n",
        "GET /1k HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET /1k HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        "GET http://u@a/1k HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:///1k HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        expect(request, 400, false);
    }
    for fine in ["Host: a:80\r\nX: \r\n", "Host: [::1]:8080 \t\r\n", "Host:\r\n"] {
        expect(&format!("GET /1k HTTP/1.1\r\n{fine}\r\n"), 200, true);
    }
    let chunked = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "2\nab\r\n0\r\n\r\n",
        "2;x\nab\r\n0\r\n\r\n",
        "2\r\nab\n0\r\n\r\n",
        "2 x\r\nab\r\n0\r\n\r\n",
        "0\r\n\r\r\n",
    ] {
        // Nothing behind it is taken for a request.
        expect(&format!("{chunked}{body}GET /1k HTTP/1.1\r\nHost: a\r\n\r\n"), 400, false);
    }
}

#[test]
fn requests_that_take_too_long_get_408() {
    for (begun, then) in [
        ("G", ""),
        ("GET /1k HTTP/1.1\r\n", "Host: a\r\n"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", "x"),
    ] {
        let server = server();
        let mut script = vec![Sends(begun.into()), Waits(29), Sends(then.into()), Waits(2)];
        script.retain(|does| !matches!(does, Sends(bytes) if bytes.is_empty()));
        let outcome = run(&server, script);
        assert_eq!((outcome.reply().code, outcome.open), (408, false), "{begun:?}");
        assert_eq!(server.counts().timeouts, 1);
    }
    let in_time =
        run(&server(), vec![Sends(b"GET /1k HTTP".to_vec()), Waits(29), Sends(b"/1.0\r\n\r\n".to_vec())]);
    assert_eq!(in_time.reply().code, 200);
}

#[test]
fn an_idle_connection_is_not_served() {
    let server = server();
    let request = || Sends(b"GET /1k HTTP/1.1\r\nHost: a\r\n\r\n\r\n".to_vec());
    // The stack ends it after its idle time, not the server.
    let outcome = run(&server, vec![Waits(55), request(), Waits(55), request()]);
    assert!(outcome.open && outcome.replies(&["GET"; 2]).iter().all(|reply| reply.code == 200));
    let (counts, serving) = (server.counts(), server.serving());
    assert_eq!((counts.timeouts.get(), counts.connections.get(), serving), (0, 1, 0));
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let server = server();
    let script = vec![Sends(b"GET /1k HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()), Waits(29)];
    assert!(run_taking(&server, script, 100).open);
    let script = vec![Sends(b"GET /1k HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()), Waits(31)];
    let outcome = run_taking(&server, script, 100);
    assert!(!outcome.open && outcome.got.len() == 100);
    assert_eq!(server.counts().timeouts, 1);
}

#[test]
fn clients_that_ask_and_do_not_read_cannot_take_the_memory() {
    let page = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let large = run(&server(), vec![Sends(page.clone())]).got.len();
    // One page fits, two do not.
    let memory = Rc::new(Memory::limited(large + large / 2));
    let site = StatusSite::new(support::fake::Fake(42), support::store_of(0), Rc::clone(&memory));
    let server = Server::new(site, Limits::default());
    // One after the other is no trouble.
    assert_eq!(run(&server, vec![Sends(page.repeat(3))]).replies(&["GET"; 3]).len(), 3);
    assert_eq!(memory.used(), 0);
    let poll = |serving: core::pin::Pin<&mut dyn Future<Output = _>>| {
        serving.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    };
    let mut stuck = connect(vec![Sends(page.clone())], 100);
    let mut serving = Box::pin(server.serve(&mut stuck, Port::Public));
    assert!(poll(serving.as_mut()));
    let outcome =
        run(&server, vec![Sends([&page[..], b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"].concat())]);
    let replies = outcome.replies(&["GET"; 2]);
    assert_eq!([replies[0].code, replies[1].code], [503, 200]);
    assert_eq!(replies[0].header("retry-after"), Some("1"));
    drop(serving);
    // A reply that waits for the request's body counts too.
    let mut unfinished =
        connect(vec![Sends(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n".to_vec())], 0);
    let mut serving = Box::pin(server.serve(&mut unfinished, Port::Public));
    assert!(poll(serving.as_mut()));
    assert_eq!(run(&server, vec![Sends(page.clone())]).reply().code, 503);
    drop(serving);
    assert_eq!(run(&server, vec![Sends(page)]).reply().code, 200);
    assert_eq!(memory.used(), 0);
}

#[test]
fn bodies_that_are_too_long_get_413() {
    expect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413, false);
    let chunks = "FFF\r\n".to_owned() + &"x".repeat(4095) + "\r\n";
    let request =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned() + &chunks.repeat(17);
    expect(&request, 413, false);
    let fits = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n".to_owned() + &"x".repeat(65_536);
    expect(&fits, 405, true);
}

#[test]
fn request_lines_that_are_too_long_get_414() {
    let long = "x".repeat(4096);
    expect(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414, false);
    expect(&format!("GET /{long}{long}{long}"), 414, false);
    expect(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..4000]), 404, true);
}

#[test]
fn expectations_get_an_answer_at_once_or_417() {
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    expect(put, 405, false);
    expect("GET /1k HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n", 200, true);
    expect("GET /1k HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417, false);
}

#[test]
fn heads_that_are_too_long_get_431() {
    let long = "x".repeat(8192);
    expect(&format!("GET /1k HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"), 431, false);
    let many = (0..64).map(|number| format!("A{number}: b\r\n")).collect::<String>();
    expect(&format!("GET /1k HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431, false);
    let fits = format!("GET /1k HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", &long[..8000]);
    expect(&fits, 200, true);
    let fits = many.replacen("A0: b\r\n", "", 1);
    expect(&format!("GET /1k HTTP/1.1\r\nHost: a\r\n{fits}\r\n"), 200, true);
}

#[test]
fn what_nobody_knows_gets_501() {
    expect("BREW /1k HTTP/1.1\r\nHost: a\r\n\r\n", 501, true);
    expect("get /1k HTTP/1.1\r\nHost: a\r\n\r\n", 501, true);
    for coding in ["gzip", "gzip, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", ""] {
        expect(&format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n"), 501, false);
    }
}

#[test]
fn other_versions_get_505() {
    expect("GET /1k HTTP/2.0\r\nHost: a\r\n\r\n", 505, false);
    expect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, false);
}

#[test]
fn the_end_of_the_stream_ends_the_connection_after_all_replies() {
    let whole = b"GET /1k HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let outcome = run(&server(), vec![Sends(whole.clone()), Closes]);
    assert_eq!((outcome.reply().code, outcome.open), (200, false));
    for len in 0..whole.len() {
        let outcome = run(&server(), vec![Sends(whole[..len.max(1)].to_vec()), Closes]);
        assert!(outcome.got.is_empty() && !outcome.open, "after {len}");
    }
}

#[test]
fn without_a_clock_there_is_no_date() {
    let server = Server::new(support::site(support::fake::Fake(0)), Limits::default());
    let outcome = run(&server, vec![Sends(b"GET /1k HTTP/1.0\r\n\r\n".to_vec())]);
    assert_eq!(outcome.reply().header("date"), None);
}
