//! The connection to the agent in dom0: one for each request, over a port that leads to dom0's own vif.

use crate::error::{Error, Kind, Result};
use crate::wire::{self, CHUNK, Tag};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How much longer than a command's own limit the host waits for the agent's answer.
const GRACE: Duration = Duration::from_secs(20);

/// What a command in dom0 printed and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit status; nothing if a signal ended it.
    pub status: Option<i32>,
}

impl Output {
    /// Whether it ended with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }
}

/// The host's end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agent {
    address: SocketAddr,
}

impl Agent {
    pub(crate) const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Opens a connection with a request; `limit` is for each read and write.
    fn request(&self, parts: &[&str], limit: Duration) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        wire::write_frame(&mut stream, Tag::Request, &wire::pack(parts))?;
        Ok(stream)
    }

    /// Whether the agent answers within `limit`.
    pub(crate) fn ping(&self, limit: Duration) -> bool {
        let answer = self.request(&["ping"], limit).and_then(|mut stream| wire::read_frame(&mut stream));
        matches!(answer, Ok(Some((Tag::End, _))))
    }

    /// Runs a shell script with that standard input.
    pub(crate) fn exec(&self, script: &str, stdin: &[u8], limit: Duration) -> Result<Output> {
        let doing = || format!("running `{}` in dom0", script.trim());
        let milliseconds = limit.as_millis().to_string();
        let run = |output: &mut Output| {
            let mut stream = self.request(&["exec", &milliseconds, script], limit + GRACE)?;
            send(&mut stream, stdin)?;
            collect(&mut stream, output)
        };
        let mut output = Output::default();
        let outcome = run(&mut output).map_err(|error| failed(doing(), &error))?;
        if outcome == "timeout" {
            let said = format!("{}{}", output.stdout, output.stderr);
            return Err(Error::timeout(doing(), limit).because(said));
        }
        output.status = outcome.parse().ok();
        Ok(output)
    }

    /// Writes a file in dom0.
    pub(crate) fn put(&self, path: &str, mode: u32, bytes: &[u8], limit: Duration) -> Result<()> {
        let put = || {
            let mut stream = self.request(&["put", path, &format!("{mode:o}")], limit)?;
            send(&mut stream, bytes)?;
            receive(&mut stream).map(|_| ())
        };
        put().map_err(|error| failed(format!("writing {path} in dom0"), &error))
    }

    /// Reads a file in dom0.
    pub(crate) fn get(&self, path: &str, limit: Duration) -> Result<Vec<u8>> {
        let get = || receive(&mut self.request(&["get", path], limit)?);
        get().map_err(|error| failed(format!("reading {path} in dom0"), &error))
    }

    /// Follows a file in dom0: the stream gives `Data` frames as it grows.
    pub(crate) fn follow(&self, path: &str) -> Result<TcpStream> {
        let follow = || {
            let stream = self.request(&["follow", path], GRACE)?;
            stream.set_read_timeout(None)?;
            Ok(stream)
        };
        follow().map_err(|error: io::Error| failed(format!("following {path} in dom0"), &error))
    }

    /// Waits until the agent answers; `alive` says whether the machine still runs.
    pub(crate) fn wait(&self, limit: Duration, alive: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            // QEMU accepts a connection before dom0 listens, and no answer comes: so a short limit.
            if self.ping(Duration::from_millis(500)) {
                return Ok(());
            }
            if !alive() {
                return Err(Error::new(Kind::Machine, "QEMU ended before dom0 was ready"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Error::timeout("an answer from dom0", limit))
    }
}

fn failed(doing: String, error: &io::Error) -> Error {
    Error::new(Kind::Agent, doing).because(error)
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for chunk in bytes.chunks(CHUNK) {
        wire::write_frame(stream, Tag::Data, chunk)?;
    }
    wire::write_frame(stream, Tag::End, b"")
}

/// The next frame of an answer; the agent's own refusal and a hang-up are errors.
fn next(stream: &mut TcpStream) -> io::Result<(Tag, Vec<u8>)> {
    match wire::read_frame(stream)? {
        Some((Tag::Error, why)) => Err(io::Error::other(String::from_utf8_lossy(&why).into_owned())),
        Some(frame) => Ok(frame),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the agent hung up")),
    }
}

fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match next(stream)? {
            (Tag::Data, chunk) => bytes.extend(chunk),
            (Tag::End, _) => return Ok(bytes),
            _ => return Err(wire::invalid("an answer that does not fit")),
        }
    }
}

fn collect(stream: &mut TcpStream, output: &mut Output) -> io::Result<String> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let outcome = loop {
        match next(stream)? {
            (Tag::Stdout, bytes) => stdout.extend(bytes),
            (Tag::Stderr, bytes) => stderr.extend(bytes),
            (Tag::End, outcome) => break String::from_utf8_lossy(&outcome).into_owned(),
            _ => return Err(wire::invalid("an answer that does not fit")),
        }
    };
    output.stdout = String::from_utf8_lossy(&stdout).into_owned();
    output.stderr = String::from_utf8_lossy(&stderr).into_owned();
    Ok(outcome)
}
