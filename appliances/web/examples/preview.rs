//! The pages of a guest that does not exist, on this machine: `cargo run -p web --example preview`, then
//! <http://127.0.0.1:8080/>. For whoever works on the page, and for trying clients against the server.

#![allow(clippy::as_conversions, clippy::arithmetic_side_effects, reason = "made-up numbers")]

#[path = "../tests/support/fake.rs"]
mod fake;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use web::http::{Limits, Server};
use web::site::status::Status;
use web::site::{Source, StatusSite};

/// The fake guest at the time that it is.
struct Living(Instant);

impl Source for Living {
    fn status(&self) -> Status {
        fake::Fake(self.0.elapsed().as_secs() + 100).status()
    }
}

/// Blocking reads and writes, for one connection a thread.
struct Stream(TcpStream);

impl ErrorType for Stream {
    type Error = ErrorKind;
}

impl Read for Stream {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(buf).map_err(|_| ErrorKind::Other)
    }
}

impl Write for Stream {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        self.0.write(buf).map_err(|_| ErrorKind::Other)
    }
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

fn main() -> std::io::Result<()> {
    let start = Instant::now();
    let listener = TcpListener::bind("127.0.0.1:8080")?;
    println!("http://127.0.0.1:8080/");
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        std::thread::spawn(move || serve(stream, start));
    }
    Ok(())
}

/// A server for each connection: they share nothing here, so the counters of HTTP are only this connection's.
fn serve(stream: TcpStream, start: Instant) {
    let server = Server::new(StatusSite::new(Living(start)), Limits::default());
    let unix =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    server.tick(1, unix);
    let mut stream = Stream(stream);
    let mut serving = pin!(server.serve(&mut stream));
    // Everything blocks, so it is ready at the first poll.
    if let Poll::Ready(Err(error)) = serving.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        eprintln!("{error:?}");
    }
}
