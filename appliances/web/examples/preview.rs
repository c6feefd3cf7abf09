//! The pages of a simulated guest on this machine: `cargo run -p web --example preview`, then <http://127.0.0.1:8080/>. For
//! work on the page, and for trying clients against the server.

#[path = "../tests/support/fake.rs"]
mod fake;

use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use web::http::{Limits, Server};
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
    let server = Server::new(StatusSite::new(Living), Limits::default());
    let unix =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    server.tick(1, unix);
    let mut stream = Stream(stream);
    let mut serving = pin!(server.serve(&mut stream));
    // All reads and writes block, so the first poll finishes.
    if let Poll::Ready(Err(error)) = serving.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        eprintln!("{error:?}");
    }
}
