//! A fixed resource that is asked for again and again costs no allocation; what was pushed is shared by its readers.
//!
//! Without the test harness: its threads allocate too.

mod support;

use core::convert::Infallible;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use datafront::block::{Application as _, BlockHead, Form, Part, Status};
use kernel::net::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::rc::Rc;
use support::fake::Fake;
use web::http::{Limits, Port, Server, Site};
use web::publish::Inbox;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nHost: 10.0.2.15\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const REQUESTS: usize = 1000;
/// Requests before anything is noted.
const WARM: usize = 10;
/// What is published, and what a request for it may allocate: its reply's head.
const PUBLISHED: usize = 1 << 20;
const HEAD_BYTES: usize = 2048;

/// Sends the same request a number of times, and notes how much was allocated between the first and the last.
struct Client<'a> {
    request: &'static [u8],
    left: usize,
    region: Option<Region<'a, System>>,
    allocations: usize,
    bytes: usize,
}

impl Client<'_> {
    const fn new(request: &'static [u8]) -> Self {
        Self { request, left: REQUESTS, region: None, allocations: usize::MAX, bytes: usize::MAX }
    }
}

impl web::http::Stream for Client<'_> {
    type Chunk = &'static [u8];
    type Error = Infallible;

    async fn recv(&mut self) -> Result<Option<&'static [u8]>, Infallible> {
        if self.left + WARM == REQUESTS {
            self.region = Some(Region::new(ALLOCATOR));
        }
        if self.left == 0 {
            let change = self.region.take().unwrap().change();
            (self.allocations, self.bytes) = (change.allocations, change.bytes_allocated);
            return Ok(None);
        }
        self.left -= 1;
        Ok(Some(self.request))
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Infallible> {
        assert!(!bytes.is_empty());
        Ok(())
    }

    fn park(self) {}
}

/// Serves a client to its end, and the replies that it got.
fn serve<S: Site>(server: &Server<S>, client: &mut Client<'_>) {
    for _ in 0..=REQUESTS {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(server.serve(client, Port::Public)).poll(&mut cx).is_ready());
    }
    assert_eq!(server.counts().replies_2xx, REQUESTS as u64);
}

fn main() {
    let mut client = Client::new(REQUEST);
    serve(&support::server(), &mut client);
    assert_eq!(client.allocations, 0, "a fixed resource costs allocations");

    let store = support::store_of(2 * PUBLISHED);
    let mut inbox = Inbox::new(Rc::clone(&store), Rc::default());
    let (form, part, len) = (Form::Bytes, Part::Whole, PUBLISHED as u64);
    inbox.begin(&BlockHead { stream: 1, seq: 1, name: "large", len, form, part }).unwrap();
    inbox.data(&vec![b'x'; PUBLISHED]).unwrap();
    assert_eq!(inbox.finish(), Status::ACCEPTED);
    let mut client = Client::new(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    serve(&Server::new(support::site_of(Fake(1), store), Limits::default()), &mut client);
    let replies = REQUESTS - WARM;
    assert!(client.bytes < replies * HEAD_BYTES, "{} bytes for {replies} of {PUBLISHED}", client.bytes);
}
