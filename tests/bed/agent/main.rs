//! The agent in dom0: does for the host what a person at a shell in dom0 would do.
//!
//! `bed-agent serve` serves one request per connection (see `wire`), each in a separate thread. It keeps no state, so a
//! snapshot of the machine does not affect it. It listens on dom0's own
//! NIC, which no guest can reach. `bed-agent echo` is another service of the same program, for guests.

#![allow(unreachable_pub, reason = "modules of one program")]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod echo;
mod exec;
mod files;
#[allow(dead_code, reason = "the host uses the other half")]
mod wire;

use std::io;
use std::net::{TcpListener, TcpStream};
use wire::Tag;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", address] => listen(address),
        ["echo", port] => echo::echo(port.parse().map_err(|_| wire::invalid("a port that is no number"))?),
        _ => Err(wire::invalid("usage: bed-agent serve ADDRESS:PORT | bed-agent echo PORT")),
    }
}

fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("bed-agent: listening on {address}");
    for connection in listener.incoming() {
        match connection {
            Ok(stream) => {
                std::thread::spawn(move || serve(stream));
            }
            Err(error) => eprintln!("bed-agent: accept: {error}"),
        }
    }
    Ok(())
}

/// Serves one connection; sends the host an error if the request fails.
fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    if let Err(error) = answer(&mut stream) {
        let _ = wire::write_frame(&mut stream, Tag::Error, error.to_string().as_bytes());
    }
}

fn answer(stream: &mut TcpStream) -> io::Result<()> {
    let Some((Tag::Request, payload)) = wire::read_frame(stream)? else {
        return Err(wire::invalid("a connection must begin with a request"));
    };
    let parts = wire::unpack(&payload);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["ping"] => wire::write_frame(stream, Tag::End, b""),
        ["exec", timeout_ms, script] => exec::exec(stream, timeout_ms, script),
        ["put", path, mode] => files::put(stream, path, mode),
        ["get", path] => files::get(stream, path),
        ["follow", path] => files::follow(stream, path),
        _ => Err(wire::invalid("an operation that this agent does not know")),
    }
}
