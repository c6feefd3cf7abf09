//! The well-behaved client: one kept connection, and a new connection for each request, in a separate thread.

use domu_tests::Outcome;
use domu_tests::http::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(100);

/// A well-behaved client.
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u32, String>>,
}

impl Honest {
    /// Connects, and has one reply before it returns to work in its thread.
    pub(crate) fn start(port: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || work(port, &stopped).map_err(|error| error.to_string()));
        Self { stop, thread }
    }

    /// One request on a connection of its own.
    pub(crate) fn once(port: SocketAddr) -> Outcome {
        let reply = Connection::open(port)?.own("1k")?;
        if (reply.status, reply.body.len()) == (200, 1024) {
            Ok(())
        } else {
            Err(format!("{}", reply.status).into())
        }
    }

    /// Stops; the number of replies, or the request that was not answered.
    pub(crate) fn end(self) -> Outcome<u32> {
        self.stop.store(true, Relaxed);
        Ok(self.thread.join().map_err(|_| "the well-behaved client panicked")??)
    }
}

fn work(port: SocketAddr, stop: &AtomicBool) -> Outcome<u32> {
    let mut kept = Connection::open(port)?;
    let mut replies = 0;
    while !stop.load(Relaxed) || replies == 0 {
        let reply = kept
            .own("healthz")
            .map_err(|error| format!("kept connection, after {replies} replies: {error}"))?;
        if reply.status != 200 {
            return Err(format!("kept connection, after {replies} replies: {}", reply.status).into());
        }
        Honest::once(port).map_err(|error| format!("new connection, after {replies} replies: {error}"))?;
        replies += 2;
        sleep(PAUSE);
    }
    Ok(replies)
}
