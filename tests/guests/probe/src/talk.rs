//! Talks to an echo service: `app.peer=ADDRESS:PORT`, `app.bytes=N` by TCP, then a few datagrams by UDP.
//!
//! Sent bytes come back, so the pattern passes in both directions, and is compared byte for byte. One
//! future writes while another reads: one after the other, the buffers in between would fill up for good.

use crate::TIMEOUT_NS;
use crate::pattern::Pattern;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use core::fmt::Display;
use core::net::SocketAddrV4;
use embedded_io_async::{Read as _, Write as _};
use futures_util::future::try_join;
use kernel::System;
use kernel::net::{IpEndpoint, Net, NetError, TcpOptions, TcpReader, TcpWriter, UdpOptions};

/// Sizes of the datagrams: none, one byte, around the threshold of the pool, and the most that the MTU leaves.
const DATAGRAMS: [usize; 9] = [0, 1, 2, 63, 255, 256, 257, 1471, 1472];
/// A datagram may be lost; this often is not chance.
const ATTEMPTS: usize = 5;
const ANSWER_NS: u64 = 2_000_000_000;

/// All checks; the error has the differences and failures.
pub(crate) async fn talk(system: &System) -> Result<(), String> {
    let peer = argument::<SocketAddrV4>(system, "peer", "like app.peer=192.0.2.10:7")?;
    let bytes = argument::<u64>(system, "bytes", "a number, like app.bytes=1048576")?;
    let peer = IpEndpoint::from(core::net::SocketAddr::V4(peer));
    let net = system.net().await;
    let configured = system.timeout(TIMEOUT_NS, net.configured()).await;
    configured.ok_or("no address within a minute")?;
    stream(system, &net, peer, bytes).await?;
    datagrams(system, &net, peer).await
}

fn argument<T: core::str::FromStr>(system: &System, name: &str, right: &str) -> Result<T, String> {
    let text = system.config().app(name).unwrap_or_default();
    text.parse().map_err(|_| format!("app.{name}={text} is wrong: {right}"))
}

fn failed<E: Display>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

/// `bytes` there and back by TCP.
async fn stream(system: &System, net: &Net, peer: IpEndpoint, bytes: u64) -> Result<(), String> {
    let begun = system.now();
    let mut stream = net.tcp_connect(peer, TcpOptions::default()).await.map_err(failed("connecting"))?;
    let seed = system.random_u64();
    let (reader, writer) = stream.split();
    let both = try_join(send(writer, Pattern::new(seed), bytes), receive(reader, Pattern::new(seed), bytes));
    system.timeout(TIMEOUT_NS, both).await.ok_or("TCP took longer than a minute")??;
    let micros = system.now().since(begun) / 1000;
    kernel::log::info!("{bytes} bytes to {peer} and back by TCP: equal, in {micros} us");
    Ok(())
}

async fn send(mut writer: TcpWriter<'_>, mut pattern: Pattern, bytes: u64) -> Result<(), String> {
    let mut buffer = vec![0; 8 << 10];
    let mut left = bytes;
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..len).unwrap_or_default();
        pattern.fill(piece);
        writer.write_all(piece).await.map_err(failed("sending"))?;
        left = left.saturating_sub(u64::try_from(len).unwrap_or_default());
    }
    writer.close().await.map_err(failed("closing"))
}

/// Reads to the end of the stream, which must come after exactly `bytes`.
async fn receive(mut reader: TcpReader<'_>, mut pattern: Pattern, bytes: u64) -> Result<(), String> {
    let mut buffer = vec![0; 8 << 10];
    let mut received = 0_u64;
    loop {
        let len = reader.read(&mut buffer).await.map_err(failed("receiving"))?;
        if len == 0 {
            break;
        }
        let piece = buffer.get(..len).unwrap_or_default();
        pattern.check(piece).map_err(|index| format!("byte {index} after {received} differs"))?;
        received = received.saturating_add(u64::try_from(len).unwrap_or_default());
    }
    if received == bytes { Ok(()) } else { Err(format!("{received} of {bytes} bytes came back")) }
}

/// A datagram of each size, there and back.
async fn datagrams(system: &System, net: &Net, peer: IpEndpoint) -> Result<(), String> {
    let socket = net.udp_bind(0, UdpOptions::default()).map_err(failed("binding"))?;
    let mut pattern = Pattern::new(system.random_u64());
    let mut received = vec![0; 2048];
    for size in DATAGRAMS {
        let mut sent = vec![0; size];
        pattern.fill(&mut sent);
        let mut outcome = Err("no answer".to_string());
        for _ in 0..ATTEMPTS {
            socket.send_to(&sent, peer).await.map_err(failed("sending a datagram"))?;
            // An answer that differs may be a late one to an earlier attempt; the right one may still come.
            while let Some(answer) = system.timeout(ANSWER_NS, socket.recv_from(&mut received)).await {
                outcome = same(answer, &sent, &received, peer);
                if outcome.is_ok() {
                    break;
                }
            }
            if outcome.is_ok() {
                break;
            }
        }
        outcome.map_err(|why| format!("a datagram of {size} bytes: {why}"))?;
    }
    kernel::log::info!("{} datagrams to {peer} and back by UDP: equal", DATAGRAMS.len());
    Ok(())
}

/// Whether the answer equals the request and comes from its destination.
fn same(
    answer: Result<(usize, IpEndpoint), NetError>,
    sent: &[u8],
    received: &[u8],
    peer: IpEndpoint,
) -> Result<(), String> {
    let (len, from) = answer.map_err(|error| error.to_string())?;
    if from != peer {
        return Err(format!("answered by {from}"));
    }
    if received.get(..len) == Some(sent) { Ok(()) } else { Err(format!("{len} bytes that differ")) }
}
