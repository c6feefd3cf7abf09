//! A fixed resource that is asked for again and again costs no allocation.
//!
//! Without the test harness: its threads allocate too.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test"
)]

mod support;

use core::convert::Infallible;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nHost: 10.0.2.15\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const REQUESTS: usize = 1000;

/// Sends the same request a number of times, and notes how much was allocated between the first and the last.
struct Client<'a> {
    left: usize,
    region: Option<Region<'a, System>>,
    allocations: usize,
}

impl embedded_io_async::ErrorType for Client<'_> {
    type Error = Infallible;
}

impl embedded_io_async::Read for Client<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        if self.left + 10 == REQUESTS {
            self.region = Some(Region::new(ALLOCATOR));
        }
        if self.left == 0 {
            self.allocations = self.region.take().unwrap().change().allocations;
            return Ok(0);
        }
        self.left -= 1;
        buf[..REQUEST.len()].copy_from_slice(REQUEST);
        Ok(REQUEST.len())
    }
}

impl embedded_io_async::Write for Client<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        assert!(buf.len() > 1024);
        Ok(buf.len())
    }
    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn main() {
    let server = support::server();
    let mut client = Client { left: REQUESTS, region: None, allocations: usize::MAX };
    let done = pin!(server.serve(&mut client)).poll(&mut Context::from_waker(Waker::noop())).is_ready();
    assert!(done);
    assert_eq!(server.counts().replies_2xx, REQUESTS as u64);
    assert_eq!(client.allocations, 0, "a fixed resource costs allocations");
}
