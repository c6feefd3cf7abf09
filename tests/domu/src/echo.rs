//! The other end of the echo service: patterns there and back, compared byte for byte.

use crate::{Outcome, SOON, pattern};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

const SEED: u64 = 0x6d69_6c6c_706f_6e64;
const PIECE: usize = 64 << 10;

/// Sends `total` bytes (a multiple of 8) and reads them back, at the same time; returns how long it took.
///
/// The end of the stream counts too: it must come right after the last byte.
///
/// # Errors
/// When a byte differs or is missing, or nothing comes for [`SOON`].
pub fn tcp(to: SocketAddr, total: u64) -> Outcome<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    let sink = stream.try_clone()?;
    let writer = thread::spawn(move || send(sink, total));
    let received = receive(&mut stream, total);
    if received.is_err() {
        // The writer ends too, rather than wait for a reader that has gone.
        let _ = stream.shutdown(Shutdown::Both);
    }
    let sent = writer.join().map_err(|_| "the writer panicked")?;
    received?;
    sent?;
    Ok(begun.elapsed())
}

fn send(mut stream: TcpStream, total: u64) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < total {
        let len = usize::try_from(total - at).unwrap_or(PIECE).min(PIECE);
        piece.truncate(len);
        pattern::fill(SEED, at, &mut piece);
        stream.write_all(&piece)?;
        at += len as u64;
    }
    stream.shutdown(Shutdown::Write)
}

fn receive(stream: &mut TcpStream, total: u64) -> Outcome {
    let (mut got, mut expected) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    while at < total {
        let len = usize::try_from(total - at).unwrap_or(PIECE).min(PIECE);
        got.truncate(len);
        expected.truncate(len);
        stream.read_exact(&mut got).map_err(|error| format!("after {at} of {total} bytes: {error}"))?;
        pattern::fill(SEED, at, &mut expected);
        if let Some(index) = got.iter().zip(&expected).position(|(got, expected)| got != expected) {
            return Err(format!("byte {} of {total} differs", at + index as u64).into());
        }
        at += len as u64;
    }
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(format!("more than the {total} bytes came back").into()),
    }
}

/// Datagrams that are on their way at a time.
const WINDOW: usize = 16;
/// A datagram may be lost; this often is not chance.
const ROUNDS: usize = 5;

/// Sends a datagram of every size in the range and waits for each to come back as it went. Returns how many had to be
/// sent again.
///
/// # Errors
/// When an answer differs, or does not come for a datagram that was sent [`ROUNDS`] times.
pub fn udp(to: SocketAddr, sizes: impl Iterator<Item = usize>) -> Outcome<usize> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    let mut again = 0;
    let sizes: Vec<usize> = sizes.collect();
    for window in sizes.chunks(WINDOW) {
        // The size names the datagram.
        let mut open: BTreeMap<usize, Vec<u8>> =
            window.iter().map(|size| (*size, pattern::bytes(*size as u64, *size))).collect();
        for round in 0..ROUNDS {
            again += if round > 0 { open.len() } else { 0 };
            for datagram in open.values() {
                socket.send(datagram)?;
            }
            collect(&socket, &mut open)?;
            if open.is_empty() {
                break;
            }
        }
        if !open.is_empty() {
            let missing: Vec<_> = open.keys().collect();
            return Err(format!("datagrams of these sizes never came back: {missing:?}").into());
        }
    }
    Ok(again)
}

/// Takes answers until all have arrived or no more come.
fn collect(socket: &UdpSocket, open: &mut BTreeMap<usize, Vec<u8>>) -> Outcome {
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut buffer = [0; 9000];
    while !open.is_empty() {
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let got = buffer.get(..len).unwrap_or_default();
        // One that is not awaited is the second answer to a datagram that was sent twice.
        if got != pattern::bytes(len as u64, len) {
            return Err(format!("a datagram of {len} bytes came back changed").into());
        }
        open.remove(&len);
    }
    Ok(())
}
