//! Moves files between the host and dom0, and follows one that grows.

use crate::wire::{self, CHUNK, Tag};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// How often a followed file is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Receives a file. It appears under its name only when it is complete.
pub fn put(stream: &mut TcpStream, path: &str, mode: &str) -> io::Result<()> {
    let mode = u32::from_str_radix(mode, 8).map_err(|_| wire::invalid("a mode that is not octal"))?;
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder)?;
    }
    let partial = format!("{path}.partial");
    let mut file = File::create(&partial)?;
    loop {
        match wire::read_frame(stream)? {
            Some((Tag::Data, bytes)) => file.write_all(&bytes)?,
            Some((Tag::End, _)) => break,
            _ => return Err(wire::invalid("a file that does not end")),
        }
    }
    fs::set_permissions(&partial, Permissions::from_mode(mode))?;
    fs::rename(&partial, path)?;
    wire::write_frame(stream, Tag::End, b"")
}

/// Sends a file.
pub fn get(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    let mut file = File::open(path)?;
    copy(&mut file, stream, &mut vec![0; CHUNK])?;
    wire::write_frame(stream, Tag::End, b"")
}

/// Sends a file from its first byte and goes on as it grows; waits for it if it is not there yet.
///
/// Ends when the host hangs up.
pub fn follow(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    let mut file = loop {
        match File::open(path) {
            Ok(file) => break file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => idle(stream)?,
            Err(error) => return Err(error),
        }
    };
    // Made once: clearing it at each look was one in twenty of all instructions of a machine that counts them.
    let mut buffer = vec![0; CHUNK];
    loop {
        if copy(&mut file, stream, &mut buffer)? == 0 {
            idle(stream)?;
        }
    }
}

/// Waits a moment, or fails when the host has hung up.
fn idle(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(POLL))?;
    let mut byte = [0; 1];
    match stream.read(&mut byte) {
        Ok(_) => Err(wire::invalid("the host has hung up")),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error),
    }
}

fn copy(file: &mut File, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    loop {
        let len = file.read(buffer)?;
        if len == 0 {
            return Ok(total);
        }
        wire::write_frame(stream, Tag::Data, buffer.get(..len).unwrap_or_default())?;
        total += len;
    }
}
