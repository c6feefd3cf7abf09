//! The agent in dom0: does for the host what a person at a shell in dom0 would do.
//!
//! It serves one request per connection (see `wire`), each in a thread of its own, and keeps no state, so it
//! neither notices nor minds when the machine is frozen in a snapshot and goes on elsewhere. It listens on dom0's
//! own network card, which no guest can reach.
#![forbid(unsafe_code)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    unreachable_pub,
    reason = "a program of the host's world: standard library, sizes far from overflow"
)]

mod exec;
mod files;
#[allow(dead_code, reason = "the host uses the other half")]
mod wire;

use std::io;
use std::net::{TcpListener, TcpStream};
use wire::Tag;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| format!("127.0.0.1:{}", wire::PORT));
    let listener = TcpListener::bind(&address)?;
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

/// Serves one connection; what fails is told to the host if it still listens.
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
