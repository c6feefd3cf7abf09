//! HTTP PUT in dom0, one request after another over one kept connection: the reference for datafront.
//!
//! Usage: `put ADDRESS:PORT SIZE COUNT`. Prints `blocks seconds`, without the time to connect.
#![forbid(unsafe_code)]

use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [to, size, count] = arguments.as_slice() else { return Err(Error::other("put ADDRESS:PORT SIZE COUNT")) };
    let number = |text: &String| text.parse::<usize>().map_err(Error::other);
    let (size, count) = (number(size)?, number(count)?);
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut request = format!("PUT /block HTTP/1.1\r\nHost: guest\r\nContent-Length: {size}\r\n\r\n").into_bytes();
    request.resize(request.len() + size, 7);
    let mut put = || -> Result<()> {
        stream.write_all(&request)?;
        let mut reply = Vec::new();
        let mut part = [0; 512];
        while !reply.ends_with(b"\r\n\r\n") {
            match stream.read(&mut part)? {
                0 => return Err(Error::other("the guest closed the connection")),
                len => reply.extend_from_slice(&part[..len]),
            }
        }
        if reply.starts_with(b"HTTP/1.1 201 ") { Ok(()) } else { Err(Error::other("not created")) }
    };
    put()?;
    let begun = Instant::now();
    for _ in 0..count {
        put()?;
    }
    println!("{count} {:.9}", begun.elapsed().as_secs_f64());
    Ok(())
}
