//! A server in a Linux guest that takes HTTP PUT and drops the bodies, as the guest `probe` does with `app.do=put`.
//!
//! Usage: `take PORT`. One connection after another; each reply is sent when its body has come.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Error, Read, Result, Write, copy, sink};
use std::net::{TcpListener, TcpStream};

fn main() -> Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).ok_or_else(|| Error::other("take PORT"))?;
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    for stream in listener.incoming() {
        if let Err(error) = serve(&stream?) {
            eprintln!("take: {error}");
        }
    }
    Ok(())
}

/// Answers the requests of a connection.
fn serve(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    loop {
        let mut length = None;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse::<u64>().ok();
            }
        }
        let length = length.ok_or_else(|| Error::other("no Content-Length"))?;
        if copy(&mut (&mut reader).take(length), &mut sink())? < length {
            return Err(Error::other("the body was cut"));
        }
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")?;
    }
}
