//! Handshakes, requests and bulk bytes of a session, to be counted by callgrind: only what the session does.
//!
//! ```text
//!   valgrind --tool=callgrind --toggle-collect='tls::session::Session::*' target/host/examples/cost full|resumed|request|bulk
//! ```

#![allow(dead_code, reason = "a part of the support module is used")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::sync::Arc;
use support::{Pair, client_config, open, receive, sent, server};

/// Handshakes, or requests, or records of 4 KiB that are counted.
const TIMES: usize = 50;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let pair = Pair::p256("a.test");
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
    match what.as_str() {
        "full" => (0..TIMES).for_each(|_| drop(open(&server, &Arc::new(client_config(&[&pair])), "a.test"))),
        "resumed" => (0..=TIMES).for_each(|_| drop(open(&server, &config, "a.test"))),
        "request" | "bulk" => {
            let (mut client, mut session) = open(&server, &config, "a.test");
            for _ in 0..TIMES {
                if what == "request" {
                    client.writer().write_all(&[b'r'; 200]).expect("room");
                    assert_eq!(
                        receive(&mut session, &sent(&mut client), usize::MAX).expect("a request").len(),
                        200
                    );
                    session.write(&[b'a'; 1200]).expect("a reply");
                } else {
                    session.write(&[b'a'; 4096]).expect("a record");
                }
            }
        }
        _ => eprintln!("usage: cost full|resumed|request|bulk"),
    }
}
