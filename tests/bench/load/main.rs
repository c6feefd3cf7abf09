//! A generator for what no packaged program does: datagrams and a stream that an echo service returns, and the
//! creation of a domain with requests for a page until it is answered.
//!
//! Runs in dom0 and prints `units seconds`. Under `-icount` dom0's clock counts the instructions of the whole machine,
//! so the seconds are a number of instructions. One thread: a second one would add switches that are not the guest's.
//!
//! ```text
//!  bench-load udp ADDRESS:PORT SIZE COUNT WINDOW    WINDOW datagrams are on their way at a time
//!  bench-load tcp ADDRESS:PORT BYTES                a stream there and back
//!  bench-load boot ADDRESS:PORT CONFIG SECONDS      xl create CONFIG, then GET / until it is answered
//! ```
#![forbid(unsafe_code)]

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The limit for an answer: a lost datagram ends the run instead of counting as slow.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes that the stream may be ahead of its echo; less than both ends can buffer, so that neither waits for ever.
const AHEAD: usize = 64 << 10;
/// Bytes a write.
const PIECE: usize = 32 << 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (units, time) = match arguments.as_slice() {
        ["udp", to, size, count, window] => datagrams(to, number(size)?, number(count)?, number(window)?)?,
        ["tcp", to, bytes] => stream(to, number(bytes)?)?,
        ["boot", to, config, seconds] => boot(to, config, number(seconds)?)?,
        _ => return Err(Error::new(ErrorKind::InvalidInput, "usage: bench-load udp … | tcp … | boot …")),
    };
    println!("{units} {:.9}", time.as_secs_f64());
    Ok(())
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| Error::new(ErrorKind::InvalidInput, format!("{text} is no number")))
}

/// Sends `count` datagrams, at most `window` of them unanswered.
fn datagrams(to: &str, size: usize, count: usize, window: usize) -> Result<(usize, Duration)> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let datagram = vec![0x5a; size];
    let mut answer = vec![0; size + 1];
    // The first one waits for ARP; it is not counted.
    socket.send(&datagram)?;
    socket.recv(&mut answer)?;
    let begun = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered < window {
            socket.send(&datagram)?;
            sent += 1;
        }
        if socket.recv(&mut answer)? != size {
            return Err(Error::new(ErrorKind::InvalidData, "an answer of another size"));
        }
        answered += 1;
    }
    Ok((count, begun.elapsed()))
}

/// Sends `total` bytes and reads them back.
fn stream(to: &str, total: usize) -> Result<(usize, Duration)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let piece = vec![0x5a; PIECE];
    let mut answer = vec![0; AHEAD];
    let begun = Instant::now();
    let (mut sent, mut read) = (0, 0);
    while read < total {
        while sent < total && sent - read <= AHEAD - PIECE {
            let len = PIECE.min(total - sent);
            stream.write_all(piece.get(..len).unwrap_or_default())?;
            sent += len;
        }
        match stream.read(&mut answer)? {
            0 => return Err(Error::new(ErrorKind::UnexpectedEof, format!("ended after {read} bytes"))),
            len => read += len,
        }
    }
    Ok((total, begun.elapsed()))
}

/// Creates a domain and asks it for `/` until it answers 200: the time from `xl create` to the answer's last byte.
///
/// A try lasts 2 ms, ten times as long for a guest that takes seconds: asking costs instructions too.
fn boot(to: &str, config: &str, seconds: usize) -> Result<(usize, Duration)> {
    let to: SocketAddr = to.parse().map_err(|_| Error::new(ErrorKind::InvalidInput, "no ADDRESS:PORT"))?;
    let begun = Instant::now();
    let mut xl = Command::new("xl").args(["create", "-q", config]).stdin(Stdio::null()).spawn()?;
    let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
    // The first SYN would find no guest before xl has unpaused it.
    if !xl.wait()?.success() {
        return Err(Error::other(format!("xl create {config} failed")));
    }
    let mut last = String::from("no connection");
    while begun.elapsed() < limit {
        if let Ok(stream) = TcpStream::connect_timeout(&to, Duration::from_millis(20)) {
            match page(stream) {
                Ok(()) => return Ok((1, begun.elapsed())),
                Err(error) => last = error.to_string(),
            }
        }
    }
    Err(Error::new(ErrorKind::TimedOut, format!("no page within {seconds} s: {last}")))
}

/// Fetches `/`, which must be there.
fn page(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let begin = String::from_utf8_lossy(answer.get(..answer.len().min(80)).unwrap_or_default()).into_owned();
    Err(Error::new(ErrorKind::InvalidData, format!("another answer than 200: {begin:?}")))
}
