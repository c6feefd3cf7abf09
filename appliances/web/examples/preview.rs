//! The pages of a simulated guest on this machine: `cargo run -p web --example preview`, then <http://127.0.0.1:8080/>. For
//! work on the page, and for trying clients against the server.

#[path = "../tests/support/fake.rs"]
mod fake;

use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use kernel::net::Bytes;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use web::http::{Limits, Next, Port, Server};
use web::memory::Memory;
use web::publish::{Store, StoreOptions};
use web::site::status::Status;
use web::site::{Source, StatusSite};

/// The fake guest, a second older at each request: the page asks once a second.
struct Living;

impl Source for Living {
    fn status(&self) -> Status {
        static SECOND: AtomicU64 = AtomicU64::new(100);
        fake::Fake(SECOND.fetch_add(1, Ordering::Relaxed)).status()
    }
}

/// Blocking reads and writes, for one connection a thread.
struct Stream(TcpStream);

impl web::http::Stream for Stream {
    type Chunk = Vec<u8>;
    type Error = std::io::Error;

    async fn recv(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; 4096];
        let len = self.0.read(&mut bytes)?;
        bytes.truncate(len);
        Ok((len > 0).then_some(bytes))
    }

    async fn send(&mut self, bytes: Bytes) -> std::io::Result<()> {
        self.0.write_all(&bytes)
    }

    fn park(self) {}
}

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8080")?;
    println!("http://127.0.0.1:8080/");
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        std::thread::spawn(move || serve(stream));
    }
    Ok(())
}

/// Each connection has a server of its own, so the HTTP counters are those of the connection.
fn serve(stream: TcpStream) {
    let memory = || Rc::new(Memory::limited(1 << 20));
    let store = Rc::new(Store::new(memory(), StoreOptions::default()));
    let server = Server::new(StatusSite::new(Living, store, memory()), Limits::default());
    let unix =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    server.tick(1, unix);
    let mut stream = Stream(stream);
    loop {
        // All reads and writes block, so the first poll finishes.
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(server.serve(&mut stream, Port::Public)).poll(&mut cx) {
            Poll::Ready(Ok(Next::Idle)) => {}
            Poll::Ready(Err(error)) => return eprintln!("{error:?}"),
            _ => return,
        }
    }
}
