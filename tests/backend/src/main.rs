//! A network backend for dom0 that tests put in the place of netback: correct by default, malicious on request.
//!
//! ```text
//!   test ──lines over TCP──► orders ──► faults ─────────┐
//!                                         ▼             ▼
//!   xenstored ◄──► vif (xenbus) ──► backend: rings ◄──► the guest's pages
//!                                         │
//!                                       peer: ARP, echo, HTTP
//! ```
//!
//! `backend PORT` listens on that port of dom0, takes every vif that xl makes under `backend/vif`, one at a time, and
//! executes the orders at the head of `orders.rs`. Linux's netback must not run, or it takes the vif
//! first: `rmmod xen-netback`, and a vif with a `script=` that does nothing.
//!
//! It shares layouts with the guest (`xen::abi`) and no line of its driver.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::missing_errors_doc,
    reason = "a program of the tests, which exports nothing"
)]
#![deny(unsafe_code)]

mod backend;
mod connection;
mod control;
mod faults;
mod flip;
mod orders;
mod peer;
mod ring;
mod shadow;
mod store;
mod sys;
mod vif;

use backend::Backend;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backend: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let port = std::env::args().nth(1).ok_or("usage: backend PORT")?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    listener.set_nonblocking(true)?;
    let mut backend = Backend::new()?;
    let mut master: Option<Master> = None;
    loop {
        backend.control = vec![listener.as_raw_fd()];
        backend.control.extend(master.iter().map(|master| master.stream.as_raw_fd()));
        backend.rest()?;
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            master = Some(Master { stream, input: Vec::new() });
        }
        let Some(theirs) = &mut master else { continue };
        match theirs.line() {
            Ok(Some(line)) => {
                let answer = match orders::obey(&mut backend, &line) {
                    Ok(answer) => format!("ok {}\n", answer.replace('\n', " ")),
                    Err(error) => format!("error {}\n", error.to_string().replace('\n', " ")),
                };
                theirs.stream.set_nonblocking(false)?;
                let written = theirs.stream.write_all(answer.as_bytes());
                theirs.stream.set_nonblocking(true)?;
                if written.is_err() {
                    master = None;
                }
            }
            Ok(None) => {}
            Err(_) => master = None,
        }
    }
}

/// The source of the orders.
struct Master {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Master {
    /// The next whole line, if there is one.
    fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => self.input.extend_from_slice(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let line: Vec<u8> = self.input.drain(..=end).collect();
        Ok(Some(String::from_utf8_lossy(&line).trim().to_owned()))
    }
}
